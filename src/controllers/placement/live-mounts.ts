import { VOLUME_MOUNTS } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import type { KubeClient } from '../../kube/client.ts';

/** UIDs of the mounts that name a volume, asked of the API server. @throws KubeError when it does not answer. */
export async function liveMounts(
  client: KubeClient,
  { metadata: { namespace, name } }: Volume,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const uids = new Set<string>();
  const selection = { namespace, fieldSelector: `spec.volumeRef.name=${name}`, signal };
  for await (const { items } of client.listPages(VOLUME_MOUNTS, selection)) {
    for (const { metadata } of items) uids.add(metadata.uid ?? '');
  }
  return uids;
}
