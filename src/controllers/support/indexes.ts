/** Indexes that controller and agent use, as shared functions, so that both may share one cache. */

import type { Backup } from '../../api/backup.ts';
import { isTrue } from '../../api/conditions.ts';
import type { KubeObjectBase } from '../../api/meta.ts';
import { keyOf } from '../../api/meta.ts';
import type { Restore } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';

/** VolumeMounts and Snapshots by the key of the Volume they name. */
export const BY_VOLUME = 'volume';
/** Volumes and VolumeMounts by `status.nodeName`; `''` = none yet. */
export const BY_NODE = 'node';
/** Volumes by `status.nodeName` while their storage is not there yet. */
export const BY_NODE_UNPROVISIONED = 'node-unprovisioned';
/** VolumeMounts by the host path they want. */
export const BY_TARGET = 'target';
/** Objects by UID. */
export const BY_UID = 'uid';
/** Volumes by what their `dataSource` names, see {@link dataSourceKey}. */
export const BY_DATA_SOURCE = 'data-source';
/** Snapshots by the UID of the Volume whose moment they are. */
export const BY_SOURCE_UID = 'source-uid';

/** Restores by the UID of the Volume that they take back, VolumeRestores by that of the one that they write into. */
export const BY_VOLUME_UID = 'volume-uid';

/** Backups by the key of the BackupRepository that they lie in. */
export const BY_REPOSITORY = 'repository';

/** Key of the Volume that a mount names. */
export function volumeKeyOf(mount: VolumeMount): string {
  return keyOf({ metadata: { namespace: mount.metadata.namespace ?? '', name: mount.spec.volumeRef.name } });
}

export function volumeOfMount(mount: VolumeMount): readonly string[] {
  return [volumeKeyOf(mount)];
}

/** Key of the Volume that a snapshot names. */
export function volumeKeyOfSnapshot({ metadata, spec }: Snapshot): string {
  return keyOf({ metadata: { namespace: metadata.namespace ?? '', name: spec.volumeRef.name } });
}

export function volumeOfSnapshot(snapshot: Snapshot): readonly string[] {
  return [volumeKeyOfSnapshot(snapshot)];
}

export function sourceUidOf({ status }: Snapshot): readonly string[] {
  return status?.source === undefined ? [] : [status.source.volumeUID];
}

export function volumeUidOf({ status }: Restore): readonly string[] {
  return status?.source === undefined ? [] : [status.source.volumeUID];
}

export function volumeUidOfVolumeRestore({ spec }: VolumeRestore): readonly string[] {
  return [spec.volumeUID];
}

/** Stands for an object that a `dataSource` names. */
export function dataSourceKey(kind: 'Snapshot' | 'Volume' | 'Backup', key: string): string {
  return `${kind} ${key}`;
}

export function dataSourceOf({ metadata, spec }: Volume): readonly string[] {
  const { snapshotRef, volumeRef, backupRef } = spec.dataSource ?? {};
  const keyed = (name: string): string => keyOf({ metadata: { namespace: metadata.namespace ?? '', name } });
  return [
    ...(snapshotRef === undefined ? [] : [dataSourceKey('Snapshot', keyed(snapshotRef.name))]),
    ...(volumeRef === undefined ? [] : [dataSourceKey('Volume', keyed(volumeRef.name))]),
    ...(backupRef === undefined ? [] : [dataSourceKey('Backup', keyed(backupRef.name))]),
  ];
}

export function repositoryOfBackup({ metadata, spec, status }: Backup): readonly string[] {
  const name = status?.repositoryRef?.name ?? spec.repositoryRef?.name;
  return name === undefined ? [] : [keyOf({ metadata: { namespace: metadata.namespace ?? '', name } })];
}

export function nodeOf(object: KubeObjectBase & { readonly status?: { readonly nodeName?: string } }) {
  return [object.status?.nodeName ?? ''];
}

export function nodeOfUnprovisioned({ status }: Volume): readonly string[] {
  const { nodeName } = status ?? {};
  return nodeName === undefined || isTrue(status?.conditions, 'Provisioned') ? [] : [nodeName];
}

export function uidOf(object: KubeObjectBase): readonly string[] {
  return [object.metadata.uid ?? ''];
}
