import type { Remedies } from './remedy.ts';

/** Mounts and storage on a node, when something has happened to them. */
export const MOUNTS = {
  MountGone: {
    affected: 'Programs saw the bare directory, which takes no files, for a moment.',
    action: 'Nothing: it is mounted again at once. If it comes back, find out who unmounts it.',
  },
  MountCovered: {
    affected: 'Programs see what lies over the mount, and not the volume.',
    action: 'Unmount what the message names. It is not ours, so it is left alone; Ready comes back by itself.',
  },
  MountDrifted: {
    affected: 'The mount had other options or another source than wanted.',
    action:
      'Nothing where it is made anew by itself. While processes hold it, end those in `status.busyBy`. What is not ours must be unmounted by who mounted it.',
  },
  FilesystemFailed: {
    affected: 'Writes fail; what had reached the disk can mostly be read. Other volumes on the same disk may follow.',
    action:
      'Find the cause on the node (`dmesg`): a disk, or no room below an image. When the disk can be trusted again, delete the VolumeMounts and make them anew; it is mounted again then.',
  },
  MountUnresponsive: {
    affected: 'Programs that touch the mount wait or get errors.',
    action:
      'Nothing at first: dead s3 mounts are made anew within seconds, and nfs goes on when its server is back. If it lasts, look at the server.',
  },
  StaleInWorkload: {
    affected: 'One workload still sees an older, dead copy of the mount; others are right.',
    action:
      'Restart the workload whose process is named, with a bind of the *parent* of the target and `rslave` (`HostToContainer`) propagation, so that it does not happen again.',
  },
  DataMissing: {
    affected: 'The volume or snapshot cannot be used. Nothing is made in its place.',
    action:
      'Bring the data back: mount the disk that it is on, or undo the move or deletion. If it is lost, delete the object and restore from a backup.',
  },
  Emptied: {
    affected: 'The volume is Ready and empty: what was in memory went with the restart.',
    action: 'Fill it again. Use an emptyDir on disk for what must survive a restart.',
  },
  ProvisionFailed: {
    affected: 'The volume is not made; its mounts wait.',
    action:
      'The message has the error of the node. It is tried again, ever less often; `clawstore doctor` may say more.',
  },
  MountFailed: {
    affected: 'This mount is not there.',
    action: 'The message has the error of the node. It is tried again, ever less often.',
  },
  UnmountFailed: {
    affected: 'The mount stays, and what waits for its end waits.',
    action: 'The message has the error of the node. It is tried again; nothing is forced.',
  },
  ResizeFailed: {
    affected: 'The volume works with the size that it has.',
    action: 'The message has the error. It is tried again.',
  },
  DeleteFailed: {
    affected: 'The object stays, and so does what is left of its storage.',
    action:
      'The message has the error. It is tried again. If the node is gone for good, annotate the object `storage.clawbernetes.io/force-delete` with its UID.',
  },
  DeadlineExceeded: {
    affected: 'One operation was ended; what it worked on is as before, or is looked at again.',
    action:
      'Nothing if it passes. Else look for a disk or server that does not answer, or raise `activeDeadlineSeconds` of a backup.',
  },
  InternalError: {
    affected: 'What the message names is not done; other objects are not touched.',
    action: 'It is tried again. Please report it with the log of that time.',
  },
} as const satisfies Remedies;
