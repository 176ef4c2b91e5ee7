import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import { ANNOTATIONS, FINALIZERS } from '../../../src/api/group.ts';
import type { SnapshotStatus } from '../../../src/api/snapshot.ts';
import { snapshotBindingReconciler } from '../../../src/controllers/snapshot-binding/reconciler.ts';
import { Expiry } from '../../../src/controllers/support/expiry.ts';
import { condition, NOW, snapshot, volume } from '../support/objects.ts';
import { World } from '../support/world.ts';

class BindingWorld extends World {
  readonly lost = new Set<string>();
  readonly deleted: unknown[] = [];
  readonly expiry = new Expiry(this.clock, () => Promise.resolve(undefined));

  run(name = 's') {
    const reconcile = snapshotBindingReconciler({
      snapshots: this.snapshots,
      volumes: this.volumes,
      isLost: (nodeName) => this.lost.has(nodeName),
      client: {
        delete: async (_resource, ref, options) => {
          this.deleted.push([ref.name, options?.preconditions]);
        },
      },
      expiry: this.expiry,
      writer: this.writer('controller'),
      events: this.sink,
    });
    return reconcile(`team/${name}`, this.context());
  }

  get status() {
    return this.snapshots.get('team/s')?.status;
  }

  reason(type: 'Ready' | 'Stalled' | 'Reconciling' | 'DeletionBlocked' = 'Ready') {
    return findCondition(this.status?.conditions, type)?.reason;
  }
}

const provisioned = [condition('Ready', 'True', 'Provisioned'), condition('Provisioned', 'True', 'Provisioned')];
const made = { nodeName: 'a', conditions: provisioned };
const deleting = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [FINALIZERS.snapshot] };
const source = { volumeName: 'data', volumeUID: 'uid-data', volumeSpec: { emptyDir: {} } };
const bound = { nodeName: 'a', source };
const taken: SnapshotStatus = {
  ...bound,
  readyToUse: true,
  creationTime: '2026-01-01T00:00:00Z',
  conditions: [condition('Ready', 'True', 'ReadyToUse')],
};

describe('binding of a snapshot', () => {
  it('tells node and source in one write', async () => {
    const world = new BindingWorld().add(volume('data', { capacity: '2Gi' }, made), snapshot('s'));
    await world.run();
    expect(world.writes).to.deep.equal(['controller status Snapshot/s']);
    expect(world.status).to.deep.equal({
      observedGeneration: -1,
      nodeName: 'a',
      source: {
        volumeName: 'data',
        volumeUID: 'uid-data',
        volumeSpec: { emptyDir: {}, capacity: '2Gi', accessModes: ['ReadWriteOnce'] },
      },
    });
    await world.run();
    expect(world.writes).to.have.length(1);
  });

  it('stays what it was when the volume is another one by now', async () => {
    const world = new BindingWorld().add(volume('data', {}, made), snapshot('s'));
    await world.run();
    world.add(volume('data', { capacity: '9Gi' }, { ...made, nodeName: 'b' }, { uid: 'uid-later' }));
    await world.run();
    expect(world.status).to.deep.include({ nodeName: 'a' });
    expect(world.status?.source?.volumeUID).to.equal('uid-data');
  });

  it('waits for a volume that does not exist, and for one that is not there yet', async () => {
    const world = new BindingWorld().add(snapshot('s'));
    await world.run();
    expect([world.reason(), world.reason('Reconciling')]).to.deep.equal(['VolumeNotFound', 'VolumeNotFound']);
    world.add(volume('data', {}, { nodeName: 'a' }));
    await world.run();
    expect(world.reason()).to.equal('VolumeNotReady');
    world.add(volume('data', {}, made));
    await world.run();
    expect(world.status?.nodeName).to.equal('a');
    expect(world.status?.conditions).to.equal(undefined);
  });

  it('says nothing of a wait while the snapshot is fresh', async () => {
    const fresh = { creationTimestamp: new Date(NOW - 500).toISOString() };
    const world = new BindingWorld().add(snapshot('s', {}, {}, fresh));
    expect(await world.run()).to.deep.equal({ requeueAfterMs: 1500 });
    expect(world.writes).to.deep.equal([]);
  });

  it('refuses a volume that is being deleted', async () => {
    const world = new BindingWorld().add(volume('data', {}, made, deleting), snapshot('s'));
    await world.run();
    expect([world.reason('Stalled'), world.status?.nodeName]).to.deep.equal(['VolumeDeleting', undefined]);
  });

  it('waits while the snapshot is paused', async () => {
    const paused = { annotations: { [ANNOTATIONS.paused]: 'true' } };
    const world = new BindingWorld().add(volume('data', {}, made), snapshot('s', {}, {}, paused));
    await world.run();
    expect([world.reason(), world.status?.nodeName]).to.deep.equal(['Paused', undefined]);
  });

  it('releases a snapshot that is deleted before it had a node', async () => {
    const world = new BindingWorld().add(volume('data', {}, made), snapshot('s', {}, {}, deleting));
    await world.run();
    expect(world.writes).to.deep.equal(['controller release Snapshot/s']);
  });

  it('speaks for a snapshot whose node is lost, until its agent has spoken', async () => {
    const world = new BindingWorld().add(snapshot('s', {}, taken));
    world.lost.add('a');
    await world.run();
    expect(world.reason()).to.equal('NodeLost');
    expect(world.status).to.deep.include({ nodeName: 'a', readyToUse: true });
    world.add(snapshot('s', {}, taken));
    world.lost.clear();
    await world.run();
    expect(world.reason()).to.equal('ReadyToUse');
  });

  it('releases a snapshot of a lost node only by the word of a person, bound to its UID', async () => {
    const world = new BindingWorld().add(snapshot('s', {}, taken, deleting));
    world.lost.add('a');
    await world.run();
    expect(world.reason('DeletionBlocked')).to.equal('NodeLost');
    const forced = { ...deleting, annotations: { [ANNOTATIONS.forceDelete]: 'uid-s' } };
    world.add(snapshot('s', {}, taken, forced));
    await world.run();
    expect(world.events).to.include('Warning DataRetained Snapshot/s');
    expect(world.snapshots.get('team/s')).to.equal(undefined);
  });
});

describe('ttl of a snapshot', () => {
  it('is waited for, and then the snapshot is deleted as it was read', async () => {
    const world = new BindingWorld().add(snapshot('s', { ttl: '90m' }, taken));
    expect(await world.run()).to.deep.equal({ requeueAfterMs: 90 * 60_000 });
    expect(world.deleted).to.deep.equal([]);
    await world.clock.advance(90 * 60_000);
    await world.run();
    const { uid, resourceVersion } = world.snapshots.get('team/s')?.metadata ?? {};
    expect(world.deleted).to.deep.equal([['s', { uid, resourceVersion }]]);
    expect(world.events).to.deep.equal(['Normal Expired Snapshot/s']);
  });

  it('is not believed to have passed by a clock that leaps ahead', async () => {
    const world = new BindingWorld().add(snapshot('s', { ttl: '90m' }, taken));
    world.clock.leap(10 * 365 * 86_400_000);
    expect(await world.run()).to.deep.equal({ requeueAfterMs: 3_600_000 });
    expect([world.deleted, world.events]).to.deep.equal([[], ['Warning ExpiryHeld Snapshot/s']]);
  });

  it('begins with the object where the clock of the node was behind when it was taken', async () => {
    const creationTimestamp = new Date(NOW).toISOString();
    const dated = { ...taken, creationTime: '1970-01-01T00:00:00Z' };
    const world = new BindingWorld().add(snapshot('s', { ttl: '90m' }, dated, { creationTimestamp }));
    expect(await world.run()).to.deep.equal({ requeueAfterMs: 90 * 60_000 });
  });

  it('is looked at daily where it is longer than a timer', async () => {
    const world = new BindingWorld().add(snapshot('s', { ttl: '8760h' }, taken));
    expect(await world.run()).to.deep.equal({ requeueAfterMs: 86_400_000 });
  });

  it('does not begin before the snapshot was taken, and rests while it is paused', async () => {
    const paused = { annotations: { [ANNOTATIONS.paused]: 'true' } };
    for (const object of [snapshot('s', { ttl: '1m' }, bound), snapshot('s', { ttl: '1m' }, taken, paused)]) {
      const world = new BindingWorld().add(object);
      await world.clock.advance(3_600_000);
      await world.run();
      expect(world.deleted).to.deep.equal([]);
    }
  });
});
