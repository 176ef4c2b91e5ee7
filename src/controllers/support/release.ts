/** Releasing objects that no agent will release. Nothing is deleted by it. */
import type { Backup } from '../../api/backup.ts';
import { ANNOTATIONS, FINALIZERS, hasUidBoundAnnotation } from '../../api/group.ts';
import type { ResourceDescriptor } from '../../api/meta.ts';
import { BACKUPS, isDeleting, SNAPSHOTS, VOLUME_MOUNTS, VOLUMES } from '../../api/meta.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { EventSink } from '../../kube/events.ts';
import { hasFinalizer } from './annotations.ts';
import type { Writer } from './writes.ts';

type NodeBound = Volume | VolumeMount | Snapshot | Backup;

const KINDS: readonly { readonly resource: ResourceDescriptor; readonly finalizer: string }[] = [
  { resource: VOLUMES, finalizer: FINALIZERS.volume },
  { resource: VOLUME_MOUNTS, finalizer: FINALIZERS.mount },
  { resource: SNAPSHOTS, finalizer: FINALIZERS.snapshot },
  { resource: BACKUPS, finalizer: FINALIZERS.backup },
];

/**
 * Releases an object that no node ever had (applied with our finalizer in it, as an export of another one is): there is no
 * agent that would do it, and nothing was made for its UID.
 *
 * @returns whether there was something to release.
 */
export async function releaseUnplaced(
  object: NodeBound,
  nodeName: string | undefined,
  writer: Writer,
  signal: AbortSignal,
): Promise<boolean> {
  if (nodeName !== undefined || !isDeleting(object)) return false;
  return release(object, writer, signal);
}

/**
 * An object whose node is lost can only be released by a person who says so, bound to its UID. Nothing is deleted: if
 * the node comes back, what is on it is listed as an orphan.
 */
export async function releaseByForce(
  object: NodeBound,
  { writer, events }: { readonly writer: Writer; readonly events: EventSink },
  signal: AbortSignal,
): Promise<void> {
  if (!isDeleting(object) || !hasUidBoundAnnotation(object, ANNOTATIONS.forceDelete)) return;
  const message = 'Released without its lost node because of the force-delete annotation; what is on the node is kept.';
  await release(object, writer, signal, () => events.record(object, 'Warning', 'DataRetained', message));
}

async function release(object: NodeBound, writer: Writer, signal: AbortSignal, before?: () => void): Promise<boolean> {
  const kind = KINDS.find(({ resource }) => resource.kind === object.kind);
  if (kind === undefined || !hasFinalizer(object, kind.finalizer)) return false;
  before?.();
  await writer.removeFinalizer(kind.resource, object, kind.finalizer, signal);
  return true;
}
