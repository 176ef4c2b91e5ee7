/** What on this node is ours and has no object: found, listed and kept. Pure. */
import { isLabel, isSubdomain } from '../../api/names.ts';
import { cleanPath } from '../../api/paths.ts';
import type { Orphan } from '../../api/storage-node.ts';
import { MAX_ORPHANS } from '../../api/storage-node.ts';
import type { DriverLeftover, SnapshotLeftover } from '../../drivers/driver.ts';
import type { MountEntry } from '../../node/mount-entry.ts';

export interface OrphanFacts {
  readonly mountRoot: string;
  /** Everything mounted below the mount root. */
  readonly mounted: readonly MountEntry[];
  /** Everything that drivers made on this node. */
  readonly leftovers: readonly DriverLeftover[];
  /** Every snapshot that drivers took on this node. */
  readonly snapshots: readonly SnapshotLeftover[];
  readonly hasMount: (namespace: string, name: string) => boolean;
  readonly hasVolume: (uid: string) => boolean;
  readonly hasSnapshot: (uid: string) => boolean;
}

export interface Orphans {
  /** At most {@link MAX_ORPHANS}, by path. */
  readonly listed: readonly Orphan[];
  readonly count: number;
}

/** Where only the UID is known. */
const UNKNOWN = { namespace: '', name: '' };

/** Lists what has no object. A mount at a target that a VolumeMount of that name wants is that one's business. */
export function findOrphans(facts: OrphanFacts): Orphans {
  const byPath = new Map<string, Orphan>();
  for (const { target } of facts.mounted) {
    const place = targetOf(target, facts.mountRoot);
    if (place === undefined || facts.hasMount(place.namespace, place.name)) continue;
    // The mount table knows no UIDs; the path says which object it was.
    byPath.set(target, { kind: 'VolumeMount', uid: '', ...place, path: target });
  }
  for (const { volumeUID, volume: { namespace, name } = UNKNOWN, path } of facts.leftovers) {
    if (facts.hasVolume(volumeUID)) continue;
    byPath.set(path, { kind: 'Volume', uid: volumeUID, namespace, name, path });
  }
  for (const { snapshotUID, path } of facts.snapshots) {
    if (facts.hasSnapshot(snapshotUID)) continue;
    byPath.set(path, { kind: 'Snapshot', uid: snapshotUID, namespace: '', name: '', path });
  }
  const all = [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { listed: all.slice(0, MAX_ORPHANS), count: all.length };
}

/** Reads `MOUNT_ROOT/NAMESPACE/NAME/data`; undefined for anything else. */
function targetOf(
  target: string,
  mountRoot: string,
): { readonly namespace: string; readonly name: string } | undefined {
  const root = cleanPath(mountRoot);
  if (!target.startsWith(`${root}/`)) return undefined;
  const [namespace = '', name = '', data, ...rest] = target.slice(root.length + 1).split('/');
  if (data !== 'data' || rest.length > 0 || !isLabel(namespace) || !isSubdomain(name)) return undefined;
  return { namespace, name };
}
