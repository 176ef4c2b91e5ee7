/** Indexes that controller and agent use, as shared functions, so that both may share one cache. */

import type { KubeObjectBase } from '../../api/meta.ts';
import { keyOf } from '../../api/meta.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';

/** VolumeMounts by the key of the Volume they name. */
export const BY_VOLUME = 'volume';
/** Volumes and VolumeMounts by `status.nodeName`; `''` = none yet. */
export const BY_NODE = 'node';
/** VolumeMounts by the host path they want. */
export const BY_TARGET = 'target';
/** Objects by UID. */
export const BY_UID = 'uid';

/** Key of the Volume that a mount names. */
export function volumeKeyOf(mount: VolumeMount): string {
  return keyOf({ metadata: { namespace: mount.metadata.namespace ?? '', name: mount.spec.volumeRef.name } });
}

export function volumeOfMount(mount: VolumeMount): readonly string[] {
  return [volumeKeyOf(mount)];
}

export function nodeOf(object: KubeObjectBase & { readonly status?: { readonly nodeName?: string } }) {
  return [object.status?.nodeName ?? ''];
}

export function uidOf(object: KubeObjectBase): readonly string[] {
  return [object.metadata.uid ?? ''];
}
