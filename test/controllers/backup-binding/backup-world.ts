/** The world of the controller's part of Backups: a server that is a few stores, and whoever plays the agents. */
import type { Backup, BackupSpec, BackupStatus, VolumeBackup, VolumeBackupStatus } from '../../../src/api/backup.ts';
import type { BackupRepository, BackupRepositoryStatus } from '../../../src/api/backup-repository.ts';
import type { ConfigMap, Secret } from '../../../src/api/core.ts';
import type { DestinationDefaults } from '../../../src/api/destination-defaults.ts';
import { API_VERSION } from '../../../src/api/group.ts';
import type { KubeObjectBase, ObjectMeta, ResourceDescriptor } from '../../../src/api/meta.ts';
import { keyOf } from '../../../src/api/meta.ts';
import { addPartIndexes } from '../../../src/controllers/backup-binding/dependencies.ts';
import { backupBindingReconciler } from '../../../src/controllers/backup-binding/reconciler.ts';
import { Expiry } from '../../../src/controllers/support/expiry.ts';
import type { KubeClient, ObjectRef } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import type { Result } from '../../../src/runtime/reconciler.ts';
import { Store } from '../../../src/runtime/store.ts';
import { condition, LONG_AGO } from '../support/objects.ts';
import { World } from '../support/world.ts';

export class BackupWorld extends World {
  readonly parts = new Store<VolumeBackup>();
  readonly secrets = new Store<Secret>();
  readonly configMaps = new Store<ConfigMap>();
  readonly lost = new Set<string>();
  /** What the config says. */
  readonly destinations: DestinationDefaults[] = [];
  /** Every request that is no status, as `VERB KIND/NAME`. */
  readonly requests: string[] = [];

  constructor() {
    super();
    const more: Readonly<Record<string, unknown>> = {
      Backup: this.backups,
      VolumeBackup: this.parts,
      BackupRepository: this.repositories,
      Secret: this.secrets,
      ConfigMap: this.configMaps,
      SnapshotSchedule: new Store(),
      BackupSchedule: new Store(),
    };
    for (const [kind, store] of Object.entries(more)) this.more.set(kind, store as Store<KubeObjectBase>);
    addPartIndexes(this.parts);
    this.add({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'default', uid: 'cluster', resourceVersion: '1' },
    });
  }

  readonly client: Pick<KubeClient, 'get' | 'list' | 'listPages' | 'create' | 'patch' | 'delete'> = {
    get: async <T extends KubeObjectBase>(resource: ResourceDescriptor, ref: ObjectRef) => this.#get<T>(resource, ref),
    list: async <T extends KubeObjectBase>(resource: ResourceDescriptor) => ({
      items: this.#of(resource).list() as readonly unknown[] as readonly T[],
      resourceVersion: '1',
    }),
    listPages: <T extends KubeObjectBase>(resource: ResourceDescriptor) => this.#pages<T>(resource),
    create: async (resource, object) => {
      if (this.#of(resource).get(keyOf(object)) !== undefined) throw failure('AlreadyExists', 409);
      this.requests.push(`create ${resource.kind}/${object.metadata.name}`);
      const { name } = object.metadata;
      const metadata = {
        uid: `uid-${name}`,
        resourceVersion: nextVersion(),
        generation: 1,
        creationTimestamp: LONG_AGO,
      };
      const made = { ...object, metadata: { ...metadata, ...object.metadata } };
      this.#of(resource).set(made);
      return made;
    },
    patch: async <T extends KubeObjectBase>(resource: ResourceDescriptor, ref: ObjectRef, body: unknown) => {
      const there = this.#of(resource).get(keyOf({ metadata: ref as ObjectMeta }));
      this.requests.push(`patch ${resource.kind}/${ref.name}`);
      const change = body as { readonly spec?: object };
      const metadata = { ...(there ?? (body as T)).metadata, resourceVersion: nextVersion() };
      const next = { ...there, ...change, metadata } as T;
      const spec = { ...(there as { readonly spec?: object } | undefined)?.spec, ...change.spec };
      this.#of(resource).set(resource.kind === 'Secret' ? next : { ...next, spec });
      return next;
    },
    delete: async (resource, ref) => {
      this.requests.push(`delete ${resource.kind}/${ref.name}`);
      this.#get(resource, ref);
      this.#of(resource).delete(keyOf({ metadata: ref as ObjectMeta }));
    },
  };

  run(name = 'b'): Promise<Result> {
    return this.#reconcile(`team/${name}`, this.context());
  }

  /** Until nothing is written any more. */
  async settle(name = 'b'): Promise<void> {
    for (let count = -1; count !== this.writes.length + this.requests.length; ) {
      count = this.writes.length + this.requests.length;
      await this.run(name);
      await this.clock.advance(2_000);
    }
  }

  backup(name = 'b'): BackupStatus {
    return this.backups.get(`team/${name}`)?.status ?? {};
  }

  part(volume: string): VolumeBackup {
    const found = this.parts.list().find(({ spec }) => spec.volumeRef.name === volume);
    if (found === undefined) throw new Error(`there is no part of ${volume}`);
    return found;
  }

  /** What an agent says of a part that has ended. */
  async end(volume: string, changes: Partial<VolumeBackupStatus> = {}): Promise<void> {
    const { VolumeBackup: resource } = RESOURCES;
    const status: VolumeBackupStatus = {
      observedGeneration: 1,
      completionTime: LONG_AGO,
      snapshotID: `snap-${volume}`,
      bytes: 10,
      files: 2,
      uploadedBytes: 5,
      progress: { bytesDone: 10, bytesTotal: 10, filesDone: 2, filesTotal: 2, bytesPerSecond: 1 },
      conditions: [
        condition('Ready', 'True', 'BackedUp'),
        condition('DataComplete', 'True', 'Complete'),
        condition('ContentConsistent', 'True', 'Unchanged'),
      ],
      ...changes,
    };
    await this.writer('agent').status(resource, this.part(volume), status, { signal: new AbortController().signal });
  }

  /** The agent has written the document down. */
  async record(name = 'b'): Promise<void> {
    const backup = this.backups.get(`team/${name}`);
    if (backup === undefined) throw new Error('there is no backup');
    const status = { record: { snapshotID: 'doc', objects: 0 } };
    await this.writer('agent').status(RESOURCES.Backup, backup, status, { signal: new AbortController().signal });
  }

  readonly #reconcile = backupBindingReconciler({
    destinations: this.destinations,
    backups: this.backups,
    parts: this.parts,
    repositories: this.repositories,
    volumes: this.volumes,
    nodes: this.nodes,
    classes: this.classes,
    namespaces: this.namespaces,
    isLost: (nodeName) => this.lost.has(nodeName),
    client: this.client,
    live: this.live,
    expiry: new Expiry(this.clock, () => Promise.resolve(undefined)),
    writer: this.writer('controller'),
    volumeWriter: this.writer('backups'),
    events: this.sink,
  });

  async *#pages<T extends KubeObjectBase>(resource: ResourceDescriptor) {
    yield { items: this.#of(resource).list() as readonly unknown[] as readonly T[], resourceVersion: '1' };
  }

  #get<T extends KubeObjectBase>(resource: ResourceDescriptor, ref: ObjectRef): T {
    const found = this.#of(resource).get(keyOf({ metadata: ref as ObjectMeta }));
    if (found === undefined) throw failure('NotFound', 404);
    return found as T;
  }

  #of({ kind }: ResourceDescriptor): Store<KubeObjectBase> {
    const own: Readonly<Record<string, unknown>> = { Volume: this.volumes, VolumeMount: this.mounts };
    return (this.more.get(kind) ?? own[kind]) as Store<KubeObjectBase>;
  }
}

const RESOURCES = {
  Backup: { group: 'g', version: 'v', plural: 'backups', kind: 'Backup', namespaced: true },
  VolumeBackup: { group: 'g', version: 'v', plural: 'volumebackups', kind: 'VolumeBackup', namespaced: true },
} as const;

let version = 100;
/** A store takes nothing that it has already. */
function nextVersion(): string {
  version += 1;
  return String(version);
}

function failure(reason: 'AlreadyExists' | 'NotFound', status: number): KubeError {
  return new KubeError({ reason, status, message: reason });
}

function meta(name: string, overrides: Partial<ObjectMeta> = {}): ObjectMeta {
  return {
    name,
    namespace: 'team',
    uid: `uid-${name}`,
    resourceVersion: nextVersion(),
    generation: 1,
    creationTimestamp: LONG_AGO,
    ...overrides,
  };
}

export function backup(
  name = 'b',
  spec: Partial<BackupSpec> = {},
  status: BackupStatus = {},
  metadata: Partial<ObjectMeta> = {},
): Backup {
  const where = spec.destination === undefined ? { repositoryRef: { name: 'repo' } } : {};
  return {
    apiVersion: API_VERSION,
    kind: 'Backup',
    metadata: meta(name, metadata),
    spec: { scope: 'Volumes', ...where, ...spec },
    status: { observedGeneration: -1, ...status },
  };
}

export function repository(name = 'repo', status: BackupRepositoryStatus = READY): BackupRepository {
  return {
    apiVersion: API_VERSION,
    kind: 'BackupRepository',
    metadata: meta(name),
    spec: { s3: { bucket: 'kept' }, encryption: { secretRef: { name: `${name}-key` } } },
    status,
  };
}

export const READY: BackupRepositoryStatus = {
  observedGeneration: 1,
  nodeName: 'a',
  conditions: [condition('Ready', 'True', 'Ready')],
};
