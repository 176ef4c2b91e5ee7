/**
 * The name of an image says everything that must be known to find and mount it again: whose it is, how it was allocated
 * and which filesystem it has. Nothing else is remembered.
 */
import { uidSegment } from '../../api/names.ts';
import type { ImageFilesystem } from '../../node/images/operations.ts';

export interface ImageName {
  readonly volumeUID: string;
  readonly provisioning: 'Thin' | 'Thick';
  readonly filesystem: ImageFilesystem;
}

const PATTERN = /^([0-9a-z][0-9a-z-]{0,63})\.(thin|thick)\.(xfs|ext4)\.img$/;

/** `UID.thin.xfs.img` and the like. @throws NameError when the UID could not be part of a path. */
export function formatImageName({ volumeUID, provisioning, filesystem }: ImageName): string {
  return `${uidSegment('metadata.uid', volumeUID)}.${provisioning.toLowerCase()}.${filesystem}.img`;
}

/** Reads a file name; undefined when it is not an image of a volume. */
export function parseImageName(name: string): ImageName | undefined {
  const [, volumeUID, provisioning, filesystem] = PATTERN.exec(name) ?? [];
  if (volumeUID === undefined) return undefined;
  return {
    volumeUID,
    provisioning: provisioning === 'thick' ? 'Thick' : 'Thin',
    filesystem: filesystem === 'xfs' ? 'xfs' : 'ext4',
  };
}

/** A snapshot of a volume image: an image that nobody mounts. */
export interface SnapshotImageName {
  readonly snapshotUID: string;
  readonly volumeUID: string;
  readonly filesystem: ImageFilesystem;
}

const SNAPSHOT_PATTERN = /^([0-9a-z][0-9a-z-]{0,63})\.([0-9a-z][0-9a-z-]{0,63})\.snapshot\.(xfs|ext4)\.img$/;

/** `SNAPSHOT.VOLUME.snapshot.xfs.img`; no volume has such a name. @throws NameError as `formatImageName` does. */
export function formatSnapshotName({ snapshotUID, volumeUID, filesystem }: SnapshotImageName): string {
  const [own, volume] = [uidSegment('metadata.uid', snapshotUID), uidSegment('status.source.volumeUID', volumeUID)];
  return `${own}.${volume}.snapshot.${filesystem}.img`;
}

/** Reads a file name; undefined when it is not a snapshot of a volume image. */
export function parseSnapshotName(name: string): SnapshotImageName | undefined {
  const [, snapshotUID, volumeUID, filesystem] = SNAPSHOT_PATTERN.exec(name) ?? [];
  if (snapshotUID === undefined || volumeUID === undefined) return undefined;
  return { snapshotUID, volumeUID, filesystem: filesystem === 'xfs' ? 'xfs' : 'ext4' };
}
