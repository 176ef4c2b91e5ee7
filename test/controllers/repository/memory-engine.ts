/** An engine whose repositories are in memory, for the decisions around it; what it cannot do, a test says. */
import { BackupError, type BackupErrorCode } from '../../../src/backup/backup-error.ts';
import type { CatalogueTags } from '../../../src/backup/catalogue.ts';
import { dismissedTag, tagsOf } from '../../../src/backup/catalogue.ts';
import type {
  BackupEngine,
  CheckResult,
  LockRecord,
  RepositoryAccess,
  SnapshotRecord,
} from '../../../src/backup/engine.ts';

export const SOUND: CheckResult = {
  ok: true,
  errors: { count: 0, examples: [] },
  damagedPacks: [],
  damagedSnapshots: [],
  damagedFiles: [],
  hints: [],
};

export class MemoryEngine {
  /** Undefined: there is none at the place. */
  id: string | undefined;
  snapshots: SnapshotRecord[] = [];
  locks: LockRecord[] = [];
  /** Every call, in order. */
  readonly calls: string[] = [];
  /** What a call fails with, by its name. */
  readonly fails = new Map<string, BackupErrorCode>();
  /** Called within `snapshots`, before it answers. */
  whileListing: (() => void) | undefined;
  checked: CheckResult = SOUND;
  /** Repositories one step below. */
  below: readonly string[] = [];
  password = 'hunter2';
  #made = 0;

  get engine(): BackupEngine {
    return {
      probe: async () => ({ version: '0.19.1', lacking: [] }),
      open: async (access: RepositoryAccess) => {
        this.#call('open');
        return this.#open(access);
      },
      initialize: async (access: RepositoryAccess) => {
        this.#call('initialize');
        this.id ??= `repository-${++this.#made}`;
        return this.#open(access);
      },
      repositoriesBelow: async () => this.below,
      locks: async () => {
        this.#call('locks');
        return this.locks;
      },
      removeLocks: async (_access: RepositoryAccess, ids: readonly string[]) => {
        this.#call(`removeLocks ${ids.join(',')}`);
        this.locks = this.locks.filter(({ id }) => !ids.includes(id));
      },
      snapshots: async () => {
        this.#call('snapshots');
        const list = [...this.snapshots];
        this.whileListing?.();
        return list;
      },
      size: async () => {
        this.#call('size');
        return 1000n * BigInt(this.snapshots.length);
      },
      forget: async (_access: RepositoryAccess, ids: readonly string[]) => {
        this.#call(`forget ${ids.join(',')}`);
        this.snapshots = this.snapshots.filter(({ id }) => !ids.includes(id));
      },
      prune: async () => {
        this.#call('prune');
        return { bytesBefore: 2000n, bytesAfter: 1000n };
      },
      check: async (_access: RepositoryAccess, { readDataPercent }: { readonly readDataPercent: number }) => {
        this.#call(`check ${readDataPercent}`);
        return this.checked;
      },
    } as unknown as BackupEngine;
  }

  /** Adds what a whole backup of one volume leaves; `dismissedBy` by these clusters. */
  backup(backupName: string, clusterID = 'cluster-1', more: Partial<Extract<CatalogueTags, { kind: 'backup' }>> = {}) {
    const backupID = `${backupName}-01234567`;
    this.part(backupID, clusterID);
    const { dismissedBy = [] } = more;
    const tags = tagsOf({
      kind: 'backup',
      backupID,
      clusterID,
      namespace: 'elsewhere',
      scope: 'Full',
      nodeName: 'n',
      backupName,
      isComplete: true,
      volumes: 1,
      objects: 2,
      bytes: 10,
      dismissedBy: [],
      ...more,
    });
    this.#add(`doc-${backupName}`, { ...tags, ...Object.assign({}, ...dismissedBy.map(dismissedTag)) });
    return backupID;
  }

  part(backupID: string, clusterID = 'cluster-1', time = '2025-12-31T12:00:00.5Z'): void {
    const common = { backupID, clusterID, namespace: 'elsewhere', scope: 'Full', nodeName: 'n' } as const;
    this.#add(`part-${backupID}`, tagsOf({ kind: 'volume', volumeName: 'data', ...common }), time);
  }

  #add(id: string, tags: SnapshotRecord['tags'], time = '2025-12-31T12:00:00.5Z'): void {
    const nothing = { host: 'n', otherTags: [], paths: [], original: undefined, summary: undefined };
    this.snapshots.push({ id, tags, time, ...nothing });
  }

  #call(name: string): void {
    this.calls.push(name);
    const code = this.fails.get(name.split(' ')[0] ?? '');
    if (code !== undefined) throw new BackupError(code, `the engine says ${code}`);
  }

  #open({ password }: RepositoryAccess) {
    if (this.id === undefined) throw new BackupError('NoRepository', 'there is nothing');
    if (password !== this.password) throw new BackupError('WrongPassword', 'wrong password');
    return { id: this.id, formatVersion: 2 };
  }
}
