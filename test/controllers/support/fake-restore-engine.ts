/** An engine in memory with one repository that a test fills, and whose restores it may break: for faults only. */
import { API_VERSION } from '../../../src/api/group.ts';
import type { VolumeSpec } from '../../../src/api/volume.ts';
import { BackupError } from '../../../src/backup/backup-error.ts';
import type { BackupDocument, VolumeEntry } from '../../../src/backup/catalogue.ts';
import { tagsOf } from '../../../src/backup/catalogue.ts';
import type {
  BackupEngine,
  BackupProgress,
  RepositoryAccess,
  RestoreRequest,
  RestoreSummary,
  SnapshotRecord,
  Tags,
} from '../../../src/backup/engine.ts';
import type { AccessResolution } from '../../../src/controllers/policy/repository.ts';

export const ACCESS: AccessResolution = {
  ok: true,
  access: {
    location: { type: 'directory', directory: { own: { root: '/data', path: 'repo' } } },
    password: 'secret',
    cacheDirectory: { root: '/state', path: 'cache' },
  },
  directory: undefined,
  url: 'file:///data/repo',
};

export const RESTORED: RestoreSummary = {
  filesTotal: 3,
  bytesTotal: 300n,
  filesRestored: 2,
  bytesRestored: 200n,
  filesSkipped: 1,
  filesDeleted: 0,
  errors: { count: 0, examples: [] },
  complete: true,
};

export function volumeEntry(name: string, spec: VolumeSpec = { emptyDir: {}, capacity: '1Gi' }): VolumeEntry {
  const uid = `old-${name}`;
  return {
    name,
    uid,
    snapshotID: `part-${name}`,
    files: 3,
    bytes: 300,
    isComplete: true,
    isConsistent: true,
    document: { apiVersion: API_VERSION, name, namespace: 'team', uid, labels: { app: name }, spec },
  };
}

export function documentOf(volumes: readonly VolumeEntry[], change: Partial<BackupDocument> = {}): BackupDocument {
  return {
    apiVersion: API_VERSION,
    backupID: 'b-1',
    backupName: 'b',
    clusterID: 'c',
    namespace: 'team',
    scope: 'Full',
    startTime: '2026-01-01T00:00:00Z',
    completionTime: '2026-01-01T00:00:10Z',
    volumes,
    manifests: [],
    ...change,
  };
}

export class FakeRestoreEngine implements Pick<BackupEngine, 'snapshots' | 'readContent' | 'restore'> {
  /** Files of snapshots, by path. */
  readonly files = new Map<string, string>();
  readonly records: SnapshotRecord[] = [];
  readonly requests: RestoreRequest[] = [];
  /** Thrown by the next call of that name. */
  readonly failures = new Map<string, unknown>();
  summary: RestoreSummary = RESTORED;
  /** What a restore waits for. */
  work: (onProgress: (progress: BackupProgress) => void, signal: AbortSignal) => Promise<void> = async () => undefined;

  constructor() {
    this.keep(documentOf([volumeEntry('data')]));
  }

  /** Puts a whole backup into the repository. */
  keep(document: BackupDocument, manifests: Readonly<Record<string, string>> = {}): void {
    const { backupID, clusterID, namespace, scope, backupName, volumes } = document;
    this.records.length = 0;
    this.files.clear();
    const tags = tagsOf({
      kind: 'backup',
      backupID,
      clusterID,
      namespace,
      scope,
      nodeName: 'a',
      backupName,
      isComplete: true,
      volumes: volumes.length,
      objects: 0,
      bytes: 0,
      dismissedBy: [],
    });
    this.records.push(this.record(`document-${backupID}`, tags));
    this.files.set('/backup.json', JSON.stringify({ ...document, manifests: Object.keys(manifests) }));
    const items = Object.values(manifests).map((text) => JSON.parse(text));
    this.files.set('/manifests.json', JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }

  record(id: string, tags: Tags): SnapshotRecord {
    const rest = { host: 'h', otherTags: [], paths: [], original: undefined, summary: undefined };
    return { id, time: '2026-01-01T00:00:10Z', tags, ...rest };
  }

  async snapshots(_access: RepositoryAccess, { tags = {} }: { readonly tags?: Tags }) {
    this.#fail('snapshots');
    return this.records.filter((record) => Object.entries(tags).every(([key, value]) => record.tags[key] === value));
  }

  async readContent(_access: RepositoryAccess, _id: string, path: string): Promise<Buffer> {
    this.#fail('readContent');
    const text = this.files.get(path);
    if (text === undefined) throw new BackupError('NotFound', `there is no ${path}`);
    return Buffer.from(text);
  }

  async restore(
    _access: RepositoryAccess,
    request: RestoreRequest,
    onProgress: (progress: BackupProgress) => void,
    signal: AbortSignal,
  ): Promise<RestoreSummary> {
    this.requests.push(request);
    this.#fail('restore');
    await this.work(onProgress, signal);
    return this.summary;
  }

  #fail(name: string): void {
    if (!this.failures.has(name)) return;
    const failure = this.failures.get(name);
    this.failures.delete(name);
    throw failure;
  }
}
