/**
 * The builder of the reconcilers' tests: objects in; one reconcile; writes, driver calls and events out. Statuses are
 * merged as server-side apply would (by manager, conditions by type) and must keep the rules of conditions.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Backup } from '../../../src/api/backup.ts';
import type { BackupRepository } from '../../../src/api/backup-repository.ts';
import { lintStatus } from '../../../src/api/conditions.ts';
import type { Namespace } from '../../../src/api/core.ts';
import type { Condition, ConditionedStatus, KubeObjectBase, ResourceDescriptor } from '../../../src/api/meta.ts';
import { keyOf } from '../../../src/api/meta.ts';
import type { Restore } from '../../../src/api/restore.ts';
import type { Snapshot } from '../../../src/api/snapshot.ts';
import type { StorageNode } from '../../../src/api/storage-node.ts';
import type { Volume } from '../../../src/api/volume.ts';
import type { VolumeClass } from '../../../src/api/volume-class.ts';
import type { VolumeMount } from '../../../src/api/volume-mount.ts';
import type { VolumeRestore } from '../../../src/api/volume-restore.ts';
import type { Live } from '../../../src/controllers/support/live.ts';
import type { Writer } from '../../../src/controllers/support/writes.ts';
import type { ObjectRef, Selection } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import type { EventSink } from '../../../src/kube/events.ts';
import type { ReconcileContext } from '../../../src/runtime/reconciler.ts';
import { Store } from '../../../src/runtime/store.ts';
import { silentLogger } from '../../../src/telemetry/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { recordObject } from '../../support/harness/recorded-objects.ts';
import { NOW } from './objects.ts';

type Stated = KubeObjectBase & { readonly status?: ConditionedStatus };
type Status = Readonly<Record<string, unknown>> & { readonly conditions?: readonly Condition[] };

export class World {
  readonly clock = new FakeClock(NOW);
  readonly volumes = new Store<Volume>();
  readonly mounts = new Store<VolumeMount>();
  readonly snapshots = new Store<Snapshot>();
  readonly restores = new Store<Restore>();
  readonly volumeRestores = new Store<VolumeRestore>();
  readonly backups = new Store<Backup>();
  readonly repositories = new Store<BackupRepository>();
  readonly nodes = new Store<StorageNode>();
  readonly classes = new Store<VolumeClass>();
  readonly namespaces = new Store<Namespace>();
  /** Stores of further kinds, which only the tests of one area need. */
  readonly more = new Map<string, Store<KubeObjectBase>>();
  /** Every write, as `MANAGER VERB KIND/NAME`. */
  readonly writes: string[] = [];
  /** Those of them that are refused when the object has changed since it was read. */
  readonly guarded: string[] = [];
  /** Every event, as `TYPE REASON KIND/NAME`. */
  readonly events: string[] = [];
  readonly messages: string[] = [];
  /** What the API server has and the caches do not show yet; undefined: gone there. By `KIND KEY`. */
  readonly ahead = new Map<string, KubeObjectBase | undefined>();
  /** Questions to the API server, as `VERB KIND`. */
  readonly asked: string[] = [];
  /** The next write to an object of this name fails with a conflict. */
  conflictOn: string | undefined;
  readonly #applied = new Map<string, Status>();

  add(...objects: readonly KubeObjectBase[]): this {
    for (const object of objects) this.#store(object.kind).set(object);
    return this;
  }

  context(retries = 0): ReconcileContext {
    const { clock } = this;
    return { signal: new AbortController().signal, log: silentLogger, reconcileId: 'test', retries, clock };
  }

  /** Has the API server know objects that the caches do not show. */
  addAhead(...objects: readonly KubeObjectBase[]): this {
    for (const object of objects) this.ahead.set(`${object.kind} ${keyOf(object)}`, object);
    return this;
  }

  /** Has the API server know an object no more that the caches show. */
  removeAhead(kind: string, key: string): this {
    this.ahead.set(`${kind} ${key}`, undefined);
    return this;
  }

  readonly live: Live = {
    get: async <T extends KubeObjectBase>({ kind }: ResourceDescriptor, ref: ObjectRef) => {
      this.asked.push(`get ${kind}`);
      const key = keyOf({ metadata: { namespace: ref.namespace ?? '', name: ref.name } });
      const isAhead = this.ahead.has(`${kind} ${key}`);
      return (isAhead ? this.ahead.get(`${kind} ${key}`) : this.#store(kind).get(key)) as T | undefined;
    },
    list: async <T extends KubeObjectBase>({ kind }: ResourceDescriptor, selection: Selection) => {
      this.asked.push(`list ${kind}`);
      const objects = new Map(
        this.#store(kind)
          .list()
          .map((object) => [`${kind} ${keyOf(object)}`, object]),
      );
      for (const [key, object] of this.ahead) {
        if (object === undefined) objects.delete(key);
        else if (object.kind === kind) objects.set(key, object);
      }
      return [...objects.values()].filter((object) => isSelected(object, selection)) as unknown as readonly T[];
    },
  };

  readonly sink: EventSink = {
    record: (object, type, reason, message) => {
      this.events.push(`${type} ${reason} ${object.kind}/${object.metadata.name}`);
      this.messages.push(message);
    },
  };

  writer(manager: string): Writer {
    return {
      status: async (resource, object, status, { requireUnchanged }) => {
        const written = await this.#apply(manager, resource, object, status as Status);
        if (written && requireUnchanged === true) this.guarded.push(this.writes.at(-1) ?? '');
        return written;
      },
      addFinalizer: async (_resource, object, finalizer) => {
        const live = this.#live(object);
        const finalizers = live.metadata.finalizers ?? [];
        if (finalizers.includes(finalizer)) return live;
        this.#note(`${manager} finalize ${nameOf(object)}`, object);
        return this.#put(live, { metadata: { ...live.metadata, finalizers: [...finalizers, finalizer] } });
      },
      removeFinalizer: async (_resource, object, finalizer) => {
        const live = this.#live(object);
        this.#note(`${manager} release ${nameOf(object)}`, object);
        const finalizers = (live.metadata.finalizers ?? []).filter((name) => name !== finalizer);
        this.#put(live, { metadata: { ...live.metadata, finalizers } });
        if (finalizers.length === 0 && live.metadata.deletionTimestamp !== undefined) {
          this.#store(live.kind).delete(keyOf(live));
        }
      },
    };
  }

  async #apply(manager: string, _resource: ResourceDescriptor, object: Stated, status: Status): Promise<boolean> {
    const key = `${manager} ${nameOf(object)}`;
    const wanted = JSON.parse(JSON.stringify(status)) as Status;
    const live = this.#live(object);
    const before = (live.status ?? {}) as Status;
    const old = this.#applied.get(key) ?? {};
    const after: Record<string, unknown> = { ...before };
    for (const name of Object.keys(old)) if (!(name in wanted)) delete after[name];
    Object.assign(after, wanted);
    const given = (wanted.conditions ?? []).map(({ type }) => type);
    // Given up is removed, unless somebody else has taken it over since.
    const released = (old.conditions ?? []).filter(({ type }) => !given.includes(type));
    const others = (before.conditions ?? []).filter(
      (live) => !given.includes(live.type) && !released.some((own) => isDeepStrictEqual(own, live)),
    );
    if (others.length > 0 && before['observedGeneration'] !== undefined) {
      after['observedGeneration'] ??= before['observedGeneration'];
    }
    const conditions = [...(wanted.conditions ?? []), ...others];
    if (conditions.length > 0) after['conditions'] = conditions;
    else delete after['conditions'];
    after['observedGeneration'] ??= -1;
    this.#applied.set(key, wanted);
    if (isDeepStrictEqual(sorted(after), sorted(before))) return false;
    this.#note(`${manager} status ${nameOf(object)}`, object);
    const problems = lintStatus({ ...live, status: after });
    if (problems.length > 0) throw new Error(`${problems.join('; ')}: ${JSON.stringify(after)}`);
    const next = this.#put(live, { status: after });
    if (given.includes('Ready')) recordObject(next);
    return true;
  }

  #note(write: string, object: KubeObjectBase): void {
    if (this.conflictOn === object.metadata.name) {
      this.conflictOn = undefined;
      throw new KubeError({ reason: 'Conflict', status: 409, message: 'the object has been modified' });
    }
    this.writes.push(write);
  }

  #live<T extends KubeObjectBase>(object: T): T & Stated {
    const live = this.#store(object.kind).get(keyOf(object));
    if (live === undefined) throw new KubeError({ reason: 'NotFound', status: 404, message: 'not found' });
    return live as T & Stated;
  }

  #put<T extends KubeObjectBase>(live: T, change: object): T {
    const next = { ...live, ...change };
    const resourceVersion = `${Number(live.metadata.resourceVersion ?? 0)}.${this.writes.length}`;
    const object = { ...next, metadata: { ...next.metadata, resourceVersion } };
    this.#store(live.kind).set(object);
    return object;
  }

  #store(kind: string): Store<KubeObjectBase> {
    const stores: Readonly<Record<string, unknown>> = {
      Volume: this.volumes,
      VolumeMount: this.mounts,
      Snapshot: this.snapshots,
      Restore: this.restores,
      VolumeRestore: this.volumeRestores,
      Backup: this.backups,
      BackupRepository: this.repositories,
      StorageNode: this.nodes,
      VolumeClass: this.classes,
      Namespace: this.namespaces,
    };
    return (stores[kind] ?? this.more.get(kind)) as Store<KubeObjectBase>;
  }
}

/** As a server selects: by namespace, and by fields and labels that equal something. */
function isSelected(object: KubeObjectBase, { namespace, fieldSelector, labelSelector }: Selection): boolean {
  const termsOf = (selector = ''): string[][] =>
    selector === '' ? [] : selector.split(',').map((term) => term.split('='));
  const fieldOf = (path = ''): unknown =>
    path.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], object);
  return (
    (namespace === undefined || object.metadata.namespace === namespace) &&
    termsOf(fieldSelector).every(([path, value]) => (fieldOf(path) ?? '') === value) &&
    termsOf(labelSelector).every(([name = '', value]) => object.metadata.labels?.[name] === value)
  );
}

function nameOf(object: KubeObjectBase): string {
  return `${object.kind}/${object.metadata.name}`;
}

function sorted(status: Readonly<Record<string, unknown>>): unknown {
  const { conditions, ...rest } = status as Status;
  return { ...rest, conditions: [...(conditions ?? [])].sort((a, b) => a.type.localeCompare(b.type)) };
}
