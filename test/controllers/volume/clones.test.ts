import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import { FINALIZERS } from '../../../src/api/group.ts';
import type { SnapshotStatus } from '../../../src/api/snapshot.ts';
import type { VolumeConditionType, VolumeSpec } from '../../../src/api/volume.ts';
import { SHORT_WAIT_MS } from '../../../src/controllers/support/jobs.ts';
import { DriverError } from '../../../src/drivers/driver.ts';
import { AgentWorld } from '../support/agent-world.ts';
import { condition, mount, snapshot, volume } from '../support/objects.ts';

const GIB = 1024n ** 3n;
const fromSnapshot: Partial<VolumeSpec> = { dataSource: { snapshotRef: { name: 's' } } };
const fromVolume: Partial<VolumeSpec> = { dataSource: { volumeRef: { name: 'data' } } };
const source = { volumeName: 'data', volumeUID: 'uid-data', volumeSpec: { emptyDir: {}, capacity: '20Gi' } };
const taken: SnapshotStatus = {
  nodeName: 'a',
  source,
  readyToUse: true,
  restoreSize: '20Gi',
  creationTime: '2026-01-01T00:00:00Z',
};
const made = { nodeName: 'a', capacity: '20Gi', conditions: [condition('Provisioned', 'True', 'Provisioned')] };
const deleting = { finalizers: [FINALIZERS.volume], deletionTimestamp: '2026-01-01T00:00:00Z' };

function world(spec: Partial<VolumeSpec> = fromSnapshot) {
  const on = new AgentWorld().add(
    volume('data', { capacity: '20Gi' }, made, { finalizers: [FINALIZERS.volume] }),
    snapshot('s', {}, taken, { finalizers: [FINALIZERS.snapshot] }),
    volume('copy', spec, { nodeName: 'a' }),
  );
  on.driver.provisioned.add('uid-data');
  on.driver.taken.set('uid-s', {
    takenAt: new Date('2026-01-01T00:00:00Z'),
    restoreBytes: 20n * GIB,
    method: 'Reflink',
    consistent: on.driver.consistent,
  });
  return on;
}
const statusOf = (on: AgentWorld) => on.volumes.get('team/copy')?.status;
const reasonOf = (on: AgentWorld, type: VolumeConditionType, name = 'copy') =>
  findCondition(on.volumes.get(`team/${name}`)?.status?.conditions, type)?.reason;
function change(on: AgentWorld, metadata: object) {
  const old = on.volumes.get('team/copy');
  on.add({ ...old, metadata: { ...old?.metadata, resourceVersion: 'changed', ...metadata } } as never);
}
function hold(on: AgentWorld) {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isAborted = false;
  on.driver.work = ({ signal, onProgress }) => {
    onProgress({ bytesDone: GIB, bytesTotal: 20n * GIB });
    const ended = new Promise<void>((_, reject) => {
      signal.addEventListener('abort', () => {
        isAborted = true;
        reject(new Error('ended'));
      });
    });
    return Promise.race([promise, ended]);
  };
  return { release: resolve, wasEnded: () => isAborted };
}
async function overlong(on: AgentWorld, work: Promise<unknown>) {
  await on.clock.advance(SHORT_WAIT_MS);
  await work;
}
async function failing(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}

describe('volume that is made from something', () => {
  it('is filled instead of made empty, and reported, in two writes', async () => {
    const on = world();
    await on.volume('copy');
    expect(on.driver.calls).to.deep.equal(['fill copy']);
    expect(on.driver.filledFrom.get('uid-copy')).to.equal('uid-s');
    expect(on.writes).to.deep.equal(['agent finalize Volume/copy', 'agent status Volume/copy']);
    expect(reasonOf(on, 'Ready')).to.equal('Provisioned');
    // Larger than the 10Gi of a volume that says nothing, because its content is.
    expect(statusOf(on)?.capacity).to.equal('20Gi');
  });

  it('is never filled a second time, and needs what it was made from no more', async () => {
    const on = world();
    await on.volume('copy');
    on.snapshots.delete('team/s');
    on.driver.calls.length = 0;
    on.writes.length = 0;
    await on.volume('copy');
    expect([on.driver.calls, on.writes]).to.deep.equal([[], []]);
    on.driver.provisioned.delete('uid-copy');
    await on.volume('copy');
    expect(on.driver.calls).to.deep.equal([]);
    expect(reasonOf(on, 'Stalled')).to.equal('DataMissing');
  });

  it('in memory, which was lost, is made again empty', async () => {
    const on = world({ emptyDir: { medium: 'Memory' }, capacity: '20Gi' });
    const volumeSpec = { emptyDir: { medium: 'Memory' }, capacity: '20Gi' } as const;
    on.add(snapshot('s', {}, { ...taken, source: { ...source, volumeSpec } }));
    on.add(volume('copy', { ...volumeSpec, ...fromSnapshot }, { nodeName: 'a' }));
    await on.volume('copy');
    on.driver.provisioned.delete('uid-copy');
    await on.volume('copy');
    expect(on.driver.calls).to.deep.equal(['fill copy', 'provision copy']);
  });

  it('waits for its snapshot', async () => {
    const on = world();
    on.snapshots.delete('team/s');
    await on.volume('copy');
    expect(on.driver.calls).to.deep.equal([]);
    expect([reasonOf(on, 'Ready'), reasonOf(on, 'Reconciling')]).to.deep.equal([
      'SnapshotNotFound',
      'SnapshotNotFound',
    ]);
  });

  it('says how far it is, and cannot be mounted before', async () => {
    const on = world();
    on.add(mount('m', { volumeRef: { name: 'copy' } }, { nodeName: 'a' }));
    const attachments = [{ mountUID: 'uid-m', workloadId: 'workload-m', nodeName: 'a', readOnly: false }];
    on.add(volume('copy', fromSnapshot, { nodeName: 'a', attachments }));
    const work = hold(on);
    await overlong(on, on.volume('copy'));
    expect([reasonOf(on, 'Ready'), reasonOf(on, 'Provisioned')]).to.deep.equal(['Cloning', 'Cloning']);
    expect(findCondition(statusOf(on)?.conditions, 'Ready')?.message).to.contain('1Gi of 20Gi');
    // Storage that is there, but not yet with its content: a host directory is, for one.
    on.driver.provisioned.add('uid-copy');
    await on.mount();
    expect(on.driver.calls).to.deep.equal(['fill copy']);
    on.driver.provisioned.delete('uid-copy');
    work.release();
    await on.clock.advance(0);
    await on.volume('copy');
    expect(reasonOf(on, 'Ready')).to.equal('Provisioned');
    await on.mount();
    expect(on.driver.calls).to.deep.equal(['fill copy', 'stage copy', 'publish copy']);
  });

  it('begins again when it failed', async () => {
    const on = world();
    on.driver.failures.set('fill', new DriverError('InsufficientCapacity', 'the pool is full'));
    expect(await failing(on.volume('copy'))).to.have.property('reason', 'InsufficientCapacity');
    expect(reasonOf(on, 'Provisioned')).to.equal('InsufficientCapacity');
    await on.volume('copy');
    expect(on.driver.calls).to.deep.equal(['fill copy', 'fill copy']);
    expect(reasonOf(on, 'Ready')).to.equal('Provisioned');
  });

  it('is not filled where the driver cannot', async () => {
    const on = world();
    Object.defineProperty(on.driver, 'fill', { value: undefined });
    await on.volume('copy');
    expect(reasonOf(on, 'Stalled')).to.equal('SnapshotNotSupported');
    expect(on.driver.calls).to.deep.equal([]);
  });

  it('that is deleted while it is filled ends that first', async () => {
    const on = world();
    const work = hold(on);
    await overlong(on, on.volume('copy'));
    change(on, deleting);
    await on.volume('copy');
    expect(work.wasEnded()).to.equal(true);
    expect(on.driver.calls).to.deep.equal(['fill copy', 'unstage copy', 'delete copy']);
    expect(on.uses.of('uid-s')).to.deep.equal([]);
  });

  describe('a volume', () => {
    it('is filled from it', async () => {
      const on = world(fromVolume);
      await on.volume('copy');
      expect(on.driver.filledFrom.get('uid-copy')).to.equal('uid-data');
      expect(statusOf(on)?.capacity).to.equal('20Gi');
    });

    it('that is read is not unstaged, grown, newly mounted or deleted', async () => {
      const on = world(fromVolume);
      const work = hold(on);
      await overlong(on, on.volume('copy'));
      const attachments = [{ mountUID: 'uid-m', workloadId: 'workload-m', nodeName: 'a', readOnly: false }];
      on.add(volume('data', { capacity: '20Gi' }, { ...made, attachments }), mount('m', {}, { nodeName: 'a' }));
      await on.mount();
      expect(findCondition(on.mounts.get('team/m')?.status?.conditions, 'Ready')?.reason).to.equal('VolumeNotReady');
      on.mounts.delete('team/m');
      on.add(volume('data', { capacity: '20Gi' }, made, deleting));
      await on.volume();
      expect(on.driver.calls).to.deep.equal(['fill copy']);
      expect(reasonOf(on, 'DeletionBlocked', 'data')).to.equal('VolumeInUse');
      work.release();
      await on.clock.advance(0);
      await on.volume('copy');
      await on.volume();
      expect(on.driver.calls).to.deep.equal(['fill copy', 'unstage data', 'delete data']);
    });

    it('waits to be deleted for what is to be made from it, also after a restart', async () => {
      const on = world(fromVolume);
      on.add(volume('data', { capacity: '20Gi' }, made, deleting));
      await on.volume();
      expect(on.driver.calls).to.deep.equal([]);
      expect(reasonOf(on, 'DeletionBlocked', 'data')).to.equal('VolumeInUse');
    });
  });
});

describe('a volume with snapshots', () => {
  it('tells the newest moment', async () => {
    const on = world();
    on.add(snapshot('t', {}, { ...taken, creationTime: '2026-02-01T00:00:00Z' }));
    on.add(snapshot('u', {}, { ...taken, readyToUse: false, creationTime: '2026-03-01T00:00:00Z' }));
    await on.volume();
    expect(on.volumes.get('team/data')?.status?.lastSnapshotTime).to.equal('2026-02-01T00:00:00Z');
    on.writes.length = 0;
    await on.volume();
    expect(on.writes).to.deep.equal([]);
  });
});
