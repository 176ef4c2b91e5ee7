import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import { ANNOTATIONS, FINALIZERS } from '../../../src/api/group.ts';
import type { KubeObjectBase, ObjectMeta } from '../../../src/api/meta.ts';
import type { StorageNode } from '../../../src/api/storage-node.ts';
import type { VolumeSpec, VolumeStatus } from '../../../src/api/volume.ts';
import { VOLUME_TYPES } from '../../../src/api/volume.ts';
import { addPlacementIndexes } from '../../../src/controllers/placement/observe.ts';
import { placementReconciler } from '../../../src/controllers/placement/reconciler.ts';
import { CACHE_BEHIND_MS } from '../../../src/controllers/support/live.ts';
import { condition, lostNode, mount, storageNode, volume, volumeClass, volumeRestore } from '../support/objects.ts';
import { World } from '../support/world.ts';

const ON_SERVER = { s3: { bucket: 'b', prefix: 'p', credentialsSecretRef: { name: 'keys' } } };
const provisioned = [condition('Ready', 'True', 'Provisioned'), condition('Provisioned', 'True', 'Provisioned')];
const deleting = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [FINALIZERS.volume] };
const types = VOLUME_TYPES.map((name) => ({ name, supported: true }));
const able = (name: string): StorageNode => storageNode(name, { types });
const fenced = (name: string): StorageNode =>
  lostNode(name, { annotations: { [ANNOTATIONS.nodeFenced]: `uid-${name}` } });

class HandOverWorld extends World {
  leaseLeft = 0;
  readonly #reconcile = (() => {
    addPlacementIndexes(this);
    return placementReconciler({
      stores: this,
      writer: this.writer('controller'),
      events: this.sink,
      live: this.live,
      leaseLeft: () => this.leaseLeft,
    });
  })();

  constructor(...objects: readonly KubeObjectBase[]) {
    super();
    const spec = { allowedS3Endpoints: ['*'], allowedS3Buckets: ['*'], allowedHostPathPrefixes: ['/data'] };
    this.add(volumeClass('default', spec), ...objects);
  }

  run() {
    return this.#reconcile('team/data', this.context());
  }

  get status(): VolumeStatus {
    return this.volumes.get('team/data')?.status ?? {};
  }

  get ready() {
    return findCondition(this.status.conditions, 'Ready');
  }
}

/** The volume as its agent on node "a" left it. */
function left(spec: Partial<VolumeSpec> = ON_SERVER, metadata: Partial<ObjectMeta> = {}, status: VolumeStatus = {}) {
  const said = { nodeName: 'a', observedGeneration: 1, phase: 'Available', mounts: { desired: 0, ready: 0 } } as const;
  return volume('data', spec, { ...said, conditions: provisioned, ...status }, metadata);
}

describe('a volume whose node is lost', () => {
  it('goes to another node when its storage lies on a server, by a write that nothing comes before', async () => {
    const world = new HandOverWorld(lostNode('a'), able('b'), left());
    await world.run();
    expect(world.status).to.deep.include({ nodeName: 'b', phase: 'Available' });
    expect(world.ready).to.deep.include({ status: 'Unknown', reason: 'HandedOver' });
    expect(world.ready?.message).to.include('"a"').and.include('"b"');
    expect(world.guarded).to.deep.equal(['controller status Volume/data']);
    expect(world.events).to.deep.equal(['Normal HandedOver Volume/data']);
    await world.run();
    expect(world.writes, 'until the agent of the new node speaks').to.have.length(1);
    world.add(left(ON_SERVER, {}, { ...world.status, conditions: provisioned }));
    await world.run();
    expect(world.ready).to.deep.include({ status: 'True', reason: 'Provisioned' });
    expect(world.status.nodeName, 'when the old node is back').to.equal('b');
  });

  it('goes where it is mounted already', async () => {
    const status = { attachments: [{ mountUID: 'uid-m', workloadId: 'workload-m', nodeName: 'c', readOnly: false }] };
    const shared = { ...ON_SERVER, accessModes: ['ReadWriteMany'] as const };
    const world = new HandOverWorld(
      lostNode('a'),
      able('b'),
      able('c'),
      left(shared, {}, status),
      mount('m', { nodeName: 'c' }, { nodeName: 'c' }),
    );
    await world.run();
    expect(world.status.nodeName).to.equal('c');
    expect(world.status.attachments).to.deep.equal(status.attachments);
  });

  it('keeps the grants of the lost node until it is fenced', async () => {
    const status = { attachments: [{ mountUID: 'uid-m', workloadId: 'workload-m', nodeName: 'a', readOnly: false }] };
    const mounts = [mount('m', { nodeName: 'a' }, { nodeName: 'a' }), mount('n', { nodeName: 'b' })];
    const world = new HandOverWorld(lostNode('a'), able('b'), left(ON_SERVER, {}, status), ...mounts);
    await world.run();
    expect(world.status).to.deep.include({ nodeName: 'b', attachments: status.attachments });
    world.add(fenced('a'));
    await world.run();
    expect(world.status.attachments?.map(({ mountUID }) => mountUID)).to.deep.equal(['uid-n']);
  });

  it('stays there when its data lies there, or its spec says so, or it is paused', async () => {
    for (const [spec, metadata] of [
      [{ emptyDir: {} }, {}],
      [{ hostPath: { path: '/data/x' } }, {}],
      [{ ...ON_SERVER, nodeName: 'a' }, {}],
      [ON_SERVER, { annotations: { [ANNOTATIONS.paused]: 'true' } }],
    ] as const) {
      const world = new HandOverWorld(fenced('a'), able('b'), left(spec, metadata));
      await world.run();
      expect(world.status.nodeName, JSON.stringify([spec, metadata])).to.equal('a');
      expect(world.ready).to.deep.include({ status: 'Unknown', reason: 'NodeLost' });
    }
  });

  it('stays while the lost node may be deleting, making or filling it, and goes when that is known to be off', async () => {
    const restore = volumeRestore('r');
    for (const [what, object, ...others] of [
      ['deleting', left(ON_SERVER, deleting)],
      ['making', left(ON_SERVER, {}, { conditions: [condition('Ready', 'False', 'ProvisionFailed')] })],
      ['writing', left(), restore],
    ] as const) {
      const world = new HandOverWorld(lostNode('a'), able('b'), object, ...others);
      await world.run();
      expect(world.status.nodeName, what).to.equal('a');
      expect(world.ready?.reason).to.equal('NodeLost');
      expect(world.ready?.message).to.include(what).and.include(ANNOTATIONS.nodeFenced);
      world.add(lostNode('a', { annotations: { [ANNOTATIONS.nodeFenced]: 'uid-of-another' } }));
      await world.run();
      expect(world.status.nodeName, `${what}, another UID`).to.equal('a');
      world.add(fenced('a'));
      await world.run();
      expect(world.status.nodeName, `${what}, fenced`).to.equal('b');
    }
  });

  it('goes when its StorageNode was removed, but not while an agent there renews its Lease', async () => {
    const world = new HandOverWorld(able('b'), left(ON_SERVER, deleting));
    world.leaseLeft = 1234;
    expect(await world.run()).to.deep.equal({ requeueAfterMs: 1234 });
    expect(world.status.nodeName).to.equal('a');
    world.leaseLeft = 0;
    await world.run();
    expect(world.status.nodeName).to.equal('b');
  });

  describe('while a cache of the controller is behind', () => {
    const stays = async (world: HandOverWorld): Promise<void> => {
      expect(await world.run()).to.deep.equal({ requeueAfterMs: CACHE_BEHIND_MS });
      expect([world.status.nodeName, world.writes]).to.deep.equal(['a', []]);
    };

    it('stays when its node is back', async () => {
      await stays(new HandOverWorld(lostNode('a'), able('b'), left()).addAhead(able('a')));
      await stays(new HandOverWorld(fenced('a'), able('b'), left()).addAhead(able('a')));
    });

    it('stays when the StorageNode of its node is there', async () => {
      const world = new HandOverWorld(able('b'), left(ON_SERVER, deleting)).addAhead(lostNode('a'));
      await stays(world);
      world.removeAhead('StorageNode', 'a');
      await world.run();
      expect(world.status.nodeName).to.equal('b');
    });

    it('stays while something writes into it', async () => {
      const world = new HandOverWorld(lostNode('a'), able('b'), left()).addAhead(volumeRestore('r'));
      await stays(world);
      world.removeAhead('VolumeRestore', 'team/r');
      await world.run();
      expect(world.status.nodeName).to.equal('b');
    });

    it('keeps the grants of a fenced node that is back', async () => {
      const status = { attachments: [{ mountUID: 'uid-m', workloadId: 'workload-m', nodeName: 'c', readOnly: false }] };
      const mounts = [mount('m', { nodeName: 'c' }, { nodeName: 'c' }), mount('n', { nodeName: 'a' })];
      const world = new HandOverWorld(able('a'), fenced('c'), left(ON_SERVER, {}, status), ...mounts);
      world.addAhead(able('c'));
      await stays(world);
      world.addAhead(fenced('c'));
      await world.run();
      expect(world.status.attachments?.map(({ mountUID }) => mountUID)).to.deep.equal(['uid-n']);
    });
  });

  it('waits for a node that can take it, and says what is lacking', async () => {
    const cordoned = { ...able('b'), spec: { unschedulable: true } };
    const world = new HandOverWorld(lostNode('a'), cordoned, left());
    await world.run();
    expect(world.status.nodeName).to.equal('a');
    expect(world.ready?.reason).to.equal('NodeLost');
    expect(world.ready?.message).to.include('NodeUnschedulable');
    world.add(able('b'));
    await world.run();
    expect(world.status.nodeName).to.equal('b');
  });

  it('goes on from a node that is lost before it has spoken', async () => {
    const world = new HandOverWorld(lostNode('a'), able('b'), left());
    await world.run();
    world.add(lostNode('b'), able('c'));
    await world.run();
    expect(world.status.nodeName).to.equal('c');
    expect(world.ready?.message).to.include('"c"');
  });
});
