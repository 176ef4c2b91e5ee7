import type { GetOptions, KubeClient, KubeObjectBase, ObjectRef, ResourceDescriptor } from './client.ts';
import { KubeError } from './errors.ts';

/** The object of this name; undefined when there is none. @throws KubeError for every other answer, or none. */
export async function getIfPresent<T extends KubeObjectBase>(
  client: Pick<KubeClient, 'get'>,
  resource: ResourceDescriptor,
  { namespace, name }: ObjectRef,
  options: GetOptions,
): Promise<T | undefined> {
  try {
    return await client.get<T>(resource, { namespace, name }, options);
  } catch (thrown) {
    if (KubeError.from(thrown).isNotFound) return undefined;
    throw thrown;
  }
}
