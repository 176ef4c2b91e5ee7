/** The facts of one Snapshot on its node: the object, its volume, who uses it, what the driver sees. */
import { isTrue } from '../../api/conditions.ts';
import { isDeleting, keyOf, VOLUMES } from '../../api/meta.ts';
import type { Snapshot, SnapshotSource } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import { volumeTypeOf } from '../../api/volume.ts';
import type { Driver, DriverSnapshot, SnapshotObservation } from '../../drivers/driver.ts';
import type { Wording } from '../policy/driver-snapshot.ts';
import { driverSnapshot, volumeOfMoment } from '../policy/driver-snapshot.ts';
import type { Resolution } from '../policy/resolve-volume.ts';
import { driverVolume, resolveVolume, wasProvisioned } from '../policy/resolve-volume.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { policyFacts } from '../support/agent.ts';
import { BY_DATA_SOURCE, BY_UID, dataSourceKey, dataSourceOf } from '../support/indexes.ts';
import { CacheBehind } from '../support/live.ts';

export interface SnapshotFacts {
  readonly snapshot: Snapshot;
  readonly source: SnapshotSource;
  /** The Volume with the UID of the source; undefined when it is gone. */
  readonly volume: Volume | undefined;
  /** What the policy says of that Volume today. */
  readonly resolution: Resolution | undefined;
  /** The driver of the volume's type; undefined when this node has none. */
  readonly driver: Driver | undefined;
  /** The snapshot in the driver's words; undefined when its source is not known to this version. */
  readonly wanted: DriverSnapshot | undefined;
  /** What the driver sees; undefined when there is no driver, or it cannot take snapshots. */
  readonly observation: SnapshotObservation | undefined;
}

/** Gathers the facts of a snapshot that was given to this node. */
export async function observeSnapshot(
  snapshot: Snapshot,
  source: SnapshotSource,
  dependencies: AgentDependencies,
  signal: AbortSignal,
): Promise<SnapshotFacts> {
  const volume = volumeOf(source, dependencies);
  const resolution = volume === undefined ? undefined : resolveVolume(policyFacts(dependencies, volume));
  const { driver, wanted } = observeSnapshotRemoval(snapshot, source, dependencies);
  // While the volume is there it is told in its own words, which may have changed since (credentials, a class).
  const current =
    volume !== undefined && wanted !== undefined && resolution?.ok === true
      ? {
          ...wanted,
          volume: driverVolume(volume, resolution.resolved, dependencies.named),
          elsewhere: usersElsewhere(volume, dependencies.nodeName),
        }
      : wanted;
  const observation = current === undefined ? undefined : await driver?.snapshots?.observe(current, signal);
  return { snapshot, source, volume, resolution, driver, wanted: current, observation };
}

/** Who may be writing on other nodes. */
function usersElsewhere({ status }: Volume, nodeName: string): readonly string[] {
  return (status?.attachments ?? [])
    .filter((attachment) => attachment.nodeName !== nodeName && !attachment.readOnly)
    .map((attachment) => `workload "${attachment.workloadId}" on node "${attachment.nodeName}"`);
}

/** What is needed to delete a snapshot, whether or not its Volume is still there. */
export interface SnapshotRemoval {
  readonly driver: Driver | undefined;
  readonly wanted: DriverSnapshot | undefined;
}

export function observeSnapshotRemoval(
  snapshot: Snapshot,
  source: SnapshotSource,
  dependencies: AgentDependencies,
): SnapshotRemoval {
  const type = volumeTypeOf(source.volumeSpec);
  const volume = volumeOfMoment(snapshot, source, wordingOf(dependencies));
  return {
    driver: type === undefined ? undefined : dependencies.drivers.get(type),
    wanted: volume === undefined ? undefined : driverSnapshot(snapshot, volume),
  };
}

/** How this agent puts objects in the words of the drivers. */
export function wordingOf(dependencies: AgentDependencies): Wording {
  return { factsOf: (volume) => policyFacts(dependencies, volume), named: dependencies.named };
}

/** The Volume whose moment it is: one that has its name by now is another one. */
export function volumeOf({ volumeUID }: SnapshotSource, { stores }: AgentDependencies): Volume | undefined {
  return stores.volumes.byIndex(BY_UID, volumeUID)[0];
}

/** Volumes of this node that are being made from an object, or are about to be. */
export function clonesOf(
  kind: 'Snapshot' | 'Volume',
  object: Snapshot | Volume,
  { stores, nodeName }: AgentDependencies,
): readonly Volume[] {
  return stores.volumes
    .byIndex(BY_DATA_SOURCE, dataSourceKey(kind, keyOf(object)))
    .filter((volume) => isFilledOn(nodeName, volume));
}

function isFilledOn(nodeName: string, volume: Volume): boolean {
  return (
    volume.status?.nodeName === nodeName &&
    !isDeleting(volume) &&
    !wasProvisioned(volume.status) &&
    // One that needs a person is not waited for.
    !isTrue(volume.status.conditions, 'Stalled')
  );
}

/**
 * Asks right before a snapshot is let go: a volume that was given to this node before the deletion may not be in the cache of
 * volumes yet. (What is made from a volume comes by the same watch as that does.)
 *
 * @throws CacheBehind when one is to be made from it.
 */
export async function assureNoClones(
  snapshot: Snapshot,
  { live, nodeName }: Pick<AgentDependencies, 'live' | 'nodeName'>,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, name } = snapshot.metadata;
  const volumes = await live.list<Volume>(VOLUMES, { namespace, fieldSelector: `status.nodeName=${nodeName}` }, signal);
  const key = dataSourceKey('Snapshot', keyOf(snapshot));
  const clone = volumes.find((volume) => isFilledOn(nodeName, volume) && dataSourceOf(volume).includes(key));
  if (clone !== undefined) throw new CacheBehind(`volume "${clone.metadata.name}" is made from snapshot "${name}"`);
}
