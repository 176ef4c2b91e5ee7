import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import type { BackupSpec, BackupStatus } from '../../../src/api/backup.ts';
import type { BackupRepository, BackupRepositoryStatus } from '../../../src/api/backup-repository.ts';
import { findCondition } from '../../../src/api/conditions.ts';
import { ANNOTATIONS, FINALIZERS } from '../../../src/api/group.ts';
import type { KubeObjectBase, ObjectMeta } from '../../../src/api/meta.ts';
import type { VolumeRestore, VolumeRestoreStatus } from '../../../src/api/volume-restore.ts';
import { BackupError, type BackupErrorCode } from '../../../src/backup/backup-error.ts';
import { readTags, tagsOf } from '../../../src/backup/catalogue.ts';
import type { BackupEngine, RepositoryAccess, SnapshotRecord, Tags } from '../../../src/backup/engine.ts';
import { findBackup } from '../../../src/backup/find-backup.ts';
import { backupReconciler } from '../../../src/controllers/backup/reconciler.ts';
import type { Named } from '../../../src/controllers/policy/facts.ts';
import { Jobs } from '../../../src/controllers/support/jobs.ts';
import { KeyedLock } from '../../../src/controllers/support/keyed-lock.ts';
import { send, transitName } from '../../../src/controllers/support/transit.ts';
import { Uses } from '../../../src/controllers/support/uses.ts';
import { BackupWorld, backup, repository } from '../backup-binding/backup-world.ts';
import { condition, restore, volumeClass, volumeRestore } from '../support/objects.ts';

const ID = 'b-1';
const COMMON = { backupID: ID, namespace: 'team', scope: 'Volumes', nodeName: 'a' } as const;

class RecordWorld extends BackupWorld {
  stored: SnapshotRecord[] = [];
  readonly calls: string[] = [];
  readonly written: { readonly files: readonly string[]; readonly tags: Tags }[] = [];
  failure: BackupErrorCode | undefined;
  secret: Named = { state: 'found', data: { password: 'hunter2' } };
  #changes = 0;
  readonly engine = this.#newEngine();
  #jobs = this.#newJobs();
  #reconciler = this.#newReconciler();

  constructor() {
    super();
    const repo = repository();
    const { s3: _, ...spec } = repo.spec;
    this.add(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team', uid: 'uid-team', labels: {} } },
      volumeClass('default', { allowedHostPathPrefixes: ['/srv'] }),
      { ...repo, spec: { ...spec, hostPath: { path: '/srv/kept' }, nodeName: 'a' } } as typeof repo,
    );
  }

  readOnly(accessMode: 'ReadOnly' | 'ReadWrite' = 'ReadOnly'): void {
    this.#change(({ spec }) => ({ spec: { ...spec, accessMode } }));
  }

  /** What the agent has seen of the repository. */
  reachable(...said: Parameters<typeof condition>): void {
    const conditions = [condition(...said)] as BackupRepositoryStatus['conditions'];
    this.#change(({ status }) => ({
      status: { observedGeneration: 1, ...status, ...(conditions ? { conditions } : {}) },
    }));
  }

  #change(change: (object: BackupRepository) => Partial<BackupRepository>): void {
    const found = this.repositories.get('team/repo');
    if (found === undefined) throw new Error('the repository is gone');
    const metadata = { ...found.metadata, resourceVersion: `changed-${(this.#changes += 1)}` };
    this.add({ ...found, ...change(found), metadata });
  }

  restart(): void {
    this.#jobs = this.#newJobs();
    this.#reconciler = this.#newReconciler();
  }

  kept(volumeName: string, clusterID = 'cluster'): string {
    return this.#store(`part-${volumeName}`, tagsOf({ kind: 'volume', clusterID, volumeName, ...COMMON }));
  }

  document(clusterID = 'cluster'): string {
    const counts = { volumes: 1, objects: 0, bytes: 1, dismissedBy: [], isComplete: true };
    return this.#store(
      `doc-${clusterID}`,
      tagsOf({ kind: 'backup', clusterID, backupName: 'b', ...counts, ...COMMON }),
    );
  }

  async act(): Promise<void> {
    for (let round = 0; round < 30; round += 1) {
      await this.#reconciler('team/b', this.context()).catch(() => undefined);
      if (!this.#jobs.has('team/b') && round > 1) return;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }

  #store(id: string, tags: Tags): string {
    const nothing = { host: 'a', otherTags: [], paths: [], original: undefined, summary: undefined };
    this.stored.push({ id, tags, time: '2026-01-01T00:00:00Z', ...nothing });
    return id;
  }

  #newJobs(): Jobs {
    const { clock } = this;
    return new Jobs({ name: 'backup', clock, concurrency: () => 4, uses: new Uses(), turns: new KeyedLock() });
  }

  #newReconciler(): ReturnType<typeof backupReconciler> {
    const { volumes, mounts, snapshots, restores, volumeRestores, classes, namespaces } = this;
    return backupReconciler({
      nodeName: 'a',
      hostPathAllow: ['/srv'],
      stores: { volumes, mounts, snapshots, restores, volumeRestores, classes, namespaces },
      drivers: new Map(),
      node: {} as never,
      writer: this.writer('agent'),
      live: this.live,
      events: this.sink,
      locks: new KeyedLock(),
      uses: new Uses(),
      named: { secret: () => this.secret, configMap: () => ({ state: 'absent' }) },
      backupStore: this.backups,
      repositories: this.repositories,
      tools: {
        engine: this.engine,
        cacheDirectory: { root: '/var/lib/clawstore', path: 'cache' },
        holder: 'clawstore-a',
        bootedAt: () => 0,
        ownDirectories: ['/var/lib/clawstore'],
      },
      client: this.client,
      jobs: this.#jobs,
    });
  }

  #newEngine(): BackupEngine {
    const call = (name: string): void => {
      this.calls.push(name);
      if (this.failure !== undefined) throw new BackupError(this.failure, `the engine says ${this.failure}`);
    };
    return {
      snapshots: async (_access, { tags = {} }) => {
        call('snapshots');
        return this.stored.filter((one) => Object.entries(tags).every(([key, value]) => one.tags[key] === value));
      },
      backupContent: async (_access, { files, tags }) => {
        call('write');
        this.written.push({ files: [...files.keys()], tags });
        const snapshotId = this.#store('document', tags);
        return { snapshotId, complete: true } as never;
      },
      forget: async (_access, ids) => {
        call(`forget ${ids.join(',')}`);
        this.stored = this.stored.filter(({ id }) => !ids.includes(id));
      },
      tag: async (_access, ids, { add }) => {
        call(`tag ${ids.join(',')}`);
        this.stored = this.stored.map((one) =>
          ids.includes(one.id) ? { ...one, tags: { ...one.tags, ...add } } : one,
        );
        return new Map();
      },
    } as Partial<BackupEngine> as BackupEngine;
  }
}

/** A volume whose first content is that of the backup: no Restore has asked for it. */
function startsFrom(status: VolumeRestoreStatus, metadata: Partial<ObjectMeta> = {}): VolumeRestore {
  const part = volumeRestore('part', { backupID: ID }, status, metadata);
  const { restoreRef: _, ...spec } = part.spec;
  return { ...part, spec };
}

const STATUS: BackupStatus = {
  backupID: ID,
  clusterID: 'cluster',
  nodeName: 'a',
  repositoryRef: { name: 'repo' },
  startTime: '2026-01-01T00:00:00Z',
  items: { succeeded: 1, failed: 0, skipped: 0 },
};

describe('what makes a backup whole', () => {
  let of: RecordWorld;
  beforeEach(() => {
    of = new RecordWorld();
  });

  /** The controller has handed over what the backup is made of. */
  const handOver = async (spec: Partial<BackupSpec> = {}, status: BackupStatus = {}): Promise<void> => {
    const { signal } = new AbortController();
    const object = backup('b', spec, STATUS);
    const entry = { name: 'one', uid: 'u', snapshotID: 'part-one', files: 1, bytes: 7, isComplete: true };
    const document = { backupID: ID, volumes: [entry], manifests: ['Volume.one.json'] };
    await send(
      object,
      'manifests',
      new Map([
        ['manifests/Volume.one.json', '{}'],
        ['volumes.json', '[]'],
      ]),
      of,
      signal,
    );
    await send(object, 'document', new Map([['backup.json', JSON.stringify(document)]]), of, signal);
    const manifestSecretRefs = [
      { name: transitName(object, 'manifests', 0) },
      { name: transitName(object, 'document', 0) },
    ];
    const whole = { type: 'DataComplete', status: 'True', reason: 'Complete', message: '' } as const;
    const conditions = [{ ...whole, lastTransitionTime: '2026-01-01T00:00:00Z', observedGeneration: 1 }];
    const ready = { ...conditions[0], type: 'Ready', status: 'False', reason: 'Recording', message: 'Soon.' } as never;
    of.add(
      backup('b', spec, {
        ...STATUS,
        observedGeneration: 1,
        manifestSecretRefs,
        conditions: [...conditions, ready],
        ...status,
      }),
    );
  };

  it('is written with its manifests when every part is there, and told', async () => {
    of.kept('one');
    await handOver();
    await of.act();
    expect(of.backup().record).to.deep.equal({ snapshotID: 'document', objects: 1 });
    expect(findCondition(of.backup().conditions, 'Recorded')?.status).to.equal('True');
    const [written] = of.written;
    expect(written?.files).to.deep.equal(['backup.json', 'manifests.json']);
    expect(readTags(written?.tags ?? {})).to.deep.include({
      kind: 'backup',
      backupID: ID,
      volumes: 1,
      objects: 1,
      bytes: 7,
      isComplete: true,
    });
  });

  it('need not be read by who restores it from this node, as long as it is there', async () => {
    of.kept('one');
    await handOver();
    await of.act();
    const { signal } = new AbortController();
    const found = await findBackup(of.engine, {} as RepositoryAccess, ID, signal);
    expect(found.document.volumes.map(({ snapshotID }) => snapshotID)).to.deep.equal(['part-one']);
    of.stored = [];
    const gone = findBackup(of.engine, {} as RepositoryAccess, ID, signal);
    expect(await gone.catch((thrown: unknown) => thrown)).to.include({ code: 'NotFound' });
  });

  it('is written once, whatever is killed between the repository and the API', async () => {
    of.kept('one');
    await handOver();
    of.document();
    of.restart();
    await of.act();
    expect([of.backup().record?.snapshotID, of.written.length]).to.deep.equal(['doc-cluster', 0]);
  });

  it('is not what another cluster has written under the same ID', async () => {
    of.kept('one');
    of.document('another');
    await handOver();
    await of.act();
    expect(of.backup().record?.snapshotID).to.equal('document');
  });

  it('is never written when a part is not in the repository any more', async () => {
    of.kept('two');
    await handOver();
    await of.act();
    expect([of.backup().record, of.written.length]).to.deep.equal([undefined, 0]);
    expect(findCondition(of.backup().conditions, 'Recorded')?.reason).to.equal('BackupMissing');
  });

  it('waits while the repository cannot be reached, and for nothing that was cancelled', async () => {
    of.kept('one');
    of.failure = 'Unreachable';
    await handOver();
    await of.act();
    expect(findCondition(of.backup().conditions, 'Recorded')?.reason).to.equal('ServerUnreachable');
    of.failure = undefined;
    await of.act();
    expect(of.backup().record?.snapshotID).to.equal('document');
    const cancelled = new RecordWorld();
    of = cancelled;
    of.kept('one');
    await handOver({ cancel: true });
    await of.act();
    expect([of.calls, of.backup().record]).to.deep.equal([[], undefined]);
  });
});

describe('the deletion of a Backup, in its repository', () => {
  let of: RecordWorld;
  beforeEach(() => {
    of = new RecordWorld();
  });

  const deleted = (spec: Partial<BackupSpec>, metadata: Partial<ObjectMeta> = {}, status: BackupStatus = {}) => {
    const going = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [FINALIZERS.backup], ...metadata };
    const ready = { type: 'Ready', status: 'True', reason: 'BackedUp', message: '' } as const;
    const conditions = [{ ...ready, lastTransitionTime: '2026-01-01T00:00:00Z', observedGeneration: 1 }];
    const ended = { observedGeneration: 1, conditions, completionTime: '2026-01-01T00:00:00Z' };
    of.add(backup('b', spec, { ...STATUS, ...ended, record: { snapshotID: 'd', objects: 0 }, ...status }, going));
  };
  const left = (): readonly string[] => of.stored.map(({ id }) => id);

  it('with Delete removes the document first, then the parts, and nothing of another cluster', async () => {
    of.kept('one');
    of.kept('two', 'another');
    of.document();
    of.document('another');
    deleted({ deletionPolicy: 'Delete' });
    await of.act();
    expect(of.calls).to.deep.equal(['snapshots', 'forget doc-cluster', 'forget part-one']);
    expect(left()).to.deep.equal(['part-two', 'doc-another']);
    expect(of.backups.get('team/b')).to.equal(undefined);
    expect(of.events).to.deep.equal(['Normal Deleted Backup/b']);
  });

  it('without a policy keeps everything, and marks it so that this cluster does not list it again', async () => {
    of.kept('one');
    of.document();
    deleted({});
    await of.act();
    expect(left()).to.deep.equal(['part-one', 'doc-cluster']);
    const read = readTags(of.stored[1]?.tags ?? {});
    expect(read?.kind === 'backup' && read.dismissedBy).to.deep.equal(['cluster']);
    expect(of.events).to.deep.equal(['Normal Retained Backup/b']);
  });

  it('removes parts that are good for nothing because they were never written down', async () => {
    of.kept('one');
    deleted({});
    await of.act();
    expect([left(), of.backups.get('team/b')]).to.deep.equal([[], undefined]);
  });

  it('marks one that was found, and removes nothing of it', async () => {
    of.kept('one', 'another');
    of.document('another');
    deleted({ imported: { backupID: ID }, deletionPolicy: 'Retain' }, {}, { backupID: ID, clusterID: 'another' });
    await of.act();
    expect(of.calls).to.deep.equal(['snapshots', 'tag doc-another']);
    const read = readTags(of.stored[1]?.tags ?? {});
    expect(read?.kind === 'backup' && read.dismissedBy).to.deep.equal(['cluster']);
  });

  it('waits for the repository, and goes on by itself', async () => {
    of.document();
    of.failure = 'Unreachable';
    deleted({ deletionPolicy: 'Delete' });
    await of.act();
    expect(findCondition(of.backup().conditions, 'DeletionBlocked')?.reason).to.equal('ServerUnreachable');
    of.failure = undefined;
    await of.act();
    expect([left(), of.backups.get('team/b')]).to.deep.equal([[], undefined]);
  });

  it('waits until nothing restores from it any more, where its data is to go', async () => {
    const bound = { nodeName: 'a', backupID: ID, repositoryRef: { name: 'repo' }, startTime: '2026-01-01T00:00:00Z' };
    const readers: readonly (readonly [string, KubeObjectBase, KubeObjectBase])[] = [
      [
        'Restore "r"',
        restore('r', { source: { backupRef: { name: 'b' } } }, bound),
        restore(
          'r',
          { source: { backupRef: { name: 'b' } } },
          { ...bound, completionTime: '2026-01-01T00:00:00Z' },
          { resourceVersion: 'ended' },
        ),
      ],
      [
        'volume "data"',
        startsFrom({ nodeName: 'a' }),
        startsFrom({ nodeName: 'a', completionTime: '2026-01-01T00:00:00Z' }, { resourceVersion: 'ended' }),
      ],
    ];
    for (const [named, reading, ended] of readers) {
      of = new RecordWorld();
      of.document();
      of.add(reading);
      deleted({ deletionPolicy: 'Delete' });
      await of.act();
      const blocked = findCondition(of.backup().conditions, 'DeletionBlocked');
      expect([blocked?.reason, blocked?.message.includes(named)], blocked?.message).to.deep.equal([
        'BackupInUse',
        true,
      ]);
      expect(of.calls).to.deep.equal([]);
      of.add(ended);
      await of.act();
      expect([left(), of.backups.get('team/b')]).to.deep.equal([[], undefined]);
    }
    of.document();
    of.add(
      restore('other', {}, { ...bound, backupID: 'b-2' }),
      startsFrom({ nodeName: 'a' }, { resourceVersion: 'kept' }),
    );
    deleted({});
    await of.act();
    expect(of.backups.get('team/b'), 'one that keeps its data').to.equal(undefined);
  });

  it('writes nothing to a repository that is ReadOnly: not a mark, not a removal', async () => {
    of.kept('one', 'another');
    of.document('another');
    of.readOnly();
    deleted({ imported: { backupID: ID }, deletionPolicy: 'Retain' }, {}, { backupID: ID, clusterID: 'another' });
    await of.act();
    expect([of.calls, of.backups.get('team/b')], 'one that was found').to.deep.equal([[], undefined]);
    expect(of.events).to.deep.equal(['Warning DataRetained Backup/b']);
    of.document();
    deleted({});
    await of.act();
    expect([of.calls, of.backups.get('team/b')], 'one that keeps its data').to.deep.equal([[], undefined]);
    deleted({ deletionPolicy: 'Delete' });
    await of.act();
    expect(of.calls, 'one whose data is to go').to.deep.equal([]);
    const blocked = findCondition(of.backup().conditions, 'DeletionBlocked');
    expect([blocked?.reason, blocked?.message.includes('ReadOnly')]).to.deep.equal(['InvalidSpec', true]);
    of.readOnly('ReadWrite');
    await of.act();
    expect([left(), of.backups.get('team/b')]).to.deep.equal([['part-one', 'doc-another'], undefined]);
  });

  it('is none in another repository that has the place of its own', async () => {
    of.document();
    of.reachable('Reachable', 'False', 'RepositoryReplaced', 'There is repository 2, and it was 1 before.');
    deleted({ deletionPolicy: 'Delete' });
    await of.act();
    const blocked = findCondition(of.backup().conditions, 'DeletionBlocked');
    expect([blocked?.reason, of.calls]).to.deep.equal(['RepositoryReplaced', []]);
    of.reachable('Reachable', 'True', 'Opened');
    await of.act();
    expect([left(), of.backups.get('team/b')]).to.deep.equal([[], undefined]);
  });

  it('lets go when the key does not come back, and when a person says so', async () => {
    of.document();
    of.secret = { state: 'absent' };
    deleted({ deletionPolicy: 'Delete' });
    await of.act();
    expect(findCondition(of.backup().conditions, 'DeletionBlocked')?.reason).to.equal('KeyNotFound');
    await of.clock.advance(61_000);
    await of.act();
    expect(of.backups.get('team/b')).to.equal(undefined);
    expect(of.events).to.include('Warning DataRetained Backup/b');
    of.secret = { state: 'found', data: { password: 'hunter2' } };
    of.failure = 'NoRepository';
    deleted({}, { annotations: { [ANNOTATIONS.forceDelete]: 'uid-b' } });
    await of.act();
    expect([of.backups.get('team/b'), left()]).to.deep.equal([undefined, ['doc-cluster']]);
  });
});
