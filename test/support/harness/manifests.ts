/** Objects as a person would write them. */
import { API_VERSION, DEFAULT_VOLUME_CLASS } from '../../../src/api/group.ts';
import type { Restore, RestoreSpec } from '../../../src/api/restore.ts';
import type { ScheduleSpec, SnapshotSchedule } from '../../../src/api/schedule.ts';
import type { Snapshot, SnapshotSpec } from '../../../src/api/snapshot.ts';
import type { Volume, VolumeSpec } from '../../../src/api/volume.ts';
import { VOLUME_TYPES } from '../../../src/api/volume.ts';
import type { VolumeClass, VolumeClassSpec } from '../../../src/api/volume-class.ts';
import type { VolumeMount, VolumeMountSpec } from '../../../src/api/volume-mount.ts';

export function volume(namespace: string, name: string, spec: VolumeSpec): Volume {
  return { apiVersion: API_VERSION, kind: 'Volume', metadata: { namespace, name }, spec };
}

/** A mount for the workload `w-NAME`. */
export function mount(
  namespace: string,
  name: string,
  volumeName: string,
  spec: Partial<VolumeMountSpec> = {},
): VolumeMount {
  return {
    apiVersion: API_VERSION,
    kind: 'VolumeMount',
    metadata: { namespace, name },
    spec: { volumeRef: { name: volumeName }, workloadId: `w-${name}`, mountPath: '/data', ...spec },
  };
}

export function snapshot(
  namespace: string,
  name: string,
  volumeName: string,
  spec: Partial<SnapshotSpec> = {},
): Snapshot {
  const volumeRef = { name: volumeName };
  return { apiVersion: API_VERSION, kind: 'Snapshot', metadata: { namespace, name }, spec: { volumeRef, ...spec } };
}

export function restore(
  namespace: string,
  name: string,
  snapshotName: string,
  spec: Partial<RestoreSpec> = {},
): Restore {
  const source = { snapshotRef: { name: snapshotName } };
  return { apiVersion: API_VERSION, kind: 'Restore', metadata: { namespace, name }, spec: { source, ...spec } };
}

/** Snapshots of a volume, at two in the morning unless said otherwise. */
export function snapshotSchedule(
  namespace: string,
  name: string,
  volumeName: string,
  spec: Partial<ScheduleSpec<SnapshotSpec>> = {},
): SnapshotSchedule {
  return {
    apiVersion: API_VERSION,
    kind: 'SnapshotSchedule',
    metadata: { namespace, name },
    spec: { schedule: '0 2 * * *', template: { spec: { volumeRef: { name: volumeName } } }, ...spec },
  };
}

export function volumeClass(name: string, spec: VolumeClassSpec): VolumeClass {
  return { apiVersion: API_VERSION, kind: 'VolumeClass', metadata: { name }, spec };
}

/** What `clawstore up` installs for its own machine, for control planes where it does not run. */
export function openClass(hostPathPrefixes: readonly string[]): VolumeClass {
  return volumeClass(DEFAULT_VOLUME_CLASS, {
    allowedNamespaces: {},
    allowedTypes: VOLUME_TYPES,
    allowedHostPathPrefixes: hostPathPrefixes,
    allowedS3Endpoints: ['*'],
    allowedS3Buckets: ['*'],
    allowAmbientCredentials: true,
    allowedNfsServers: ['*'],
    allowedMountOptions: ['vers=*', 'port=*', 'proto=*', 'mountport=*', 'nolock', 'timeo=*', 'retrans=*', 'actimeo=*'],
  });
}
