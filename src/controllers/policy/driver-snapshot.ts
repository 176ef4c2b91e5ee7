/** Snapshots, and what volumes are made from, in the words of the drivers. */
import { durationMs } from '../../api/duration.ts';
import { API_VERSION } from '../../api/group.ts';
import type { Snapshot, SnapshotSource } from '../../api/snapshot.ts';
import { DEFAULT_FREEZE_TIMEOUT } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { DriverContent, DriverSnapshot, DriverVolume } from '../../drivers/driver.ts';
import type { ContentFrom } from './data-source.ts';
import type { NamedData, PolicyFacts } from './facts.ts';
import { driverVolume, resolveForRemoval } from './resolve-volume.ts';

/** What is needed to put an object in the words of the drivers. */
export interface Wording {
  readonly factsOf: (volume: Volume) => PolicyFacts;
  readonly named: NamedData | undefined;
}

/**
 * The volume of a snapshot, from what was noted when the snapshot was given to its node: it may be gone by now. Today's
 * policy is not asked, because it is about a moment that was kept while it was allowed. Undefined when its source is not
 * one that this version knows.
 */
export function volumeOfMoment(
  { metadata }: Snapshot,
  { volumeName, volumeUID, volumeSpec }: SnapshotSource,
  { factsOf, named }: Wording,
): DriverVolume | undefined {
  // What it was made from itself is no matter any more.
  const { dataSource: _, ...spec } = volumeSpec;
  const volume: Volume = {
    apiVersion: API_VERSION,
    kind: 'Volume',
    metadata: { name: volumeName, namespace: metadata.namespace ?? '', uid: volumeUID },
    spec,
  };
  const resolved = resolveForRemoval(factsOf(volume));
  return resolved === undefined ? undefined : { ...driverVolume(volume, resolved, named), wasProvisioned: true };
}

/** A snapshot of a volume that is already in the words of the drivers. */
export function driverSnapshot({ metadata, spec }: Snapshot, volume: DriverVolume): DriverSnapshot {
  return {
    uid: metadata.uid ?? '',
    name: metadata.name,
    volume,
    consistency: spec.consistency,
    freezeTimeoutMs: durationMs(spec.freezeTimeout ?? DEFAULT_FREEZE_TIMEOUT),
  };
}

/** What a volume is made from; undefined when its source is not one that this version knows. */
export function driverContent(content: ContentFrom, wording: Wording): DriverContent | undefined {
  if (content.from === 'snapshot') {
    const volume = volumeOfMoment(content.snapshot, content.source, wording);
    return volume === undefined ? undefined : { from: 'snapshot', snapshot: driverSnapshot(content.snapshot, volume) };
  }
  const { volume } = content;
  const resolved = resolveForRemoval(wording.factsOf(volume));
  return resolved === undefined ? undefined : { from: 'volume', volume: driverVolume(volume, resolved, wording.named) };
}
