/** What becomes of the manifests of a backup: which are restored, as what, and what speaks against it. Pure. */

import { API_VERSION, GROUP, RESTORED_BY_ANNOTATION } from '../../api/group.ts';
import type { KubeObjectBase, ResourceDescriptor } from '../../api/meta.ts';
import {
  BACKUP_REPOSITORIES,
  BACKUP_SCHEDULES,
  CONFIG_MAPS,
  SECRETS,
  SNAPSHOT_SCHEDULES,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../../api/meta.ts';
import { compareText } from '../../api/order.ts';
import type { ConflictPolicy, PlannedVolume, Restore } from '../../api/restore.ts';
import { sameValue } from '../../kube/field-diff.ts';
import type { RestoreContent } from './content.ts';
import { isAll } from './plan.ts';

/** An object that is to be restored. */
export interface WantedObject {
  readonly resource: ResourceDescriptor;
  readonly object: KubeObjectBase;
  /** `KIND/NAME`. */
  readonly title: string;
}

/** An object that is left out, and why. */
export interface LeftOut {
  readonly title: string;
  readonly message: string;
}

export interface WantedObjects {
  /** In the order in which they are made: what others name comes first. */
  readonly first: readonly WantedObject[];
  /** What uses the volumes: once these have their content. */
  readonly last: readonly WantedObject[];
  readonly leftOut: readonly LeftOut[];
}

/** Kinds that are restored, in this order. Everything else is of one cluster, or of the past. */
const KINDS: readonly ResourceDescriptor[] = [
  CONFIG_MAPS,
  SECRETS,
  BACKUP_REPOSITORIES,
  VOLUMES,
  SNAPSHOT_SCHEDULES,
  BACKUP_SCHEDULES,
  VOLUME_MOUNTS,
];

/** Annotations that say something of one cluster, or would act there. */
const PASSING_ANNOTATIONS = [`${GROUP}/`, 'kubectl.kubernetes.io/last-applied-configuration'];
const MADE_BY_CLUSTER = 'kubernetes.io/service-account-token';

/** Whether objects are restored at all. */
export function restoresObjects({ spec }: Restore): boolean {
  if (spec.objects !== undefined) return true;
  return (spec.volumes ?? []).length === 0 && (spec.paths ?? []).length === 0;
}

export function wantedObjects(
  restore: Restore,
  { document, manifests }: RestoreContent,
  planned: readonly PlannedVolume[],
  isKnownNode: (name: string) => boolean,
): WantedObjects {
  if (!restoresObjects(restore)) return { first: [], last: [], leftOut: [] };
  const namespace = restore.metadata.namespace ?? '';
  const wanted: WantedObject[] = [];
  const leftOut: LeftOut[] = [];
  for (const [file, text] of Object.entries(manifests)) {
    const object = parse(text);
    const resource = object === undefined ? undefined : KINDS.find(({ kind }) => kind === object.kind);
    if (object === undefined || resource === undefined) {
      const message =
        object === undefined ? 'It is not the manifest of an object.' : 'Objects of this kind are not restored.';
      leftOut.push({ title: object === undefined ? file : titleOf(object), message });
      continue;
    }
    const why = whyNot(object, planned, document.scope, isAll(restore));
    if (why !== undefined) {
      if (why !== '') leftOut.push({ title: titleOf(object), message: why });
      continue;
    }
    wanted.push({ resource, object: cleaned(object, namespace, restore, isKnownNode), title: titleOf(object) });
  }
  const order = ({ resource }: WantedObject): number => KINDS.indexOf(resource);
  const sorted = wanted.toSorted((a, b) => order(a) - order(b) || compareText(a.title, b.title));
  const isLast = ({ resource }: WantedObject): boolean => resource === VOLUME_MOUNTS;
  return { first: sorted.filter((one) => !isLast(one)), last: sorted.filter(isLast), leftOut };
}

/** What is done about one object. */
export type ObjectStep =
  | { readonly step: 'create' }
  | { readonly step: 'replace' }
  /** It is as it was in the backup, or this Restore made it. */
  | { readonly step: 'none'; readonly isOurs: boolean }
  | { readonly step: 'skip'; readonly message: string }
  | { readonly step: 'conflict' };

/** Decides what is done, by what is there. */
export function objectStep(
  { object }: WantedObject,
  live: KubeObjectBase | undefined,
  policy: ConflictPolicy,
  restoreUID: string,
): ObjectStep {
  if (live === undefined) return { step: 'create' };
  if (live.metadata.annotations?.[RESTORED_BY_ANNOTATION] === restoreUID) return { step: 'none', isOurs: true };
  if (sameValue(essence(live), essence(object))) return { step: 'none', isOurs: false };
  // Credentials and keys of today are worth more than those of the backup, whatever is asked for.
  if (live.kind === 'Secret') return { step: 'skip', message: 'It exists, and Secrets that exist are never changed.' };
  switch (policy) {
    case 'Update':
      return { step: 'replace' };
    case 'Fail':
      return { step: 'conflict' };
    case 'Skip':
      return { step: 'skip', message: 'It exists and is different; conflictPolicy is Skip.' };
  }
}

/** A live object with what the backup says of it; everything of the server stays. */
export function replaced(live: KubeObjectBase, wanted: KubeObjectBase): KubeObjectBase {
  const { apiVersion, kind, metadata, ...content } = wanted;
  return {
    apiVersion,
    kind,
    metadata: {
      ...live.metadata,
      labels: { ...live.metadata.labels, ...metadata.labels },
      annotations: { ...live.metadata.annotations, ...metadata.annotations },
    },
    ...('status' in live ? { status: live.status } : {}),
    ...content,
  };
}

/** Everything but metadata and status. */
function essence(object: KubeObjectBase): unknown {
  const {
    apiVersion: _a,
    kind: _k,
    metadata: _m,
    status: _s,
    ...content
  } = object as KubeObjectBase & {
    readonly status?: unknown;
  };
  return content;
}

function parse(text: string): KubeObjectBase | undefined {
  try {
    const object = JSON.parse(text) as Partial<KubeObjectBase> | null;
    const isObject = typeof object?.kind === 'string' && typeof object.metadata?.name === 'string';
    const isServed = object?.apiVersion === 'v1' || object?.apiVersion === API_VERSION;
    return isObject && isServed ? (object as KubeObjectBase) : undefined;
  } catch {
    return undefined;
  }
}

/** Why an object is left out; empty: because something else does it. Undefined: it is restored. */
function whyNot(
  object: KubeObjectBase,
  planned: readonly PlannedVolume[],
  scope: string,
  isEverything: boolean,
): string | undefined {
  const { name } = object.metadata;
  if (object.kind === 'Secret' && (object as { readonly type?: string }).type === MADE_BY_CLUSTER) {
    return 'Its cluster made it.';
  }
  if (object.kind !== 'Volume') return undefined;
  if (planned.some(({ from }) => from === name)) return '';
  if (!isEverything) return 'It is not among the volumes that were chosen.';
  // A volume that is made empty in place of one that had data would look like a success.
  return scope === 'Configs' ? undefined : 'The backup does not have its data.';
}

/** As a person would apply it: nothing that only one cluster means. */
function cleaned(
  object: KubeObjectBase,
  namespace: string,
  restore: Restore,
  isKnownNode: (name: string) => boolean,
): KubeObjectBase {
  const { metadata, status: _, ...content } = object as KubeObjectBase & { readonly status?: unknown };
  const annotations = Object.entries(metadata.annotations ?? {}).filter(
    ([name]) => !PASSING_ANNOTATIONS.some((prefix) => name.startsWith(prefix)),
  );
  const cleanedObject = {
    ...content,
    metadata: {
      name: metadata.name,
      namespace,
      ...(metadata.labels === undefined ? {} : { labels: metadata.labels }),
      annotations: {
        ...Object.fromEntries(annotations),
        [RESTORED_BY_ANNOTATION]: restore.metadata.uid ?? '',
      },
    },
  };
  return withoutLostNode(cleanedObject, isKnownNode);
}

/** What names a node that is gone may go anywhere. */
function withoutLostNode(object: KubeObjectBase, isKnownNode: (name: string) => boolean): KubeObjectBase {
  const { spec } = object as { readonly spec?: { readonly nodeName?: string } };
  if (object.kind !== 'Volume' && object.kind !== 'VolumeMount') return object;
  if (spec?.nodeName === undefined || isKnownNode(spec.nodeName)) return object;
  const { nodeName: _, ...rest } = spec;
  return { ...object, spec: rest } as KubeObjectBase;
}

function titleOf({ kind, metadata }: KubeObjectBase): string {
  return `${kind}/${metadata.name}`;
}
