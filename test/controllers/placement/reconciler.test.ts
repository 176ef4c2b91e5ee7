import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import { ANNOTATIONS, FINALIZERS } from '../../../src/api/group.ts';
import { addPlacementIndexes } from '../../../src/controllers/placement/observe.ts';
import { placementReconciler } from '../../../src/controllers/placement/reconciler.ts';
import { condition, lostNode, mount, NOW, restore, storageNode, volume, volumeClass } from '../support/objects.ts';
import { World } from '../support/world.ts';

class PlacementWorld extends World {
  readonly #reconcile = (() => {
    addPlacementIndexes(this);
    return placementReconciler({
      stores: this,
      writer: this.writer('controller'),
      events: this.sink,
      leaseLeft: () => 0,
      live: this.live,
    });
  })();

  run(name = 'data') {
    return this.#reconcile(`team/${name}`, this.context());
  }

  get volumeStatus() {
    return this.volumes.get('team/data')?.status;
  }

  mountStatus(name = 'm') {
    return this.mounts.get(`team/${name}`)?.status;
  }
}

const fresh = { creationTimestamp: new Date(NOW - 500).toISOString() };
const deleting = { deletionTimestamp: '2026-01-01T00:00:00Z' };
const provisioned = [condition('Ready', 'True', 'Provisioned'), condition('Provisioned', 'True', 'Provisioned')];
const mounted = [condition('Ready', 'True', 'Mounted'), condition('Mounted', 'True', 'Mounted')];

describe('placement', () => {
  it('places a volume and grants its mounts with one write each, the volume first', async () => {
    const world = new PlacementWorld().add(storageNode('a'), volume('data'), mount('m'), mount('n'));
    await world.run();
    expect(world.writes).to.deep.equal([
      'controller status Volume/data',
      'controller status VolumeMount/m',
      'controller status VolumeMount/n',
    ]);
    expect(world.volumeStatus).to.deep.include({ nodeName: 'a', phase: 'Pending', mounts: { desired: 2, ready: 0 } });
    expect(world.mountStatus()?.nodeName).to.equal('a');
    await world.run();
    expect(world.writes).to.have.length(3);
  });

  it('keeps the grant of a mount that its cache does not show yet, and gives it up when the mount is gone', async () => {
    const status = {
      nodeName: 'a',
      attachments: [{ mountUID: 'uid-late', workloadId: 'w', nodeName: 'a', readOnly: false }],
    };
    const world = new PlacementWorld().add(storageNode('a'), volume('data', {}, status), mount('m'));
    world.addAhead(mount('late'));
    expect(await world.run())
      .to.have.property('requeueAfterMs')
      .that.is.greaterThan(0);
    expect(world.writes).to.deep.equal([]);
    world.removeAhead('VolumeMount', 'team/late');
    await world.run();
    expect(world.volumeStatus?.attachments?.map(({ mountUID }) => mountUID)).to.deep.equal([
      world.mounts.get('team/m')?.metadata.uid,
    ]);
  });

  it('writes to objects as they were read only: an older leader may still be writing', async () => {
    const world = new PlacementWorld().add(storageNode('a'), volume('data'), mount('m'), volume('alone'));
    await world.run();
    await world.run('alone');
    world.add(mount('n', { nodeName: 'z' }));
    await world.run();
    world.add(lostNode('a'));
    await world.run();
    expect(world.writes).to.have.length(7);
    expect(world.guarded).to.deep.equal(world.writes);
  });

  it('grants nothing new while a Restore takes the volume back, on whatever node, and keeps what it granted', async () => {
    const world = new PlacementWorld().add(storageNode('a'), volume('data'), mount('m'));
    await world.run();
    const source = { snapshotName: 's', snapshotUID: 'uid-s', volumeName: 'data', volumeUID: 'uid-data' };
    const bound = { nodeName: 'a', source, startTime: '2026-01-01T00:00:00Z' };
    world.add(restore('r', {}, bound), mount('late'));
    await world.run();
    expect(world.volumeStatus?.attachments?.map(({ mountUID }) => mountUID)).to.deep.equal(['uid-m']);
    expect(findCondition(world.mountStatus('late')?.conditions, 'Ready')?.reason).to.equal('RestoreInProgress');
    world.add(restore('r', {}, { ...bound, completionTime: '2026-01-01T00:00:00Z' }));
    await world.run();
    expect(world.volumeStatus?.attachments?.map(({ mountUID }) => mountUID)).to.deep.equal(['uid-m', 'uid-late']);
  });

  it('leaves the conditions of a placed object to the agent', async () => {
    const world = new PlacementWorld().add(volume('data'), mount('m'));
    await world.run();
    expect(findCondition(world.volumeStatus?.conditions, 'Ready')?.reason).to.equal('NoMatchingNode');
    world.add(storageNode('a'));
    await world.run();
    expect(world.volumeStatus?.conditions).to.equal(undefined);
    expect(world.mountStatus()).to.deep.equal({ observedGeneration: -1, nodeName: 'a' });
  });

  it('says nothing of a wait while the object is fresh, and says it afterwards', async () => {
    const world = new PlacementWorld().add(volume('data', {}, {}, fresh), mount('m', {}, {}, fresh));
    const result = await world.run();
    expect(world.writes).to.deep.equal([]);
    expect(result.requeueAfterMs).to.equal(1500);
    await world.clock.advance(1500);
    await world.run();
    expect(world.writes).to.have.length(2);
    expect(world.events).to.deep.equal(['Warning NoMatchingNode Volume/data']);
  });

  it('stalls at once what the policy refuses', async () => {
    const refused = volume('data', { hostPath: { path: '/etc' } }, {}, fresh);
    const world = new PlacementWorld().add(storageNode('a'), volumeClass('default'), refused);
    await world.run();
    expect(world.volumeStatus?.phase).to.equal('Failed');
    expect(findCondition(world.volumeStatus?.conditions, 'Stalled')?.reason).to.equal('HostPathNotAllowed');
  });

  it('says nothing yet of a fresh volume whose class may be applied after it', async () => {
    const early = () => volume('data', { hostPath: { path: '/data/x' } }, {}, fresh);
    const world = new PlacementWorld().add(storageNode('a'), early());
    expect((await world.run()).requeueAfterMs).to.equal(1500);
    expect(world.writes).to.deep.equal([]);
    world.add(volumeClass('default', { allowedHostPathPrefixes: ['/data'] }));
    await world.run();
    expect(world.volumeStatus?.nodeName).to.equal('a');
    const without = new PlacementWorld().add(storageNode('a'), early());
    await without.clock.advance(1500);
    await without.run();
    expect(findCondition(without.volumeStatus?.conditions, 'Stalled')?.reason).to.equal('HostPathNotAllowed');
  });

  it('tells a mount that its volume does not exist', async () => {
    const world = new PlacementWorld().add(mount('m'));
    await world.run();
    expect(findCondition(world.mountStatus()?.conditions, 'Ready')?.reason).to.equal('VolumeNotFound');
  });

  it('releases what is deleted and never had a node, and so no agent to release it', async () => {
    const world = new PlacementWorld().add(
      volume('data', { nodeName: 'nowhere' }, {}, { ...deleting, finalizers: [FINALIZERS.volume] }),
      mount('m', {}, {}, { ...deleting, finalizers: [FINALIZERS.mount] }),
      mount('placed', {}, { nodeName: 'a' }, { ...deleting, finalizers: [FINALIZERS.mount] }),
    );
    await world.run();
    expect([world.volumes.get('team/data'), world.mounts.get('team/m')]).to.deep.equal([undefined, undefined]);
    expect(world.mounts.get('team/placed')).to.not.equal(undefined);
  });

  it('tells a mount who is in its way', async () => {
    const both = [mount('m'), mount('n')];
    const world = new PlacementWorld().add(
      storageNode('a'),
      volume('data', { accessModes: ['ReadWriteOncePod'] }),
      ...both,
    );
    await world.run();
    const ready = findCondition(world.mountStatus('n')?.conditions, 'Ready');
    expect(ready).to.deep.include({ status: 'False', reason: 'AccessModeConflict' });
    expect(ready?.message).to.include('"m"');
    expect(world.mountStatus('n')?.nodeName).to.equal(undefined);
  });

  it('passes the grant on when the mount that held it is gone', async () => {
    const both = [mount('m'), mount('n')];
    const world = new PlacementWorld().add(
      storageNode('a'),
      volume('data', { accessModes: ['ReadWriteOncePod'] }),
      ...both,
    );
    await world.run();
    world.mounts.delete('team/m');
    await world.run();
    expect(world.volumeStatus?.attachments?.map(({ mountUID }) => mountUID)).to.deep.equal(['uid-n']);
    expect(world.mountStatus('n')).to.deep.equal({ observedGeneration: -1, nodeName: 'a' });
  });

  it('counts mounts and phases from what agents report', async () => {
    const world = new PlacementWorld().add(
      storageNode('a'),
      volume('data', {}, { nodeName: 'a', conditions: provisioned, observedGeneration: 1 }),
    );
    await world.run();
    expect(world.volumeStatus).to.deep.include({ phase: 'Available', mounts: { desired: 0, ready: 0 } });
    world.add(mount('m', {}, { conditions: mounted, nodeName: 'a', observedGeneration: 1 }));
    await world.run();
    expect(world.volumeStatus).to.deep.include({ phase: 'Attached', mounts: { desired: 1, ready: 1 } });
    world.add(volume('data', {}, { nodeName: 'a', conditions: provisioned, observedGeneration: 1 }, deleting));
    await world.run();
    expect(world.volumeStatus?.phase).to.equal('Deleting');
  });

  it('does not write down a phase that a new volume only passes through', async () => {
    const world = new PlacementWorld().add(storageNode('a'), volume('data'), mount('m', {}, {}, fresh));
    await world.run();
    const placed = world.volumes.get('team/data');
    world.add({
      ...volume('data'),
      status: { ...placed?.status, observedGeneration: 1, conditions: provisioned },
    } as never);
    const result = await world.run();
    expect(world.writes.filter((write) => write.includes('Volume/'))).to.have.length(1);
    await world.clock.advance(result.requeueAfterMs ?? 0);
    await world.run();
    expect(world.volumeStatus?.phase).to.equal('Bound');
  });

  it('does nothing to a paused volume but say so', async () => {
    const paused = volume('data', {}, {}, { annotations: { [ANNOTATIONS.paused]: 'true' } });
    const world = new PlacementWorld().add(storageNode('a'), paused, mount('m'));
    await world.run();
    expect(world.volumeStatus?.nodeName).to.equal(undefined);
    expect(findCondition(world.volumeStatus?.conditions, 'Ready')).to.deep.include({
      status: 'Unknown',
      reason: 'Paused',
    });
  });

  it('looks again soon when the volume changed under its grants, and gives no node to the mount before', async () => {
    const world = new PlacementWorld().add(storageNode('a'), volume('data'), mount('m'));
    world.conflictOn = 'data';
    const result = await world.run();
    expect(result.requeueAfterMs).to.be.a('number');
    expect(world.mountStatus()?.nodeName).to.equal(undefined);
  });

  describe('with a lost node', () => {
    const onLost = (metadata = {}) => [
      volume('data', {}, { nodeName: 'a', conditions: provisioned, observedGeneration: 1 }, metadata),
      mount('m', {}, { nodeName: 'a', conditions: mounted, observedGeneration: 1 }, metadata),
    ];

    it('says that nothing is known, and takes that back when the agent is there again', async () => {
      const world = new PlacementWorld().add(lostNode('a'), ...onLost());
      await world.run();
      expect(findCondition(world.volumeStatus?.conditions, 'Ready')).to.deep.include({
        status: 'Unknown',
        reason: 'NodeLost',
      });
      expect(findCondition(world.mountStatus()?.conditions, 'Ready')).to.deep.include({
        status: 'Unknown',
        reason: 'NodeLost',
      });
      expect(findCondition(world.mountStatus()?.conditions, 'Mounted')?.status).to.equal('True');
      expect(world.events).to.include('Warning NodeLost Volume/data');
      await world.run();
      world.add(storageNode('a'));
      const writes = world.writes.length;
      await world.run();
      expect(world.writes).to.have.length(writes);
      const { status } = world.volumes.get('team/data') ?? {};
      world.add(volume('data', {}, { ...status, conditions: provisioned }));
      await world.run();
      expect(findCondition(world.volumeStatus?.conditions, 'Ready')?.status).to.equal('True');
    });

    it('blocks a deletion and tells the way out', async () => {
      const metadata = { ...deleting, finalizers: [FINALIZERS.volume, FINALIZERS.mount] };
      const world = new PlacementWorld().add(lostNode('a'), ...onLost(metadata));
      await world.run();
      const blocked = findCondition(world.mountStatus()?.conditions, 'DeletionBlocked');
      expect(blocked).to.deep.include({ status: 'True', reason: 'NodeLost' });
      expect(blocked?.message).to.include('force-delete');
    });

    it('releases by force only what carries its own UID', async () => {
      const annotated = (uid: string) => ({
        ...deleting,
        finalizers: [FINALIZERS.mount],
        annotations: { [ANNOTATIONS.forceDelete]: uid },
      });
      const world = new PlacementWorld().add(
        lostNode('a'),
        volume('data', {}, { nodeName: 'a', observedGeneration: 1, conditions: provisioned }),
        mount('m', {}, { nodeName: 'a' }, annotated('uid-m')),
        mount('n', {}, { nodeName: 'a' }, annotated('uid-m')),
      );
      await world.run();
      expect(world.mounts.get('team/m')).to.equal(undefined);
      expect(world.mounts.get('team/n')).to.not.equal(undefined);
      expect(world.events).to.include('Warning DataRetained VolumeMount/m');
    });

    it('ignores force while the node can be asked', async () => {
      const metadata = {
        ...deleting,
        finalizers: [FINALIZERS.mount],
        annotations: { [ANNOTATIONS.forceDelete]: 'uid-m' },
      };
      const world = new PlacementWorld().add(
        storageNode('a'),
        volume('data'),
        mount('m', {}, { nodeName: 'a' }, metadata),
      );
      await world.run();
      expect(world.mounts.get('team/m')?.metadata.finalizers).to.deep.equal([FINALIZERS.mount]);
    });
  });
});
