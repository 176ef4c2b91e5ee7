/**
 * The manifests of a namespace: our objects that say what is wanted, and the ConfigMaps and Secrets that they name, without
 * what a server fills in. What is done once (a Snapshot, a Backup, a Restore) is left out: applied again, it would be done
 * again. So are the keys of repositories: whoever opens one must not open the others with it.
 */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import type { ConfigMap, Secret } from '../../api/core.ts';
import { DEFAULT_VOLUME_CLASS, FINALIZERS } from '../../api/group.ts';
import type { KubeObjectBase, ResourceDescriptor } from '../../api/meta.ts';
import {
  apiVersionOf,
  BACKUP_REPOSITORIES,
  BACKUP_SCHEDULES,
  CONFIG_MAPS,
  isDeleting,
  SECRETS,
  SNAPSHOT_SCHEDULES,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import { MANIFESTS_DIRECTORY, manifestName } from '../../backup/catalogue.ts';
import type { KubeClient } from '../../kube/client.ts';
import { getIfPresent } from '../../kube/get-if-present.ts';
import type { Files } from '../support/packages.ts';

/** In an order in which they can be made. */
const KINDS: readonly ResourceDescriptor[] = [
  VOLUMES,
  VOLUME_MOUNTS,
  BACKUP_REPOSITORIES,
  SNAPSHOT_SCHEDULES,
  BACKUP_SCHEDULES,
];

/** kubectl(1) keeps a whole manifest in it, with what the Secret says in clear. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** Made by the cluster for one of its accounts, and worth nothing in another. */
const SERVICE_ACCOUNT_TOKEN = 'kubernetes.io/service-account-token';
const PAGE = 500;

export interface Manifests {
  /** By path, `manifests/KIND.NAME.json`. */
  readonly files: Files;
  /** Objects that are named and are not there. */
  readonly missing: readonly string[];
}

export interface Gathering {
  readonly client: Pick<KubeClient, 'get' | 'listPages'>;
  readonly classNamed: (name: string) => VolumeClass | undefined;
  readonly signal: AbortSignal;
}

/** Reads them from the server as they are now. */
export async function gatherManifests(backup: Pick<Backup, 'metadata'>, gathering: Gathering): Promise<Manifests> {
  const { client, signal } = gathering;
  const namespace = backup.metadata.namespace ?? '';
  const objects: KubeObjectBase[] = [];
  for (const resource of KINDS) {
    for await (const { items } of client.listPages(resource, { namespace, limit: PAGE, signal })) {
      // Lists leave them out.
      const typed = items.map((item) => ({ ...item, apiVersion: apiVersionOf(resource), kind: resource.kind }));
      objects.push(...typed.filter((object) => !isDeleting(object)));
    }
  }
  const keys = new Set(objects.filter(isRepository).map(({ spec }) => spec.encryption.secretRef.name));
  const named = namesOf(objects, gathering.classNamed);
  const missing: string[] = [];
  for (const name of named.secrets) {
    if (keys.has(name)) continue;
    const secret = await read<Secret>(SECRETS, name);
    if (secret !== undefined && secret.type !== SERVICE_ACCOUNT_TOKEN) objects.push(secret);
  }
  for (const name of named.configMaps) {
    const map = await read<ConfigMap>(CONFIG_MAPS, name);
    if (map !== undefined) objects.push(map);
  }
  return { files: new Map(objects.map((object) => [pathOf(object), textOf(cleaned(object))])), missing };

  async function read<T extends KubeObjectBase>(resource: ResourceDescriptor, name: string): Promise<T | undefined> {
    const object = await getIfPresent<T>(client, resource, { namespace, name }, { signal });
    if (object !== undefined) return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
    missing.push(`${resource.kind} "${name}"`);
    return undefined;
  }
}

/** An object as somebody would apply it. Pure. */
export function cleaned(object: KubeObjectBase): KubeObjectBase {
  const { status: _, metadata, ...rest } = object as KubeObjectBase & { readonly status?: unknown };
  const { name, namespace, labels } = metadata;
  const annotations = without(metadata.annotations, LAST_APPLIED);
  const ours: readonly string[] = Object.values(FINALIZERS);
  const finalizers = (metadata.finalizers ?? []).filter((finalizer) => !ours.includes(finalizer));
  return {
    ...rest,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
      ...(finalizers.length === 0 ? {} : { finalizers }),
    },
  };
}

function pathOf({ kind, metadata }: KubeObjectBase): string {
  return `${MANIFESTS_DIRECTORY}/${manifestName({ kind, metadata })}`;
}

function textOf(object: KubeObjectBase): string {
  return `${JSON.stringify(object, undefined, 2)}\n`;
}

function without(
  annotations: Readonly<Record<string, string>> | undefined,
  name: string,
): Readonly<Record<string, string>> | undefined {
  const entries = Object.entries(annotations ?? {}).filter(([key]) => key !== name);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function isRepository(object: KubeObjectBase): object is BackupRepository {
  return object.kind === BACKUP_REPOSITORIES.kind;
}

interface Names {
  readonly secrets: ReadonlySet<string>;
  readonly configMaps: ReadonlySet<string>;
}

function namesOf(objects: readonly KubeObjectBase[], classNamed: Gathering['classNamed']): Names {
  const names = { secrets: new Set<string>(), configMaps: new Set<string>() };
  for (const object of objects) {
    const { spec } = object as KubeObjectBase & { readonly spec?: unknown };
    collect(spec, '', names);
    if (object.kind === VOLUMES.kind) collect(classDefaults(object as Volume, classNamed), '', names);
  }
  return names;
}

/** What a volume of a bucket uses when it names nothing itself. */
function classDefaults({ spec }: Volume, classNamed: Gathering['classNamed']): unknown {
  if (spec.s3 === undefined) return undefined;
  return classNamed(spec.volumeClassName ?? DEFAULT_VOLUME_CLASS)?.spec.defaults?.s3;
}

/** References are fields that end in `SecretRef`, `ConfigMapRef` or `caBundleRef`. */
function collect(
  value: unknown,
  field: string,
  names: { readonly secrets: Set<string>; readonly configMaps: Set<string> },
): void {
  if (Array.isArray(value)) {
    for (const item of value) collect(item, field, names);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const { name } = value as { readonly name?: unknown };
  if (typeof name === 'string') {
    if (/[sS]ecretRef$/.test(field)) names.secrets.add(name);
    else if (/(?:[cC]onfigMap|caBundle)Ref$/.test(field)) names.configMaps.add(name);
  }
  for (const [key, inner] of Object.entries(value)) collect(inner, key, names);
}
