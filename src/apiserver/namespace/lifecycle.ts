import type { Resource } from '../kinds/resource.ts';
import { NAMESPACE_FINALIZER } from '../kinds/strategies.ts';
import { type Clock, timestamp } from '../registry/clock.ts';
import type { Deletes } from '../registry/deletes.ts';
import { KeyQueue } from '../registry/key-queue.ts';
import type { WriteContext } from '../registry/request.ts';
import { systemContext } from '../registry/system-context.ts';
import type { Writes } from '../registry/writes.ts';
import { isObject, type JsonObject } from '../schema/json-value.ts';
import type { Change } from '../storage/collection.ts';
import type { Item } from '../storage/item.ts';
import type { Store } from '../storage/store.ts';

/** What the lifecycle works with. */
export interface LifecycleOptions {
  readonly store: Store;
  readonly resources: readonly Resource[];
  readonly writes: Writes;
  readonly deletes: Deletes;
  readonly clock: Clock;
  readonly onError: (error: Error) => void;
}

/** Namespaces that are always there. */
const ALWAYS = ['default', 'kube-node-lease', 'kube-public', 'kube-system', 'clawstore-system'];

/**
 * In which order a terminating namespace is emptied: mounts, then what works on volumes, then volumes, then what has the
 * credentials. Each stage waits for the one before, because finalizers of the one may need objects of the other.
 */
const STAGES: readonly (readonly string[])[] = [
  ['volumemounts'],
  ['backupschedules', 'snapshotschedules', 'backups', 'restores', 'volumebackups', 'volumerestores'],
  ['snapshots', 'volumes'],
  ['backuprepositories'],
];

/** Creates the namespaces that must exist, and empties and removes those that are deleted. */
export class NamespaceLifecycle {
  readonly #options: LifecycleOptions;
  readonly #resource: Resource;
  /** Namespaced resources, by stage. */
  readonly #stages: readonly (readonly Resource[])[];
  readonly #queue: KeyQueue;
  readonly #unsubscribe: () => void;
  #terminating = new Set<string>();

  constructor(options: LifecycleOptions) {
    this.#options = options;
    const found = options.resources.find(({ group, resource }) => group === '' && resource === 'namespaces');
    if (found === undefined) throw new TypeError('namespaces are not served');
    this.#resource = found;
    this.#queue = new KeyQueue({ work: (name) => this.#process(name), onError: options.onError });
    const namespaced = options.resources.filter((resource) => resource.namespaced && resource.view === undefined);
    const staged = STAGES.map((names) => namespaced.filter(({ resource }) => names.includes(resource)));
    const others = namespaced.filter((resource) => !staged.some((stage) => stage.includes(resource)));
    // Secrets go last: finalizers may need their credentials.
    const last = others.filter(({ resource }) => resource === 'secrets' || resource === 'configmaps');
    this.#stages = [...staged, others.filter((resource) => !last.includes(resource)), last].filter(
      (stage) => stage.length > 0,
    );
    for (const name of ALWAYS) this.#ensure(name);
    for (const item of this.#resource.collection.values()) this.#consider(item);
    this.#unsubscribe = options.store.subscribe((changes) => this.#observe(changes));
  }

  close(): void {
    this.#queue.close();
    this.#unsubscribe();
  }

  #ensure(name: string): void {
    if (this.#resource.collection.get(name) !== undefined) return;
    const object = { kind: 'Namespace', apiVersion: 'v1', metadata: { name } };
    this.#options.writes.create(this.#resource, '', { object, duplicates: [] }, this.#context());
  }

  #observe(changes: readonly Change[]): void {
    for (const { collection, item, type } of changes) {
      if (collection === this.#resource.collection) {
        if (type === 'DELETED') {
          this.#terminating.delete(item.key);
          if (ALWAYS.includes(item.key)) this.#queue.add(item.key);
        } else this.#consider(item);
      } else if (this.#terminating.size > 0 && type === 'DELETED' && this.#terminating.has(item.namespace)) {
        this.#queue.add(item.namespace);
      }
    }
  }

  #consider(item: Item): void {
    if (item.metadata['deletionTimestamp'] === undefined) return;
    this.#terminating.add(item.key);
    this.#queue.add(item.key);
  }

  #process(name: string): void {
    if (this.#resource.collection.get(name) === undefined && ALWAYS.includes(name)) this.#ensure(name);
    else this.#terminate(name);
  }

  #context(): WriteContext {
    return systemContext('kube-apiserver', this.#options.clock);
  }

  #terminate(name: string): void {
    const item = this.#resource.collection.get(name);
    if (item === undefined || item.metadata['deletionTimestamp'] === undefined) return;
    const remaining: { readonly resource: Resource; readonly items: readonly Item[] }[] = [];
    for (const stage of this.#stages) {
      for (const resource of stage) {
        const { collection } = resource;
        const { from, to } = collection.range(name);
        const items: Item[] = [];
        for (let index = from; index < to; index++) items.push(collection.at(index));
        for (const content of items) {
          if (content.metadata['deletionTimestamp'] !== undefined) continue;
          this.#options.deletes.deleteItem(resource, content, { propagationPolicy: 'Background' }, this.#context());
        }
        const left = items.flatMap(({ key }) => collection.get(key) ?? []);
        if (left.length > 0) remaining.push({ resource, items: left });
      }
      if (remaining.length > 0) break;
    }
    if (remaining.length === 0) this.#finalize(name, item);
    else this.#report(name, item, remaining);
  }

  #finalize(name: string, item: Item): void {
    const spec = item.object['spec'];
    const finalizers = isObject(spec) && Array.isArray(spec['finalizers']) ? spec['finalizers'] : [];
    const kept = finalizers.filter((finalizer) => finalizer !== NAMESPACE_FINALIZER);
    const object = { ...item.object, spec: kept.length === 0 ? {} : { ...(spec as JsonObject), finalizers: kept } };
    const change = (): { object: JsonObject; duplicates: readonly string[] } => ({ object, duplicates: [] });
    this.#options.writes.patch(this.#resource, '', name, 'finalize', change, this.#context());
  }

  /** Says in the conditions what the namespace still waits for, in the words of the namespace controller. */
  #report(
    name: string,
    item: Item,
    remaining: readonly { readonly resource: Resource; readonly items: readonly Item[] }[],
  ): void {
    const counts = remaining.map(
      ({ resource, items }) =>
        `${resource.resource}.${resource.group === '' ? '' : resource.group} has ${items.length} resource instances`,
    );
    const byFinalizer = new Map<string, number>();
    for (const { items } of remaining) {
      for (const { metadata } of items) {
        const finalizers = Array.isArray(metadata['finalizers']) ? (metadata['finalizers'] as string[]) : [];
        for (const finalizer of finalizers) byFinalizer.set(finalizer, (byFinalizer.get(finalizer) ?? 0) + 1);
      }
    }
    const held = [...byFinalizer].map(([finalizer, count]) => `${finalizer} in ${count} resource instances`);
    const conditions = [
      condition(
        'NamespaceContentRemaining',
        'SomeResourcesRemain',
        `Some resources are remaining: ${counts.join(', ')}`,
      ),
      ...(held.length === 0
        ? []
        : [
            condition(
              'NamespaceFinalizersRemaining',
              'SomeFinalizersRemain',
              `Some content in the namespace has finalizers remaining: ${held.join(', ')}`,
            ),
          ]),
    ];
    const status = isObject(item.object['status']) ? item.object['status'] : {};
    const before = Array.isArray(status['conditions']) ? (status['conditions'] as JsonObject[]) : [];
    const now = timestamp(this.#options.clock);
    const next = conditions.map((wanted): JsonObject => {
      const same = before.find(({ type }) => type === wanted['type']);
      return {
        ...wanted,
        lastTransitionTime:
          same !== undefined && same['status'] === wanted['status'] ? (same['lastTransitionTime'] ?? now) : now,
      };
    });
    const object = { ...item.object, status: { ...status, phase: 'Terminating', conditions: next } };
    const change = (): { object: JsonObject; duplicates: readonly string[] } => ({ object, duplicates: [] });
    this.#options.writes.patch(this.#resource, '', name, 'status', change, this.#context());
  }
}

function condition(type: string, reason: string, message: string): JsonObject {
  return { type, status: 'True', reason, message };
}
