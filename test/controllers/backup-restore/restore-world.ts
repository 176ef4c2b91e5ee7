/** The world of the controller's part of Restores from backups: a server that is a few stores, and whoever plays the agents. */
import type { ConfigMap, Secret } from '../../../src/api/core.ts';
import type { KubeObjectBase, ObjectMeta, ResourceDescriptor } from '../../../src/api/meta.ts';
import { keyOf, RESTORES, VOLUME_RESTORES } from '../../../src/api/meta.ts';
import type { RestoreSpec, RestoreStatus } from '../../../src/api/restore.ts';
import type { VolumeRestore, VolumeRestoreStatus } from '../../../src/api/volume-restore.ts';
import type { BackupDocument } from '../../../src/backup/catalogue.ts';
import { packContent } from '../../../src/controllers/backup-restore/content.ts';
import { backupRestoreReconciler } from '../../../src/controllers/backup-restore/reconciler.ts';
import {
  BY_VOLUME,
  BY_VOLUME_UID,
  volumeOfMount,
  volumeUidOfVolumeRestore,
} from '../../../src/controllers/support/indexes.ts';
import type { ObjectRef } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import type { Reconciler, Result } from '../../../src/runtime/reconciler.ts';
import { Store } from '../../../src/runtime/store.ts';
import { documentOf, volumeEntry } from '../support/fake-restore-engine.ts';
import { backup, condition, LONG_AGO, repository, restore, storageNode } from '../support/objects.ts';
import { World } from '../support/world.ts';

export const DONE: VolumeRestoreStatus = {
  completionTime: LONG_AGO,
  progress: { bytesDone: 300, bytesTotal: 300, filesDone: 3, filesTotal: 3, bytesPerSecond: 10 },
  conditions: [condition('Ready', 'True', 'Restored')],
};

export class RestoreWorld extends World {
  readonly secrets = new Store<Secret>();
  readonly configMaps = new Store<ConfigMap>();
  readonly schedules = new Store<KubeObjectBase>();
  readonly lost = new Set<string>();
  /** Every request that is no status, as `VERB KIND/NAME`. */
  readonly requests: string[] = [];
  /** What the server refuses to create, by `KIND/NAME`. */
  readonly refused = new Map<string, KubeError>();
  #version = 1000;
  #reconcile: Reconciler | undefined;

  constructor(spec: Partial<RestoreSpec> = {}) {
    super();
    this.mounts.addIndex(BY_VOLUME, volumeOfMount);
    this.volumeRestores.addIndex(BY_VOLUME_UID, volumeUidOfVolumeRestore);
    const more: Readonly<Record<string, unknown>> = {
      Secret: this.secrets,
      ConfigMap: this.configMaps,
      SnapshotSchedule: this.schedules,
      BackupSchedule: this.schedules,
    };
    for (const [kind, store] of Object.entries(more)) this.more.set(kind, store as Store<KubeObjectBase>);
    const conditions = [condition('Ready', 'True', 'BackedUp')];
    this.add(
      storageNode('a'),
      repository('repo', { nodeName: 'a' }, { nodeName: 'a' }),
      backup('b', { backupID: 'b-1', repositoryRef: { name: 'repo' }, completionTime: LONG_AGO, conditions }),
      restore('r', { source: { backupRef: { name: 'b' } }, safetySnapshot: true, ...spec }),
    );
  }

  run(): Promise<Result> {
    const { restores, volumeRestores, backups, repositories, volumes, mounts, nodes } = this;
    this.#reconcile ??= backupRestoreReconciler({
      restores,
      volumeRestores,
      backups,
      repositories,
      volumes,
      mounts,
      nodes,
      isLost: (nodeName) => this.lost.has(nodeName),
      client: this.client,
      live: this.live,
      writer: this.writer('controller'),
      events: this.sink,
    });
    return this.#reconcile('team/r', this.context());
  }

  /** As after a restart of the controller: nothing is remembered. */
  restart(): void {
    this.#reconcile = undefined;
  }

  /** Until nothing is written any more. */
  async settle(): Promise<void> {
    for (let count = -1, runs = 0; count !== this.writes.length + this.requests.length; runs += 1) {
      if (runs > 50) throw new Error(`it does not settle: ${this.ready}`);
      count = this.writes.length + this.requests.length;
      await this.run();
    }
  }

  /** The agent has read the backup. */
  async read(
    document: BackupDocument = documentOf([volumeEntry('data')]),
    manifests: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const name = this.status?.manifestSecretRef?.name ?? '';
    const secret = this.secrets.get(`team/${name}`);
    if (secret === undefined) throw new Error('there is no Secret for the document');
    const data = { content: await packContent({ document, manifests }) };
    this.secrets.set({ ...secret, data, metadata: { ...secret.metadata, resourceVersion: this.#next() } });
    const record = { repositoryName: 'repo', snapshotID: 'document', objects: Object.keys(manifests).length };
    await this.#say(record);
  }

  async fails(reason: string, message: string, isFinal: boolean): Promise<void> {
    await this.#say({ repositoryName: 'repo', failure: { reason, message, isFinal } });
  }

  /** What the node of a volume says of its part. */
  async end(volume: string, status: VolumeRestoreStatus = DONE): Promise<void> {
    const signal = new AbortController().signal;
    const observed = { observedGeneration: 1, ...status };
    await this.writer('agent').status(VOLUME_RESTORES, this.part(volume), observed, { signal });
  }

  part(volume: string): VolumeRestore {
    const found = this.volumeRestores.list().find(({ spec }) => spec.volumeRef.name === volume);
    if (found === undefined) throw new Error(`there is no part of ${volume}`);
    return found;
  }

  get status(): RestoreStatus | undefined {
    return this.restores.get('team/r')?.status;
  }

  get ready(): string {
    const { status, reason, message } = this.status?.conditions?.find(({ type }) => type === 'Ready') ?? {};
    return `${status} ${reason} ${message}`;
  }

  change(spec: Partial<RestoreSpec>): void {
    const there = this.restores.get('team/r');
    if (there === undefined) throw new Error('there is no Restore');
    const metadata = { ...there.metadata, resourceVersion: this.#next() };
    this.restores.set({ ...there, metadata, spec: { ...there.spec, ...spec } });
  }

  async #say(record: RestoreStatus['record']): Promise<void> {
    const there = this.restores.get('team/r');
    if (there === undefined) throw new Error('there is no Restore');
    await this.writer('agent').status(RESTORES, there, { record }, { signal: new AbortController().signal });
  }

  readonly client = {
    get: async <T extends KubeObjectBase>({ kind }: ResourceDescriptor, ref: ObjectRef): Promise<T> => {
      const found = this.#of(kind).get(keyOf({ metadata: ref as ObjectMeta }));
      if (found === undefined) throw failure('NotFound', 404);
      return found as T;
    },
    create: async <T extends KubeObjectBase>(
      { kind }: ResourceDescriptor,
      object: T,
      { dryRun }: { readonly dryRun?: boolean | undefined } = {},
    ): Promise<T> => {
      const { name } = object.metadata;
      const refusal = this.refused.get(`${kind}/${name}`);
      if (refusal !== undefined) throw refusal;
      if (this.#of(kind).get(keyOf(object)) !== undefined) throw failure('AlreadyExists', 409);
      const metadata = {
        uid: `uid-${name}`,
        resourceVersion: this.#next(),
        generation: 1,
        creationTimestamp: LONG_AGO,
      };
      const made = { ...object, metadata: { ...metadata, ...object.metadata } };
      if (dryRun === true) return made;
      this.requests.push(`create ${kind}/${name}`);
      this.#of(kind).set(made);
      return made;
    },
    replace: async <T extends KubeObjectBase>({ kind }: ResourceDescriptor, object: T): Promise<T> => {
      this.requests.push(`replace ${kind}/${object.metadata.name}`);
      const made = { ...object, metadata: { ...object.metadata, resourceVersion: this.#next() } };
      this.#of(kind).set(made);
      return made;
    },
    patch: async <T extends KubeObjectBase>(
      { kind }: ResourceDescriptor,
      ref: ObjectRef,
      body: unknown,
    ): Promise<T> => {
      const key = keyOf({ metadata: ref as ObjectMeta });
      const there = this.#of(kind).get(key);
      if (there === undefined) throw failure('NotFound', 404);
      this.requests.push(`patch ${kind}/${ref.name}`);
      const metadata = { ...there.metadata, resourceVersion: this.#next() };
      const { spec } = there as { readonly spec?: object };
      const made = { ...there, metadata, spec: { ...spec, ...(body as { readonly spec?: object }).spec } };
      this.#of(kind).set(made);
      return made as unknown as T;
    },
    delete: async ({ kind }: ResourceDescriptor, ref: ObjectRef): Promise<void> => {
      this.requests.push(`delete ${kind}/${ref.name}`);
      this.#of(kind).delete(keyOf({ metadata: ref as ObjectMeta }));
    },
  };

  #of(kind: string): Store<KubeObjectBase> {
    const own: Readonly<Record<string, unknown>> = {
      Volume: this.volumes,
      VolumeMount: this.mounts,
      Snapshot: this.snapshots,
      VolumeRestore: this.volumeRestores,
      BackupRepository: this.repositories,
    };
    return (this.more.get(kind) ?? own[kind]) as Store<KubeObjectBase>;
  }

  #next(): string {
    this.#version += 1;
    return String(this.#version);
  }
}

function failure(reason: 'AlreadyExists' | 'NotFound', status: number): KubeError {
  return new KubeError({ reason, status, message: reason });
}
