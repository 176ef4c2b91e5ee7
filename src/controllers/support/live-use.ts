/** Who uses a volume on its node, asked right before something else writes into its storage. */
import { VOLUME_MOUNTS, VOLUMES } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { AgentDependencies } from './agent.ts';

export interface VolumeUse {
  /** With its grants; undefined when it is gone, or another one has its name. */
  readonly volume: Volume | undefined;
  /** VolumeMounts of it on this node. */
  readonly mounts: readonly VolumeMount[];
}

/**
 * Whoever holds the volume's lock sees every mount that was begun here: its finalizer came first, under the same lock.
 *
 * @throws KubeError when the server does not answer.
 */
export async function liveUse(
  { volume }: Pick<VolumeUse, 'volume'>,
  { live, nodeName }: Pick<AgentDependencies, 'live' | 'nodeName'>,
  signal: AbortSignal,
): Promise<VolumeUse> {
  if (volume === undefined) return { volume, mounts: [] };
  const { namespace, name, uid } = volume.metadata;
  const fieldSelector = `status.nodeName=${nodeName},spec.volumeRef.name=${name}`;
  const mounts = await live.list<VolumeMount>(VOLUME_MOUNTS, { namespace, fieldSelector }, signal);
  const now = await live.get<Volume>(VOLUMES, { namespace, name }, signal);
  return { volume: now?.metadata.uid === uid ? now : undefined, mounts };
}
