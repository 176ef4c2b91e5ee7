import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import type { SnapshotStatus } from '../../../src/api/snapshot.ts';
import type { VolumeSpec, VolumeStatus } from '../../../src/api/volume.ts';
import { addPlacementIndexes } from '../../../src/controllers/placement/observe.ts';
import { placementReconciler } from '../../../src/controllers/placement/reconciler.ts';
import { condition, snapshot, storageNode, volume, volumeClass } from '../support/objects.ts';
import { World } from '../support/world.ts';

class CloneWorld extends World {
  readonly #reconcile = (() => {
    addPlacementIndexes(this);
    return placementReconciler({
      stores: this,
      writer: this.writer('controller'),
      events: this.sink,
      live: this.live,
      leaseLeft: () => 0,
    });
  })();

  constructor() {
    super();
    this.add(storageNode('a'), storageNode('b'));
  }

  /** What becomes of the volume: its node, or why it has none. */
  async place(): Promise<string | undefined> {
    await this.#reconcile('team/copy', this.context());
    const { nodeName, conditions } = this.volumes.get('team/copy')?.status ?? {};
    const stalled = findCondition(conditions, 'Stalled');
    return (
      nodeName ?? (stalled === undefined ? findCondition(conditions, 'Ready')?.reason : `Stalled ${stalled.reason}`)
    );
  }
}

const fromSnapshot = { dataSource: { snapshotRef: { name: 's' } } };
const fromVolume = { dataSource: { volumeRef: { name: 'data' } } };
const provisioned = [condition('Ready', 'True', 'Provisioned'), condition('Provisioned', 'True', 'Provisioned')];
const made: VolumeStatus = { nodeName: 'b', capacity: '20Gi', conditions: provisioned };
const deleting = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['f'] };
function taken(volumeSpec: VolumeSpec = { emptyDir: {} }, status: SnapshotStatus = {}) {
  const source = { volumeName: 'data', volumeUID: 'uid-data', volumeSpec };
  return snapshot('s', {}, { nodeName: 'b', source, readyToUse: true, restoreSize: '20Gi', ...status });
}

describe('placement of a volume that is made from something', () => {
  it('is on the node of its snapshot', async () => {
    expect(await new CloneWorld().add(taken(), volume('copy', fromSnapshot)).place()).to.equal('b');
  });

  it('is on the node of its volume', async () => {
    const world = new CloneWorld().add(volume('data', {}, made), volume('copy', fromVolume));
    expect(await world.place()).to.equal('b');
  });

  it('is there also for storage on a server', async () => {
    const nfs = { nfs: { server: 'files', path: '/export' } };
    const world = new CloneWorld().add(volumeClass('default', { allowedNfsServers: ['*'] }));
    world.add(taken(nfs, { restoreSize: '1Gi' }), volume('copy', { ...nfs, ...fromSnapshot }));
    expect(await world.place()).to.equal('b');
  });

  it('waits for what it is made from', async () => {
    const world = new CloneWorld().add(volume('copy', fromSnapshot));
    expect(await world.place()).to.equal('SnapshotNotFound');
    world.add(taken({ emptyDir: {} }, { readyToUse: false }));
    expect(await world.place()).to.equal('SnapshotNotReady');
    world.add(taken());
    expect(await world.place()).to.equal('b');

    const other = new CloneWorld().add(volume('copy', fromVolume));
    expect(await other.place()).to.equal('VolumeNotFound');
    other.add(volume('data', {}, { nodeName: 'b' }));
    expect(await other.place()).to.equal('VolumeNotReady');
    other.add(volume('data', {}, made));
    expect(await other.place()).to.equal('b');
  });

  it('does not begin with what is being deleted', async () => {
    const gone = taken();
    const world = new CloneWorld().add({ ...gone, metadata: { ...gone.metadata, ...deleting } });
    expect(await world.add(volume('copy', fromSnapshot)).place()).to.equal('SnapshotNotReady');
    const other = new CloneWorld().add(volume('data', {}, made, deleting), volume('copy', fromVolume));
    expect(await other.place()).to.equal('VolumeDeleting');
  });

  it('refuses what does not go together', async () => {
    const cases: readonly (readonly [VolumeSpec, VolumeSpec, string])[] = [
      [{ hostPath: { path: '/data/x' } }, { emptyDir: {} }, 'DataSourceMismatch'],
      [{ emptyDir: {} }, { emptyDir: { medium: 'Memory' } }, 'DataSourceMismatch'],
      [{ emptyDir: {} }, { emptyDir: {}, nodeName: 'a' }, 'DataSourceMismatch'],
      [{ emptyDir: {} }, { emptyDir: {}, capacity: '19Gi' }, 'CapacityTooSmall'],
    ];
    for (const [source, spec, reason] of cases) {
      const world = new CloneWorld().add(taken(source), volume('copy', { ...spec, ...fromSnapshot }));
      expect(await world.place()).to.equal(`Stalled ${reason}`);
    }
    const self = new CloneWorld().add(volume('copy', { dataSource: { volumeRef: { name: 'copy' } } }));
    expect(await self.place()).to.equal('Stalled InvalidSpec');
  });

  it('stays where it is when what it was made from is gone', async () => {
    const world = new CloneWorld().add(volume('copy', fromSnapshot, { ...made, observedGeneration: 1 }));
    expect(await world.place()).to.equal('b');
    expect(world.volumes.get('team/copy')?.status?.phase).to.equal('Available');
  });
});
