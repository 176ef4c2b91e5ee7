/**
 * Watches every object of ours for as long as a machine runs: what tests wait on, and a linter that looks at each
 * version of each status that was ever seen.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { lintStatus } from '../../../src/api/conditions.ts';
import {
  type ConditionedStatus,
  type KubeObjectBase,
  keyOf,
  OUR_RESOURCES,
  type ResourceDescriptor,
} from '../../../src/api/meta.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { recordObject } from './recorded-objects.ts';

type Seen = KubeObjectBase & { readonly status?: ConditionedStatus };

const RETRY_MS = 200;

export class ObjectLog {
  readonly #client: KubeClient;
  readonly #stop = new AbortController();
  readonly #objects = new Map<string, Seen>();
  readonly #deleted = new Map<string, number>();
  /** By kind, the version of the whole store up to which everything was seen. */
  readonly #reached = new Map<string, number>();
  readonly #problems = new Map<string, string>();
  readonly #loops: readonly Promise<void>[];
  #versions = 0;

  constructor(client: KubeClient) {
    this.#client = client;
    this.#loops = OUR_RESOURCES.map((resource) => this.#follow(resource));
  }

  /** The object as it was last seen. */
  latest<T extends KubeObjectBase>(resource: ResourceDescriptor, key: string): T | undefined {
    return this.#objects.get(`${resource.kind} ${key}`) as T | undefined;
  }

  /** The version of the whole store with which it was gone, to compare with others; undefined when nobody saw it go. */
  deletedAt(resource: ResourceDescriptor, key: string): number | undefined {
    return this.#deleted.get(`${resource.kind} ${key}`);
  }

  /** Says whether everything of a kind was seen that happened up to this version of the whole store. */
  hasReached(resource: ResourceDescriptor, version: number): boolean {
    return (this.#reached.get(resource.kind) ?? -1) >= version;
  }

  /** How many versions of objects were looked at. */
  get versions(): number {
    return this.#versions;
  }

  /** What the linter found, one text for each different finding. */
  get problems(): readonly string[] {
    return [...this.#problems].map(([problem, where]) => `${problem} (first seen: ${where})`);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
  }

  async #follow(resource: ResourceDescriptor): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const { items, resourceVersion } = await this.#client.list<Seen>(resource, { signal, timeoutMs: 30_000 });
        this.#replace(resource, items);
        // A control plane that was set back gives its versions out anew: the last word counts, not the highest.
        this.#reached.set(resource.kind, Number(resourceVersion));
        for await (const event of this.#client.watch<Seen>(resource, { signal, resourceVersion })) {
          if (event.type === 'DELETED') this.#drop(resource, event.object);
          else if (event.type !== 'BOOKMARK') this.#take(resource, event.object);
          this.#reached.set(resource.kind, Number(event.object.metadata.resourceVersion));
        }
      } catch {
        // The API server may be away, or its history: that is what many tests are about.
        await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  #replace(resource: ResourceDescriptor, items: readonly Seen[]): void {
    const keys = new Set(items.map((item) => `${resource.kind} ${keyOf(item)}`));
    for (const key of this.#objects.keys()) {
      if (key.startsWith(`${resource.kind} `) && !keys.has(key)) this.#objects.delete(key);
    }
    for (const item of items) this.#take(resource, item);
  }

  #drop(resource: ResourceDescriptor, object: Seen): void {
    const title = `${resource.kind} ${keyOf(object)}`;
    this.#objects.delete(title);
    this.#deleted.set(title, Number(object.metadata.resourceVersion));
  }

  #take(resource: ResourceDescriptor, object: Seen): void {
    // Items of a list may come without kind.
    const named = { ...object, kind: resource.kind };
    this.#objects.set(`${resource.kind} ${keyOf(object)}`, named);
    this.#versions += 1;
    recordObject(named);
    for (const problem of lintStatus(named)) {
      if (this.#problems.has(problem)) continue;
      this.#problems.set(problem, `${resource.kind} ${keyOf(object)}: ${JSON.stringify(object.status)}`);
    }
  }
}
