/** A {@link World} with one BackupRepository, `team/r`, and the agent on node `a` that tends it. */
import type { Backup, BackupSpec, BackupStatus } from '../../../src/api/backup.ts';
import type {
  BackupRepository,
  BackupRepositorySpec,
  BackupRepositoryStatus,
} from '../../../src/api/backup-repository.ts';
import { findCondition } from '../../../src/api/conditions.ts';
import { API_VERSION, LABELS } from '../../../src/api/group.ts';
import type { KubeObjectBase, ObjectMeta } from '../../../src/api/meta.ts';
import { keyOf } from '../../../src/api/meta.ts';
import type { Named } from '../../../src/controllers/policy/facts.ts';
import { careAtOnce, looksAtOnce } from '../../../src/controllers/repository/jobs.ts';
import { repositoryReconciler } from '../../../src/controllers/repository/reconciler.ts';
import type { RepositoryState } from '../../../src/controllers/repository/state.ts';
import { BY_REPOSITORY, repositoryOfBackup } from '../../../src/controllers/support/indexes.ts';
import { Jobs } from '../../../src/controllers/support/jobs.ts';
import { KeyedLock } from '../../../src/controllers/support/keyed-lock.ts';
import { lockHolder } from '../../../src/controllers/support/lock-holder.ts';
import { Uses } from '../../../src/controllers/support/uses.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import type { Store } from '../../../src/runtime/store.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { LONG_AGO, volumeClass } from '../support/objects.ts';
import { World } from '../support/world.ts';
import { MemoryEngine } from './memory-engine.ts';

export const HOLDER = lockHolder({ identity: 'a_1', nodeName: 'a', bootID: 'boot-1' });

export function repository(
  spec: Partial<BackupRepositorySpec> = {},
  status: BackupRepositoryStatus = {},
  metadata: Partial<ObjectMeta> = {},
): BackupRepository {
  return {
    apiVersion: API_VERSION,
    kind: 'BackupRepository',
    metadata: { name: 'r', namespace: 'team', uid: 'uid-r', generation: 1, creationTimestamp: LONG_AGO, ...metadata },
    spec: { hostPath: { path: '/srv/backups' }, nodeName: 'a', encryption: { secretRef: { name: 'key' } }, ...spec },
    status: { observedGeneration: -1, nodeName: 'a', ...status },
  };
}

export function backup(
  name: string,
  status: BackupStatus = {},
  spec: Partial<BackupSpec> = {},
  metadata: Partial<ObjectMeta> = {},
): Backup {
  return {
    apiVersion: API_VERSION,
    kind: 'Backup',
    metadata: { name, namespace: 'team', uid: `uid-${name}`, generation: 1, creationTimestamp: LONG_AGO, ...metadata },
    spec: { scope: 'Full', repositoryRef: { name: 'r' }, ...spec },
    status: { observedGeneration: -1, nodeName: 'a', repositoryRef: { name: 'r' }, ...status },
  };
}

export class RepositoryWorld extends World {
  readonly memory = new MemoryEngine();
  readonly metrics = createMetrics();
  readonly madeDirectories: string[] = [];
  readonly states = new Map<string, RepositoryState>();
  secret: Named = { state: 'found', data: { password: 'hunter2' }, labels: { [LABELS.managedBy]: 'clawstore' } };
  /** Backups that this node works on. */
  readonly atWork = new Set<string>();
  /** Creates are refused like this. */
  createFailure: KubeError | undefined;
  #changes = 0;
  readonly #uses = new Uses();
  readonly #looks = this.#jobs('look', looksAtOnce);
  readonly #care = this.#jobs('care', careAtOnce);
  #reconcile: ReturnType<typeof repositoryReconciler> | undefined;

  constructor(spec: Partial<BackupRepositorySpec> = {}, status: BackupRepositoryStatus = {}) {
    super();
    this.more.set('BackupRepository', this.repositories as unknown as Store<KubeObjectBase>);
    this.more.set('Backup', this.backups as unknown as Store<KubeObjectBase>);
    this.backups.addIndex(BY_REPOSITORY, repositoryOfBackup);
    const clusterOf = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-system', uid: 'cluster-1' } };
    const team = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team', uid: 'uid-team', labels: {} } };
    this.add(clusterOf, team, volumeClass('default', { allowedHostPathPrefixes: ['/srv'] }), repository(spec, status));
  }

  /** Reconciles until no job runs any more. */
  async run(): Promise<number | undefined> {
    for (let round = 0; ; round++) {
      const { requeueAfterMs } = await this.#reconciler('team/r', this.context());
      if (!this.#looks.has('team/r') && !this.#care.has('team/r')) return requeueAfterMs;
      if (round > 20) throw new Error('it does not come to rest');
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }

  /** The agent starts anew: it knows what the API says, and no more. */
  restart(): void {
    this.states.clear();
  }

  get status(): BackupRepositoryStatus {
    return this.repositories.get('team/r')?.status ?? {};
  }

  condition(type: NonNullable<BackupRepositoryStatus['conditions']>[number]['type']): string {
    const { status, reason } = findCondition(this.status.conditions, type) ?? {};
    return status === undefined ? 'absent' : `${status} ${reason}`;
  }

  ofBackup(name: string, type: 'Ready' | 'DataComplete' | 'Stalled' | 'Verified' = 'Ready'): string {
    const object = this.backups.get(`team/${name}`);
    const { status, reason } = findCondition(object?.status?.conditions, type) ?? {};
    return status === undefined ? 'absent' : `${status} ${reason}`;
  }

  /** What the controller does with a Backup that was found. */
  adopt(name: string): void {
    const object = this.backups.get(`team/${name}`);
    if (object === undefined) throw new Error(`no Backup ${name}`);
    const status = { ...object.status, observedGeneration: -1, nodeName: 'a', repositoryRef: { name: 'r' } };
    this.#change({ ...object, status } as Backup);
  }

  edit(change: (object: BackupRepository) => BackupRepository): void {
    const object = this.repositories.get('team/r');
    if (object !== undefined) this.#change(change(object));
  }

  /** A store takes nothing of the version that it has. */
  #change(object: KubeObjectBase): void {
    this.add({ ...object, metadata: { ...object.metadata, resourceVersion: `changed-${++this.#changes}` } });
  }

  get #reconciler(): ReturnType<typeof repositoryReconciler> {
    const { volumes, mounts, snapshots, restores, volumeRestores, classes, namespaces } = this;
    this.#reconcile ??= repositoryReconciler({
      nodeName: 'a',
      hostPathAllow: ['/srv'],
      stores: { volumes, mounts, snapshots, restores, volumeRestores, classes, namespaces },
      drivers: new Map(),
      node: {} as never,
      writer: this.writer('agent'),
      live: this.live,
      backupWriter: this.writer('repository'),
      events: this.sink,
      locks: new KeyedLock(),
      uses: this.#uses,
      named: { secret: () => this.secret, configMap: () => ({ state: 'absent' }) },
      metrics: this.metrics,
      tools: {
        engine: this.memory.engine,
        cacheDirectory: { root: '/var/lib/clawstore', path: 'cache' },
        holder: HOLDER,
        bootedAt: () => this.clock.now() - 600_000,
        ownDirectories: ['/var/lib/clawstore', '/run/mounts'],
      },
      repositories: this.repositories,
      backupStore: this.backups,
      client: {
        create: (resource, object) => this.#create(resource.kind, object),
        get: async (_resource, { namespace, name }) => {
          const found = this.backups.get(`${namespace}/${name}`);
          if (found === undefined) throw new KubeError({ reason: 'NotFound', status: 404, message: 'not found' });
          return found as never;
        },
      },
      namespaces: this.namespaces,
      states: this.states,
      looks: this.#looks,
      care: this.#care,
      makeDirectory: async ({ path }) => void this.madeDirectories.push(path),
      isAtWork: (id) => this.atWork.has(id),
    });
    return this.#reconcile;
  }

  async #create<T extends KubeObjectBase>(kind: string, object: T): Promise<T> {
    if (this.createFailure !== undefined) throw this.createFailure;
    if (this.backups.get(keyOf(object)) !== undefined) {
      throw new KubeError({ reason: 'AlreadyExists', status: 409, message: 'already exists' });
    }
    const { name } = object.metadata;
    this.writes.push(`create ${kind}/${name}`);
    const made = { ...object, metadata: { ...object.metadata, uid: `uid-${name}`, generation: 1 } };
    this.add(made);
    return made;
  }

  #jobs(name: string, concurrency: (queue: string) => number): Jobs {
    return new Jobs({ name, clock: this.clock, concurrency, uses: this.#uses, turns: new KeyedLock() });
  }
}
