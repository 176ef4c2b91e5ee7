import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { VolumeStatus } from '../../../src/api/volume.ts';
import { addPlacementIndexes } from '../../../src/controllers/placement/observe.ts';
import { placementReconciler } from '../../../src/controllers/placement/reconciler.ts';
import type { Writer } from '../../../src/controllers/support/writes.ts';
import { storageNode, volume, volumeClass } from '../support/objects.ts';
import { World } from '../support/world.ts';

/** An API server whose watch has not brought anything of what was written yet. */
class LateWorld extends World {
  /** Node of each volume, as it was written. */
  readonly given = new Map<string, string | undefined>();
  readonly #reconcile = (() => {
    addPlacementIndexes(this);
    const writer: Writer = {
      ...this.writer('controller'),
      status: (_resource, { metadata }, status) => {
        this.given.set(metadata.name, (status as VolumeStatus).nodeName);
        return Promise.resolve(true);
      },
    };
    return placementReconciler({
      stores: this,
      writer,
      events: this.sink,
      live: this.live,
      leaseLeft: () => 0,
    });
  })();

  async place(...names: readonly string[]): Promise<void> {
    for (const name of names) await this.#reconcile(`team/${name}`, this.context());
  }

  get perNode(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const node of this.given.values()) counts[node ?? 'none'] = (counts[node ?? 'none'] ?? 0) + 1;
    return counts;
  }
}

const names = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `v${index}`);

describe('volumes that are placed at once', () => {
  it('are spread although the cache does not show any of them yet', async () => {
    const world = new LateWorld().add(...['a', 'b', 'c', 'd'].map((name) => storageNode(name)));
    world.add(...names(8).map((name) => volume(name)));
    await world.place(...names(8));
    expect(world.perNode).to.deep.equal({ a: 2, b: 2, c: 2, d: 2 });
  });

  it('count once when one is decided again, and not at all when one is gone', async () => {
    const world = new LateWorld().add(storageNode('a'), storageNode('b'), volume('v0'), volume('v1'));
    await world.place('v0', 'v0', 'v0');
    expect(world.given.get('v0')).to.equal('a');
    world.volumes.delete('team/v0');
    await world.place('v1');
    expect(world.given.get('v1')).to.equal('a');
  });

  it('count once when the cache shows them', async () => {
    const world = new LateWorld().add(storageNode('a'), storageNode('b'), ...names(4).map((name) => volume(name)));
    await world.place('v0', 'v1');
    for (const name of ['v0', 'v1']) world.add({ ...volume(name, {}, { nodeName: world.given.get(name) ?? '' }) });
    await world.place('v2', 'v3');
    expect(world.perNode).to.deep.equal({ a: 2, b: 2 });
  });

  it('do not all get the same room of a pool', async () => {
    const thick = volumeClass('thick', { defaults: { provisioning: 'Thick' } });
    const world = new LateWorld().add(storageNode('a'), thick);
    world.add(...names(3).map((name) => volume(name, { volumeClassName: 'thick', capacity: '20Gi' })));
    await world.place(...names(3));
    expect(world.perNode).to.deep.equal({ a: 2, none: 1 });
  });
});
