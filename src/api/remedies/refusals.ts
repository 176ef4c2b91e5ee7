import type { Remedies } from './remedy.ts';

/** What a person must change: policy, spec, and what a node lacks. */
export const REFUSALS = {
  InvalidSpec: {
    affected: 'Nothing is done until the spec is changed.',
    action: 'Correct the field that the message names.',
  },
  VolumeClassNotFound: {
    affected: 'Nothing is made; what is mounted stays.',
    action:
      'Make the VolumeClass, or correct `volumeClassName`. Objects that name none use the class `default`, which must exist on a cluster.',
  },
  NamespaceNotAllowed: {
    affected: 'Nothing is made for this namespace.',
    action:
      'Ask the administrator to widen `allowedNamespaces` of the class, or to label the namespace so that it fits.',
  },
  TypeNotAllowed: {
    affected: 'Nothing is made.',
    action: 'Use a type of `allowedTypes` of the class, or another class.',
  },
  TypeNotSupported: {
    affected: 'Nothing is made on the node.',
    action:
      'Run `clawstore doctor` on the node, or read `status.types` of the StorageNode: they name the package or the kernel feature. After it is installed it goes on by itself.',
  },
  HostPathNotAllowed: {
    affected: 'Nothing is mounted.',
    action:
      'Use a path below both `allowedHostPathPrefixes` of the class and `--host-path-allow` of the agent, or have them widened. System directories and those of clawstore are never allowed.',
  },
  HostPathNotFound: {
    affected: 'Nothing is mounted.',
    action: 'Make the directory on the node, mount the disk that has it, or set `type: DirectoryOrCreate`.',
  },
  HostPathNotDirectory: {
    affected: 'Nothing is mounted.',
    action: 'Name a directory: files, devices and sockets cannot be volumes.',
  },
  HostPathIsSymlink: {
    affected: 'Nothing is mounted.',
    action:
      'Name the directory that the link leads to: links below the allowed prefix are not followed, because who may write there could send the mount anywhere.',
  },
  NfsServerNotAllowed: {
    affected: 'Nothing is mounted.',
    action: 'Use a server of `allowedNfsServers` of the class, or have it added.',
  },
  S3EndpointNotAllowed: {
    affected: 'Nothing is mounted, and no credentials are sent.',
    action: 'Use an endpoint of `allowedS3Endpoints` of the class, or have it added.',
  },
  S3BucketNotAllowed: {
    affected: 'Nothing is mounted, and no credentials are sent.',
    action: 'Use a bucket that fits `allowedS3Buckets` of the class, or have it added.',
  },
  AmbientCredentialsNotAllowed: {
    affected: 'Nothing is mounted.',
    action:
      'Name a Secret in `credentialsSecretRef`. The credentials of the node are for classes with `allowAmbientCredentials` alone.',
  },
  MountOptionNotAllowed: {
    affected: 'Nothing is mounted.',
    action:
      'Take the option that the message names out of `mountOptions`, or have it added to `allowedMountOptions` of the class.',
  },
  PoolNotFound: {
    affected: 'Nothing is made.',
    action: 'Correct the pool in the VolumeClass: `status.pools` of the StorageNodes lists those that there are.',
  },
  CapacityTooLarge: {
    affected: 'The storage is not made, or not grown; what is there goes on working.',
    action: 'Ask for less: the message has the limit.',
  },
  CapacityTooSmall: {
    affected: 'The storage is not made.',
    action: 'Ask for more: the message has the least size. A copy is at least as large as what it is made from.',
  },
  CapacityNotEnforceable: {
    affected: 'Nothing is mounted: the spec demands a limit that cannot be kept.',
    action:
      'Leave out `capacityPolicy: Enforce`, or use an emptyDir; a hostPath is limited where its directory lies on XFS with `prjquota`.',
  },
  ShrinkNotSupported: {
    affected: 'The size stays as it is; the volume goes on working.',
    action: 'Set `capacity` back to what `status.capacity` says. For a smaller volume make a new one and copy.',
  },
  NotEnforceable: {
    affected: 'Nothing stops a writer at the capacity.',
    action: 'Nothing, if a statement is enough. Else use an emptyDir, or XFS with `prjquota` for a hostPath.',
  },
  DataSourceMismatch: {
    affected: 'The volume is not made.',
    action:
      'Use the type, medium and node of what it is made from. A backup can be restored into any type, on any node.',
  },
  RevertNotSupported: {
    affected: 'The Restore is refused; the volume is unchanged.',
    action: 'Make a new Volume with `dataSource.snapshotRef`.',
  },
  SnapshotNotSupported: {
    affected: 'The snapshot is not taken.',
    action: 'The message says what is lacking on the node. A Backup needs no snapshots.',
  },
  BackupNotSupported: {
    affected: 'The work is not done on that node.',
    action:
      'Install what the message names (`clawstore doctor` lists it), or use a repository that another node reaches.',
  },
} as const satisfies Remedies;
