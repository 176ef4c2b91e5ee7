import { VOLUME_MOUNTS, VOLUMES } from '../../api/meta.ts';
import { isSubdomain, MAX_SUBDOMAIN } from '../../api/names.ts';
import { compareText } from '../../api/order.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import { KubeError } from '../../kube/errors.ts';
import type { CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube } from '../wait.ts';

/** Returns the volume a caller named in a parameter (`field`), or throws `InvalidParameter` or `NotFound`. */
export async function getVolume(name: string, context: CommandContext, field = 'volumeId'): Promise<Volume> {
  const { client, namespace, signal } = context;
  if (!isSubdomain(name)) {
    const message = `parameter "${field}" is ${JSON.stringify(name.slice(0, MAX_SUBDOMAIN))}, which is not a name that a volume can have`;
    throw new CommandError('InvalidParameter', message, { field });
  }
  try {
    return await client.get<Volume>(VOLUMES, { namespace, name }, { signal });
  } catch (thrown) {
    const error = KubeError.from(thrown);
    if (!error.isNotFound) throw fromKube(error);
    throw new CommandError('NotFound', `there is no volume "${name}" in namespace ${namespace}`, {
      field,
      cause: error,
    });
  }
}

/** Returns every VolumeMount of a volume, ordered by workload. */
export async function mountsOf(name: string, context: CommandContext): Promise<readonly VolumeMount[]> {
  const { client, namespace, signal } = context;
  try {
    const fieldSelector = `spec.volumeRef.name=${name}`;
    const { items } = await client.list<VolumeMount>(VOLUME_MOUNTS, { namespace, fieldSelector, signal });
    return items.toSorted((a, b) => compareText(a.spec.workloadId, b.spec.workloadId));
  } catch (thrown) {
    throw fromKube(thrown);
  }
}

/** Names the workloads of some mounts, for an error text. */
export function workloadsOf(mounts: readonly VolumeMount[]): string {
  return mounts.map(({ spec }) => `"${spec.workloadId}"`).join(', ');
}
