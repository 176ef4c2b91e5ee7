/** The facts of one volume on its node: the object, who wants it, what the policy says, what the driver sees. */
import { isTrue } from '../../api/conditions.ts';
import { FINALIZERS } from '../../api/group.ts';
import { isDeleting, keyOf, SNAPSHOTS } from '../../api/meta.ts';
import { isFinished } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { Driver, DriverVolume, VolumeObservation } from '../../drivers/driver.ts';
import { driverContent } from '../policy/driver-snapshot.ts';
import { lacksContent } from '../policy/first-content.ts';
import type { Resolution, ResolvedVolume } from '../policy/resolve-volume.ts';
import { driverVolume, resolveForRemoval, resolveVolume } from '../policy/resolve-volume.ts';
import { isAwaited } from '../snapshot/checks.ts';
import { clonesOf, wordingOf } from '../snapshot/observe.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { policyFacts } from '../support/agent.ts';
import { hasFinalizer } from '../support/annotations.ts';
import type { Failure } from '../support/failure.ts';
import { BY_SOURCE_UID, BY_VOLUME, BY_VOLUME_UID } from '../support/indexes.ts';
import { CacheBehind } from '../support/live.ts';

export interface VolumeFacts {
  readonly volume: Volume;
  readonly resolution: Resolution;
  /** The driver of the volume's type; undefined when this node has none. */
  readonly driver: Driver | undefined;
  /** The volume in the driver's words; undefined when it was refused. */
  readonly wanted: DriverVolume | undefined;
  /** What the driver sees; undefined when it was not asked, because the volume was refused. */
  readonly observation: VolumeObservation | undefined;
  /** A mount that is not being deleted wants the volume on this node. */
  readonly wantedByMount: boolean;
  /** A mount says that it is there. */
  readonly shownByMount: boolean;
  /** What is still lacking of the content of a backup that it starts with. */
  readonly lacking: Failure | undefined;
  /** Who reads the storage at the moment: snapshots that are taken, volumes that are made from it. */
  readonly readers: readonly string[];
  /** Something was copied for a Restore that is gone, or has ended: nobody will go on with it. */
  readonly hasAbandonedCopy: boolean;
}

/** Gathers the facts of a volume that is to be kept. */
export async function observeVolume(
  volume: Volume,
  dependencies: AgentDependencies,
  signal: AbortSignal,
): Promise<VolumeFacts> {
  const facts = policyFacts(dependencies, volume);
  const resolution = resolveVolume(facts);
  const readers = dependencies.uses.of(volume.metadata.uid ?? '');
  const restores = dependencies.stores.volumeRestores.byIndex(BY_VOLUME_UID, volume.metadata.uid ?? '');
  const lacking = lacksContent(volume, restores);
  const mounts = dependencies.stores.mounts.byIndex(BY_VOLUME, keyOf(volume));
  const wantedByMount = mounts.some((mount) => !isDeleting(mount));
  const shownByMount = mounts.some(({ status }) => isTrue(status?.conditions, 'Mounted'));
  if (!resolution.ok) {
    const nothing = { driver: undefined, wanted: undefined, observation: undefined };
    return { volume, resolution, ...nothing, wantedByMount, shownByMount, lacking, readers, hasAbandonedCopy: false };
  }
  const driver = dependencies.drivers.get(resolution.resolved.type);
  const words = driverVolume(volume, resolution.resolved, dependencies.named);
  const content = facts.content?.ok === true ? facts.content.content : undefined;
  const wanted = content === undefined ? words : { ...words, content: driverContent(content, wordingOf(dependencies)) };
  const observation = await driver?.observeVolume(wanted, signal);
  const hasAbandonedCopy = readers.length === 0 && isAbandoned(volume, observation?.copyFor, dependencies);
  return {
    volume,
    resolution,
    driver,
    wanted,
    observation,
    wantedByMount,
    shownByMount,
    lacking,
    readers,
    hasAbandonedCopy,
  };
}

function isAbandoned(volume: Volume, restoreUID: string | undefined, { stores }: AgentDependencies): boolean {
  if (restoreUID === undefined) return false;
  const restores = stores.restores.byIndex(BY_VOLUME_UID, volume.metadata.uid ?? '');
  return !restores.some((restore) => restore.metadata.uid === restoreUID && !isFinished(restore));
}

/** What is needed to take a volume down, whether or not today's policy would still allow it. */
export interface RemovalFacts {
  readonly volume: Volume;
  readonly resolved: ResolvedVolume;
  readonly driver: Driver | undefined;
  readonly wanted: DriverVolume;
  /** Mounts and grants in the way, as people know them. */
  readonly users: readonly string[];
}

/** Gathers the facts of a volume that is to go; undefined when its source is not one that this version knows. */
export function observeRemoval(volume: Volume, dependencies: AgentDependencies): RemovalFacts | undefined {
  const resolved = resolveForRemoval(policyFacts(dependencies, volume));
  if (resolved === undefined) return undefined;
  const mounts = dependencies.stores.mounts.byIndex(BY_VOLUME, keyOf(volume));
  return {
    volume,
    resolved,
    driver: dependencies.drivers.get(resolved.type),
    wanted: driverVolume(volume, resolved, dependencies.named),
    users: [...usersOf(volume, mounts), ...readersOf(volume, dependencies)],
  };
}

/** What is being made from the volume, or was asked for before it was to go. */
function readersOf(volume: Volume, dependencies: AgentDependencies): readonly string[] {
  const uid = volume.metadata.uid ?? '';
  const clones = clonesOf('Volume', volume, dependencies).map(({ metadata }) => `volume "${metadata.name}"`);
  const snapshots = dependencies.stores.snapshots
    .byIndex(BY_SOURCE_UID, uid)
    .filter((snapshot) => snapshot.status?.nodeName === dependencies.nodeName && isAwaited(snapshot))
    .map(({ metadata }) => `snapshot "${metadata.name}"`);
  return [...new Set([...clones, ...snapshots, ...dependencies.uses.of(uid)])];
}

/**
 * Asks right before the storage of a volume is deleted: a snapshot that was asked for before may not be in the cache of
 * snapshots yet, and would never be taken.
 *
 * @throws CacheBehind when there is one.
 */
export async function assureNoneAwaited(
  { metadata: { namespace, name, uid } }: Volume,
  { live, nodeName }: Pick<AgentDependencies, 'live' | 'nodeName'>,
  signal: AbortSignal,
): Promise<void> {
  const fieldSelector = `status.nodeName=${nodeName},spec.volumeRef.name=${name}`;
  const snapshots = await live.list<Snapshot>(SNAPSHOTS, { namespace, fieldSelector }, signal);
  const awaited = snapshots.find((one) => one.status?.source?.volumeUID === uid && isAwaited(one));
  if (awaited !== undefined)
    throw new CacheBehind(`snapshot "${awaited.metadata.name}" of volume "${name}" is to be taken`);
}

/** Snapshots of the volume that are complete. */
export function snapshotsOf(volume: Volume, { stores }: AgentDependencies): readonly Snapshot[] {
  return stores.snapshots
    .byIndex(BY_SOURCE_UID, volume.metadata.uid ?? '')
    .filter(({ status }) => status?.readyToUse === true);
}

/** Mounts that may have been made, and grants whose mounts this cache does not show (yet, or any more). */
function usersOf(volume: Volume, mounts: readonly VolumeMount[]): readonly string[] {
  const names = mounts.filter((mount) => hasFinalizer(mount, FINALIZERS.mount)).map(({ metadata }) => metadata.name);
  const known = new Map(mounts.map(({ metadata }) => [metadata.uid, metadata.name]));
  for (const { mountUID, workloadId } of volume.status?.attachments ?? []) {
    const name = known.get(mountUID) ?? `the mount of workload ${workloadId}`;
    if (!names.includes(name)) names.push(name);
  }
  return names;
}
