import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition, isTrue } from '../../../src/api/conditions.ts';
import { ANNOTATIONS, FINALIZERS } from '../../../src/api/group.ts';
import type { VolumeSpec, VolumeStatus } from '../../../src/api/volume.ts';
import { wasProvisioned } from '../../../src/controllers/policy/resolve-volume.ts';
import { CACHE_BEHIND_MS } from '../../../src/controllers/support/live.ts';
import { DriverError } from '../../../src/drivers/driver.ts';
import { AgentWorld } from '../support/agent-world.ts';
import { condition, mount, snapshot, volume } from '../support/objects.ts';

const GIB = 1024n ** 3n;
const finalizers = [FINALIZERS.volume];
const deleting = { finalizers, deletionTimestamp: '2026-01-01T00:00:00Z' };

function world(spec: Partial<VolumeSpec> = {}, status: VolumeStatus = {}, metadata = {}) {
  return new AgentWorld().add(volume('data', spec, { nodeName: 'a', ...status }, metadata));
}
const statusOf = (on: AgentWorld) => on.volumes.get('team/data')?.status;
const reasonOf = (on: AgentWorld, type: 'Ready' | 'DeletionBlocked' | 'Provisioned' | 'CapacityEnforced') =>
  findCondition(statusOf(on)?.conditions, type)?.reason;
async function failing(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}
/** A volume that has been made before, as agent and driver know it. */
async function ready(spec: Partial<VolumeSpec> = {}) {
  const on = world(spec);
  await on.volume();
  on.writes.length = 0;
  on.events.length = 0;
  on.driver.calls.length = 0;
  return on;
}
let serial = 0;
const change = (on: AgentWorld, metadata: object, spec: object = {}) => {
  const old = on.volumes.get('team/data');
  on.add({
    ...old,
    metadata: { ...old?.metadata, resourceVersion: `changed-${++serial}`, ...metadata },
    spec: { ...old?.spec, ...spec },
  } as never);
};

describe('volume on its node', () => {
  it('is announced by a finalizer, made, and reported, in two writes', async () => {
    const on = world({ capacity: '1Gi' });
    await on.volume();
    expect(on.writes).to.deep.equal(['agent finalize Volume/data', 'agent status Volume/data']);
    expect(on.driver.calls).to.deep.equal(['provision data']);
    expect(statusOf(on)).to.deep.include({ capacity: '1Gi', reclaimPolicy: 'Delete', provisioning: 'Thin' });
    expect(statusOf(on)?.conditions?.map(({ type, status }) => `${type}=${status}`)).to.deep.equal([
      'Ready=True',
      'Provisioned=True',
      'CapacityEnforced=True',
    ]);
    expect(on.events).to.deep.equal(['Normal Provisioned Volume/data']);
  });

  it('is left alone when everything is right', async () => {
    const on = await ready();
    await on.volume();
    expect([on.writes, on.driver.calls, on.events]).to.deep.equal([[], [], []]);
  });

  it('is adopted when it was made before a crash', async () => {
    const on = world();
    on.driver.provisioned.add('uid-data');
    await on.volume();
    expect(on.driver.calls).to.deep.equal([]);
    expect(on.writes).to.deep.equal(['agent finalize Volume/data', 'agent status Volume/data']);
  });

  it('of another node is not touched', async () => {
    const on = world({}, { nodeName: 'b' });
    await on.volume();
    expect([on.writes, on.driver.calls]).to.deep.equal([[], []]);
  });

  it('that vanished without a deletionTimestamp is not touched', async () => {
    const on = await ready();
    on.volumes.delete('team/data');
    await on.volume();
    expect(on.driver.calls).to.deep.equal([]);
  });

  it('grows', async () => {
    const on = await ready({ capacity: '1Gi' });
    change(on, { generation: 2 }, { capacity: '2Gi' });
    await on.volume();
    expect(on.driver.calls).to.deep.equal(['provision data']);
    expect(on.driver.enforced).to.equal(2n * GIB);
    expect(statusOf(on)).to.deep.include({ capacity: '2Gi', observedGeneration: 2 });
  });

  it('keeps the old capacity in its status while it cannot be grown', async () => {
    const on = await ready({ capacity: '1Gi' });
    change(on, { generation: 2 }, { capacity: '2Gi' });
    on.driver.failures.set('provision', new DriverError('InsufficientCapacity', 'the pool is full'));
    expect(await failing(on.volume())).to.have.property('reason', 'InsufficientCapacity');
    expect(statusOf(on)?.capacity).to.equal('1Gi');
    expect(reasonOf(on, 'Ready')).to.equal('InsufficientCapacity');
    expect(isTrue(statusOf(on)?.conditions, 'Provisioned')).to.equal(true);
  });

  it('says why it could not be made, and is tried again', async () => {
    const on = world();
    on.driver.failures.set('provision', new Error('mkfs ended with 1'));
    expect(await failing(on.volume())).to.have.property('reason', 'ProvisionFailed');
    expect(isTrue(statusOf(on)?.conditions, 'Reconciling')).to.equal(true);
    expect(on.events).to.deep.equal(['Warning ProvisionFailed Volume/data']);
    await on.volume();
    expect(isTrue(statusOf(on)?.conditions, 'Ready')).to.equal(true);
  });

  it('stalls on what only a person can mend', async () => {
    const on = world();
    on.driver.failures.set('provision', new DriverError('HostPathNotFound', 'no such directory', { terminal: true }));
    const result = await on.volume();
    expect(result.requeueAfterMs).to.be.a('number');
    expect(isTrue(statusOf(on)?.conditions, 'Stalled')).to.equal(true);
  });

  it('does not leak an error of the node layer as a reason of its own', async () => {
    const on = world();
    on.driver.failures.set('observeVolume', new Error('EIO'));
    expect(await failing(on.volume())).to.have.property('reason', 'InternalError');
    expect(reasonOf(on, 'Ready')).to.equal('InternalError');
  });

  it('is never made anew in the place of data that is missing', async () => {
    const on = await ready();
    on.driver.provisioned.clear();
    await on.volume();
    await on.volume();
    expect(on.driver.calls).to.deep.equal([]);
    expect(reasonOf(on, 'Ready')).to.equal('DataMissing');
    expect(reasonOf(on, 'Provisioned')).to.equal('DataMissing');
    on.driver.provisioned.add('uid-data');
    await on.volume();
    expect(isTrue(statusOf(on)?.conditions, 'Ready')).to.equal(true);
  });

  it('in memory is made anew after a restart of the node', async () => {
    const on = await ready({ emptyDir: { medium: 'Memory' } });
    on.driver.provisioned.clear();
    await on.volume();
    expect(on.driver.calls).to.deep.equal(['provision data']);
  });

  it('in memory says for good that it was emptied, stays Ready, and tells each loss once', async () => {
    const on = await ready({ emptyDir: { medium: 'Memory' } });
    for (const time of ['2026-01-02T03:04:05Z', '2026-02-03T04:05:06Z']) {
      on.driver.emptied.set('uid-data', new Date(time));
      on.events.length = 0;
      await on.volume();
      await on.volume();
      const conditions = statusOf(on)?.conditions;
      expect(isTrue(conditions, 'Ready')).to.equal(true);
      expect(findCondition(conditions, 'Provisioned')).to.include({ status: 'True', reason: 'Emptied' });
      expect(findCondition(conditions, 'Provisioned')?.message).to.include(time);
      expect(on.events).to.deep.equal(['Warning Emptied Volume/data']);
    }
  });

  it('in memory is not forgotten to have been there when it cannot be made again at once', async () => {
    const on = await ready({ emptyDir: { medium: 'Memory' } });
    on.driver.provisioned.clear();
    on.driver.failures.set('provision', new DriverError('MountFailed', 'no'));
    await failing(on.volume());
    expect(reasonOf(on, 'Ready')).to.equal('MountFailed');
    expect(reasonOf(on, 'Provisioned')).to.equal('Emptied');
    expect(on.events).to.deep.equal(['Warning MountFailed Volume/data']);
    expect(wasProvisioned(statusOf(on))).to.equal(true);
  });

  it('is not forgotten to have been there while something covers where it was', async () => {
    const on = await ready();
    on.driver.provisioned.clear();
    on.driver.problem = { reason: 'MountCovered', message: 'covered', terminal: false };
    await on.volume();
    on.driver.problem = undefined;
    await on.volume();
    expect(on.driver.calls).to.deep.equal([]);
    expect(reasonOf(on, 'Ready')).to.equal('DataMissing');
  });

  it('gives a filesystem that has failed back although it is wanted, and stalls while a mount keeps it', async () => {
    const on = await ready();
    on.driver.staged.add('uid-data');
    on.driver.problem = { reason: 'FilesystemFailed', message: 'see dmesg', terminal: true };
    on.driver.unmountOutcome = { outcome: 'busy', holders: [], mounts: ['/mnt/m'] };
    on.add(mount('m'));
    await on.volume();
    expect(on.driver.calls).to.deep.equal(['unstage data']);
    expect(reasonOf(on, 'Ready')).to.equal('FilesystemFailed');
    on.driver.unmountOutcome = { outcome: 'done' };
    await on.volume();
    expect(on.driver.staged.size).to.equal(0);
  });

  it('stalls when its capacity is to be enforced and cannot be', async () => {
    const on = world({ capacityPolicy: 'Enforce' });
    await on.volume();
    expect(on.driver.calls).to.deep.equal([]);
    expect(reasonOf(on, 'Ready')).to.equal('CapacityNotEnforceable');
  });

  it('gets a limit that is possible and not there yet, although it needs no making', async () => {
    const on = world({ capacityPolicy: 'Enforce' });
    on.driver.provisioned.add('uid-data');
    on.driver.limitPending = true;
    await on.volume();
    expect(on.driver.calls).to.deep.equal(['provision data']);
    expect(reasonOf(on, 'CapacityEnforced')).to.equal('CapacityEnforced');
    expect(reasonOf(on, 'Ready')).to.equal('Provisioned');
  });

  it('is staged only while a mount wants it', async () => {
    const on = await ready();
    on.driver.staged.add('uid-data');
    on.add(mount('m'));
    await on.volume();
    expect(on.driver.calls).to.deep.equal([]);
    on.mounts.delete('team/m');
    await on.volume();
    expect(on.driver.calls).to.deep.equal(['unstage data']);
  });

  it('does not mind that it cannot be unstaged yet', async () => {
    const on = await ready();
    on.driver.staged.add('uid-data');
    on.driver.unmountOutcome = { outcome: 'busy', holders: [] };
    await on.volume();
    expect(on.driver.calls).to.deep.equal(['unstage data']);
    expect(isTrue(statusOf(on)?.conditions, 'Ready')).to.equal(true);
  });

  it('writes its usage down only when it has changed by 5 %', async () => {
    const on = await ready();
    on.driver.staged.add('uid-data');
    on.add(mount('m'));
    for (const used of [100n, 140n, 151n]) {
      on.driver.usedBytes = used;
      await on.volume();
    }
    expect(on.writes).to.have.length(2);
    expect(statusOf(on)?.usage?.usedBytes).to.equal(151);
  });

  it('is not touched while it is paused', async () => {
    const on = world({}, {}, { annotations: { [ANNOTATIONS.paused]: 'true' } });
    await on.volume();
    expect(on.driver.calls).to.deep.equal([]);
    expect(reasonOf(on, 'Ready')).to.equal('Paused');
  });

  describe('that is being deleted', () => {
    it('is taken down, removed and released, in this order', async () => {
      const on = await ready();
      on.driver.staged.add('uid-data');
      change(on, deleting);
      await on.volume();
      expect(on.driver.calls).to.deep.equal(['unstage data', 'delete data']);
      expect(on.writes).to.deep.equal(['agent release Volume/data']);
      expect(on.events).to.deep.equal(['Normal Deleted Volume/data']);
    });

    it('waits for its mounts and names them', async () => {
      const on = await ready();
      on.add(mount('m', {}, { nodeName: 'a' }, { finalizers: [FINALIZERS.mount] }));
      change(on, deleting);
      await on.volume();
      expect(on.driver.calls).to.deep.equal([]);
      expect(reasonOf(on, 'DeletionBlocked')).to.equal('VolumeInUse');
      on.mounts.delete('team/m');
      await on.volume();
      expect(on.volumes.get('team/data')).to.equal(undefined);
    });

    it('waits for grants whose mounts it does not see', async () => {
      const attachments = [{ mountUID: 'uid-x', workloadId: 'w', nodeName: 'a', readOnly: false }];
      const on = world({}, { attachments }, deleting);
      await on.volume();
      expect(reasonOf(on, 'DeletionBlocked')).to.equal('VolumeInUse');
    });

    it('waits for a snapshot that was asked for before and that the cache does not show yet', async () => {
      const on = await ready();
      const source = { volumeName: 'data', volumeUID: 'uid-data', volumeSpec: { emptyDir: {} } };
      on.addAhead(snapshot('s', {}, { nodeName: 'a', source }));
      change(on, deleting);
      expect(await on.volume()).to.deep.equal({ requeueAfterMs: CACHE_BEHIND_MS });
      expect([on.driver.calls, on.writes]).to.deep.equal([[], []]);
      on.removeAhead('Snapshot', 'team/s');
      await on.volume();
      expect(on.driver.calls).to.deep.equal(['unstage data', 'delete data']);
    });

    it('keeps its data when it is to be retained', async () => {
      const on = await ready({ reclaimPolicy: 'Retain' });
      change(on, deleting);
      await on.volume();
      expect(on.driver.calls).to.deep.equal(['unstage data']);
      expect(on.events).to.deep.equal(['Normal Retained Volume/data']);
    });

    it('says what was kept although it was to go', async () => {
      const on = await ready({ reclaimPolicy: 'Delete' });
      on.driver.kept = 'it was there before.';
      change(on, deleting);
      await on.volume();
      expect(on.driver.calls).to.deep.equal(['unstage data', 'delete data']);
      expect(on.events).to.deep.equal(['Warning DataRetained Volume/data']);
    });

    it('whose source no version of ours knows is not given up', async () => {
      const on = await ready();
      const old = on.volumes.get('team/data');
      const metadata = { ...old?.metadata, ...deleting, resourceVersion: 'other' };
      on.add({ ...old, metadata, spec: { iscsi: {}, accessModes: ['ReadWriteOnce'] } } as never);
      await on.volume();
      expect(on.driver.calls).to.deep.equal([]);
      expect(reasonOf(on, 'DeletionBlocked')).to.equal('TypeNotSupported');
    });

    it('keeps the reclaim policy that was published when its class is gone', async () => {
      const on = world({ volumeClassName: 'gone' }, { reclaimPolicy: 'Retain' }, deleting);
      await on.volume();
      expect(on.driver.calls).to.deep.equal(['unstage data']);
    });

    it('is blocked by who holds it, and never deleted below a mount', async () => {
      const on = await ready();
      change(on, deleting);
      on.driver.unmountOutcome = { outcome: 'in-use-by-other-namespace', holders: [{ pid: 7, comm: 'vim' }] };
      await on.volume();
      expect(on.driver.calls).to.deep.equal(['unstage data']);
      const blocked = findCondition(statusOf(on)?.conditions, 'DeletionBlocked');
      expect(blocked?.reason).to.equal('InUseByOtherNamespace');
      expect(blocked?.message).to.include('vim (pid 7)');
    });

    it('is not touched without our finalizer', async () => {
      const on = world({}, {}, { ...deleting, finalizers: ['someone.else/finalizer'] });
      await on.volume();
      expect([on.driver.calls, on.writes]).to.deep.equal([[], []]);
    });

    it('says why its data could not be removed, and keeps the finalizer', async () => {
      const on = await ready();
      change(on, deleting);
      on.driver.failures.set('delete', new Error('EBUSY'));
      expect(await failing(on.volume())).to.have.property('reason', 'DeleteFailed');
      expect(reasonOf(on, 'DeletionBlocked')).to.equal('DeleteFailed');
      expect(on.volumes.get('team/data')?.metadata.finalizers).to.deep.equal(finalizers);
    });

    it('waits while it is paused', async () => {
      const on = await ready();
      change(on, { ...deleting, annotations: { [ANNOTATIONS.paused]: 'true' } });
      await on.volume();
      expect(on.driver.calls).to.deep.equal([]);
      expect(reasonOf(on, 'DeletionBlocked')).to.equal('Paused');
    });
  });

  it('that the controller called lost is taken back', async () => {
    const on = await ready();
    const conditions = [condition('Ready', 'Unknown', 'NodeLost'), condition('Provisioned', 'True', 'Provisioned')];
    const old = on.volumes.get('team/data');
    on.add({
      ...old,
      metadata: { ...old?.metadata, resourceVersion: 'lost' },
      status: { ...old?.status, conditions },
    } as never);
    await on.volume();
    expect(isTrue(statusOf(on)?.conditions, 'Ready')).to.equal(true);
  });
});
