import type { Remedies } from './remedy.ts';

/** Where a volume goes, who may use it, and what waits for what. */
export const PLACEMENT = {
  NoMatchingNode: {
    affected: 'The volume has no node: nothing is made, and its mounts wait.',
    action:
      'The message counts what each node lacks. Correct `nodeName`, `nodeSelector` or the type, or label the StorageNode; `kubectl describe storagenodes` says what nodes support. It goes on by itself.',
  },
  NodeNotFound: {
    affected: 'The object waits; nothing is made.',
    action: 'Start the agent of that node, or correct the name: `kubectl get storagenodes` lists those that there are.',
  },
  NodeLost: {
    affected:
      'Nothing is known of what is on the node. Mounts there may still be written to, so that a volume of one node is not given to another.',
    action:
      'Look whether the agent runs and reaches the API server. It takes its objects back by itself. If the node is off for good: annotate its StorageNode `storage.clawbernetes.io/node-fenced` with the UID of the StorageNode to release its grants, and single objects `storage.clawbernetes.io/force-delete` with their own UID to let them go.',
  },
  NodeNotReady: {
    affected: 'Nothing new is placed on the node.',
    action: 'The condition `Ready` of the StorageNode says why. It goes on by itself when that has ended.',
  },
  VolumeNotFound: {
    affected:
      'The mount, snapshot or copy waits; a Backup that names the volume waits for a minute, and has failed then.',
    action:
      'Make the Volume, or correct the name. A Snapshot that was not taken before its volume went is not taken any more: delete it.',
  },
  VolumeNotReady: {
    affected:
      'The mount, snapshot or copy waits. A Backup waits for ten minutes for storage that was never there, reads its other volumes meanwhile, and has failed then.',
    action:
      'The conditions of the Volume say what it waits for. It goes on by itself; a Backup that has failed must be made anew.',
  },
  VolumeDeleting: {
    affected: 'The mount is not made.',
    action: 'Delete the VolumeMount, or wait and make a Volume of that name anew.',
  },
  WaitingForGrant: {
    affected: 'The mount is not made yet.',
    action:
      'Nothing, if it passes within seconds. Else look whether a controller runs and leads (`kubectl get leases -n clawstore-system`).',
  },
  WaitingForUnmount: {
    affected: 'The deletion or change waits; nothing is torn away.',
    action: 'Delete the VolumeMounts that the message names, or end what uses them. It goes on by itself.',
  },
  AccessModeConflict: {
    affected: 'This mount is not made; those that are there go on working.',
    action:
      'Delete the mount that has the volume (the message names it), or use a volume with another access mode. It goes on by itself when the other has gone.',
  },
  ReadOnlyVolume: {
    affected: 'The mount is not made.',
    action: 'Set `readOnly: true` on the VolumeMount: the access mode of the volume is ReadOnlyMany.',
  },
  MountTargetConflict: {
    affected: 'This mount is not made; the other one stays.',
    action: 'Choose another `hostPath` for one of the two, or leave it out.',
  },
  VolumeInUse: {
    affected: 'The deletion or restore waits or is refused; the volume goes on working.',
    action:
      'Delete the VolumeMounts, or end the work, that the message names. A deletion then goes on by itself; a Restore that was refused must be made again.',
  },
  Busy: {
    affected: 'The mount stays, and what waits for its end waits.',
    action:
      'End the processes in `status.busyBy`, or let them close their files. It goes on by itself; nothing is forced.',
  },
  InUseByOtherNamespace: {
    affected: 'The mount counts as mounted, and the volume is not deleted.',
    action:
      'End or restart the containers whose PIDs the message has: they keep a copy of the mount in a mount namespace of their own.',
  },
  Paused: {
    affected: 'Nothing is done for the object; what is mounted stays.',
    action: 'Remove the annotation `storage.clawbernetes.io/paused` when work may go on.',
  },
  NodeMismatch: {
    affected: 'The mount is not made.',
    action:
      'Volumes of the types emptyDir and hostPath can be mounted on their own node alone. Correct or leave out `nodeName` of the VolumeMount, or use nfs or s3.',
  },
  DataRetained: {
    affected: 'The object is gone; its data is where it was.',
    action: 'Look at the place that the event names, and remove the data by hand if nobody wants it.',
  },
  HandedOver: {
    affected: 'The volume waits until the agent of its new node has looked at it; mounts on other nodes go on.',
    action: 'Nothing: it is Ready within seconds. If it lasts, see the agent of the new node.',
  },
  NodeUnschedulable: {
    affected: 'What is there stays and goes on; nothing new is placed on the node.',
    action: 'Nothing, if the node is being drained; else set `spec.unschedulable` of its StorageNode to false.',
  },
} as const satisfies Remedies;
