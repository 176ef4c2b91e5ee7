/**
 * What a Volume really gets: its spec, judged and completed by its VolumeClass. A pure function, used by the controller
 * to refuse early and by the agent, which enforces.
 *
 * Without a class a volume may use space that is made for it, and nothing of the host.
 */

import { DEFAULT_EMPTY_DIR_CAPACITY, DEFAULT_VOLUME_CLASS } from '../../api/group.ts';
import type { KubeObjectBase } from '../../api/meta.ts';
import { cleanPath, isWithin } from '../../api/paths.ts';
import { canonicalQuantity, quantityToBigInt } from '../../api/quantity.ts';
import type { Reason } from '../../api/reasons.ts';
import type { Provisioning, ReclaimPolicy, Volume, VolumeType } from '../../api/volume.ts';
import { volumeTypeOf } from '../../api/volume.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import type { DriverVolume } from '../../drivers/driver.ts';
import { selects } from './label-selector.ts';
import { resolveMountOptions } from './mount-options.ts';

/** Label that Kubernetes puts on every namespace. */
const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';

/** Pool that emptyDir images are made on when no class names one. */
export const DEFAULT_POOL = 'default';

/** What one node adds to the decision. */
export interface NodePolicy {
  /** Prefixes that the node's own configuration allows (`--host-path-allow`); undefined where it is not known. */
  readonly hostPathAllow: readonly string[] | undefined;
}

export interface PolicyFacts {
  readonly volume: Volume;
  /** Looks a VolumeClass up by name. */
  readonly classNamed: (name: string) => VolumeClass | undefined;
  /** Labels of the volume's namespace; undefined when the namespace is not (yet) known. */
  readonly namespaceLabels: Readonly<Record<string, string>> | undefined;
  readonly node: NodePolicy;
}

/** A volume with every default applied. */
export interface ResolvedVolume {
  readonly type: VolumeType;
  /** Canonical quantity; undefined when the volume has no size. */
  readonly capacity: string | undefined;
  readonly capacityBytes: bigint | undefined;
  readonly reclaimPolicy: ReclaimPolicy;
  /** undefined where nothing is allocated (hostPath). */
  readonly provisioning: Provisioning | undefined;
  readonly pool: string;
  readonly mountOptions: readonly string[];
  /** Prefixes that sources and mount targets may lie at or below: what class and node both allow. */
  readonly allowedPrefixes: readonly string[];
}

/** Why a volume may not be what it asks to be. Only a change of the volume, class, namespace or node helps. */
export interface Refusal {
  readonly reason: Reason;
  readonly message: string;
}

export type Resolution =
  | { readonly ok: true; readonly resolved: ResolvedVolume }
  | { readonly ok: false; readonly refusal: Refusal };

/** A check: undefined when it has nothing against the volume. */
type Check = (facts: PolicyFacts, volumeClass: VolumeClass | undefined) => Refusal | undefined;

/** In this order; the first refusal is the one reported. */
const CHECKS: readonly Check[] = [hasSource, classExists, namespaceAllowed, typeAllowed, hostPathAllowed];

/** Judges and completes a volume. */
export function resolveVolume(facts: PolicyFacts): Resolution {
  const volumeClass = classOf(facts);
  for (const check of CHECKS) {
    const refusal = check(facts, volumeClass);
    if (refusal !== undefined) return { ok: false, refusal };
  }
  const { spec } = facts.volume;
  const defaults = volumeClass?.spec.defaults ?? {};
  const options = resolveMountOptions(
    spec.mountOptions,
    defaults.mountOptions ?? [],
    volumeClass?.spec.allowedMountOptions ?? [],
  );
  if (!options.ok) return { ok: false, refusal: { reason: 'MountOptionNotAllowed', message: `${options.message}.` } };
  // `hasSource` has passed.
  const type = volumeTypeOf(spec) as VolumeType;
  const capacity = spec.capacity ?? (type === 'emptyDir' ? DEFAULT_EMPTY_DIR_CAPACITY : undefined);
  return {
    ok: true,
    resolved: {
      type,
      capacity: capacity === undefined ? undefined : canonicalQuantity(capacity),
      capacityBytes: capacity === undefined ? undefined : quantityToBigInt(capacity),
      reclaimPolicy: reclaimPolicyOf(facts.volume, type, defaults.reclaimPolicy),
      provisioning: type === 'emptyDir' ? (defaults.provisioning ?? 'Thin') : undefined,
      pool: defaults.pool ?? DEFAULT_POOL,
      mountOptions: options.options,
      allowedPrefixes: allowedPrefixes(volumeClass, facts.node),
    },
  };
}

/** Puts a volume in the words of the drivers. */
export function driverVolume(volume: Volume, resolved: ResolvedVolume): DriverVolume {
  const { metadata, spec } = volume;
  return {
    uid: metadata.uid ?? '',
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    source:
      spec.hostPath === undefined
        ? { type: 'emptyDir', medium: spec.emptyDir?.medium ?? '' }
        : {
            type: 'hostPath',
            path: cleanPath(spec.hostPath.path),
            pathType: spec.hostPath.type ?? '',
            allowedPrefixes: resolved.allowedPrefixes,
          },
    capacityBytes: resolved.capacityBytes,
    capacityPolicy: spec.capacityPolicy,
    provisioning: resolved.provisioning ?? 'Thin',
    pool: resolved.pool,
    mountOptions: resolved.mountOptions,
  };
}

/**
 * Resolves a volume without judging it, for taking down what was mounted and made while it was still allowed: a class
 * that changes its mind must not leave mounts that nobody can remove.
 */
export function resolveForRemoval(facts: PolicyFacts): ResolvedVolume {
  const resolution = resolveVolume(facts);
  if (resolution.ok) return resolution.resolved;
  const { spec } = facts.volume;
  const type = volumeTypeOf(spec) ?? 'hostPath';
  const defaults = classOf(facts)?.spec.defaults ?? {};
  return {
    type,
    capacity: undefined,
    capacityBytes: undefined,
    reclaimPolicy: reclaimPolicyOf(facts.volume, type, defaults.reclaimPolicy),
    provisioning: type === 'emptyDir' ? (defaults.provisioning ?? 'Thin') : undefined,
    pool: defaults.pool ?? DEFAULT_POOL,
    mountOptions: [],
    allowedPrefixes: facts.node.hostPathAllow ?? [],
  };
}

/** What both lists allow: of each pair the narrower one. */
export function intersectPrefixes(a: readonly string[], b: readonly string[]): readonly string[] {
  const both = new Set<string>();
  for (const left of a) {
    for (const right of b) {
      if (isWithin(left, right)) both.add(cleanPath(left));
      else if (isWithin(right, left)) both.add(cleanPath(right));
    }
  }
  return [...both].sort();
}

function classOf({ volume, classNamed }: PolicyFacts): VolumeClass | undefined {
  return classNamed(volume.spec.volumeClassName ?? DEFAULT_VOLUME_CLASS);
}

function allowedPrefixes(volumeClass: VolumeClass | undefined, node: NodePolicy): readonly string[] {
  const byClass = volumeClass?.spec.allowedHostPathPrefixes ?? [];
  return node.hostPathAllow === undefined ? byClass.map(cleanPath) : intersectPrefixes(byClass, node.hostPathAllow);
}

function reclaimPolicyOf(volume: Volume, type: VolumeType, byClass: ReclaimPolicy | undefined): ReclaimPolicy {
  // A host directory was there before us: it is never reclaimed, whatever a class says.
  return type === 'hostPath' ? 'Retain' : (volume.spec.reclaimPolicy ?? byClass ?? 'Delete');
}

function hasSource({ volume }: PolicyFacts): Refusal | undefined {
  if (volumeTypeOf(volume.spec) !== undefined) return undefined;
  return {
    reason: 'InvalidSpec',
    message: 'The spec has no source that this version knows; use emptyDir or hostPath.',
  };
}

function classExists({ volume }: PolicyFacts, volumeClass: VolumeClass | undefined): Refusal | undefined {
  const { volumeClassName } = volume.spec;
  if (volumeClassName === undefined || volumeClass !== undefined) return undefined;
  return {
    reason: 'VolumeClassNotFound',
    message: `VolumeClass "${volumeClassName}" does not exist; create it, or make the volume anew with another class.`,
  };
}

function namespaceAllowed(
  { volume, namespaceLabels }: PolicyFacts,
  volumeClass: VolumeClass | undefined,
): Refusal | undefined {
  if (volumeClass === undefined) return undefined;
  const namespace = volume.metadata.namespace ?? '';
  const labels = { [NAMESPACE_NAME_LABEL]: namespace, ...namespaceLabels };
  if (selects(volumeClass.spec.allowedNamespaces, labels)) return undefined;
  return {
    reason: 'NamespaceNotAllowed',
    message: `VolumeClass "${nameOf(volumeClass)}" does not allow namespace "${namespace}"; its allowedNamespaces must select it.`,
  };
}

function typeAllowed({ volume }: PolicyFacts, volumeClass: VolumeClass | undefined): Refusal | undefined {
  const type = volumeTypeOf(volume.spec);
  if (volumeClass === undefined || type === undefined || volumeClass.spec.allowedTypes.includes(type)) return undefined;
  return {
    reason: 'TypeNotAllowed',
    message: `VolumeClass "${nameOf(volumeClass)}" does not allow ${type} volumes; it allows ${volumeClass.spec.allowedTypes.join(', ') || 'none'}.`,
  };
}

function hostPathAllowed({ volume, node }: PolicyFacts, volumeClass: VolumeClass | undefined): Refusal | undefined {
  const path = volume.spec.hostPath?.path;
  if (path === undefined) return undefined;
  if (volumeClass === undefined) {
    return {
      reason: 'HostPathNotAllowed',
      message: 'No VolumeClass allows host paths here; an administrator must create one and the volume name it.',
    };
  }
  return pathRefusal(
    `hostPath "${path}"`,
    path,
    volumeClass.spec.allowedHostPathPrefixes ?? [],
    node,
    nameOf(volumeClass),
  );
}

/** Says why a path may not be used as a source or a target, or undefined when it may. */
function pathRefusal(
  what: string,
  path: string,
  byClass: readonly string[],
  node: NodePolicy,
  className: string,
): Refusal | undefined {
  if (!byClass.some((prefix) => isWithin(path, prefix))) {
    return {
      reason: 'HostPathNotAllowed',
      message: `${what} is outside what VolumeClass "${className}" allows (${byClass.join(', ') || 'nothing'}).`,
    };
  }
  if (node.hostPathAllow !== undefined && !node.hostPathAllow.some((prefix) => isWithin(path, prefix))) {
    return {
      reason: 'HostPathNotAllowed',
      message: `${what} is outside what the node allows (${node.hostPathAllow.join(', ') || 'nothing'}; --host-path-allow).`,
    };
  }
  return undefined;
}

function nameOf(object: Pick<KubeObjectBase, 'metadata'>): string {
  return object.metadata.name;
}
