import { expect } from 'chai';
import { describe, it } from 'mocha';
import { kstatus } from '../../../src/api/conditions.ts';
import { RESTORE_UID_ANNOTATION, RESTORED_BY_ANNOTATION } from '../../../src/api/group.ts';
import type { Condition, KubeObjectBase } from '../../../src/api/meta.ts';
import type { Restore, RestoreSpec } from '../../../src/api/restore.ts';
import type { Volume, VolumeStatus } from '../../../src/api/volume.ts';
import { CACHE_BEHIND_MS } from '../../../src/controllers/support/live.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { documentOf, volumeEntry } from '../support/fake-restore-engine.ts';
import {
  backup,
  condition,
  LONG_AGO,
  mount,
  repository,
  restore,
  snapshot,
  storageNode,
  volume,
  volumeRestore,
} from '../support/objects.ts';
import { DONE, RestoreWorld } from './restore-world.ts';

const provisioned: VolumeStatus = { nodeName: 'a', conditions: [condition('Provisioned', 'True', 'Provisioned')] };
const there = (name = 'data', status = provisioned) => volume(name, { emptyDir: {}, capacity: '1Gi' }, status);
const NOT_RESTORED = /Nothing was changed\./;

/** Bound to its node, with nothing read yet. */
async function begun(spec: Partial<RestoreSpec> = {}, ...objects: readonly KubeObjectBase[]): Promise<RestoreWorld> {
  const on = new RestoreWorld(spec).add(...objects);
  await on.settle();
  return on;
}

function provision(on: RestoreWorld, name: string): void {
  const made = on.volumes.get(`team/${name}`) as Volume;
  on.add({ ...made, metadata: { ...made.metadata, resourceVersion: `${name}-made` }, status: provisioned } as Volume);
}

function manifest(object: object): string {
  return JSON.stringify(object);
}
const configMap = (name: string, data: object, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'team', ...metadata },
  data,
});
const secret = (name: string, data: object) => ({ ...configMap(name, data), kind: 'Secret', type: 'Opaque' });

describe('which backup a Restore means', () => {
  it('is read by the node of its repository, into a Secret that goes with the Restore', async () => {
    const on = await begun();
    expect(on.status).to.deep.include({ nodeName: 'a', backupID: 'b-1', repositoryRef: { name: 'repo' } });
    const [made] = on.secrets.list();
    expect(made?.metadata.name).to.equal(on.status?.manifestSecretRef?.name);
    expect(made?.metadata.ownerReferences?.[0]).to.deep.include({ kind: 'Restore', uid: 'uid-r' });
    expect(on.ready).to.match(/^False ReadingBackup/);
  });

  it('may be named by its ID, alone where an object or the only repository tells where it is', async () => {
    const known = await begun({ source: { backupID: 'b-1' } });
    expect(known.status?.repositoryRef?.name).to.equal('repo');
    const unknown = await begun({ source: { backupID: 'b-2' } });
    expect(unknown.status).to.deep.include({ backupID: 'b-2', repositoryRef: { name: 'repo' } });
    const several = await begun({ source: { backupID: 'b-2' } }, repository('other', {}, { nodeName: 'a' }));
    expect(several.ready).to.match(/^False BackupNotFound .*repositoryRef.*other, repo/);
    const named = await begun(
      { source: { backupID: 'b-2', repositoryRef: { name: 'other' } } },
      repository('other', {}, { nodeName: 'a' }),
    );
    expect(named.status?.repositoryRef?.name).to.equal('other');
  });

  it('is refused when there is none, or it has not ended well', async () => {
    const none = await begun({ source: { backupRef: { name: 'nobody' } } });
    expect(none.ready).to.match(/^False BackupNotFound/);
    expect(none.status).to.have.property('completionTime');
    const conditions = [condition('Ready', 'False', 'RestoreFailed'), condition('Stalled', 'True', 'RestoreFailed')];
    const failed = await begun({}, backup('b', { backupID: 'b-1', completionTime: LONG_AGO, conditions }));
    expect(failed.ready).to.match(/^False BackupNotReady .*has not ended well/);
    const running = await begun({}, backup('b', { backupID: 'b-1' }));
    expect(running.ready).to.match(/^False BackupNotReady .*has not ended yet/);
  });

  it('waits for a backup that has not ended yet, where it makes new volumes and nothing else', async () => {
    const running = backup('b', { backupID: 'b-1' });
    const fresh = await begun({ volumes: [{ from: 'data', to: 'data-yesterday' }] }, running);
    expect(fresh.ready).to.match(/^False BackupNotReady .*has not ended yet/);
    expect(fresh.status).to.not.have.property('completionTime');
    const conditions = [condition('Ready', 'True', 'BackedUp')];
    const ended = { backupID: 'b-1', repositoryRef: { name: 'repo' }, completionTime: LONG_AGO, conditions };
    fresh.add(backup('b', ended));
    await fresh.settle();
    expect(fresh.ready).to.match(/^False ReadingBackup/);
    for (const spec of [
      { volumes: [{ from: 'data', mode: 'InPlace' as const }] },
      { volumes: [{ from: 'data' }], objects: {} },
      { volumes: [{ from: 'data' }], cancel: true },
    ]) {
      expect((await begun(spec, running)).status, JSON.stringify(spec)).to.have.property('completionTime');
    }
  });

  it('waits a minute for a backup that is applied after it, where it makes new volumes and nothing else', async () => {
    const applied = (spec: Partial<RestoreSpec>): RestoreWorld => {
      const on = new RestoreWorld({ source: { backupRef: { name: 'late' } }, ...spec });
      const there = on.restores.get('team/r') as Restore;
      const now = { resourceVersion: 'now', creationTimestamp: new Date(on.clock.now()).toISOString() };
      return on.add({ ...there, metadata: { ...there.metadata, ...now } });
    };
    const fresh = { volumes: [{ from: 'data', to: 'data-yesterday' }] };
    const on = applied(fresh);
    await on.clock.advance(30_000);
    await on.settle();
    expect([on.ready, on.status?.completionTime]).to.deep.equal([
      'False BackupNotFound Backup "late" does not exist.',
      undefined,
    ]);
    on.add(backup('late', { backupID: 'b-1' }));
    await on.settle();
    expect(on.ready).to.match(/^False BackupNotReady .*has not ended yet/);
    const never = applied(fresh);
    await never.clock.advance(61_000);
    await never.settle();
    expect(never.status).to.have.property('completionTime');
    const inPlace = applied({ volumes: [{ from: 'data', mode: 'InPlace' }] });
    await inPlace.clock.advance(30_000);
    await inPlace.settle();
    expect(inPlace.status).to.have.property('completionTime');
  });

  it('waits for its repository to have a node', async () => {
    const on = await begun({}, repository('repo', {}, {}));
    expect(on.ready).to.match(/^False RepositoryNotReady/);
    expect(on.status?.completionTime).to.equal(undefined);
  });

  it('says what the agent could not read, and ends when that is for good', async () => {
    const on = await begun();
    await on.fails('ServerUnreachable', 'no answer', false);
    await on.settle();
    expect([on.ready, on.status?.completionTime]).to.deep.equal(['False ServerUnreachable no answer', undefined]);
    await on.fails('WrongPassword', 'wrong password', true);
    await on.settle();
    expect(on.ready).to.match(/^False WrongPassword wrong password/);
    expect(on.status).to.have.property('completionTime');
    expect(on.requests).to.include(`delete Secret/${on.status?.manifestSecretRef?.name}`);
  });

  it('is read by another node when that tends the repository by now', async () => {
    const on = await begun({}, repository('repo', { s3: { bucket: 'backups' } }, { nodeName: 'a' }));
    on.lost.add('a');
    on.add(repository('repo', { s3: { bucket: 'backups' } }, { nodeName: 'z' }));
    await on.settle();
    expect(on.status?.nodeName).to.equal('z');
    expect(on.ready).to.match(/^False ReadingBackup/);
  });

  it('says that the node of the repository is lost', async () => {
    const on = await begun();
    on.lost.add('a');
    await on.settle();
    expect(on.ready).to.match(/^Unknown NodeLost/);
  });
});

describe('volumes that a Restore makes', () => {
  it('are made as they were, filled by a VolumeRestore, and done when they say that they have their content', async () => {
    const on = await begun();
    await on.read();
    await on.settle();
    const made = on.volumes.get('team/data');
    expect(made?.spec).to.deep.equal({ emptyDir: {}, capacity: '1Gi', nodeName: 'a' });
    expect(made?.metadata.annotations).to.deep.equal({ [RESTORE_UID_ANNOTATION]: 'uid-r' });
    expect(made?.metadata.labels).to.deep.include({ app: 'data' });
    const part = on.part('data');
    expect(part.spec).to.deep.include({
      backupID: 'b-1',
      snapshotID: 'part-data',
      volumeUID: 'uid-data',
      mode: 'New',
      existingFiles: 'Overwrite',
    });
    expect(part.spec.safetySnapshotRef).to.equal(undefined);
    expect(part.metadata.ownerReferences?.[0]).to.deep.include({ kind: 'Restore', uid: 'uid-r' });
    expect(on.status?.volumes).to.deep.equal([
      { from: 'data', to: 'data', mode: 'New', snapshotID: 'part-data', files: 3, bytes: 300 },
    ]);
    await on.end('data');
    await on.settle();
    expect(on.status?.completionTime).to.equal(undefined);
    provision(on, 'data');
    await on.settle();
    expect(on.ready).to.match(/^True Restored/);
    expect(on.status).to.deep.include({ items: { succeeded: 1, failed: 0, skipped: 0 } });
    expect(on.status?.progress).to.deep.include({ bytesDone: 300, bytesTotal: 300 });
    expect(on.events).to.include('Normal Restored Restore/r');
    const requests = on.requests.length;
    await on.settle();
    expect(on.requests).to.have.length(requests);
  });

  it('have all of a backup that was not whole itself, and the Restore says so', async () => {
    const restored = async (isComplete: boolean, ...objects: readonly KubeObjectBase[]): Promise<string> => {
      const on = await begun({ source: { backupID: 'b-1', repositoryRef: { name: 'repo' } } }, ...objects);
      await on.read(documentOf([{ ...volumeEntry('data'), isComplete }]));
      await on.settle();
      await on.end('data');
      provision(on, 'data');
      await on.settle();
      expect(on.ready).to.match(/^True Restored/);
      return on.ready;
    };
    expect(await restored(true)).to.not.contain('not whole');
    expect(await restored(false)).to.match(/The backup itself is not whole: something of volume "data" was lacking/);
    const partly = (...conditions: readonly Condition[]) =>
      backup('b', { backupID: 'b-1', completionTime: LONG_AGO, conditions: conditions as never });
    const lacks = condition('DataComplete', 'False', 'VolumesLacking', 'Volume "logs" does not exist.');
    const allowed = await restored(true, partly(condition('Ready', 'True', 'BackedUpPartly'), lacks));
    expect(allowed).to.match(/not whole: something was lacking when it was made: Volume "logs" does not exist\.$/);
    const missing = await restored(true, partly(condition('Ready', 'False', 'BackupDamaged'), lacks));
    expect(missing, 'what was read back is not damaged').to.not.contain('not whole');
  });

  it('do the same after the controller was killed between any two steps', async () => {
    const on = new RestoreWorld();
    const each = async (): Promise<void> => {
      on.restart();
      await on.run();
    };
    for (let step = 0; step < 3; step += 1) await each();
    await on.read();
    for (let step = 0; step < 6; step += 1) await each();
    await on.end('data');
    provision(on, 'data');
    for (let step = 0; step < 3; step += 1) await each();
    expect(on.ready).to.match(/^True Restored/);
    expect(on.requests.filter((request) => request.startsWith('create'))).to.have.length(3);
  });

  it('go where the repository can be read, and else anywhere when their node is gone', async () => {
    const s3 = { bucket: 'backups' };
    const on = await begun({}, repository('repo', { s3 }, { nodeName: 'a' }));
    const spec = { emptyDir: {}, capacity: '1Gi', nodeName: 'gone', dataSource: { volumeRef: { name: 'x' } } };
    await on.read(documentOf([volumeEntry('data', spec)]));
    await on.settle();
    expect(on.volumes.get('team/data')?.spec).to.deep.equal({ emptyDir: {}, capacity: '1Gi' });
    const known = await begun({}, repository('repo', { s3 }, { nodeName: 'a' }), storageNode('gone'));
    await known.read(documentOf([volumeEntry('data', spec)]));
    await known.settle();
    expect(known.volumes.get('team/data')?.spec.nodeName).to.equal('gone');
  });

  it('may have another name, and then have no labels by which others would claim them', async () => {
    const on = await begun({ volumes: [{ from: 'data', to: 'copy' }], paths: ['a'] }, there());
    await on.read();
    await on.settle();
    expect(Object.keys(on.volumes.get('team/copy')?.metadata.labels ?? {})).to.deep.equal([
      'storage.clawbernetes.io/restore',
    ]);
    expect(on.part('copy').spec).to.deep.include({ from: { name: 'data' }, paths: ['a'] });
  });

  it('must not exist, nor have the storage of one that does', async () => {
    const on = await begun({ volumes: [{ from: 'data' }] }, there());
    await on.read();
    await on.settle();
    expect(on.ready)
      .to.match(/^False VolumeExists .*InPlace/)
      .and.match(NOT_RESTORED);
    expect(on.volumeRestores.list()).to.deep.equal([]);
    const hostPath = { path: '/data/x' };
    const same = await begun({ volumes: [{ from: 'data', to: 'copy' }] }, volume('data', { hostPath }, provisioned));
    await same.read(documentOf([volumeEntry('data', { hostPath })]));
    await same.settle();
    expect(same.ready).to.match(/^False VolumeExists .*same hostPath as Volume "data"/);
  });

  it('are somebody else’s when they were made meanwhile', async () => {
    const on = await begun();
    await on.read();
    await on.run();
    on.add(there());
    await on.settle();
    expect(on.ready).to.match(/^False VolumeExists .*somebody else/);
    expect(on.volumeRestores.list()).to.deep.equal([]);
  });

  it('that do not get all of their content make the Restore fail, which says so for each', async () => {
    const on = await begun();
    await on.read(documentOf([volumeEntry('data'), volumeEntry('more')]));
    await on.settle();
    const conditions = [
      condition('Ready', 'False', 'NoSpace', 'needs 5Gi'),
      condition('Stalled', 'True', 'NoSpace', ''),
    ];
    const skipped = [{ volumeName: 'data', path: 'f', message: 'no space left' }];
    await on.end('data', { completionTime: LONG_AGO, conditions, skipped, skippedCount: 1 });
    await on.settle();
    expect(on.status?.completionTime).to.equal(undefined);
    await on.end('more');
    provision(on, 'more');
    await on.settle();
    expect(on.ready).to.match(/^False NoSpace 1 of 2 .*needs 5Gi/);
    expect(on.status).to.deep.include({ items: { succeeded: 1, failed: 1, skipped: 0 }, skipped, skippedCount: 1 });
  });
});

describe('volumes that a Restore writes into', () => {
  it('are kept first, once new mounts are held off', async () => {
    const on = await begun({}, there());
    await on.read();
    await on.settle();
    expect(on.part('data').spec).to.deep.include({ mode: 'InPlace', safetySnapshotRef: { name: 'r-safety' } });
    expect(on.snapshots.list()).to.deep.equal([]);
    await on.end('data', { nodeName: 'a' });
    await on.settle();
    expect(on.snapshots.get('team/r-safety')?.spec).to.deep.equal({ volumeRef: { name: 'data' } });
    expect(on.status?.safetySnapshotRef).to.deep.equal({ name: 'r-safety' });
    await on.end('data', { nodeName: 'a', ...DONE });
    await on.settle();
    expect(on.ready).to.match(/^True Restored/);
  });

  it('are not given up while only the cache does not show their repository', async () => {
    const on = await begun({ safetySnapshot: false }, there());
    await on.read();
    await on.settle();
    await on.end('data', { nodeName: 'a', ...DONE });
    on.repositories.delete('team/repo');
    on.addAhead(repository('repo', {}, { nodeName: 'a' }));
    expect(await on.run()).to.deep.equal({ requeueAfterMs: CACHE_BEHIND_MS });
    expect(on.status?.completionTime).to.equal(undefined);
    on.ahead.clear();
    await on.settle();
    expect(on.ready).to.match(/^False RestoreFailed .*is gone/);
  });

  it('are not kept where nobody wants it', async () => {
    const on = await begun({ safetySnapshot: false }, there());
    await on.read();
    await on.settle();
    await on.end('data', { nodeName: 'a' });
    await on.settle();
    expect([on.part('data').spec.safetySnapshotRef, on.snapshots.list()]).to.deep.equal([undefined, []]);
  });

  it('stay as they are when the name of the Snapshot is taken', async () => {
    const on = await begun({}, there(), snapshot('r-safety'));
    await on.read();
    await on.settle();
    await on.end('data', { nodeName: 'a' });
    await on.settle();
    expect(on.part('data').spec.cancel).to.equal(true);
    const conditions = [
      condition('Ready', 'False', 'RestoreCancelled'),
      condition('Stalled', 'True', 'RestoreCancelled'),
    ];
    await on.end('data', { nodeName: 'a', completionTime: LONG_AGO, conditions });
    await on.settle();
    expect(on.ready).to.match(/^False SafetySnapshotFailed .*"r-safety" exists/);
  });

  it('must be detached: who uses them is listed, all at once, and nothing is changed', async () => {
    const on = await begun({}, there(), there('more'), mount('m'));
    const attachments = [{ mountUID: 'uid-x', workloadId: 'w', nodeName: 'a', readOnly: false }];
    on.add(volume('more', {}, { ...provisioned, attachments }));
    await on.read(documentOf([volumeEntry('data'), volumeEntry('more')]));
    await on.settle();
    expect(on.ready)
      .to.match(/^False VolumeInUse .*VolumeMount "m".*workload "w"/)
      .and.match(NOT_RESTORED);
    expect(on.volumeRestores.list()).to.deep.equal([]);
  });

  it('are written into by one Restore at a time', async () => {
    const on = await begun({}, there(), volumeRestore('other', { restoreRef: { name: 'other' } }, { nodeName: 'a' }));
    await on.read();
    await on.settle();
    expect(on.ready).to.match(/^False VolumeInUse .*Restore "other"/);
    const origin = { snapshotName: 's', snapshotUID: 'u', volumeName: 'data', volumeUID: 'uid-data' };
    const reverting = await begun({}, there(), restore('back', {}, { nodeName: 'a', source: origin }));
    await reverting.read();
    await reverting.settle();
    expect(reverting.ready).to.match(/^False VolumeInUse .*Restore "back"/);
  });

  it('must be there, and where the repository can be read', async () => {
    const none = await begun({ volumes: [{ from: 'data', mode: 'InPlace' }] });
    await none.read();
    await none.settle();
    expect(none.ready).to.match(/^False VolumeNotFound .*mode New/);
    const away = await begun({}, there('data', { ...provisioned, nodeName: 'z' }));
    await away.read();
    await away.settle();
    expect(away.ready).to.match(/^False NodeMismatch/);
  });

  it('are stopped when the Restore is cancelled, which then says where their old content is', async () => {
    const on = await begun({}, there());
    await on.read();
    await on.settle();
    await on.end('data', { nodeName: 'a' });
    await on.settle();
    on.change({ cancel: true });
    await on.settle();
    expect(on.part('data').spec.cancel).to.equal(true);
    expect(on.status?.completionTime).to.equal(undefined);
    const conditions = [
      condition('Ready', 'False', 'RestoreCancelled'),
      condition('Stalled', 'True', 'RestoreCancelled'),
    ];
    await on.end('data', { nodeName: 'a', startTime: LONG_AGO, completionTime: LONG_AGO, conditions });
    await on.settle();
    expect(on.ready).to.match(/^False RestoreCancelled .*"clawstore snapshot revert r-safety -n team" takes it back/);
  });

  it('that have failed are told how to become what they were, if anything was written', async () => {
    const failed = [condition('Ready', 'False', 'NoSpace', 'It is full.'), condition('Stalled', 'True', 'NoSpace')];
    const ended = { nodeName: 'a', completionTime: LONG_AGO, conditions: failed };
    const both = await begun({}, there(), there('models'));
    await both.read(documentOf([volumeEntry('data'), volumeEntry('models')]));
    await both.settle();
    await both.end('data', { ...ended, startTime: LONG_AGO });
    await both.end('models', { ...DONE, nodeName: 'a', startTime: LONG_AGO });
    await both.settle();
    expect(both.ready).to.match(
      /^False NoSpace .*It is full\. Volume "data" may have a part of the backup now; "clawstore snapshot revert r-data-safety -n team" takes it back .* Volume "models" has what the backup had; "clawstore snapshot revert r-models-safety/,
    );
    const unbegun = await begun({}, there());
    await unbegun.read();
    await unbegun.settle();
    await unbegun.end('data', ended);
    await unbegun.settle();
    expect(unbegun.ready).to.match(/^False NoSpace .*It is full\.$/);
    const bare = await begun({ safetySnapshot: false }, there());
    await bare.read();
    await bare.settle();
    await bare.end('data', { ...ended, startTime: LONG_AGO });
    await bare.settle();
    expect(bare.ready).to.match(/may have a part of the backup now, and no safety Snapshot was asked for/);
  });

  it('are not begun when it was cancelled before', async () => {
    const on = await begun({}, there());
    on.change({ cancel: true });
    await on.settle();
    expect(on.ready).to.match(/^False RestoreCancelled/);
  });
});

describe('a Restore that finds nothing', () => {
  it('has failed', async () => {
    const on = await begun();
    await on.read(documentOf([]));
    await on.settle();
    expect(on.ready).to.match(/^False NothingToRestore/);
    const other = await begun({ volumes: [{ from: 'nobody' }] });
    await other.read();
    await other.settle();
    expect(other.ready).to.match(/^False NothingToRestore .*"nobody"; it has data/);
  });
});

describe('a Restore that has ended', () => {
  it('does nothing when it is cancelled too late, and says that it has seen that', async () => {
    const on = await begun({ source: { backupRef: { name: 'nobody' } } });
    const { status: before } = on;
    expect(before).to.have.property('completionTime');
    const there = on.restores.get('team/r') as Restore;
    const metadata = { ...there.metadata, generation: 2, resourceVersion: 'late' };
    on.restores.set({ ...there, metadata, spec: { ...there.spec, cancel: true } });
    expect(kstatus(on.restores.get('team/r') as Restore)).to.equal('InProgress');
    await on.settle();
    expect(on.status).to.deep.equal({ ...before, observedGeneration: 2 });
    expect(kstatus(on.restores.get('team/r') as Restore)).to.equal('Failed');
  });
});

describe('a dry run', () => {
  it('makes nothing but what looks, and tells the plan', async () => {
    const on = await begun({ dryRun: true }, there());
    await on.read(documentOf([volumeEntry('data'), volumeEntry('more')]), {
      'ConfigMap.c.json': manifest(configMap('c', { a: 'b' })),
    });
    await on.settle();
    expect(on.part('data').spec).to.deep.include({ dryRun: true, mode: 'InPlace' });
    expect([on.volumes.keys(), on.configMaps.keys(), on.snapshots.keys()]).to.deep.equal([['team/data'], [], []]);
    await on.end('data');
    await on.settle();
    expect(on.ready).to.match(/^True RestorePlanned Nothing was changed\. 3 volumes and objects would be restored/);
    expect(on.status?.volumes?.map(({ to, mode }) => [to, mode])).to.deep.equal([
      ['data', 'InPlace'],
      ['more', 'New'],
    ]);
    expect([on.volumes.keys(), on.configMaps.keys(), on.snapshots.keys()]).to.deep.equal([['team/data'], [], []]);
  });
});

describe('objects of a backup', () => {
  const noVolumes = documentOf([], { scope: 'Configs' });

  it('are made without what only one cluster means, what uses volumes last', async () => {
    const on = await begun();
    const annotations = { 'storage.clawbernetes.io/force-delete': 'x', mine: 'kept' };
    await on.read(documentOf([volumeEntry('data')]), {
      'VolumeMount.m.json': manifest(mount('m', { nodeName: 'gone' })),
      'ConfigMap.c.json': manifest(configMap('c', { a: 'b' }, { uid: 'old', resourceVersion: '7', annotations })),
      'Volume.data.json': manifest(there()),
      'Volume.rest.json': manifest(there('rest')),
      'Pod.p.json': manifest({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } }),
    });
    await on.settle();
    const made = on.configMaps.get('team/c');
    expect(made?.data).to.deep.equal({ a: 'b' });
    expect(made?.metadata.uid).to.equal('uid-c');
    expect(made?.metadata.annotations).to.deep.equal({ mine: 'kept', [RESTORED_BY_ANNOTATION]: 'uid-r' });
    expect(on.mounts.keys()).to.deep.equal([]);
    await on.end('data');
    provision(on, 'data');
    await on.settle();
    expect(on.mounts.get('team/m')?.spec).to.not.have.property('nodeName');
    expect(on.ready).to.match(/^True Restored 3 volumes and objects/);
    expect(on.status).to.deep.include({ items: { succeeded: 3, failed: 0, skipped: 2 }, skippedCount: 2 });
    expect(on.status?.skipped?.map(({ path }) => path)).to.have.members(['Volume/rest', 'Pod/p']);
  });

  it('what would use a volume is not made when that lacks something', async () => {
    const on = await begun();
    await on.read(documentOf([volumeEntry('data')]), { 'VolumeMount.m.json': manifest(mount('m')) });
    await on.settle();
    const conditions = [condition('Ready', 'False', 'RestoreFailed'), condition('Stalled', 'True', 'RestoreFailed')];
    await on.end('data', { completionTime: LONG_AGO, conditions });
    await on.settle();
    expect(on.mounts.keys()).to.deep.equal([]);
    expect(on.ready).to.match(/^False RestoreFailed/);
  });

  const mine = {
    'ConfigMap.c.json': manifest(configMap('c', { a: 'old' })),
    'Secret.s.json': manifest(secret('s', { k: 'b2xk' })),
  };
  const live = [
    configMap('c', { a: 'new' }, { uid: 'u', resourceVersion: '5' }),
    { ...secret('s', { k: 'bmV3' }), metadata: { name: 's', namespace: 'team', uid: 'u', resourceVersion: '5' } },
  ] as readonly KubeObjectBase[];

  it('stay as they are with Skip, and what was skipped is told', async () => {
    const on = await begun({}, ...live);
    await on.read(noVolumes, mine);
    await on.settle();
    expect(on.configMaps.get('team/c')?.data).to.deep.equal({ a: 'new' });
    expect(on.ready).to.match(/^True Restored .*2 objects were left as they are/);
    expect(on.status?.skipped?.map(({ path }) => path)).to.deep.equal(['ConfigMap/c', 'Secret/s']);
  });

  it('go back with Update, but Secrets never do', async () => {
    const on = await begun({ objects: { conflictPolicy: 'Update' } }, ...live);
    await on.read(noVolumes, mine);
    await on.settle();
    expect(on.configMaps.get('team/c')?.data).to.deep.equal({ a: 'old' });
    expect(on.configMaps.get('team/c')?.metadata).to.deep.include({ uid: 'u' });
    expect(on.secrets.get('team/s')?.data).to.deep.equal({ k: 'bmV3' });
    expect(on.status?.items).to.deep.equal({ succeeded: 1, failed: 0, skipped: 1 });
  });

  it('are all left alone with Fail when one of them is in the way', async () => {
    const on = await begun({ objects: { conflictPolicy: 'Fail' } }, ...live);
    await on.read(noVolumes, { ...mine, 'ConfigMap.new.json': manifest(configMap('new', {})) });
    await on.settle();
    expect(on.ready).to.match(/^False ObjectsExist .*ConfigMap\/c\. Nothing was changed/);
    expect(on.configMaps.keys()).to.deep.equal(['team/c']);
  });

  it('count as restored also when the controller was killed after it made them', async () => {
    const on = await begun({});
    await on.read(documentOf([volumeEntry('data')]), { 'ConfigMap.c.json': manifest(configMap('c', { a: 'b' })) });
    await on.settle();
    on.restart();
    await on.end('data');
    provision(on, 'data');
    await on.settle();
    expect(on.status?.items).to.deep.equal({ succeeded: 2, failed: 0, skipped: 0 });
  });

  it('that the server refuses make the Restore fail', async () => {
    const on = await begun({});
    on.refused.set('ConfigMap/c', new KubeError({ reason: 'Invalid', status: 422, message: 'it is invalid' }));
    await on.read(noVolumes, mine);
    await on.settle();
    expect(on.ready).to.match(/^False RestoreIncomplete/);
    expect(on.status?.skipped?.[0]).to.deep.equal({ volumeName: '', path: 'ConfigMap/c', message: 'it is invalid' });
  });

  it('are none of what is asked for when volumes or paths are chosen', async () => {
    const on = await begun({ volumes: [{ from: 'data' }] });
    await on.read(documentOf([volumeEntry('data')]), mine);
    await on.settle();
    expect([on.configMaps.keys(), on.status?.items?.succeeded]).to.deep.equal([[], 0]);
  });
});
