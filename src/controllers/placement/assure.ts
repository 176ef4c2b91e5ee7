/**
 * What is asked of the API server right before a decision that lets a second writer at a volume: each cache is filled by a
 * watch of its own, above all that of the next leader may be behind.
 */
import { RESTORES, STORAGE_NODES, VOLUME_MOUNTS, VOLUME_RESTORES } from '../../api/meta.ts';
import type { Restore } from '../../api/restore.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume, VolumeAttachment } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { volumeUidOf, volumeUidOfVolumeRestore } from '../support/indexes.ts';
import type { Live } from '../support/live.ts';
import { CacheBehind } from '../support/live.ts';
import type { PlacementStores } from './observe.ts';
import { isFencedOn, isGone, isGoneNode, isLostNode, unendedOf } from './observe.ts';

/**
 * Before grants are taken back whose mounts seem to be gone: the cache of mounts may not show yet what was granted already.
 *
 * @throws CacheBehind when one is there.
 */
export async function assureMountsGone(
  volume: Volume,
  mounts: readonly VolumeMount[],
  live: Live,
  signal: AbortSignal,
): Promise<void> {
  const cached = new Set(mounts.map(({ metadata }) => metadata.uid));
  const absent = (volume.status?.attachments ?? []).filter(({ mountUID }) => !cached.has(mountUID));
  if (absent.length === 0) return;
  const { namespace, name } = volume.metadata;
  const fieldSelector = `spec.volumeRef.name=${name}`;
  const there = await live.list<VolumeMount>(VOLUME_MOUNTS, { namespace, fieldSelector }, signal);
  if (!absent.some(({ mountUID }) => there.some(({ metadata }) => metadata.uid === mountUID))) return;
  throw new CacheBehind(`a mount that was granted volume "${name}" is there`);
}

/**
 * Before grants are taken back whose mounts are on a node that is lost and fenced: it may be back.
 *
 * @throws CacheBehind when it is, or nobody vouches for it any more.
 */
export async function assureFenced(
  volume: Volume,
  attachments: readonly VolumeAttachment[],
  mounts: readonly VolumeMount[],
  live: Live,
  signal: AbortSignal,
): Promise<void> {
  const kept = new Set(attachments.map(({ mountUID }) => mountUID));
  for (const { mountUID, nodeName } of volume.status?.attachments ?? []) {
    const mount = mounts.find(({ metadata }) => metadata.uid === mountUID);
    if (mount === undefined || kept.has(mountUID)) continue;
    const node = await live.get<StorageNode>(STORAGE_NODES, { name: nodeName }, signal);
    if (!isFencedOn(node, mount)) throw new CacheBehind(`node "${nodeName}" is back, or not fenced`);
  }
}

/**
 * Before a volume is handed over: its node may be back, or its StorageNode there, or a restore was begun there.
 *
 * @throws CacheBehind when it is so.
 */
export async function assureHandOver(
  volume: Volume,
  stores: PlacementStores,
  live: Live,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, name, uid = '' } = volume.metadata;
  const { nodeName = '' } = volume.status ?? {};
  const node = await live.get<StorageNode>(STORAGE_NODES, { name: nodeName }, signal);
  if (!isLostNode(node)) throw new CacheBehind(`node "${nodeName}" is back`);
  if (isGoneNode(node)) return;
  if (isGone(stores, nodeName)) throw new CacheBehind(`node "${nodeName}" is not known to be off`);
  const restores = await live.list<Restore>(RESTORES, { namespace }, signal);
  const parts = await live.list<VolumeRestore>(VOLUME_RESTORES, { namespace }, signal);
  const restore = unendedOf(
    restores.filter((one) => volumeUidOf(one).includes(uid)),
    parts.filter((one) => volumeUidOfVolumeRestore(one).includes(uid)),
  );
  if (restore !== undefined) throw new CacheBehind(`restore "${restore}" writes into volume "${name}"`);
}
