import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import { FINALIZERS, RESTORE_UID_ANNOTATION } from '../../../src/api/group.ts';
import type { RestoreSpec, RestoreStatus } from '../../../src/api/restore.ts';
import { TAKE_DOWN_MS } from '../../../src/controllers/restore/attached.ts';
import { SHORT_WAIT_MS } from '../../../src/controllers/support/jobs.ts';
import { CACHE_BEHIND_MS } from '../../../src/controllers/support/live.ts';
import { DriverError } from '../../../src/drivers/driver.ts';
import { AgentWorld } from '../support/agent-world.ts';
import { condition, mount, restore, snapshot, volume } from '../support/objects.ts';

const source = { volumeName: 'data', volumeUID: 'uid-data', volumeSpec: { emptyDir: {}, capacity: '1Gi' } };
const origin = { snapshotName: 's', snapshotUID: 'uid-s', volumeName: 'data', volumeUID: 'uid-data' };
const bound: RestoreStatus = {
  nodeName: 'a',
  source: origin,
  startTime: '2026-01-01T00:00:00Z',
  safetySnapshotRef: { name: 'r-safety' },
};
const made = { nodeName: 'a', conditions: [condition('Provisioned', 'True', 'Provisioned')] };
const ready = { nodeName: 'a', source, readyToUse: true };
/** What the controller says of the Snapshots that it makes for the Restore. */
const ours = { annotations: { [RESTORE_UID_ANNOTATION]: 'uid-r' } };

function world(spec: Partial<RestoreSpec> = {}, status: RestoreStatus = bound) {
  const on = new AgentWorld().add(
    volume('data', { capacity: '1Gi' }, made, { finalizers: [FINALIZERS.volume] }),
    snapshot('s', {}, ready),
    snapshot('r-safety', {}, ready, ours),
    restore('r', spec, status),
  );
  on.driver.provisioned.add('uid-data');
  return on;
}
const statusOf = (on: AgentWorld) => on.restores.get('team/r')?.status;
function readyOf(on: AgentWorld): string {
  const { status, reason, message } = findCondition(statusOf(on)?.conditions, 'Ready') ?? {};
  return `${status} ${reason} ${message}`;
}
const typesOf = (on: AgentWorld) => statusOf(on)?.conditions?.map(({ type, status }) => `${type}=${status}`);

describe('a restore on its node', () => {
  it('takes the volume back, and says so in one write', async () => {
    const on = world();
    await on.restore();
    expect(on.driver.calls).to.deep.equal(['revert data to s for r']);
    expect(on.writes).to.deep.equal(['agent status Restore/r']);
    expect(readyOf(on)).to.equal('True Reverted Volume "data" has the content of snapshot "s".');
    expect(statusOf(on)).to.deep.include({ completionTime: '2026-01-01T00:00:00Z' });
    expect(on.events).to.deep.equal(['Normal Reverted Restore/r']);
  });

  it('never acts again once it has ended, well or not', async () => {
    const on = world();
    await on.restore();
    await on.restore();
    expect([on.driver.calls.length, on.writes.length]).to.deep.equal([1, 1]);
    const failed = world();
    failed.driver.failures.set('revert', new DriverError('DataMissing', 'gone', { terminal: true }));
    await failed.restore();
    expect(typesOf(failed)).to.deep.equal(['Ready=False', 'Stalled=True']);
    expect(statusOf(failed)).to.have.property('completionTime');
    await failed.restore();
    expect(failed.driver.calls).to.have.length(1);
  });

  it('waits until what is replaced is kept', async () => {
    const on = world();
    on.add(snapshot('r-safety', {}, { nodeName: 'a', source, readyToUse: false }, ours));
    await on.restore();
    expect(on.driver.calls).to.deep.equal([]);
    expect(readyOf(on)).to.match(/^False Snapshotting .*"r-safety"/);
    expect(statusOf(on)?.completionTime).to.equal(undefined);
    on.add(snapshot('r-safety', {}, ready, ours));
    await on.restore();
    expect(readyOf(on)).to.match(/^True Reverted/);
  });

  it('waits for the controller to ask for that', async () => {
    const { safetySnapshotRef: _, ...status } = bound;
    const on = world({}, status);
    await on.restore();
    expect([on.driver.calls, typesOf(on)]).to.deep.equal([[], ['Ready=False', 'Reconciling=True']]);
    const without = world({ safetySnapshot: false }, status);
    await without.restore();
    expect(readyOf(without)).to.match(/^True Reverted/);
  });

  it('replaces nothing when it could not be kept', async () => {
    const on = world();
    const conditions = [condition('Ready', 'False', 'SnapshotFailed'), condition('Stalled', 'True', 'SnapshotFailed')];
    on.add(snapshot('r-safety', {}, { nodeName: 'a', source, conditions }, ours));
    await on.restore();
    expect(on.driver.calls).to.deep.equal([]);
    expect(readyOf(on)).to.match(/^False SafetySnapshotFailed .*Nothing was replaced/);
    expect(statusOf(on)).to.have.property('completionTime');
  });

  it('is refused for good by a mount that was begun before it came', async () => {
    const on = world();
    on.add(mount('web', {}, {}, { finalizers: [FINALIZERS.mount] }));
    await on.restore();
    expect(on.driver.calls).to.deep.equal([]);
    expect(readyOf(on)).to.match(/^False VolumeInUse .*web/);
    expect(statusOf(on)).to.have.property('completionTime');
  });

  it('is not begun under a mount that was begun here a moment ago, before the cache shows that', async () => {
    const on = world().add(mount('web', {}, { nodeName: 'a' }));
    on.addAhead(mount('web', {}, { nodeName: 'a' }, { finalizers: [FINALIZERS.mount] }));
    await on.restore();
    expect(on.driver.calls).to.deep.equal([]);
    expect(readyOf(on)).to.match(/^False VolumeInUse .*web/);
  });

  it('is not begun while another node has a grant that the cache does not show yet', async () => {
    const attachments = [{ mountUID: 'uid-x', workloadId: 'w', nodeName: 'b', readOnly: false }];
    const on = world().addAhead(volume('data', { capacity: '1Gi' }, { ...made, attachments }));
    await on.restore();
    expect(on.driver.calls).to.deep.equal([]);
    expect(readyOf(on)).to.match(/^False VolumeInUse .*"w" on node "b"/);
  });

  it('is not done twice when the cache does not show its end yet', async () => {
    const on = world().addAhead(restore('r', {}, { ...bound, completionTime: '2026-01-01T00:00:00Z' }));
    expect(await on.restore()).to.deep.equal({ requeueAfterMs: CACHE_BEHIND_MS });
    expect([on.driver.calls, on.writes]).to.deep.equal([[], []]);
  });

  it('does not take the Snapshot of a former Restore of its name for its own', async () => {
    const former = { annotations: { [RESTORE_UID_ANNOTATION]: 'uid-former' } };
    const on = world().add(snapshot('r-safety', {}, ready, former));
    await on.restore();
    expect(on.driver.calls).to.deep.equal([]);
    expect(readyOf(on)).to.match(/^False Snapshotting .*"r-safety"/);
  });

  it('waits for a mount that is being taken down', async () => {
    const on = world();
    const deletionTimestamp = '2026-01-01T00:00:00Z';
    on.add(mount('web', {}, {}, { finalizers: [FINALIZERS.mount], deletionTimestamp }));
    await on.restore();
    expect(typesOf(on)).to.deep.equal(['Ready=False', 'Reconciling=True']);
    on.mounts.delete('team/web');
    await on.restore();
    expect(readyOf(on)).to.match(/^True Reverted/);
  });

  it('keeps mounts from being begun until it has ended', async () => {
    const on = world({}, { ...bound, safetySnapshotRef: { name: 'not-yet' } });
    const attachments = [{ mountUID: 'uid-m', workloadId: 'workload-m', nodeName: 'a', readOnly: false }];
    on.add(
      volume('data', { capacity: '1Gi' }, { ...made, attachments }, { finalizers: [FINALIZERS.volume] }),
      mount('m', {}, { nodeName: 'a' }),
    );
    await on.mount();
    expect(findCondition(on.mounts.get('team/m')?.status?.conditions, 'Ready')).to.include({
      status: 'False',
      reason: 'RestoreInProgress',
    });
    expect(on.driver.calls).to.deep.equal([]);
    on.add(restore('r', {}, { ...bound, completionTime: '2026-01-01T00:00:00Z' }));
    on.driver.enforced = 1024n ** 3n;
    await on.mount();
    expect(on.driver.calls).to.include('publish data');
  });

  describe('with whenAttached Remount', () => {
    const attachments = [{ mountUID: 'uid-m', workloadId: 'workload-m', nodeName: 'a', readOnly: false }];
    async function mounted() {
      const on = world({ whenAttached: 'Remount' });
      on.add(
        volume('data', { capacity: '1Gi' }, { ...made, attachments }, { finalizers: [FINALIZERS.volume] }),
        mount('m', {}, { nodeName: 'a' }),
      );
      on.driver.enforced = 1024n ** 3n;
      on.restores.delete('team/r');
      await on.mount();
      on.driver.calls.length = 0;
      on.add(restore('r', { whenAttached: 'Remount' }, bound));
      return on;
    }
    const mountOf = (on: AgentWorld) => on.mounts.get('team/m')?.status;
    const saidOf = (on: AgentWorld, type: 'Ready' | 'Mounted') => findCondition(mountOf(on)?.conditions, type);

    it('waits until the mounts are down, goes back, and lets them be made again, which mends nothing', async () => {
      const on = await mounted();
      await on.restore();
      expect(readyOf(on)).to.match(/^False WaitingForUnmount/);
      await on.mount();
      expect(on.driver.calls).to.deep.equal(['unpublish data']);
      expect(saidOf(on, 'Mounted')).to.include({ status: 'False', reason: 'RestoreInProgress' });
      await on.mount();
      expect(on.driver.calls).to.not.include('publish data');
      await on.restore();
      expect(readyOf(on)).to.match(/^True Reverted/);
      await on.mount();
      expect(on.driver.calls.at(-1)).to.equal('publish data');
      expect(saidOf(on, 'Mounted')).to.include({ status: 'True' });
      expect(mountOf(on)?.restarts).to.equal(0);
      expect(on.events).to.not.include('Warning MountGone VolumeMount/m');
    });

    it('does not begin while somebody is busy in one, and gives up after a while; the mount stays', async () => {
      const on = await mounted();
      on.driver.unmountOutcome = { outcome: 'busy', holders: [{ pid: 7, comm: 'writer' }] };
      await on.mount();
      expect(saidOf(on, 'Ready')?.message).to.include('writer');
      expect(saidOf(on, 'Mounted')).to.include({ status: 'True' });
      await on.restore();
      expect(readyOf(on)).to.match(/^False WaitingForUnmount/);
      await on.clock.advance(TAKE_DOWN_MS + 1_000);
      await on.restore();
      expect(readyOf(on)).to.match(/^False VolumeInUse .*writer.*Nothing was replaced/);
      expect(statusOf(on)).to.have.property('completionTime');
      expect(on.driver.revertedTo.size).to.equal(0);
      await on.mount();
      expect(saidOf(on, 'Ready')).to.include({ status: 'True' });
    });

    it('takes down no mount that waits for something else', async () => {
      const on = await mounted();
      on.mounts.delete('team/m');
      on.add(mount('m', {}, { nodeName: 'a' }));
      await on.mount();
      expect(on.driver.calls).to.deep.equal([]);
      expect(saidOf(on, 'Ready')).to.include({ reason: 'RestoreInProgress' });
    });
  });

  it('goes on outside of the queue when it takes long, and the volume is in use meanwhile', async () => {
    const on = world();
    const { promise, resolve } = Promise.withResolvers<void>();
    on.driver.work = () => promise;
    const work = on.restore();
    await on.clock.advance(SHORT_WAIT_MS);
    await work;
    expect(typesOf(on)).to.deep.equal(['Ready=False', 'Reconciling=True']);
    expect(readyOf(on)).to.match(/^False Reverting/);
    expect(on.uses.of('uid-data')).to.deep.equal(['restore "r"']);
    expect(on.uses.of('uid-s')).to.deep.equal(['restore "r"']);
    resolve();
    await on.clock.advance(1);
    await on.restore();
    expect(readyOf(on)).to.match(/^True Reverted/);
    expect(on.uses.of('uid-data')).to.deep.equal([]);
  });

  it('tries again what may pass', async () => {
    const on = world();
    on.driver.failures.set('revert', new DriverError('InsufficientCapacity', 'no room'));
    const thrown = await on.restore().catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(Error);
    expect(readyOf(on)).to.match(/^False InsufficientCapacity/);
    expect(statusOf(on)?.completionTime).to.equal(undefined);
    await on.restore();
    expect(readyOf(on)).to.match(/^True Reverted/);
  });

  describe('whose copy lies beside the content of the volume', () => {
    const copied = (...args: Parameters<typeof world>) => {
      const on = world(...args);
      on.driver.copies.set('uid-data', 'uid-r');
      return on;
    };
    const volumeReady = (on: AgentWorld) => findCondition(on.volumes.get('team/data')?.status?.conditions, 'Ready');

    it('keeps it until it has ended', async () => {
      const on = copied();
      await on.volume();
      expect(on.driver.calls).to.deep.equal([]);
    });

    for (const [what, end] of [
      ['is gone', (on: AgentWorld) => on.restores.delete('team/r')],
      ['has ended', (on: AgentWorld) => on.add(restore('r', {}, { ...bound, completionTime: '2026-01-01T00:00:01Z' }))],
      ['is another one by now', (on: AgentWorld) => on.add(restore('r', {}, bound, { uid: 'uid-other' }))],
    ] as const) {
      it(`has it removed once it ${what}`, async () => {
        const on = copied();
        end(on);
        await on.volume();
        expect(on.driver.calls).to.deep.equal(['tidy data']);
        expect(volumeReady(on)?.status).to.equal('True');
        await on.volume();
        expect(on.driver.calls).to.have.length(1);
      });
    }

    it('has it left alone while the volume is being read, as by itself until it has ended', async () => {
      const on = copied();
      on.restores.delete('team/r');
      const end = on.uses.begin('uid-data', 'restore "r"');
      await on.volume();
      expect(on.driver.calls).to.deep.equal([]);
      end();
      await on.volume();
      expect(on.driver.calls).to.deep.equal(['tidy data']);
    });

    it('takes nothing from the volume when it cannot be removed, which an event says, and is tried again', async () => {
      const on = copied();
      on.restores.delete('team/r');
      on.driver.failures.set('tidy', new DriverError('ServerUnreachable', 'it is silent'));
      expect(await on.volume().catch((error: unknown) => error)).to.be.instanceOf(Error);
      expect(volumeReady(on)?.status).to.equal('True');
      expect(on.events).to.include('Warning ServerUnreachable Volume/data');
      await on.volume();
      expect(on.driver.copies.size).to.equal(0);
    });
  });

  const refusals: readonly (readonly [what: string, reason: string, arrange: (on: AgentWorld) => void])[] = [
    ['its volume is gone', 'VolumeNotFound', (on) => on.volumes.delete('team/data')],
    ['its snapshot is gone', 'SnapshotNotFound', (on) => on.snapshots.delete('team/s')],
    [
      'its snapshot is another one by now',
      'SnapshotNotFound',
      (on) => on.add(snapshot('s', {}, ready, { uid: 'uid-other' })),
    ],
    [
      'the driver cannot do it',
      'RevertNotSupported',
      (on) => {
        Object.defineProperty(on.driver, 'revert', { value: undefined });
      },
    ],
  ];
  for (const [what, reason, arrange] of refusals) {
    it(`is refused for good when ${what}`, async () => {
      const on = world();
      arrange(on);
      await on.restore();
      expect(readyOf(on)).to.include(`False ${reason} `);
      expect(typesOf(on)).to.deep.equal(['Ready=False', 'Stalled=True']);
      expect(statusOf(on)).to.have.property('completionTime');
    });
  }

  it('of another node is none of its business', async () => {
    const on = world({}, { ...bound, nodeName: 'b' });
    await on.restore();
    expect([on.driver.calls, on.writes]).to.deep.equal([[], []]);
  });

  it('does nothing while it is paused', async () => {
    const on = world();
    on.add(restore('r', {}, bound, { annotations: { 'storage.clawbernetes.io/paused': 'true' } }));
    await on.restore();
    expect(on.driver.calls).to.deep.equal([]);
    expect(readyOf(on)).to.match(/^Unknown Paused/);
  });
});
