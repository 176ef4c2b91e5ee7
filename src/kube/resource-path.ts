/** Where resources live on an API server, and how their requests are parametrised. */
import type { ResourceDescriptor } from '../api/meta.ts';
import { apiVersionOf } from '../api/meta.ts';
import type { ObjectRef } from './client.ts';
import { KubeError } from './errors.ts';

/** The namespace in a path. @throws KubeError `Configuration` when a namespaced resource has none. */
export function requiredNamespace(resource: ResourceDescriptor, namespace: string | undefined): string | undefined {
  if (!resource.namespaced) return undefined;
  if (namespace === undefined || namespace === '') {
    throw new KubeError({ reason: 'Configuration', message: `${resource.plural} need a namespace` });
  }
  return namespace;
}

/** `/api/v1/…` or `/apis/GROUP/VERSION/…` of a collection; without a namespace that of all namespaces. */
export function collectionPath(resource: ResourceDescriptor, namespace?: string): string {
  const root = resource.group === '' ? '/api' : '/apis';
  const scope =
    resource.namespaced && namespace !== undefined && namespace !== '' ? `/namespaces/${segment(namespace)}` : '';
  return `${root}/${apiVersionOf(resource)}${scope}/${resource.plural}`;
}

/** The path of one object, or of a subresource of it. */
export function objectPath(resource: ResourceDescriptor, ref: ObjectRef, subresource?: string): string {
  const collection = collectionPath(resource, requiredNamespace(resource, ref.namespace));
  return `${collection}/${segment(ref.name)}${subresource === undefined ? '' : `/${segment(subresource)}`}`;
}

/** A name as one path segment; a name that would change the path is refused rather than sent. */
function segment(name: string): string {
  // A lone half of a character is no text that can be sent.
  if (name === '' || name === '.' || name === '..' || !name.isWellFormed()) {
    throw new KubeError({ reason: 'Configuration', message: `${JSON.stringify(name)} is not a name` });
  }
  return encodeURIComponent(name);
}

/** `?a=b&c=d` of what is neither undefined nor empty, or nothing. */
export function toQuery(parameters: Readonly<Record<string, string | number | boolean | undefined>>): string {
  let query = '';
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined || value === '') continue;
    query += `${query === '' ? '?' : '&'}${name}=${encodeURIComponent(value)}`;
  }
  return query;
}
