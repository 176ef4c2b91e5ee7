import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import { FINALIZERS, RESTORE_UID_ANNOTATION } from '../../../src/api/group.ts';
import type { Volume, VolumeStatus } from '../../../src/api/volume.ts';
import type { VolumeRestoreSpec, VolumeRestoreStatus } from '../../../src/api/volume-restore.ts';
import { BackupError } from '../../../src/backup/backup-error.ts';
import { SHORT_WAIT_MS } from '../../../src/controllers/support/jobs.ts';
import { CACHE_BEHIND_MS } from '../../../src/controllers/support/live.ts';
import { ReconcileError } from '../../../src/runtime/reconciler.ts';
import { AgentWorld } from '../support/agent-world.ts';
import { documentOf, RESTORED, volumeEntry } from '../support/fake-restore-engine.ts';
import { condition, mount, snapshot, volume, volumeRestore } from '../support/objects.ts';

const made: VolumeStatus = { nodeName: 'a', conditions: [condition('Provisioned', 'True', 'Provisioned')] };
const empty: VolumeStatus = { nodeName: 'a', conditions: [condition('Provisioned', 'False', 'Restoring')] };
const byRestore = { annotations: { [RESTORE_UID_ANNOTATION]: 'uid-r' }, finalizers: [FINALIZERS.volume] };

const ownerReferences = [{ apiVersion: 'storage.clawbernetes.io/v1alpha1', kind: 'Restore', name: 'r', uid: 'uid-r' }];
/** What the controller says of the Snapshots that it makes for the Restore. */
const ours = { annotations: { [RESTORE_UID_ANNOTATION]: 'uid-r' } };

interface Setup {
  readonly spec?: Partial<VolumeRestoreSpec>;
  readonly status?: VolumeRestoreStatus;
  readonly volumeStatus?: VolumeStatus;
}

function world({ spec = {}, status = { nodeName: 'a' }, volumeStatus }: Setup = {}): AgentWorld {
  const isNew = spec.mode === 'New';
  const there = volumeStatus ?? (isNew ? empty : made);
  const on = new AgentWorld().add(
    volume('data', { capacity: '1Gi' }, there, isNew ? byRestore : { finalizers: [FINALIZERS.volume] }),
    volumeRestore('vr', spec, status, { ownerReferences }),
  );
  on.driver.provisioned.add('uid-data');
  return on;
}
const statusOf = (on: AgentWorld) => on.volumeRestores.get('team/vr')?.status;
function readyOf(on: AgentWorld): string {
  const { status, reason, message } = findCondition(statusOf(on)?.conditions, 'Ready') ?? {};
  return `${status} ${reason} ${message}`;
}
const typesOf = (on: AgentWorld) => statusOf(on)?.conditions?.map(({ type, status }) => `${type}=${status}`);
async function retried(on: AgentWorld): Promise<void> {
  try {
    await on.volumeRestore();
  } catch (thrown) {
    if (!(thrown instanceof ReconcileError)) throw thrown;
    return;
  }
  throw new Error('it is not tried again');
}

describe('a restore of one volume on its node', () => {
  it('writes the part of the backup into the volume, has it verified and flushed, and says what was done', async () => {
    const on = world({ spec: { paths: ['a', '*[b]'] } });
    await on.volumeRestore();
    expect(on.driver.calls).to.deep.equal(['open data', 'flush data']);
    expect(on.engine.requests).to.deep.equal([
      {
        snapshotId: 'part-data',
        sourcePath: '/data',
        target: { directory: { own: { root: '/stage', path: 'uid-data' } }, device: '8:1' },
        include: ['a', '*[b]'],
        existingFiles: 'Overwrite',
        dryRun: false,
        verify: true,
      },
    ]);
    expect(readyOf(on)).to.match(/^True Restored .*read back/);
    expect(statusOf(on)).to.deep.include({
      startTime: '2026-01-01T00:00:00Z',
      completionTime: '2026-01-01T00:00:00Z',
      files: { total: 3, restored: 2, skipped: 1, deleted: 0 },
      bytes: 200,
    });
    expect(on.events).to.include('Normal Restored VolumeRestore/vr');
  });

  it('never acts again once it has ended, well or not', async () => {
    const on = world();
    await on.volumeRestore();
    await on.volumeRestore();
    expect(on.engine.requests).to.have.length(1);
    const failed = world();
    failed.engine.failures.set('restore', new BackupError('Damaged', 'a pack is gone'));
    await failed.volumeRestore();
    expect(typesOf(failed)).to.deep.equal(['Ready=False', 'Stalled=True']);
    expect(statusOf(failed)).to.have.property('completionTime');
    await failed.volumeRestore();
    expect(failed.engine.requests).to.have.length(1);
  });

  it('writes down that something may have been written before anything is', async () => {
    const on = world();
    let seen: VolumeRestoreStatus | undefined;
    on.engine.work = async () => {
      seen = statusOf(on);
    };
    await on.volumeRestore();
    expect(seen?.startTime).to.equal('2026-01-01T00:00:00Z');
    expect(findCondition(seen?.conditions, 'Ready')?.reason).to.equal('Restoring');
  });

  it('tells how far it is, and ends when it is cancelled', async () => {
    const on = world();
    const hang = Promise.withResolvers<void>();
    on.engine.work = (onProgress, signal) => {
      onProgress({ bytesDone: 100n, bytesTotal: 300n, filesDone: 1, filesTotal: 3 });
      signal.addEventListener('abort', () => hang.reject(new BackupError('Aborted', 'ended')));
      return hang.promise;
    };
    const first = on.volumeRestore();
    await on.clock.advance(SHORT_WAIT_MS);
    await first;
    expect(statusOf(on)?.progress).to.deep.include({ bytesDone: 100, bytesTotal: 300, filesDone: 1, filesTotal: 3 });
    expect(readyOf(on)).to.match(/^False Restoring .*100 bytes of 300 bytes/);
    on.add(volumeRestore('vr', { cancel: true }, statusOf(on)));
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^False RestoreCancelled/);
    expect(typesOf(on)).to.deep.equal(['Ready=False', 'Stalled=True']);
    expect(statusOf(on)).to.have.property('completionTime');
  });

  it('begins again after a kill, and with Skip fails instead, because half a file looks like one that was there', async () => {
    const begun = { nodeName: 'a', startTime: '2026-01-01T00:00:00Z' };
    const on = world({ status: begun });
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^True Restored/);
    const skipping = world({ status: begun, spec: { existingFiles: 'Skip' } });
    await skipping.volumeRestore();
    expect(readyOf(skipping)).to.match(/^False RestoreFailed .*half written/);
    expect([skipping.engine.requests.length, typesOf(skipping)]).to.deep.equal([0, ['Ready=False', 'Stalled=True']]);
    const gone = { ...begun, conditions: [condition('Ready', 'False', 'ServerUnreachable', 'no answer')] };
    const kept = { existingFiles: 'Skip', safetySnapshotRef: { name: 'vr-safety' } } as const;
    const told = world({ status: gone, spec: kept });
    told.add(snapshot('vr-safety', {}, { readyToUse: true }, ours));
    await told.volumeRestore();
    expect(readyOf(told)).to.match(/^False RestoreFailed .*\(no answer\).*go back to the Snapshot "vr-safety"/);
    // Nothing was in a new volume: half a file is ours, and written anew.
    const fresh = world({ status: begun, spec: { existingFiles: 'Skip', mode: 'New' } });
    await fresh.volumeRestore();
    expect(readyOf(fresh)).to.match(/^True Restored/);
    expect(fresh.engine.requests.map(({ existingFiles }) => existingFiles)).to.deep.equal(['Overwrite']);
    const unbegun = world({ spec: { existingFiles: 'Skip' } });
    await unbegun.volumeRestore();
    expect(readyOf(unbegun)).to.match(/^True Restored/);
  });

  it('tries again what passes by itself', async () => {
    const on = world();
    on.engine.failures.set('snapshots', new BackupError('Unreachable', 'no answer'));
    await retried(on);
    expect(readyOf(on)).to.match(/^False ServerUnreachable no answer/);
    expect([typesOf(on), statusOf(on)?.completionTime]).to.deep.equal([['Ready=False', 'Reconciling=True'], undefined]);
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^True Restored/);
  });

  it('has failed when files are lacking, and names them', async () => {
    const on = world();
    const examples = [{ item: '/data/b/c', message: 'unexpected content hash' }];
    on.engine.summary = { ...RESTORED, complete: false, errors: { count: 7, examples } };
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^False RestoreIncomplete 7 files .*b\/c/);
    expect(statusOf(on)).to.deep.include({
      skipped: [{ volumeName: 'data', path: 'b/c', message: 'unexpected content hash' }],
      skippedCount: 7,
    });
    expect(on.driver.calls).to.not.include('flush data');
  });

  it('has failed when it finds nothing', async () => {
    const on = world();
    on.engine.summary = { ...RESTORED, filesTotal: 0, bytesTotal: 0n, filesRestored: 0 };
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^False NothingToRestore/);
    const other = world({ spec: { from: { name: 'nobody' } } });
    await other.volumeRestore();
    expect(readyOf(other)).to.match(/^False BackupMissing .*no volume "nobody"; it has data/);
    const unknown = world({ spec: { backupID: 'b-2' } });
    await unknown.volumeRestore();
    expect(readyOf(unknown)).to.match(/^False BackupMissing .*no backup "b-2"/);
  });

  it('restores no part of a backup that did not end', async () => {
    const on = world();
    const [document] = on.engine.records;
    on.engine.records.length = 0;
    on.engine.records.push({
      ...document,
      id: 'p',
      tags: { ...document?.tags, kind: 'volume', volume: 'data' },
    } as never);
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/did not end/);
    expect(on.engine.requests).to.deep.equal([]);
  });

  it('says how much is needed where the volume is too small, before it begins and when it finds out', async () => {
    const large = { ...volumeEntry('data', { emptyDir: {}, capacity: '10Gi' }), bytes: 5 * 2 ** 30 };
    const before = world();
    before.engine.keep(documentOf([large]));
    before.driver.usedBytes = 0n;
    await before.volumeRestore();
    expect(readyOf(before)).to.match(/^False NoSpace .*5Gi/);
    expect([before.engine.requests.length, typesOf(before)]).to.deep.equal([0, ['Ready=False', 'Stalled=True']]);
    const during = world();
    during.engine.keep(documentOf([large]));
    during.engine.failures.set('restore', new BackupError('NoSpace', 'no space left on device'));
    await during.volumeRestore();
    expect(readyOf(during)).to.match(/^False NoSpace .*5Gi/);
    expect(typesOf(during)).to.deep.equal(['Ready=False', 'Stalled=True']);
  });

  it('takes sparse files that look larger than a volume of the size that it had', async () => {
    const on = world();
    on.engine.keep(documentOf([{ ...volumeEntry('data'), bytes: 5 * 2 ** 30 }]));
    on.driver.usedBytes = 0n;
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^True Restored/);
  });

  it('takes a bucket, which has no size, for large enough', async () => {
    const on = world({ volumeStatus: made });
    on.add(volume('data', { emptyDir: {}, capacity: '1Mi' }, made, { finalizers: [FINALIZERS.volume] }));
    on.engine.keep(documentOf([{ ...volumeEntry('data'), bytes: 5 * 2 ** 30 }]));
    on.driver.usedBytes = 1000n;
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^True Restored/);
  });

  it('mixes a new volume with nothing that is there already', async () => {
    const on = world({ spec: { mode: 'New' } });
    on.driver.ownedByUs = false;
    on.driver.names.set('uid-data', ['theirs']);
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^False TargetNotEmpty .*"theirs"/);
    expect(on.engine.requests).to.deep.equal([]);
    const again = world({ spec: { mode: 'New' }, status: { nodeName: 'a', startTime: '2026-01-01T00:00:00Z' } });
    again.driver.ownedByUs = false;
    again.driver.names.set('uid-data', ['ours, from before the kill']);
    await again.volumeRestore();
    expect(readyOf(again)).to.match(/^True Restored/);
  });

  it('refuses to mirror over snapshots', async () => {
    const on = world({ spec: { existingFiles: 'Mirror' } });
    on.driver.hasSnapshots = true;
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^False InvalidSpec .*Overwrite/);
    expect(on.engine.requests).to.deep.equal([]);
  });

  it('changes nothing in a dry run, and says what it would do', async () => {
    const on = world({ spec: { dryRun: true } });
    await on.volumeRestore();
    expect(on.engine.requests[0]).to.deep.include({ dryRun: true, verify: false });
    expect(on.driver.calls).to.deep.equal(['open data']);
    expect(readyOf(on)).to.match(/^True RestorePlanned/);
    expect(statusOf(on)?.startTime).to.equal(undefined);
  });

  it('is refused while a workload has the volume', async () => {
    const on = world().add(mount('m', {}, { nodeName: 'a' }, { finalizers: [FINALIZERS.mount] }));
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^False VolumeInUse .*VolumeMount m/);
    expect([on.engine.requests.length, typesOf(on)]).to.deep.equal([0, ['Ready=False', 'Stalled=True']]);
    const attachments = [{ mountUID: 'uid-x', workloadId: 'w', nodeName: 'b', readOnly: false }];
    const elsewhere = world({ volumeStatus: { ...made, attachments } });
    await elsewhere.volumeRestore();
    expect(readyOf(elsewhere)).to.match(/^False VolumeInUse .*"w" on node "b"/);
  });

  it('does not write under a mount or a grant that its caches do not show yet', async () => {
    const begun = mount('m', {}, { nodeName: 'a' }, { finalizers: [FINALIZERS.mount] });
    const here = world()
      .add(mount('m', {}, { nodeName: 'a' }))
      .addAhead(begun);
    await here.volumeRestore();
    expect(readyOf(here)).to.match(/^False VolumeInUse .*VolumeMount m/);
    const attachments = [{ mountUID: 'uid-x', workloadId: 'w', nodeName: 'b', readOnly: false }];
    const elsewhere = world().addAhead(volume('data', { capacity: '1Gi' }, { ...made, attachments }));
    await elsewhere.volumeRestore();
    expect(readyOf(elsewhere)).to.match(/^False VolumeInUse .*"w" on node "b"/);
    expect([here.engine.requests, elsewhere.engine.requests]).to.deep.equal([[], []]);
  });

  it('is not done twice when the cache does not show its end yet', async () => {
    const on = world().addAhead(volumeRestore('vr', {}, { nodeName: 'a', completionTime: '2026-01-01T00:00:00Z' }));
    expect(await on.volumeRestore()).to.deep.equal({ requeueAfterMs: CACHE_BEHIND_MS });
    expect([on.engine.requests, on.writes]).to.deep.equal([[], []]);
  });

  it('waits for who reads the volume', async () => {
    const on = world();
    const end = on.uses.begin('uid-data', 'backup "b"');
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^False VolumeInUse .*backup "b" first/);
    expect([on.engine.requests.length, statusOf(on)?.completionTime]).to.deep.equal([0, undefined]);
    end();
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^True Restored/);
  });

  it('keeps new mounts away until it has ended', async () => {
    const on = world();
    const attachments = [{ mountUID: 'uid-m', workloadId: 'workload-m', nodeName: 'a', readOnly: false }];
    on.add(volume('data', {}, { ...made, attachments }), mount('m', {}, { nodeName: 'a' }));
    await on.mount();
    const ready = () => findCondition(on.mounts.get('team/m')?.status?.conditions, 'Ready');
    expect(ready()?.reason).to.equal('RestoreInProgress');
    on.add(volumeRestore('vr', {}, { nodeName: 'a', completionTime: '2026-01-01T00:00:00Z' }));
    await on.mount();
    expect(ready()?.reason).to.equal('Mounted');
  });

  it('replaces nothing before what is there is kept', async () => {
    const on = world({ spec: { safetySnapshotRef: { name: 'r-safety' } } });
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^False Snapshotting .*"r-safety"/);
    const stalled = [condition('Ready', 'False', 'SnapshotFailed'), condition('Stalled', 'True', 'SnapshotFailed')];
    on.add(snapshot('r-safety', {}, { conditions: stalled }, ours));
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^False SafetySnapshotFailed .*Nothing was replaced/);
    expect(on.engine.requests).to.deep.equal([]);
    const kept = world({ spec: { safetySnapshotRef: { name: 'r-safety' } } });
    const former = { annotations: { [RESTORE_UID_ANNOTATION]: 'uid-former' } };
    kept.add(snapshot('r-safety', {}, { readyToUse: true }, former));
    await kept.volumeRestore();
    expect(readyOf(kept), 'what a former Restore had kept').to.match(/^False Snapshotting/);
    kept.add(snapshot('r-safety', {}, { readyToUse: true }, ours));
    await kept.volumeRestore();
    expect(readyOf(kept)).to.match(/^True Restored/);
  });

  it('says why its repository cannot be used', async () => {
    const on = world();
    on.access = { ok: false, refusal: { reason: 'HostPathNotAllowed', message: 'not here', stalled: true } };
    await on.volumeRestore();
    expect(readyOf(on)).to.equal('False HostPathNotAllowed not here');
    const wrong = world();
    wrong.engine.failures.set('snapshots', new BackupError('WrongPassword', 'wrong password'));
    await wrong.volumeRestore();
    expect(readyOf(wrong)).to.match(/^False WrongPassword/);
    expect(typesOf(wrong)).to.deep.equal(['Ready=False', 'Stalled=True']);
  });
});

describe('a volume that starts with a backup', () => {
  const fresh = { nodeName: 'a' };
  const provisioned = (on: AgentWorld) => findCondition(on.volumes.get('team/data')?.status?.conditions, 'Provisioned');

  function newVolume(): AgentWorld {
    return new AgentWorld().add(
      volume('data', { dataSource: { backupRef: { name: 'b', volumeName: 'data' } }, capacity: '1Gi' }, fresh),
    );
  }

  it('has its storage made, and is not provisioned until all of the content is there', async () => {
    const on = newVolume();
    await on.volume();
    expect(on.driver.calls).to.deep.equal(['provision data']);
    expect(provisioned(on)).to.deep.include({ status: 'False', reason: 'Restoring' });
    on.add(volumeRestore('vr', { mode: 'New' }, { nodeName: 'a' }));
    await on.volumeRestore();
    expect(readyOf(on)).to.match(/^True Restored/);
    await on.volume();
    expect(provisioned(on)).to.deep.include({ status: 'True', reason: 'Provisioned' });
    on.volumeRestores.delete('team/vr');
    await on.volume();
    expect(provisioned(on)).to.deep.include({ status: 'True', reason: 'Provisioned' });
  });

  it('is mounted by nobody before', async () => {
    const on = newVolume();
    await on.volume();
    const attachments = [{ mountUID: 'uid-m', workloadId: 'workload-m', nodeName: 'a', readOnly: false }];
    const there = on.volumes.get('team/data') as Volume;
    const metadata = { ...there.metadata, resourceVersion: 'later' };
    on.add({ ...there, metadata, status: { ...there.status, attachments } } as Volume);
    on.add(mount('m', {}, { nodeName: 'a' }));
    await on.mount();
    expect(findCondition(on.mounts.get('team/m')?.status?.conditions, 'Ready')?.reason).to.equal('VolumeNotReady');
    expect(on.driver.calls).to.deep.equal(['provision data']);
  });

  it('says what to do when the content did not come', async () => {
    const on = newVolume();
    await on.volume();
    on.add(volumeRestore('vr', { mode: 'New' }, { nodeName: 'a' }));
    on.engine.failures.set('restore', new BackupError('Damaged', 'a pack is gone'));
    await on.volumeRestore();
    await on.volume();
    const conditions = on.volumes.get('team/data')?.status?.conditions;
    expect(findCondition(conditions, 'Stalled')?.message).to.match(/a pack is gone.*Delete the volume/);
    expect(provisioned(on)?.status).to.equal('False');
  });
});
