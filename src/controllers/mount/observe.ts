/** The facts of one VolumeMount on its node: the object, its volume and grant, its target. */
import { findCondition, isTrue } from '../../api/conditions.ts';
import { ANNOTATIONS, hasUidBoundAnnotation } from '../../api/group.ts';
import { keyOf } from '../../api/meta.ts';
import { cleanPath } from '../../api/paths.ts';
import type { Volume, VolumeAttachment } from '../../api/volume.ts';
import { accessModeOf } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import { wantsReadOnly } from '../../api/volume-mount.ts';
import type { Driver, DriverMount, DriverVolume } from '../../drivers/driver.ts';
import type { NamedData } from '../policy/facts.ts';
import type { MountTarget, TargetResolution } from '../policy/resolve-target.ts';
import { resolveTarget, wantedHostPath } from '../policy/resolve-target.ts';
import type { Resolution, ResolvedVolume } from '../policy/resolve-volume.ts';
import { driverVolume, resolveForRemoval, resolveVolume } from '../policy/resolve-volume.ts';
import { remounts } from '../restore/attached.ts';
import { restoreOf } from '../restore/observe.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { policyFacts } from '../support/agent.ts';
import { BY_TARGET, volumeKeyOf } from '../support/indexes.ts';
import { volumeRestoreOf } from '../volume-restore/observe.ts';

/** What the API says of a mount, before anything on the node is looked at. */
export interface MountFacts {
  readonly mount: VolumeMount;
  /** undefined when the cache of this node does not show it. */
  readonly volume: Volume | undefined;
  readonly grant: VolumeAttachment | undefined;
  readonly resolution: Resolution | undefined;
  readonly target: TargetResolution | undefined;
  readonly driver: Driver | undefined;
  /** A Restore that takes the volume back at the moment, or writes into it. */
  readonly restore: string | undefined;
  /** It takes the volume back, and this mount is to be taken down for it. */
  readonly isTakenDown: boolean;
  /** An older VolumeMount that wants the same target. */
  readonly rival: string | undefined;
}

/** Gathers the facts of a mount that is to be kept. Reads caches only. */
export function observeMount(mount: VolumeMount, dependencies: AgentDependencies): MountFacts {
  const { stores, drivers, node } = dependencies;
  const volume = stores.volumes.get(volumeKeyOf(mount));
  const uid = mount.metadata.uid ?? '';
  const grant = volume?.status?.attachments?.find(({ mountUID }) => mountUID === uid);
  const resolution = volume === undefined ? undefined : resolveVolume(policyFacts(dependencies, volume));
  const resolved = resolution?.ok === true ? resolution.resolved : undefined;
  return {
    mount,
    volume,
    grant,
    resolution,
    target: resolved === undefined ? undefined : resolveTarget(mount, node.mountRoot, resolved.allowedPrefixes),
    driver: resolved === undefined ? undefined : drivers.get(resolved.type),
    restore: restoring(volume?.metadata.uid ?? '', dependencies),
    isTakenDown: isTakenDown(volume?.metadata.uid ?? '', dependencies),
    rival: rivalOf(mount, dependencies),
  };
}

/** What takes the volume back at the moment, or writes into it. */
function restoring(volumeUID: string, dependencies: AgentDependencies): string | undefined {
  const part = volumeRestoreOf(volumeUID, dependencies);
  return restoreOf(volumeUID, dependencies)?.metadata.name ?? part?.spec.restoreRef?.name ?? part?.metadata.name;
}

function isTakenDown(volumeUID: string, dependencies: AgentDependencies): boolean {
  const restore = restoreOf(volumeUID, dependencies);
  return restore !== undefined && remounts(restore);
}

/** A mount and its volume in the words of the drivers. */
export interface DriverWords {
  readonly driver: Driver;
  readonly volume: DriverVolume;
  readonly mount: DriverMount;
}

/** Puts a mount whose checks have passed in the words of the drivers. */
export function driverWords(
  driver: Driver,
  volume: Volume,
  resolved: ResolvedVolume,
  mount: VolumeMount,
  target: MountTarget,
  named: NamedData | undefined,
): DriverWords {
  const words = driverVolume(volume, resolved, named);
  return {
    driver,
    volume: { ...words, mayLoseData: words.mayLoseData || hasUidBoundAnnotation(mount, ANNOTATIONS.allowDataLoss) },
    mount: {
      uid: mount.metadata.uid ?? '',
      targetRoot: target.root,
      targetPath: target.path,
      readOnly: wantsReadOnly(mount.spec, accessModeOf(volume.spec)),
      remounted: (mount.status?.restarts ?? 0) > 0,
    },
  };
}

/** What is needed to take a mount down, whether or not today's policy would still allow it. */
export interface MountRemoval {
  readonly target: MountTarget;
  /** undefined when the volume is not known any more; the node layer alone takes the mount down then. */
  readonly words: DriverWords | undefined;
  /** What is known of who made a mount at the target. */
  readonly maker: Maker;
}

/**
 * `ours`: the status says that we mounted there, or it is below the mount root. `others`: we looked, saw a mount that is
 * not ours, and never mounted there. `unknown`: neither was written down before a crash.
 */
export type Maker = 'ours' | 'others' | 'unknown';

function makerOf({ status }: VolumeMount, { root }: MountTarget, mountRoot: string): Maker {
  if (status?.mountedAt !== undefined || isTrue(status?.conditions, 'Mounted')) return 'ours';
  if (findCondition(status?.conditions, 'Mounted')?.reason === 'MountDrifted') return 'others';
  return root === cleanPath(mountRoot) ? 'ours' : 'unknown';
}

/** Gathers what is needed to take a mount down. */
export function observeMountRemoval(mount: VolumeMount, dependencies: AgentDependencies): MountRemoval {
  const { stores, drivers, node, hostPathAllow } = dependencies;
  const volume = stores.volumes.get(volumeKeyOf(mount));
  const resolved = volume === undefined ? undefined : resolveForRemoval(policyFacts(dependencies, volume));
  const target = removalTarget(mount, node.mountRoot, [...(resolved?.allowedPrefixes ?? []), ...hostPathAllow]);
  const driver = resolved === undefined ? undefined : drivers.get(resolved.type);
  const maker = makerOf(mount, target, node.mountRoot);
  if (volume === undefined || resolved === undefined || driver === undefined)
    return { target, words: undefined, maker };
  return { target, words: driverWords(driver, volume, resolved, mount, target, dependencies.named), maker };
}

function removalTarget(mount: VolumeMount, mountRoot: string, prefixes: readonly string[]): MountTarget {
  const resolution = resolveTarget(mount, mountRoot, prefixes);
  if (resolution.ok) return resolution.target;
  const hostPath = wantedHostPath(mount, mountRoot);
  const slash = hostPath.lastIndexOf('/');
  return { root: hostPath.slice(0, slash) || '/', path: hostPath.slice(slash + 1), hostPath };
}

/** The older mount with the same target has it; made in the same second, the name decides. */
function rivalOf(mount: VolumeMount, { stores, node, nodeName }: AgentDependencies): string | undefined {
  const sameTarget = stores.mounts.byIndex(BY_TARGET, wantedHostPath(mount, node.mountRoot));
  if (sameTarget.length < 2) return undefined;
  const own = ageKey(mount);
  const rival = sameTarget.find(
    (other) => other.metadata.uid !== mount.metadata.uid && other.status?.nodeName === nodeName && ageKey(other) < own,
  );
  return rival === undefined ? undefined : keyOf(rival);
}

function ageKey(mount: VolumeMount): string {
  return `${mount.metadata.creationTimestamp ?? ''} ${keyOf(mount)}`;
}
