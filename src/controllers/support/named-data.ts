/**
 * The Secrets and ConfigMaps that objects of this node name: each watched by its name for as long as one of them names it,
 * and nothing else is read. A change of one queues the objects that name it.
 */
import type { Backup } from '../../api/backup.ts';
import type { RepositoryLocation } from '../../api/backup-repository.ts';
import type { ConfigMap, Secret } from '../../api/core.ts';
import { keyOf } from '../../api/meta.ts';
import type { Restore } from '../../api/restore.ts';
import type { S3Source, Volume } from '../../api/volume.ts';
import type { KubeObjectBase } from '../../kube/client.ts';
import type { ObjectHold, ObjectWatches } from '../../runtime/object-watches.ts';
import type { Cache, Source } from '../../runtime/source.ts';
import type { Named, NamedData } from '../policy/facts.ts';

type Watches<T extends KubeObjectBase> = Pick<ObjectWatches<T>, 'hold' | 'store'>;

export interface NamedDataOptions {
  readonly secrets: Watches<Secret>;
  readonly configMaps: Watches<ConfigMap>;
}

/** Whether an object names, or may name, the Secret or ConfigMap of that name in its namespace. */
export type Mentions<T> = (object: T, name: string) => boolean;

type Names = (namespace: string, name: string) => boolean;

export class NamedDataWatch implements NamedData {
  readonly #followed: Names[] = [];
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

  /**
   * Lets go of what no object of the followed caches names any more; `mentions` says whether one names, or may name, an
   * object of its namespace.
   */
  follow<T extends KubeObjectBase>(cache: Cache<T>, mentions: Mentions<T>): void {
    this.#followed.push((namespace, name) =>
      cache.store.list().some((object) => object.metadata.namespace === namespace && mentions(object, name)),
    );
    cache.store.subscribe((delta) => {
      if (delta.type === 'added') return;
      const { old } = delta;
      const concerned = (namespace: string, name: string): boolean =>
        old.metadata.namespace === namespace && mentions(old, name);
      const isNamed = (namespace: string, name: string): boolean =>
        this.#followed.some((names) => names(namespace, name));
      for (const objects of [this.#secrets, this.#configMaps]) objects.letGo(concerned, isNamed);
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
    if (object === undefined) return { state: 'absent' };
    const { labels, annotations } = object.metadata;
    return {
      state: 'found',
      data: this.#decode(object),
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
    };
  }

  /** Lets go of those that are concerned and that nobody names. */
  letGo(concerned: Names, isNamed: Names): void {
    for (const [key, hold] of this.#holds) {
      const [namespace = '', name = ''] = key.split('/');
      if (!concerned(namespace, name) || isNamed(namespace, name)) continue;
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

/** Until then a watch has begun, or the retry of what names it asks again. */
const SYNC_MS = 60_000;

/** What a Volume may name. */
export function volumeMentions({ spec }: Volume, name: string): boolean {
  return s3Mentions(spec.s3, name);
}

/** What a BackupRepository may name: {@link locationMentions} of its spec. */
export function repositoryMentions({ spec }: { readonly spec: RepositoryLocation }, name: string): boolean {
  return locationMentions(spec, name);
}

/** What a VolumeBackup or a VolumeRestore may name. */
export function workMentions(
  { spec }: { readonly spec: { readonly repository: RepositoryLocation } },
  name: string,
): boolean {
  return locationMentions(spec.repository, name);
}

/** Secrets with manifests on their way into a repository. */
export function backupMentions({ status }: Backup, name: string): boolean {
  return status?.manifestSecretRefs?.some((reference) => reference.name === name) === true;
}

/** The Secret for the manifests on their way out of a repository. */
export function restoreMentions({ status }: Restore, name: string): boolean {
  return status?.manifestSecretRef?.name === name;
}

function locationMentions({ s3, encryption }: RepositoryLocation, name: string): boolean {
  return encryption.secretRef.name === name || s3Mentions(s3, name);
}

/** A class may name a Secret for all that uses it, so a name is kept as long as something may mean it. */
function s3Mentions(source: S3Source | undefined, name: string): boolean {
  if (source === undefined) return false;
  const { credentialsSecretRef, caBundleRef } = source;
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
