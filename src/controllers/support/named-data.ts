/**
 * The Secrets and ConfigMaps that volumes of this node name: each watched by its name for as long as a volume names it,
 * and nothing else is read. A change of one queues the volumes that name it.
 */
import type { ConfigMap, Secret } from '../../api/core.ts';
import { keyOf } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import type { KubeObjectBase } from '../../kube/client.ts';
import type { ObjectHold, ObjectWatches } from '../../runtime/object-watches.ts';
import type { Cache, Source } from '../../runtime/source.ts';
import type { Named, NamedData } from '../policy/facts.ts';

type Watches<T extends KubeObjectBase> = Pick<ObjectWatches<T>, 'hold' | 'store'>;

export interface NamedDataOptions {
  readonly secrets: Watches<Secret>;
  readonly configMaps: Watches<ConfigMap>;
}

export class NamedDataWatch implements NamedData {
  readonly #secrets: NamedObjects<Secret>;
  readonly #configMaps: NamedObjects<ConfigMap>;

  constructor({ secrets, configMaps }: NamedDataOptions) {
    this.#secrets = new NamedObjects(secrets, decodedSecret);
    this.#configMaps = new NamedObjects(configMaps, ({ data = {} }) => data);
  }

  secret(namespace: string, name: string): Named {
    return this.#secrets.read(`${namespace}/${name}`);
  }

  configMap(namespace: string, name: string): Named {
    return this.#configMaps.read(`${namespace}/${name}`);
  }

  /** Lets go of what no volume of this cache names any more. */
  follow(volumes: Cache<Volume>): void {
    volumes.store.subscribe((delta) => {
      if (delta.type !== 'deleted') return;
      const used = volumes.store.list();
      this.#secrets.keepOnly(used);
      this.#configMaps.keepOnly(used);
    });
  }

  /** Queues what `keys` makes of each object that was read and changed. */
  source(name: string, keys: () => Iterable<string>): Source {
    return {
      name,
      start: (enqueue, signal) => {
        const all = (): void => {
          for (const key of keys()) enqueue(key);
        };
        const stops = [this.#secrets.onChange(all), this.#configMaps.onChange(all)];
        signal.addEventListener('abort', () => stops.forEach((stop) => stop()), { once: true });
      },
      synced: () => Promise.resolve(),
    };
  }
}

/** Objects of one kind, watched from the first time that they are asked for. */
class NamedObjects<T extends KubeObjectBase> {
  readonly #watches: Watches<T>;
  readonly #decode: (object: T) => Readonly<Record<string, string>>;
  readonly #holds = new Map<string, ObjectHold<T>>();
  readonly #listeners = new Set<() => void>();

  constructor(watches: Watches<T>, decode: (object: T) => Readonly<Record<string, string>>) {
    this.#watches = watches;
    this.#decode = decode;
    watches.store.subscribe((delta) => {
      if (this.#holds.has(delta.key)) this.#tell();
    });
  }

  read(key: string): Named {
    const hold = this.#holds.get(key) ?? this.#hold(key);
    if (!hold.hasSynced) return { state: 'unknown' };
    const object = hold.get();
    return object === undefined ? { state: 'absent' } : { state: 'found', data: this.#decode(object) };
  }

  keepOnly(volumes: readonly Volume[]): void {
    if (this.#holds.size === 0) return;
    const namespaces = new Set(volumes.map(({ metadata }) => metadata.namespace));
    for (const [key, hold] of this.#holds) {
      const [namespace = '', name = ''] = key.split('/');
      if (namespaces.has(namespace) && volumes.some((volume) => mentions(volume, namespace, name))) continue;
      this.#holds.delete(key);
      hold.release();
    }
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #hold(key: string): ObjectHold<T> {
    const hold = this.#watches.hold(key);
    this.#holds.set(key, hold);
    // One that is not there makes no event either.
    void hold.synced(AbortSignal.timeout(SYNC_MS)).then(
      () => this.#tell(),
      () => undefined,
    );
    return hold;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Until then a watch has begun, or its volume's retry asks again. */
const SYNC_MS = 60_000;

/** A class may name a Secret for all volumes of a namespace, so a name is kept as long as a volume there may mean it. */
function mentions({ metadata, spec }: Volume, namespace: string, name: string): boolean {
  if (metadata.namespace !== namespace || spec.s3 === undefined) return false;
  const { credentialsSecretRef, caBundleRef } = spec.s3;
  return credentialsSecretRef === undefined || credentialsSecretRef.name === name || caBundleRef?.name === name;
}

function decodedSecret({ data = {} }: Secret): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8').trim()]),
  );
}

/** Volumes that name an object. */
export function namesObjects(volume: Volume): boolean {
  return volume.spec.s3 !== undefined;
}

/** Keys of the volumes that name an object. */
export function keysNamingObjects(volumes: readonly Volume[]): string[] {
  return volumes.filter(namesObjects).map(keyOf);
}
