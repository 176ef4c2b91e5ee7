/** What an update may change, and what follows from it. */

import type { Resource } from '../kinds/resource.ts';
import { NAMESPACE_FINALIZER } from '../kinds/strategies.ts';
import { deepEqual, isObject, type JsonObject } from '../schema/json-value.ts';
import type { Subresource } from './request.ts';

/** What clients cannot change comes from the stored version; a different value they sent is refused by validation. */
export function keepSystemFields(metadata: JsonObject, old: JsonObject): void {
  for (const key of ['uid', 'namespace', 'generateName'] as const) {
    if (metadata[key] === undefined && old[key] !== undefined) metadata[key] = old[key];
  }
  if (old['creationTimestamp'] !== undefined) metadata['creationTimestamp'] = old['creationTimestamp'];
  for (const key of ['deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
    if (metadata[key] === undefined && old[key] !== undefined) metadata[key] = old[key];
  }
  if (old['generation'] === undefined) delete metadata['generation'];
  else metadata['generation'] = old['generation'];
}

/** The endpoint decides which part of the object is taken. */
export function prepareForUpdate(
  resource: Resource,
  sent: JsonObject,
  stored: JsonObject,
  subresource: Subresource,
): JsonObject {
  if (subresource === 'status') {
    const { status } = sent;
    const metadata = sent['metadata'] as JsonObject;
    const next: JsonObject = { ...stored };
    if (status === undefined) delete next['status'];
    else next['status'] = status;
    const kept = resource.custom ? { ...(stored['metadata'] as JsonObject) } : { ...metadata };
    if (metadata['managedFields'] === undefined) delete kept['managedFields'];
    else kept['managedFields'] = metadata['managedFields'];
    next['metadata'] = kept;
    return next;
  }
  if (subresource === 'finalize') {
    return { ...stored, spec: sent['spec'] ?? {}, metadata: { ...(stored['metadata'] as JsonObject) } };
  }
  if (resource.hasStatus) {
    if (stored['status'] === undefined) delete sent['status'];
    else sent['status'] = stored['status'];
  }
  resource.strategy.prepareForUpdate?.(sent, stored);
  return sent;
}

/** Bumps the generation when the desired state has changed. */
export function countGeneration(resource: Resource, object: JsonObject, stored: JsonObject): void {
  if (!resource.strategy.hasGeneration) return;
  for (const key of new Set([...Object.keys(object), ...Object.keys(stored)])) {
    if (key === 'metadata' || (resource.hasStatus && key === 'status')) continue;
    if (deepEqual(object[key], stored[key])) continue;
    const metadata = object['metadata'] as JsonObject;
    metadata['generation'] = Number((stored['metadata'] as JsonObject)['generation'] ?? 0) + 1;
    return;
  }
}

/** Nothing holds a deleted object back any more. */
export function isReleased(resource: Resource, object: JsonObject): boolean {
  const { finalizers } = object['metadata'] as JsonObject;
  if (Array.isArray(finalizers) && finalizers.length > 0) return false;
  if (resource.group !== '' || resource.resource !== 'namespaces') return true;
  const { spec } = object;
  const own = isObject(spec) ? spec['finalizers'] : undefined;
  return !Array.isArray(own) || !own.includes(NAMESPACE_FINALIZER);
}
