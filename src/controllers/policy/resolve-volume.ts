/**
 * What a Volume really gets: its spec, judged and completed by its VolumeClass. A pure function, used by the controller
 * to refuse early and by the agent, which enforces.
 *
 * Without a class a volume may use space that is made for it, and nothing of the host.
 */

import { findCondition } from '../../api/conditions.ts';
import { ANNOTATIONS, DEFAULT_VOLUME_CLASS, hasUidBoundAnnotation } from '../../api/group.ts';
import type { KubeObjectBase } from '../../api/meta.ts';
import { cleanPath, isWithin } from '../../api/paths.ts';
import { canonicalQuantity, compareQuantities, formatBytes, quantityToBigInt } from '../../api/quantity.ts';
import type { Provisioning, ReclaimPolicy, Volume, VolumeStatus, VolumeType } from '../../api/volume.ts';
import { VOLUME_TYPES, volumeTypeOf } from '../../api/volume.ts';
import type { VolumeClass, VolumeClassDefaults } from '../../api/volume-class.ts';
import type { DriverVolume } from '../../drivers/driver.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';
import type { NamedData, NodePolicy, PolicyFacts, Refusal } from './facts.ts';
import { selects } from './label-selector.ts';
import { resolveMountOptions } from './mount-options.ts';
import type { Source } from './sources/index.ts';
import { sourceOf } from './sources/index.ts';

/** Label that Kubernetes puts on every namespace. */
const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';

/** Pool that emptyDir images are made on when no class names one. */
export const DEFAULT_POOL = 'default';

/** A volume with every default applied. */
export interface ResolvedVolume {
  readonly type: VolumeType;
  /** Canonical quantity; undefined when the volume has no size. */
  readonly capacity: string | undefined;
  readonly capacityBytes: bigint | undefined;
  readonly reclaimPolicy: ReclaimPolicy;
  /** undefined where nothing is allocated. */
  readonly provisioning: Provisioning | undefined;
  readonly pool: string;
  /** What the class says for what the volume does not. */
  readonly defaults: VolumeClassDefaults;
  readonly mountOptions: readonly string[];
  /** Prefixes that sources and mount targets may lie at or below: what class and node both allow. */
  readonly allowedPrefixes: readonly string[];
}

export type Resolution =
  | { readonly ok: true; readonly resolved: ResolvedVolume }
  | { readonly ok: false; readonly refusal: Refusal };

/** In this order; the first refusal is the one reported. */
const CHECKS: Checks<[PolicyFacts, VolumeClass | undefined], Refusal> = [
  hasSource,
  classExists,
  namespaceAllowed,
  typeAllowed,
  sourceAllowed,
  contentIsThere,
];

/** Judges and completes a volume. */
export function resolveVolume(facts: PolicyFacts): Resolution {
  const volumeClass = classOf(facts);
  const refusal = firstToSpeak(CHECKS, facts, volumeClass);
  if (refusal !== undefined) return { ok: false, refusal };
  const { spec } = facts.volume;
  const options = resolveMountOptions(
    spec.mountOptions,
    volumeClass?.spec.defaults?.mountOptions ?? [],
    volumeClass?.spec.allowedMountOptions ?? [],
  );
  if (!options.ok)
    return { ok: false, refusal: { reason: 'MountOptionNotAllowed', message: `${options.message}.`, stalled: true } };
  // `hasSource` has passed.
  const source = sourceOf(spec) as Source;
  const capacity = spec.capacity ?? defaultCapacity(source, facts);
  return {
    ok: true,
    resolved: {
      ...always(facts.volume, source, volumeClass),
      capacity: capacity === undefined ? undefined : canonicalQuantity(capacity),
      capacityBytes: capacity === undefined ? undefined : quantityToBigInt(capacity),
      mountOptions: options.options,
      allowedPrefixes: allowedPrefixes(volumeClass, facts.node),
    },
  };
}

/** A volume that is made from something is at least as large as that, also when that is gone one day. */
function defaultCapacity({ defaultCapacity }: Source, { volume, content }: PolicyFacts): string | undefined {
  if (defaultCapacity === undefined || volume.spec.dataSource === undefined) return defaultCapacity;
  const leastBytes = content?.ok === true ? (content.leastBytes ?? 0n) : 0n;
  return [volume.status?.capacity ?? '0', formatBytes(leastBytes)].reduce(
    (larger, other) => (compareQuantities(larger, other) < 0 ? other : larger),
    defaultCapacity,
  );
}

/** Where nothing that a volume names can be read. */
const NOTHING_NAMED: NamedData = {
  secret: () => ({ state: 'unknown' }),
  configMap: () => ({ state: 'unknown' }),
};

/** Puts a volume in the words of the drivers. @throws TypeError when it has no source; its policy refuses it then. */
export function driverVolume(volume: Volume, resolved: ResolvedVolume, named: NamedData = NOTHING_NAMED): DriverVolume {
  const { metadata, spec, status } = volume;
  const source = sourceOf(spec);
  if (source === undefined) throw new TypeError(`volume ${metadata.name} has no source`);
  return {
    uid: metadata.uid ?? '',
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    source: source.forDriver({
      allowedPrefixes: resolved.allowedPrefixes,
      defaults: resolved.defaults,
      secret: (name) => named.secret(metadata.namespace ?? '', name),
      configMap: (name) => named.configMap(metadata.namespace ?? '', name),
    }),
    capacityBytes: resolved.capacityBytes,
    capacityPolicy: spec.capacityPolicy,
    provisioning: resolved.provisioning ?? 'Thin',
    pool: resolved.pool,
    mountOptions: resolved.mountOptions,
    mayLoseData: hasUidBoundAnnotation(volume, ANNOTATIONS.allowDataLoss),
    wasProvisioned: wasProvisioned(status),
  };
}

/** Whether the storage has been there before, as the status says: it is there now, or it is missed. */
export function wasProvisioned(status: VolumeStatus | undefined): boolean {
  const said = findCondition(status?.conditions, 'Provisioned');
  return said?.status === 'True' || said?.reason === 'DataMissing' || said?.reason === 'Emptied';
}

/**
 * Resolves a volume without judging it, for taking down what was mounted and made while it was still allowed: a class
 * that changes its mind must not leave mounts that nobody can remove. Undefined when it has no source at all, so that
 * nothing can have been made for it.
 */
export function resolveForRemoval(facts: PolicyFacts): ResolvedVolume | undefined {
  const resolution = resolveVolume(facts);
  if (resolution.ok) return resolution.resolved;
  const source = sourceOf(facts.volume.spec);
  if (source === undefined) return undefined;
  return {
    ...always(facts.volume, source, classOf(facts)),
    capacity: undefined,
    capacityBytes: undefined,
    mountOptions: [],
    allowedPrefixes: facts.node.hostPathAllow ?? [],
  };
}

/** What holds of a volume whether or not it is allowed. */
function always({ spec }: Volume, source: Source, volumeClass: VolumeClass | undefined) {
  const defaults = volumeClass?.spec.defaults ?? {};
  return {
    type: source.type,
    reclaimPolicy: source.reclaimPolicy(spec, defaults.reclaimPolicy),
    provisioning: source.allocates ? (defaults.provisioning ?? 'Thin') : undefined,
    pool: defaults.pool ?? DEFAULT_POOL,
    defaults,
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

function hasSource({ volume }: PolicyFacts): Refusal | undefined {
  if (sourceOf(volume.spec) !== undefined) return undefined;
  const message = `The spec has no source that this version knows; use one of ${VOLUME_TYPES.join(', ')}.`;
  return { reason: 'InvalidSpec', message, stalled: true };
}

function classExists({ volume }: PolicyFacts, volumeClass: VolumeClass | undefined): Refusal | undefined {
  const { volumeClassName } = volume.spec;
  if (volumeClassName === undefined || volumeClass !== undefined) return undefined;
  return {
    reason: 'VolumeClassNotFound',
    message: `VolumeClass "${volumeClassName}" does not exist; create it, or make the volume anew with another class.`,
    stalled: false,
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
    stalled: namespaceLabels !== undefined,
  };
}

function typeAllowed({ volume }: PolicyFacts, volumeClass: VolumeClass | undefined): Refusal | undefined {
  const type = volumeTypeOf(volume.spec);
  if (volumeClass === undefined || type === undefined || volumeClass.spec.allowedTypes.includes(type)) return undefined;
  return {
    reason: 'TypeNotAllowed',
    message: `VolumeClass "${nameOf(volumeClass)}" does not allow ${type} volumes; it allows ${volumeClass.spec.allowedTypes.join(', ') || 'none'}.`,
    stalled: true,
  };
}

function sourceAllowed({ volume, node }: PolicyFacts, volumeClass: VolumeClass | undefined): Refusal | undefined {
  return sourceOf(volume.spec)?.refusal(volumeClass, node);
}

function contentIsThere({ content }: PolicyFacts): Refusal | undefined {
  return content === undefined || content.ok ? undefined : content.refusal;
}

function nameOf(object: Pick<KubeObjectBase, 'metadata'>): string {
  return object.metadata.name;
}
