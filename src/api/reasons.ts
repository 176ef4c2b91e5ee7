/**
 * Every reason that a condition or an Event of ours may carry, with what it means. A reason is API: scripts compare it.
 * The same word is used in the condition and in the Event that reports the same thing.
 */
export const REASONS = {
  // Progress and success
  Pending: 'Nobody has acted on the object yet.',
  Reconciling: 'Work on the object is going on.',
  Ready: 'Observed to be as the spec wants it.',
  Provisioned: 'The storage exists on its node.',
  Provisioning: 'The storage is being made.',
  Mounted: 'The volume is mounted at status.hostPath, as seen in the mount table.',
  Mounting: 'The mount is being made.',
  Unmounting: 'The mount is being taken down.',
  Unmounted: 'No mount namespace of the host shows the mount any more.',
  Remounted: 'The mount had gone and was made again.',
  Adopted: 'Found as wanted after a restart; nothing was changed.',
  Healthy: 'The mount answers and every workload sees the current one.',
  Snapshotting: 'The snapshot is being taken.',
  ReadyToUse: 'The snapshot is complete and on disk.',
  Cloning: 'The content of the volume is being copied from its dataSource.',
  Expired: 'The Snapshot is older than its ttl and is deleted.',
  Reverting: 'The volume is being taken back to the moment of a Snapshot.',
  Reverted: 'The volume has the content of the Snapshot.',
  Suspended: 'The schedule starts no runs until it is no longer suspended.',
  RunStarted: 'The schedule has started a run.',
  Pruned: 'The retention of the schedule no longer keeps it; it is deleted.',
  Resizing: 'The storage is being grown.',
  Resized: 'The storage has its new capacity.',
  Scheduled: 'The controller has chosen a node.',
  Granted: 'The controller lets the mount use the volume.',
  Deleting: 'The object is being deleted.',
  Deleted: 'The storage was removed from its node.',
  Retained: 'The object was released and its data kept, as the reclaim policy wants.',
  DataRetained: 'The object was released without reaching its data, which is kept.',
  Paused: 'The paused annotation stops every action on the object.',

  // Waiting
  NoMatchingNode: 'No StorageNode fits nodeName, nodeSelector and the volume type.',
  NodeNotFound: 'The node named in the spec has no StorageNode.',
  NodeLost: 'The Lease of the node has expired; the state of the object is not known.',
  NodeNotReady: 'The node is there but says that it is not ready.',
  VolumeNotFound: 'The Volume that volumeRef names does not exist.',
  VolumeNotReady: 'The Volume is not ready yet.',
  VolumeDeleting: 'The Volume is being deleted and takes no new mounts.',
  WaitingForGrant: 'The controller has not granted the mount yet.',
  WaitingForUnmount: 'Something must be unmounted first; it goes on by itself.',
  InsufficientCapacity: 'The pool has not enough free space; tried again when space is freed.',
  Overcommitted: 'Thin volumes together may need more space than their pool has.',
  PoolLowSpace: 'The pool is below its low-water mark; nothing new is provisioned on it.',

  SnapshotNotFound: 'The Snapshot that is named does not exist.',
  SnapshotNotReady: 'The Snapshot that is named is not ready to use yet.',
  RestoreInProgress: 'A Restore takes the volume back; it can be mounted when that has ended.',
  SnapshotInUse: 'A volume is being made from the Snapshot; the deletion goes on by itself.',

  // Conflicts of use
  AccessModeConflict: 'The access mode does not allow a further mount.',
  ReadOnlyVolume: 'A ReadOnlyMany volume takes read-only mounts only.',
  MountTargetConflict: 'Another VolumeMount uses the same host target.',
  VolumeInUse: 'VolumeMounts still use the volume.',
  Busy: 'Processes hold the mount; status.busyBy names them.',
  InUseByOtherNamespace: 'Another mount namespace still shows the mount; the message has the PIDs.',

  // Refused: a person must change something (Stalled)
  InvalidSpec: 'The spec contradicts itself in a way that the schema cannot say.',
  VolumeClassNotFound: 'The VolumeClass that the volume names does not exist.',
  NamespaceNotAllowed: 'The VolumeClass does not allow the namespace.',
  TypeNotAllowed: 'The VolumeClass does not allow the volume type.',
  TypeNotSupported: 'The node lacks what the volume type needs; the StorageNode says what.',
  HostPathNotAllowed: 'The path is outside what VolumeClass and node allow.',
  HostPathNotFound: 'The path does not exist and type is not DirectoryOrCreate.',
  HostPathNotDirectory: 'The path is not a directory.',
  HostPathIsSymlink: 'The path leads through a symbolic link.',
  NfsServerNotAllowed: 'The VolumeClass does not allow the NFS server.',
  S3EndpointNotAllowed: 'The VolumeClass does not allow the S3 endpoint.',
  S3BucketNotAllowed: 'The VolumeClass does not allow the bucket.',
  AmbientCredentialsNotAllowed:
    'The volume names no Secret, and the VolumeClass does not allow the credentials of the node.',
  MountOptionNotAllowed: 'A mount option is not allowed by the VolumeClass or not known to the driver.',
  PoolNotFound: 'The node has no pool of that name.',
  CapacityTooLarge: 'The capacity is above what the filesystem of the volume can have.',
  CapacityTooSmall: 'The capacity is below what the filesystem of the volume needs.',
  CapacityNotEnforceable: 'The capacityPolicy is Enforce and the source cannot limit its size.',
  ShrinkNotSupported: 'The capacity asked for is below what the volume has.',
  NodeMismatch: 'The mount asks for another node than the volume has.',

  DataSourceMismatch: 'The dataSource is of another type, or lies on another node, than the volume.',
  SafetySnapshotFailed: 'What the volume has now could not be kept, so nothing was replaced.',
  RevertNotSupported: 'Volumes of this type cannot go back to a Snapshot; a new Volume can start from it.',
  SnapshotNotSupported: 'Volumes of this type on this node cannot be snapshotted; the message says what is lacking.',

  // Consistency of a snapshot
  FilesystemConsistent: 'Writers were held while the moment was taken: no write is half in it.',
  Unchanged: 'Nothing was written while it was copied, so all of it is of one moment.',
  CrashConsistent: 'Taken without holding the writers: as after a power cut.',
  ChangedDuringCopy: 'Files were written while they were copied: not all are of one moment.',
  FreezeTimeout: 'Writers would have had to wait longer than freezeTimeout, and consistency is Filesystem.',

  // Capacity
  CapacityEnforced: 'A writer gets ENOSPC at the capacity.',
  NotEnforceable: 'The source cannot limit what is written; the capacity is a statement.',
  CapacityAdvisory: 'The capacity is a statement, not a limit.',

  // Failures that are tried again
  ServerUnreachable: 'The server does not answer; it is used again by itself once it does.',
  ServerNameNotResolved: 'The name of the server has no address.',
  ExportNotFound: 'The server does not export the path.',
  ProtocolNotSupported: 'Server and node have no version of the protocol in common that the volume allows.',
  AccessDenied: 'The server refuses this node, or what it wants to do.',
  StaleHandle: 'The server does not know any more what is mounted; it is mounted anew.',
  CredentialsNotFound: 'The Secret or ConfigMap that the volume names is not there, or lacks a key.',
  CredentialsRejected: 'The server does not accept the credentials.',
  BucketNotFound: 'The bucket does not exist.',
  RegionMismatch: 'The bucket is in another region than the spec says.',
  CertificateNotTrusted: 'The certificate of the server is not signed by an authority that is trusted.',
  ClockSkew: 'The clocks of node and server differ by more than the server allows.',
  ServerError: 'The server answered with an error; tried again with back-off.',
  UploadPending: 'Files that were written have not reached the server yet; the unmount goes on by itself.',
  ObjectsLocked: 'The server keeps objects that were to be deleted, e.g. by object lock.',
  ProvisionFailed: 'Making the storage failed; tried again with back-off.',
  MountFailed: 'Mounting failed; tried again with back-off.',
  UnmountFailed: 'Unmounting failed; tried again with back-off.',
  ResizeFailed: 'Growing failed; tried again with back-off.',
  SnapshotFailed: 'Taking the snapshot failed; tried again with back-off.',
  CloneFailed: 'Copying the content from the dataSource failed; tried again with back-off.',
  RevertFailed: 'Taking the volume back failed; tried again with back-off.',
  RunsMissed: 'Runs of the schedule were not started in time, or a later one took their place.',
  RunFailed: 'A run of the schedule could not be started, or failed.',
  DeleteFailed: 'Removing the storage failed; tried again with back-off.',
  DeadlineExceeded: 'An operation did not end within its deadline and was killed.',
  InternalError: 'An error that we did not foresee; the message has it, the log has more.',

  // Drift
  MountGone: 'The mount is no longer in the mount table.',
  MountCovered: 'Something else is mounted over the target.',
  MountDrifted: 'The mount is there with another source or other options than wanted.',
  FilesystemFailed: 'The kernel has made the filesystem read-only or shut it down, as it does after an I/O error.',
  MountUnresponsive: 'The mount does not answer within the deadline.',
  StaleInWorkload: 'A workload still sees an older, dead copy of the mount.',
  DataMissing: 'The storage that was provisioned is no longer where it was.',
  Emptied: 'The volume was in memory, lost its content with a restart of the node, and was made again, empty.',

  // Nodes and their features
  AgentReady: 'The agent of the node works.',
  AgentStarting: 'The agent of the node is starting.',
  HelperUnavailable: 'The mount helper of the agent does not answer; it is being started again.',
  MountHolderUnavailable:
    'The process that starts the processes of mounts on this node does not answer, or cannot work for the agent.',
  Supported: 'Everything that is needed is there.',
  CommandMissing: 'A program that is needed is not installed.',
  KernelFeatureMissing: 'The kernel does not offer a feature that is needed.',
  PermissionDenied: 'The agent lacks a privilege that is needed.',
  Disabled: 'Turned off by configuration.',
  OrphansFound: 'Storage or mounts without an object were found; they are listed and kept.',

  // Repositories
  KeyNotFound: 'The Secret with the password of the repository is not there, or has no usable password.',
  KeyExported: 'The key of the repository was exported; it is kept by people now, too.',
  KeyNotExported: 'The key of the repository is kept nowhere else: losing this installation loses the backups.',
  KeyProvided: 'The key of the repository was brought by people, who are expected to keep it.',
  WrongPassword: 'The repository does not open with this password.',
  Initializing: 'The repository is being made.',
  Opening: 'The repository is being opened, or listed for the first time.',
  Opened: 'The repository was opened with its key.',
  RepositoryNotFound: 'There is no repository, and none may be made.',
  RepositoryGone: 'A repository that was there before is gone; none is made in its place.',
  RepositoryReplaced: 'There is another repository than before.',
  RepositoryNotEmpty: 'There is something else than a repository; nothing is made over it.',
  RepositoryNotReady: 'The BackupRepository is not ready yet.',
  RepositoryInUse: 'Work that uses the repository goes on; the deletion goes on by itself.',
  RepositoryLocked: 'Somebody works on the repository in a way that excludes this; tried again.',
  Unlocked: 'Nothing holds the repository that is gone.',
  StaleLock: 'The repository is held by something that may be gone; the message names it.',
  LockRemoved: 'A lock whose holder was proven gone was removed.',
  Verified: 'The last check found nothing wrong.',
  CheckFailed: 'The last check found damage; the message names it.',
  CheckNotRun: 'The check could not be done; tried again.',
  RepositoryDamaged: 'The repository lacks data that it should have; backups on it are not trusted.',
  Forgotten: 'Backups that retention does not keep, or parts of ones that never ended, were removed.',
  SpaceReclaimed: 'Data that no backup has any more was removed from the repository.',
  BackupImported: 'A backup was found in the repository and has an object now.',
  BackupMissing: 'The data of the backup is not in its repository any more.',
  BackupNotSupported: 'The engine or the kernel of the node cannot do this; the message says what it takes.',
  DirectoryUnusable: 'A directory that is needed is not there or may not be used; the message says why.',
  NoSpace: 'No space, or no quota, is left where it writes; tried again.',
  EngineFailed: 'The engine failed for a reason without a name; its last words are in the message.',
  // Restores from backups
  BackupNotFound:
    'There is no such backup: the Backup or its repository does not exist, or the repository has none of that ID.',
  BackupNotReady: 'The Backup that is named has not ended well, so it cannot be restored.',
  ReadingBackup: 'The document of the backup is being read from its repository.',
  Restoring: 'Content of a backup is being written.',
  Restored: 'Everything that was asked for was restored, read back and compared.',
  RestorePlanned: 'A dry run has ended: the status says what a restore would do.',
  NothingToRestore: 'The backup has nothing of what was asked for.',
  RestoreFailed: 'Restoring from the backup failed; unless the restore has ended, it is tried again with back-off.',
  RestoreIncomplete: 'A part of what was asked for was not restored; the message says which.',
  RestoreCancelled: 'The restore was cancelled before its end.',
  VolumeExists: 'A Volume of that name exists, and the restore was to make it.',
  TargetNotEmpty:
    'The directory, export or bucket of the new volume has files in it already, which nothing may be mixed with.',
  ObjectsExist: 'Objects that were to be restored exist and are different, and the conflict policy is Fail.',

  // Backups
  BackingUp: 'The volumes of the backup are being read.',
  Recording: 'All of the backup is in the repository; it is being written down as a whole.',
  Recorded: 'The backup is written down in the repository as a whole.',
  BackedUp: 'All that was to be backed up is in the repository.',
  BackedUpPartly: 'The backup lacks something, and onPartial allows that; the message says what.',
  BackupFailed: 'The backup failed; the message says why.',
  Cancelled: 'It was stopped because somebody wanted that.',
  NothingToBackUp: 'There is nothing that the backup is of.',
  Complete: 'Nothing is lacking.',
  VolumesLacking: 'More than one volume could not be backed up; the message names them.',
  FilesSkipped: 'Files could not be read, or went away while they were; the status names them.',
  SourceEmpty: 'The volume is empty and was not at its last backup: perhaps a disk or a server is not mounted.',
  SourceShrank: 'The volume has lost nine tenths of what it had at its last backup.',
  ChangedDuringRead: 'Files were written while they were read: not all are of one moment.',
  DestinationInVolume: 'The repository lies in a volume that is to be backed up to it.',
} as const satisfies Readonly<Record<string, string>>;

/** A reason constant, e.g. `'NodeLost'`. */
export type Reason = keyof typeof REASONS;

/** `Reason.NodeLost === 'NodeLost'`: lets code name a reason and the compiler check it. */
export const Reason: { readonly [R in Reason]: R } = Object.freeze(
  Object.fromEntries(Object.keys(REASONS).map((name) => [name, name])),
) as { readonly [R in Reason]: R };

/** Says whether a string is one of our reasons. */
export function isReason(value: string): value is Reason {
  return Object.hasOwn(REASONS, value);
}
