/** Objects for tests, with everything a server would have filled in. */

import type { Backup, BackupSpec, BackupStatus } from '../../../src/api/backup.ts';
import type {
  BackupRepository,
  BackupRepositorySpec,
  BackupRepositoryStatus,
} from '../../../src/api/backup-repository.ts';
import { API_VERSION } from '../../../src/api/group.ts';
import type { Condition, ObjectMeta } from '../../../src/api/meta.ts';
import type { Reason } from '../../../src/api/reasons.ts';
import type { Restore, RestoreSpec, RestoreStatus } from '../../../src/api/restore.ts';
import type { Snapshot, SnapshotSpec, SnapshotStatus } from '../../../src/api/snapshot.ts';
import type { StorageNode, StorageNodeStatus } from '../../../src/api/storage-node.ts';
import type { Volume, VolumeSpec, VolumeStatus } from '../../../src/api/volume.ts';
import { VOLUME_TYPES, volumeTypeOf } from '../../../src/api/volume.ts';
import type { VolumeClass, VolumeClassSpec } from '../../../src/api/volume-class.ts';
import type { VolumeMount, VolumeMountSpec, VolumeMountStatus } from '../../../src/api/volume-mount.ts';
import type { VolumeRestore, VolumeRestoreSpec, VolumeRestoreStatus } from '../../../src/api/volume-restore.ts';

/** When the fake clock starts, and when objects were made unless said otherwise: long enough ago not to be fresh. */
export const NOW = Date.parse('2026-01-01T00:00:00Z');
export const LONG_AGO = '2025-12-31T00:00:00Z';

type Meta = Partial<ObjectMeta>;
let version = 0;

function meta(name: string, namespaced: boolean, overrides: Meta): ObjectMeta {
  return {
    name,
    ...(namespaced ? { namespace: 'team' } : {}),
    uid: `uid-${name}`,
    resourceVersion: String(++version),
    generation: 1,
    creationTimestamp: LONG_AGO,
    ...overrides,
  };
}

export function volume(
  name: string,
  spec: Partial<VolumeSpec> = {},
  status: VolumeStatus = {},
  metadata: Meta = {},
): Volume {
  const source = volumeTypeOf(spec) === undefined ? { emptyDir: {} } : {};
  const accessModes = spec.accessModes ?? ['ReadWriteOnce'];
  return {
    apiVersion: API_VERSION,
    kind: 'Volume',
    metadata: meta(name, true, metadata),
    spec: { ...source, ...spec, accessModes },
    status: { observedGeneration: -1, ...status },
  };
}

export function mount(
  name: string,
  spec: Partial<VolumeMountSpec> = {},
  status: VolumeMountStatus = {},
  metadata: Meta = {},
): VolumeMount {
  return {
    apiVersion: API_VERSION,
    kind: 'VolumeMount',
    metadata: meta(name, true, metadata),
    spec: { volumeRef: { name: 'data' }, workloadId: `workload-${name}`, mountPath: '/data', ...spec },
    status: { observedGeneration: -1, ...status },
  };
}

export function snapshot(
  name: string,
  spec: Partial<SnapshotSpec> = {},
  status: SnapshotStatus = {},
  metadata: Meta = {},
): Snapshot {
  return {
    apiVersion: API_VERSION,
    kind: 'Snapshot',
    metadata: meta(name, true, metadata),
    spec: { volumeRef: { name: 'data' }, ...spec },
    status: { observedGeneration: -1, ...status },
  };
}

export function restore(
  name: string,
  spec: Partial<RestoreSpec> = {},
  status: RestoreStatus = {},
  metadata: Meta = {},
): Restore {
  return {
    apiVersion: API_VERSION,
    kind: 'Restore',
    metadata: meta(name, true, metadata),
    spec: { source: { snapshotRef: { name: 's' } }, ...spec },
    status: { observedGeneration: -1, ...status },
  };
}

export function volumeRestore(
  name: string,
  spec: Partial<VolumeRestoreSpec> = {},
  status: VolumeRestoreStatus = {},
  metadata: Meta = {},
): VolumeRestore {
  return {
    apiVersion: API_VERSION,
    kind: 'VolumeRestore',
    metadata: meta(name, true, metadata),
    spec: {
      restoreRef: { name: 'r' },
      repository: { hostPath: { path: '/data/repo' }, nodeName: 'a', encryption: { secretRef: { name: 'key' } } },
      backupID: 'b-1',
      from: { name: 'data' },
      volumeRef: { name: 'data' },
      volumeUID: 'uid-data',
      mode: 'InPlace',
      existingFiles: 'Overwrite',
      ...spec,
    },
    status: { observedGeneration: -1, ...status },
  };
}

export function backup(name: string, status: BackupStatus = {}, spec: Partial<BackupSpec> = {}): Backup {
  return {
    apiVersion: API_VERSION,
    kind: 'Backup',
    metadata: meta(name, true, {}),
    spec: { scope: 'Full', repositoryRef: { name: 'repo' }, ...spec },
    status: { observedGeneration: -1, ...status },
  };
}

export function repository(
  name: string,
  spec: Partial<BackupRepositorySpec> = {},
  status: BackupRepositoryStatus = {},
): BackupRepository {
  const source = spec.s3 === undefined && spec.nfs === undefined ? { hostPath: { path: '/data/repo' } } : {};
  return {
    apiVersion: API_VERSION,
    kind: 'BackupRepository',
    metadata: meta(name, true, {}),
    spec: { ...source, encryption: { secretRef: { name: 'key' } }, ...spec },
    status: { observedGeneration: -1, ...status },
  };
}

export function volumeClass(name: string, spec: Partial<VolumeClassSpec> = {}): VolumeClass {
  return {
    apiVersion: API_VERSION,
    kind: 'VolumeClass',
    metadata: meta(name, false, {}),
    spec: { allowedNamespaces: {}, allowedTypes: VOLUME_TYPES, ...spec },
  };
}

export function storageNode(name: string, status: StorageNodeStatus = {}, metadata: Meta = {}): StorageNode {
  return {
    apiVersion: API_VERSION,
    kind: 'StorageNode',
    metadata: meta(name, false, metadata),
    status: {
      observedGeneration: 1,
      conditions: [condition('Ready', 'True', 'AgentReady')],
      types: [
        { name: 'emptyDir', supported: true },
        { name: 'hostPath', supported: true },
        { name: 'nfs', supported: true },
      ],
      pools: [{ name: 'default', path: '/p', filesystem: 'xfs', capacity: '100Gi', free: '60Gi', reserved: '10Gi' }],
      ...status,
    },
  };
}

export function condition<Type extends string>(
  type: Type,
  status: Condition['status'],
  reason: Reason,
  message = status === 'True' ? '' : `${reason} it is.`,
): Condition<Type> {
  return { type, status, reason, message, lastTransitionTime: LONG_AGO, observedGeneration: 1 };
}

/** What a lost node looks like. */
export function lostNode(name: string, metadata: Meta = {}): StorageNode {
  return storageNode(name, { conditions: [condition('Ready', 'Unknown', 'NodeLost')] }, metadata);
}
