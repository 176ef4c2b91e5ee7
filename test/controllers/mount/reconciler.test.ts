import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import { ANNOTATIONS, FINALIZERS } from '../../../src/api/group.ts';
import type { VolumeAttachment, VolumeConditionType } from '../../../src/api/volume.ts';
import type { VolumeMountConditionType, VolumeMountSpec, VolumeMountStatus } from '../../../src/api/volume-mount.ts';
import { CACHE_BEHIND_MS } from '../../../src/controllers/support/live.ts';
import { DriverError } from '../../../src/drivers/driver.ts';
import { AgentWorld } from '../support/agent-world.ts';
import { mountEntry } from '../support/fake-driver.ts';
import { condition, mount, NOW, volume, volumeClass } from '../support/objects.ts';

const grant: VolumeAttachment = { mountUID: 'uid-m', workloadId: 'workload-m', nodeName: 'a', readOnly: false };
const deleting = { finalizers: [FINALIZERS.mount], deletionTimestamp: '2026-01-01T00:00:00Z' };
const fresh = { creationTimestamp: new Date(NOW - 500).toISOString() };

interface Given {
  readonly spec?: Partial<VolumeMountSpec>;
  readonly status?: VolumeMountStatus;
  readonly metadata?: object;
  readonly attachments?: readonly VolumeAttachment[];
  readonly volumeMetadata?: object;
  readonly volumeSpec?: object;
}

/** A node with a provisioned volume, a grant and a mount that nobody has acted on. */
function world({ spec, status, metadata, attachments = [grant], volumeMetadata, volumeSpec }: Given = {}) {
  const on = new AgentWorld();
  on.add(volume('data', volumeSpec, { nodeName: 'a', attachments }, volumeMetadata));
  on.add(mount('m', spec, { nodeName: 'a', ...status }, metadata));
  on.driver.provisioned.add('uid-data');
  on.driver.staged.add('uid-data');
  return on;
}
/** The same, mounted. */
async function mounted(given: Given = {}) {
  const on = world(given);
  await on.mount();
  on.writes.length = 0;
  on.events.length = 0;
  on.driver.calls.length = 0;
  return on;
}
const statusOf = (on: AgentWorld) => on.mounts.get('team/m')?.status;
const is = (on: AgentWorld, type: VolumeMountConditionType) => {
  const found = findCondition(statusOf(on)?.conditions, type);
  return found === undefined ? undefined : `${found.status} ${found.reason}`;
};
let serial = 0;
const change = (on: AgentWorld, metadata: object) => {
  const old = on.mounts.get('team/m');
  const resourceVersion = `changed-${++serial}`;
  on.add({ ...old, metadata: { ...old?.metadata, resourceVersion, ...metadata } } as never);
};
/** A volume on a server that node b owns, mounted on a. */
function remote(conditions = [condition<VolumeConditionType>('Provisioned', 'True', 'Provisioned')]) {
  const on = new AgentWorld();
  on.add(volumeClass('default', { allowedNfsServers: ['*'] }));
  const status = { nodeName: 'b', attachments: [grant], conditions };
  on.add(volume('data', { nfs: { server: 's', path: '/x' }, accessModes: ['ReadWriteMany'] }, status));
  on.add(mount('m', {}, { nodeName: 'a' }));
  return on;
}
async function failing(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}

describe('mount on its node', () => {
  it('is announced by a finalizer, made, looked at and reported, in two writes', async () => {
    const on = world();
    await on.mount();
    expect(on.writes).to.deep.equal(['agent finalize VolumeMount/m', 'agent status VolumeMount/m']);
    expect(on.driver.calls).to.deep.equal(['publish data']);
    expect(statusOf(on)).to.deep.include({
      phase: 'Mounted',
      hostPath: '/run/mounts/team/m/data',
      source: 'the source',
      mountedAt: '2026-01-01T00:00:00Z',
      restarts: 0,
    });
    expect(is(on, 'Ready')).to.equal('True Mounted');
    expect(is(on, 'Healthy')).to.equal('True Healthy');
    expect(on.events).to.deep.equal(['Normal Mounted VolumeMount/m']);
  });

  it('stages the volume first where that is not done', async () => {
    const on = world();
    on.driver.staged.clear();
    await on.mount();
    expect(on.driver.calls).to.deep.equal(['stage data', 'publish data']);
  });

  it('is left alone when everything is right', async () => {
    const on = await mounted();
    await on.mount();
    expect([on.writes, on.driver.calls, on.events]).to.deep.equal([[], [], []]);
  });

  it('is adopted when it was made before a crash', async () => {
    const on = world();
    on.driver.states.set('uid-m', 'mounted');
    await on.mount();
    expect(on.driver.calls).to.deep.equal([]);
    expect(is(on, 'Ready')).to.equal('True Mounted');
    expect(statusOf(on)?.restarts).to.equal(0);
  });

  it('of another node, or gone without a deletionTimestamp, is not touched', async () => {
    const elsewhere = world({ status: { nodeName: 'b' } });
    await elsewhere.mount();
    expect([elsewhere.writes, elsewhere.driver.calls]).to.deep.equal([[], []]);
    const vanished = await mounted();
    vanished.mounts.delete('team/m');
    await vanished.mount();
    expect(vanished.driver.calls).to.deep.equal([]);
  });

  it('is not made without a grant', async () => {
    const on = world({ attachments: [] });
    await on.mount();
    expect(on.driver.calls).to.deep.equal([]);
    expect(is(on, 'Ready')).to.equal('False WaitingForGrant');
  });

  it('waits in silence for a grant or a volume while it is new', async () => {
    const on = world({ attachments: [], metadata: fresh });
    expect((await on.mount()).requeueAfterMs).to.equal(1500);
    const early = world({ metadata: fresh });
    early.driver.provisioned.clear();
    expect((await early.mount()).requeueAfterMs).to.equal(1500);
    expect([on.writes, early.writes]).to.deep.equal([[], []]);
  });

  it('is not taken down when its grant is withdrawn: that is no order', async () => {
    const on = await mounted();
    on.table.push(mountEntry('/run/mounts/team/m/data'));
    on.add(volume('data', {}, { nodeName: 'a' }));
    await on.mount();
    expect(on.driver.calls).to.deep.equal([]);
    expect(is(on, 'Ready')).to.equal('False WaitingForGrant');
    expect(is(on, 'Mounted')).to.equal('True Mounted');
  });

  it('is not said to be mounted any more when it went with a reboot and has no grant', async () => {
    const on = await mounted();
    on.add(volume('data', {}, { nodeName: 'a' }));
    await on.mount();
    expect(on.driver.calls).to.deep.equal([]);
    expect(is(on, 'Mounted')).to.equal('False WaitingForGrant');
    expect(statusOf(on)?.phase).to.equal('Mounting');
    expect(statusOf(on)).to.not.have.any.keys('hostPath', 'source');
  });

  it('is not begun on a volume that is being deleted, but healed on it', async () => {
    const volumeMetadata = { deletionTimestamp: '2026-01-01T00:00:00Z' };
    const on = world({ volumeMetadata });
    await on.mount();
    expect(is(on, 'Ready')).to.equal('False VolumeDeleting');
    const old = world({ volumeMetadata, metadata: { finalizers: [FINALIZERS.mount] } });
    await old.mount();
    expect(old.driver.calls).to.deep.equal(['publish data']);
  });

  it('is not begun where the size cannot be enforced as asked, whichever of the two is looked at first', async () => {
    const on = world({ volumeSpec: { capacity: '1Gi', capacityPolicy: 'Enforce' } });
    await on.mount();
    expect([on.driver.calls, on.events]).to.deep.equal([[], ['Warning CapacityNotEnforceable VolumeMount/m']]);
    expect(is(on, 'Stalled')).to.equal('True CapacityNotEnforceable');
  });

  it('is not begun on storage that is in trouble, but healed on it', async () => {
    const problem = { reason: 'DataMissing', message: 'gone', terminal: true };
    const on = world();
    on.driver.problem = problem;
    await on.mount();
    expect(on.driver.calls).to.deep.equal([]);
    expect(is(on, 'Ready')).to.equal('False DataMissing');
    const old = world({ metadata: { finalizers: [FINALIZERS.mount] } });
    old.driver.problem = problem;
    await old.mount();
    expect(old.driver.calls).to.deep.equal(['publish data']);
  });

  it('is refused a target that an older mount uses', async () => {
    const spec = { hostPath: '/data/target' };
    const on = world({ spec });
    on.add(mount('older', spec, { nodeName: 'a' }, { creationTimestamp: '2025-01-01T00:00:00Z' }));
    await on.mount();
    expect(on.driver.calls).to.deep.equal([]);
    expect(is(on, 'Stalled')).to.equal('True HostPathNotAllowed');
    const sameDefault = world();
    sameDefault.add(
      mount(
        'older',
        { hostPath: '/run/mounts/team/m/data' },
        { nodeName: 'a' },
        { creationTimestamp: '2025-01-01T00:00:00Z' },
      ),
    );
    await sameDefault.mount();
    expect(is(sameDefault, 'Stalled')).to.equal('True MountTargetConflict');
  });

  describe('that drifted', () => {
    it('is made again when it is gone, counted and told once', async () => {
      const on = await mounted();
      on.driver.states.delete('uid-m');
      await on.mount();
      expect(on.driver.calls).to.deep.equal(['publish data']);
      expect(statusOf(on)?.restarts).to.equal(1);
      expect(on.events).to.deep.equal(['Warning MountGone VolumeMount/m', 'Normal Remounted VolumeMount/m']);
    });

    it('is counted although the cache does not show yet that it was made', async () => {
      const on = world();
      const before = on.mounts.get('team/m');
      await on.mount();
      on.driver.states.delete('uid-m');
      if (before !== undefined) on.mounts.set(before);
      await on.mount();
      expect(statusOf(on)?.restarts).to.equal(1);
      expect(on.events).to.include('Warning MountGone VolumeMount/m');
    });

    it('is replaced when its options are wrong or it does not answer', async () => {
      for (const state of ['wrong-options', 'stale'] as const) {
        const on = await mounted();
        on.driver.states.set('uid-m', state);
        await on.mount();
        expect(on.driver.calls).to.deep.equal(['unpublish data', 'publish data']);
        expect(is(on, 'Ready')).to.equal('True Mounted');
      }
    });

    it('is not replaced while it is busy, and says by whom', async () => {
      const on = await mounted();
      on.driver.states.set('uid-m', 'wrong-options');
      on.driver.unmountOutcome = { outcome: 'busy', holders: [{ pid: 7, comm: 'vim' }] };
      await on.mount();
      expect(on.driver.calls).to.deep.equal(['unpublish data']);
      expect(is(on, 'Healthy')).to.equal('False MountDrifted');
      expect(statusOf(on)?.busyBy).to.deep.equal([{ pid: 7, comm: 'vim' }]);
    });

    it('is never taken from under a foreign mount or put over one', async () => {
      for (const [state, mountedIs] of [
        ['foreign', 'False MountDrifted'],
        ['overmounted', 'True Mounted'],
      ] as const) {
        const on = await mounted();
        on.driver.states.set('uid-m', state);
        await on.mount();
        expect(on.driver.calls).to.deep.equal([]);
        expect(is(on, 'Mounted')).to.equal(mountedIs);
        expect(is(on, 'Ready')).to.match(/^False /);
      }
    });
  });

  it('is not Ready because the call returned, but because it is there', async () => {
    const on = world();
    on.driver.publish = async () => undefined;
    expect(await failing(on.mount())).to.have.property('reason', 'MountFailed');
    expect(is(on, 'Ready')).to.equal('False MountFailed');
    expect(is(on, 'Mounted')).to.equal('False MountFailed');
  });

  it('says why it could not be made', async () => {
    const on = world();
    on.driver.failures.set('publish', new DriverError('HostPathIsSymlink', 'a link', { terminal: true }));
    expect((await on.mount()).requeueAfterMs).to.be.a('number');
    expect(is(on, 'Stalled')).to.equal('True HostPathIsSymlink');
  });

  it('is not touched while it is paused', async () => {
    const on = world({ metadata: { annotations: { [ANNOTATIONS.paused]: 'true' } } });
    await on.mount();
    expect(on.driver.calls).to.deep.equal([]);
    expect(is(on, 'Ready')).to.equal('Unknown Paused');
  });

  describe('that is being deleted', () => {
    it('is taken down and released', async () => {
      const on = await mounted();
      change(on, deleting);
      await on.mount();
      expect(on.driver.calls).to.deep.equal(['unpublish data']);
      expect(on.writes).to.deep.equal(['agent release VolumeMount/m']);
      expect(on.events).to.deep.equal(['Normal Unmounted VolumeMount/m']);
    });

    it('is blocked by who holds it, at most five, and goes on when they have gone', async () => {
      const on = await mounted();
      change(on, deleting);
      const holders = [1, 2, 3, 4, 5, 6].map((pid) => ({ pid, comm: `p${pid}` }));
      on.driver.unmountOutcome = { outcome: 'busy', holders };
      const result = await on.mount();
      expect(result.requeueAfterMs).to.be.a('number');
      expect(is(on, 'DeletionBlocked')).to.equal('True Busy');
      expect(statusOf(on)?.busyBy).to.have.length(5);
      expect(findCondition(statusOf(on)?.conditions, 'DeletionBlocked')?.message).to.include('1 more');
      await on.mount();
      expect(on.writes).to.have.length(1);
      on.driver.unmountOutcome = { outcome: 'done' };
      await on.mount();
      expect(on.mounts.get('team/m')).to.equal(undefined);
    });

    it('is not released while another mount namespace still shows it', async () => {
      const on = await mounted();
      change(on, deleting);
      on.driver.unmountOutcome = { outcome: 'in-use-by-other-namespace', holders: [{ pid: 9, comm: 'runc' }] };
      await on.mount();
      expect(is(on, 'DeletionBlocked')).to.equal('True InUseByOtherNamespace');
      expect(on.mounts.get('team/m')).to.not.equal(undefined);
    });

    it('is taken down by the node layer alone when its volume is not known any more', async () => {
      const on = world({ metadata: deleting });
      on.volumes.delete('team/data');
      await on.mount();
      expect(on.unmounted).to.deep.equal(['/run/mounts/team/m/data']);
      expect(on.mounts.get('team/m')).to.equal(undefined);
    });

    it('waits for its volume when only the cache does not show that', async () => {
      const on = world({ metadata: deleting });
      const there = on.volumes.get('team/data');
      if (there === undefined) throw new Error('there is no volume');
      on.volumes.delete('team/data');
      on.addAhead(there);
      expect(await on.mount()).to.deep.equal({ requeueAfterMs: CACHE_BEHIND_MS });
      expect([on.unmounted, on.writes]).to.deep.equal([[], []]);
      on.add(there);
      await on.mount();
      expect(on.driver.calls).to.include('unpublish data');
    });

    describe('at a target of its own, when its volume is not known any more', () => {
      const target = '/data/disk';
      const away = (status: VolumeMountStatus) => {
        const on = world({ spec: { hostPath: target }, metadata: deleting, status });
        on.volumes.delete('team/data');
        on.table.push(mountEntry(target));
        return on;
      };

      it('is taken down where the status says that we mounted it', async () => {
        const on = away({ mountedAt: '2026-01-01T00:00:00Z' });
        await on.mount();
        expect(on.unmounted).to.deep.equal([target]);
        expect(on.mounts.get('team/m')).to.equal(undefined);
      });

      it('leaves a mount alone that we saw to be somebody else’s', async () => {
        const on = away({ conditions: [condition('Mounted', 'False', 'MountDrifted')] });
        await on.mount();
        expect(on.unmounted).to.deep.equal([]);
        expect(on.mounts.get('team/m')).to.equal(undefined);
      });

      it('asks where nobody wrote down whose it is', async () => {
        const on = away({});
        await on.mount();
        expect(on.unmounted).to.deep.equal([]);
        expect(is(on, 'DeletionBlocked')).to.equal('True MountTargetConflict');
      });

      it('never takes the last mount of a filesystem in memory', async () => {
        const on = away({ mountedAt: '2026-01-01T00:00:00Z' });
        on.table[0] = { ...mountEntry(target), fsType: 'tmpfs' };
        await on.mount();
        expect(on.unmounted).to.deep.equal([]);
        expect(is(on, 'DeletionBlocked')).to.equal('True MountTargetConflict');
      });
    });

    it('is released where somebody else’s mount has always been at its target', async () => {
      const status = { conditions: [condition('Mounted', 'False', 'MountDrifted')] };
      for (const spec of [{ hostPath: '/data/disk' }, {}]) {
        const on = world({ spec, metadata: deleting, status });
        on.driver.states.set('uid-m', 'foreign');
        await on.mount();
        expect(on.driver.calls).to.deep.equal([]);
        expect(on.mounts.get('team/m')).to.equal(undefined);
      }
    });

    it('is taken down although the policy would refuse it by now', async () => {
      const on = world({ metadata: deleting, volumeSpec: { volumeClassName: 'gone' } });
      await on.mount();
      expect(on.driver.calls).to.deep.equal(['unpublish data']);
    });

    it('is not touched without our finalizer', async () => {
      const on = world({ metadata: { ...deleting, finalizers: ['someone.else/finalizer'] } });
      await on.mount();
      expect([on.driver.calls, on.writes]).to.deep.equal([[], []]);
    });

    it('says why it could not be taken down', async () => {
      const on = await mounted();
      change(on, deleting);
      on.driver.failures.set('unpublish', new DriverError('MountCovered', 'something is over it'));
      expect(await failing(on.mount())).to.have.property('reason', 'MountCovered');
      expect(is(on, 'DeletionBlocked')).to.equal('True MountCovered');
    });
  });

  describe('of a volume that another node owns', () => {
    it('is staged and published here, once that node says the storage is there', async () => {
      const on = remote();
      await on.mount();
      expect(on.nfs.calls).to.deep.equal(['stage data', 'publish data']);
      expect(is(on, 'Ready')).to.equal('True Mounted');
    });

    it('waits for that node', async () => {
      const on = remote([]);
      await on.mount();
      expect(on.nfs.calls).to.deep.equal([]);
      expect(is(on, 'Ready')).to.equal('False VolumeNotReady');
    });

    it('is not provisioned here, nor written about', async () => {
      const on = remote();
      await on.volume();
      expect([on.nfs.calls, on.writes]).to.deep.equal([[], []]);
    });

    it('takes the storage off this node with the last mount, before the grant ends', async () => {
      const on = remote();
      on.add(mount('n', {}, { nodeName: 'a' }, { finalizers: [FINALIZERS.mount] }));
      await on.mount();
      change(on, deleting);
      await on.mount();
      expect(on.nfs.calls.slice(2)).to.deep.equal(['unpublish data']);
      on.add(mount('n', {}, { nodeName: 'a' }, deleting));
      await on.mount('n');
      expect(on.nfs.calls.slice(3)).to.deep.equal(['unpublish data', 'unstage data']);
      expect(on.mounts.get('team/n')).to.equal(undefined);
    });

    it('is released only when this node has let go of the storage', async () => {
      const on = remote();
      await on.mount();
      change(on, deleting);
      on.nfs.unstageOutcome = { outcome: 'busy', holders: [{ pid: 7, comm: 'vim' }] };
      await on.mount();
      expect(is(on, 'DeletionBlocked')).to.equal('True Busy');
      on.nfs.unstageOutcome = { outcome: 'done' };
      await on.mount();
      expect(on.mounts.get('team/m')).to.equal(undefined);
    });
  });

  it('whose server does not answer is left alone, with what the driver calls it', async () => {
    const on = remote();
    await on.mount();
    on.nfs.states.set('uid-m', 'unresponsive');
    on.nfs.calls.length = 0;
    await on.mount();
    expect(on.nfs.calls).to.deep.equal([]);
    expect(is(on, 'Ready')).to.equal('False ServerUnreachable');
    expect(is(on, 'Mounted')).to.equal('True Mounted');
    expect(is(on, 'Healthy')).to.equal('False ServerUnreachable');
    on.nfs.states.set('uid-m', 'mounted');
    await on.mount();
    expect(is(on, 'Ready')).to.equal('True Mounted');
  });
});
