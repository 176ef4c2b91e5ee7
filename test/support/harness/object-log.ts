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

type Seen = KubeObjectBase & { readonly status?: ConditionedStatus };

const RETRY_MS = 200;

export class ObjectLog {
  readonly #client: KubeClient;
  readonly #stop = new AbortController();
  readonly #objects = new Map<string, Seen>();
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
        const { items, resourceVersion } = await this.#client.list<Seen>(resource, { signal, timeoutMs: 5000 });
        this.#replace(resource, items);
        for await (const event of this.#client.watch<Seen>(resource, { signal, resourceVersion })) {
          if (event.type === 'BOOKMARK') continue;
          if (event.type === 'DELETED') this.#objects.delete(`${resource.kind} ${keyOf(event.object)}`);
          else this.#take(resource, event.object);
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

  #take(resource: ResourceDescriptor, object: Seen): void {
    // Items of a list may come without kind.
    const named = { ...object, kind: resource.kind };
    this.#objects.set(`${resource.kind} ${keyOf(object)}`, named);
    this.#versions += 1;
    for (const problem of lintStatus(named)) {
      if (this.#problems.has(problem)) continue;
      this.#problems.set(problem, `${resource.kind} ${keyOf(object)}: ${JSON.stringify(object.status)}`);
    }
  }
}
