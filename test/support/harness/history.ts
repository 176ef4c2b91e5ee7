/** Every version of the objects of a kind that a watch shows, in their order: what was decided, and how often. */
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeObjectBase, ResourceDescriptor } from '../../../src/api/meta.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { waitFor } from './wait.ts';

const PAUSE_MS = 50;

export class History<T extends KubeObjectBase> {
  readonly #client: KubeClient;
  readonly #resource: ResourceDescriptor;
  readonly #namespace: string;
  readonly #versions = new Map<string, T[]>();
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #shown = 0;

  private constructor(client: KubeClient, resource: ResourceDescriptor, namespace: string, resourceVersion: string) {
    this.#client = client;
    this.#resource = resource;
    this.#namespace = namespace;
    this.#loop = this.#follow(resourceVersion);
    this.#loop.catch(() => undefined); // told by `end`
  }

  /** Begins with what comes after now. */
  static async start<T extends KubeObjectBase>(
    client: KubeClient,
    resource: ResourceDescriptor,
    namespace: string,
  ): Promise<History<T>> {
    const { resourceVersion } = await client.list(resource, { namespace });
    return new History<T>(client, resource, namespace, resourceVersion);
  }

  /** The values that something of an object had, one after the other, without repetitions. */
  values<V>(name: string, of: (object: T) => V): readonly V[] {
    const texts = (this.#versions.get(name) ?? []).map((object) => JSON.stringify(of(object)) ?? 'null');
    return texts.filter((text, index) => text !== texts[index - 1]).map((text) => JSON.parse(text) as V);
  }

  /** Ends the watch when it has shown everything up to now. @throws What broke it: then there are gaps. */
  async end(): Promise<void> {
    const { items } = await this.#client.list(this.#resource, { namespace: this.#namespace });
    const last = Math.max(0, ...items.map(({ metadata }) => Number(metadata.resourceVersion)));
    const everything = waitFor(() => this.#shown >= last, {
      message: `the watch of ${this.#resource.plural} to show version ${last}`,
    });
    await Promise.race([everything, this.#loop]);
    this.#stop.abort();
    await this.#loop;
  }

  /** A server may end a watch whenever it likes: the next one goes on where that one was, or fails if it cannot. */
  async #follow(resourceVersion: string): Promise<void> {
    const { signal } = this.#stop;
    let seen = resourceVersion;
    try {
      while (!signal.aborted) {
        const selection = { namespace: this.#namespace, resourceVersion: seen, signal };
        for await (const { type, object } of this.#client.watch<T>(this.#resource, selection)) {
          seen = object.metadata.resourceVersion ?? seen;
          this.#shown = Number(seen);
          if (type === 'BOOKMARK') continue;
          const { name } = object.metadata;
          this.#versions.set(name, [...(this.#versions.get(name) ?? []), object]);
        }
        await delay(PAUSE_MS, undefined, { signal });
      }
    } catch (thrown) {
      if (!signal.aborted) throw thrown;
    }
  }
}
