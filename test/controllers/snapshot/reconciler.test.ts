import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import { ANNOTATIONS, FINALIZERS } from '../../../src/api/group.ts';
import type { SnapshotConditionType, SnapshotSpec, SnapshotStatus } from '../../../src/api/snapshot.ts';
import type { VolumeSpec } from '../../../src/api/volume.ts';
import { PROGRESS_MS, SHORT_WAIT_MS } from '../../../src/controllers/support/jobs.ts';
import { CACHE_BEHIND_MS } from '../../../src/controllers/support/live.ts';
import type { LongCall } from '../../../src/drivers/driver.ts';
import { DriverError } from '../../../src/drivers/driver.ts';
import { abortReason } from '../../../src/telemetry/clock.ts';
import { AgentWorld } from '../support/agent-world.ts';
import { condition, snapshot, volume } from '../support/objects.ts';

const GIB = 1024n ** 3n;
const source = { volumeName: 'data', volumeUID: 'uid-data', volumeSpec: { emptyDir: {}, capacity: '1Gi' } };
const bound = { nodeName: 'a', source };
const made = { nodeName: 'a', conditions: [condition('Provisioned', 'True', 'Provisioned')] };
const deleting = { finalizers: [FINALIZERS.snapshot], deletionTimestamp: '2026-01-01T00:00:00Z' };

function world(spec: Partial<SnapshotSpec> = {}, status: SnapshotStatus = bound, metadata = {}) {
  const on = new AgentWorld().add(
    volume('data', { capacity: '1Gi' }, made, { finalizers: [FINALIZERS.volume] }),
    snapshot('s', spec, status, metadata),
  );
  on.driver.provisioned.add('uid-data');
  return on;
}
const statusOf = (on: AgentWorld) => on.snapshots.get('team/s')?.status;
const reasonOf = (on: AgentWorld, type: SnapshotConditionType) => findCondition(statusOf(on)?.conditions, type)?.reason;
const typesOf = (on: AgentWorld) => statusOf(on)?.conditions?.map(({ type, status }) => `${type}=${status}`);
async function failing(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}
/** A snapshot that was taken, as agent and driver know it. */
async function taken(spec: Partial<SnapshotSpec> = {}) {
  const on = world(spec);
  await on.snapshot();
  on.writes.length = 0;
  on.events.length = 0;
  on.driver.calls.length = 0;
  return on;
}
let serial = 0;
function change(on: AgentWorld, metadata: object) {
  const old = on.snapshots.get('team/s');
  on.add({ ...old, metadata: { ...old?.metadata, resourceVersion: `changed-${++serial}`, ...metadata } } as never);
}
/** Lets `take` and `fill` wait until the test says so. */
function hold(on: AgentWorld) {
  const { promise, resolve } = Promise.withResolvers<void>();
  let call: LongCall | undefined;
  on.driver.work = (given) => {
    call = given;
    return Promise.race([
      promise,
      new Promise<void>((_, reject) => given.signal.addEventListener('abort', () => reject(abortReason(given.signal)))),
    ]);
  };
  return { release: resolve, call: () => call };
}
/** Reconciles until it has waited long enough for a job. */
async function overlong(on: AgentWorld, work: Promise<unknown>) {
  await on.clock.advance(SHORT_WAIT_MS);
  await work;
}

describe('snapshot on its node', () => {
  it('is announced by a finalizer, taken, and reported, in two writes', async () => {
    const on = world();
    await on.snapshot();
    expect(on.writes).to.deep.equal(['agent finalize Snapshot/s', 'agent status Snapshot/s']);
    expect(on.driver.calls).to.deep.equal(['take s']);
    expect(statusOf(on)).to.deep.include({
      readyToUse: true,
      creationTime: '2026-01-01T00:00:01Z',
      restoreSize: '1Gi',
      method: 'Reflink',
    });
    expect(typesOf(on)).to.deep.equal(['Ready=True', 'ContentConsistent=True']);
    expect(on.events).to.deep.equal(['Normal ReadyToUse Snapshot/s']);
  });

  it('is left alone once it is there', async () => {
    const on = await taken();
    await on.snapshot();
    expect([on.writes, on.driver.calls, on.events]).to.deep.equal([[], [], []]);
  });

  it('is adopted when it was taken before a crash', async () => {
    const on = world();
    const facts = {
      takenAt: new Date(0),
      restoreBytes: GIB,
      method: 'Copy',
      consistent: on.driver.consistent,
    } as const;
    on.driver.taken.set('uid-s', facts);
    await on.snapshot();
    expect(on.driver.calls).to.deep.equal([]);
    expect(on.writes).to.deep.equal(['agent finalize Snapshot/s', 'agent status Snapshot/s']);
    expect(statusOf(on)).to.deep.include({ readyToUse: true, method: 'Copy', creationTime: '1970-01-01T00:00:00Z' });
  });

  it('says that not all of it is of one moment', async () => {
    const on = world();
    on.driver.consistent = { consistent: false, reason: 'ChangedDuringCopy', message: '3 files changed.' };
    await on.snapshot();
    expect(typesOf(on)).to.deep.equal(['Ready=True', 'ContentConsistent=False']);
    expect(reasonOf(on, 'ContentConsistent')).to.equal('ChangedDuringCopy');
  });

  it('of another node, or of none yet, is not touched', async () => {
    for (const status of [{ ...bound, nodeName: 'b' }, {}]) {
      const on = world({}, status);
      await on.snapshot();
      expect([on.writes, on.driver.calls]).to.deep.equal([[], []]);
    }
  });

  it('is not taken of another volume that has the name by now', async () => {
    const on = world({}, { nodeName: 'a', source: { ...source, volumeUID: 'uid-before' } });
    await on.snapshot();
    expect(on.driver.calls).to.deep.equal([]);
    expect(typesOf(on)).to.deep.equal(['Ready=False', 'Stalled=True']);
    expect(reasonOf(on, 'Ready')).to.equal('VolumeNotFound');
    expect(statusOf(on)?.readyToUse).to.equal(false);
  });

  it('waits for the storage of its volume', async () => {
    const on = world();
    on.add(volume('data', {}, { nodeName: 'a' }));
    await on.snapshot();
    expect(on.driver.calls).to.deep.equal([]);
    expect(typesOf(on)).to.deep.equal(['Ready=False', 'Reconciling=True']);
    expect(reasonOf(on, 'Ready')).to.equal('VolumeNotReady');
  });

  it('of a volume whose driver cannot take any needs a person', async () => {
    const on = world({}, { nodeName: 'a', source: { ...source, volumeSpec: { nfs: { server: 'n', path: '/e' } } } });
    Object.defineProperty(on.nfs, 'snapshots', { value: undefined });
    on.add(volume('data', { nfs: { server: 'n', path: '/e' } }, made));
    await on.snapshot();
    expect(typesOf(on)).to.deep.equal(['Ready=False', 'Stalled=True']);
    expect(reasonOf(on, 'Ready')).to.equal('SnapshotNotSupported');
  });

  it('is never taken anew: data that vanished is missed', async () => {
    const on = await taken();
    on.driver.taken.clear();
    await on.snapshot();
    expect(on.driver.calls).to.deep.equal([]);
    expect(reasonOf(on, 'Ready')).to.equal('DataMissing');
    expect(statusOf(on)).to.deep.include({ readyToUse: false, creationTime: '2026-01-01T00:00:01Z' });
    expect(typesOf(on)).to.include('Stalled=True');
  });

  it('that cannot be looked at just now stays ready to use', async () => {
    const on = await taken();
    on.driver.failures.set('observeSnapshot', new DriverError('ServerUnreachable', 'no answer'));
    expect(await failing(on.snapshot())).to.have.property('reason', 'ServerUnreachable');
    expect(statusOf(on)?.readyToUse).to.equal(true);
    expect(typesOf(on)).to.deep.equal(['Ready=False', 'Reconciling=True', 'ContentConsistent=True']);
  });

  it('that failed says why and is tried again', async () => {
    const on = world();
    on.driver.failures.set('take', new DriverError('PoolLowSpace', 'the pool is nearly full'));
    expect(await failing(on.snapshot())).to.have.property('reason', 'PoolLowSpace');
    expect(typesOf(on)).to.deep.equal(['Ready=False', 'Reconciling=True']);
    expect(on.events).to.deep.equal(['Warning PoolLowSpace Snapshot/s']);
    await on.snapshot();
    expect(typesOf(on)).to.include('Ready=True');
  });

  it('that only a person can mend is not tried again by itself', async () => {
    const on = world({ consistency: 'Filesystem' });
    on.driver.failures.set('take', new DriverError('FreezeTimeout', 'too long', { terminal: true }));
    await on.snapshot();
    expect(typesOf(on)).to.deep.equal(['Ready=False', 'Stalled=True']);
  });

  it('that the driver did not leave behind is not ready because the call returned', async () => {
    const on = world();
    on.driver.snapshots.take = () => Promise.resolve();
    expect(await failing(on.snapshot())).to.have.property('reason', 'SnapshotFailed');
    expect(statusOf(on)?.readyToUse).to.equal(false);
  });

  it('says when its volume is gone that it stays usable', async () => {
    const on = await taken();
    on.volumes.delete('team/data');
    await on.snapshot();
    expect(typesOf(on)).to.include('Ready=True');
    expect(findCondition(statusOf(on)?.conditions, 'Ready')?.message).to.contain('stays usable');
  });

  it('writes what it holds down when that has changed much', async () => {
    const on = await taken();
    on.driver.snapshotBytes = GIB / 2n;
    await on.snapshot();
    expect(statusOf(on)?.usedBytes).to.equal(Number(GIB / 2n));
    on.writes.length = 0;
    on.driver.snapshotBytes = GIB / 2n + 4096n;
    await on.snapshot();
    expect(on.writes).to.deep.equal([]);
  });

  it('does nothing while it is paused', async () => {
    const on = world({}, bound, { annotations: { [ANNOTATIONS.paused]: 'true' } });
    await on.snapshot();
    expect(on.driver.calls).to.deep.equal([]);
    expect(reasonOf(on, 'Ready')).to.equal('Paused');
  });

  describe('that takes long', () => {
    it('is told of with its progress, and again when it is there', async () => {
      const on = world();
      const work = hold(on);
      const told: string[] = [];
      on.takes.source.start((key) => told.push(key), new AbortController().signal);
      await overlong(on, on.snapshot());
      expect(reasonOf(on, 'Ready')).to.equal('Snapshotting');
      expect(statusOf(on)).to.deep.include({ readyToUse: false });
      work.call()?.onProgress({ bytesDone: GIB, bytesTotal: 4n * GIB });
      await on.clock.advance(PROGRESS_MS);
      expect(told).to.deep.equal(['team/s']);
      await overlong(on, on.snapshot());
      expect(statusOf(on)?.progress).to.deep.equal({ bytesDone: Number(GIB), bytesTotal: Number(4n * GIB) });
      work.release();
      await on.clock.advance(0);
      expect(told).to.deep.equal(['team/s', 'team/s']);
      await on.snapshot();
      expect(statusOf(on)).to.deep.include({ readyToUse: true });
      expect(statusOf(on)).not.to.have.property('progress');
      expect(on.driver.calls).to.deep.equal(['take s']);
    });

    it('keeps its volume from being deleted, unstaged and grown meanwhile', async () => {
      const on = world();
      const work = hold(on);
      on.driver.staged.add('uid-data');
      await overlong(on, on.snapshot());
      on.driver.enforced = GIB / 2n;
      await on.volume();
      expect(on.driver.calls).to.deep.equal(['take s']);
      expect(findCondition(on.volumes.get('team/data')?.status?.conditions, 'Ready')?.reason).to.equal('Resizing');
      on.add(volume('data', {}, made, { ...deleting, finalizers: [FINALIZERS.volume] }));
      await on.volume();
      const blocked = findCondition(on.volumes.get('team/data')?.status?.conditions, 'DeletionBlocked');
      expect(blocked?.reason).to.equal('VolumeInUse');
      expect(blocked?.message).to.contain('snapshot "s"');
      work.release();
      await on.clock.advance(0);
      await on.snapshot();
      expect(statusOf(on)?.readyToUse).to.equal(true);
      await on.volume();
      expect(on.driver.calls).to.deep.equal(['take s', 'unstage data', 'delete data']);
      expect(on.messages.at(-1)).to.contain('Its snapshot stays usable');
    });

    it('is ended when the snapshot is deleted', async () => {
      const on = world();
      const work = hold(on);
      await overlong(on, on.snapshot());
      change(on, { ...deleting });
      await on.snapshot();
      expect(work.call()?.signal.aborted).to.equal(true);
      expect(on.driver.calls).to.deep.equal(['take s', 'delete-snapshot s']);
      expect(on.snapshots.get('team/s')).to.equal(undefined);
    });

    it('is ended when another snapshot has its name, which is then taken itself', async () => {
      const on = world();
      const work = hold(on);
      await overlong(on, on.snapshot());
      on.driver.work = () => Promise.resolve();
      change(on, { uid: 'uid-second', finalizers: [] });
      await on.snapshot();
      expect(work.call()?.signal.aborted).to.equal(true);
      expect([...on.driver.taken.keys()]).to.deep.equal(['uid-second']);
    });
  });

  it('of a volume that is to go is still taken when it was asked for before, and never after it failed', async () => {
    const on = world();
    on.add(volume('data', {}, made, { ...deleting, finalizers: [FINALIZERS.volume] }));
    await on.volume();
    expect(on.driver.calls).to.deep.equal([]);
    on.driver.failures.set('take', new DriverError('PoolLowSpace', 'full'));
    await failing(on.snapshot());
    await on.volume();
    expect(on.driver.calls).to.deep.equal(['take s', 'unstage data', 'delete data']);
    await on.snapshot();
    expect(on.driver.calls).to.have.length(3);
    expect(reasonOf(on, 'Ready')).to.equal('VolumeNotFound');
  });

  describe('that is deleted', () => {
    it('takes its data with it, also when its volume is gone', async () => {
      const on = await taken();
      on.volumes.delete('team/data');
      change(on, { ...deleting });
      await on.snapshot();
      expect(on.driver.calls).to.deep.equal(['delete-snapshot s']);
      expect(on.writes).to.deep.equal(['agent release Snapshot/s']);
      expect(on.events).to.deep.equal(['Normal Deleted Snapshot/s']);
    });

    it('keeps its data where it is to be retained', async () => {
      const on = await taken({ deletionPolicy: 'Retain' });
      change(on, { ...deleting });
      await on.snapshot();
      expect(on.driver.calls).to.deep.equal([]);
      expect([...on.driver.taken.keys()]).to.deep.equal(['uid-s']);
      expect(on.events).to.deep.equal(['Normal Retained Snapshot/s']);
      expect(on.snapshots.get('team/s')).to.equal(undefined);
    });

    it('waits while a volume is to be made from it', async () => {
      const on = await taken();
      const clone: Partial<VolumeSpec> = { dataSource: { snapshotRef: { name: 's' } } };
      on.add(volume('copy', clone, { nodeName: 'a' }));
      change(on, { ...deleting });
      await on.snapshot();
      expect(on.driver.calls).to.deep.equal([]);
      expect(reasonOf(on, 'DeletionBlocked')).to.equal('SnapshotInUse');
      on.add(volume('copy', clone, made));
      await on.snapshot();
      expect(on.driver.calls).to.deep.equal(['delete-snapshot s']);
    });

    it('waits while a volume is to be made from it that the cache does not show yet', async () => {
      const on = await taken();
      on.addAhead(volume('copy', { dataSource: { snapshotRef: { name: 's' } } }, { nodeName: 'a' }));
      change(on, { ...deleting });
      expect(await on.snapshot()).to.deep.equal({ requeueAfterMs: CACHE_BEHIND_MS });
      expect([on.driver.calls, on.writes]).to.deep.equal([[], []]);
      on.removeAhead('Volume', 'team/copy');
      await on.snapshot();
      expect(on.driver.calls).to.deep.equal(['delete-snapshot s']);
    });

    it('stays while its data cannot be deleted', async () => {
      const on = await taken();
      change(on, { ...deleting });
      on.driver.failures.set('delete-snapshot', new DriverError('DeleteFailed', 'EIO'));
      expect(await failing(on.snapshot())).to.have.property('reason', 'DeleteFailed');
      expect(reasonOf(on, 'DeletionBlocked')).to.equal('DeleteFailed');
      expect(on.snapshots.get('team/s')?.metadata.finalizers).to.deep.equal([FINALIZERS.snapshot]);
    });

    it('stays while it is paused', async () => {
      const on = await taken();
      change(on, { ...deleting, annotations: { [ANNOTATIONS.paused]: 'true' } });
      await on.snapshot();
      expect(on.driver.calls).to.deep.equal([]);
      expect(reasonOf(on, 'DeletionBlocked')).to.equal('Paused');
    });
  });
});
