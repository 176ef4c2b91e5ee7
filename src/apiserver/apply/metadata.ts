import type { ManagedFieldsEntry } from './managers.ts';
import { deepEqual, isObject, type JsonObject } from './values.ts';

/** The object's metadata, or an empty one. */
export function metadataOf(object: JsonObject): JsonObject {
  return isObject(object.metadata) ? object.metadata : {};
}

/** The object with other `metadata.managedFields`, or without them. */
export function withManagedFields(object: JsonObject, entries: readonly ManagedFieldsEntry[] | undefined): JsonObject {
  const metadata = metadataOf(object);
  if (entries === undefined) {
    if (!Object.hasOwn(metadata, 'managedFields')) return object;
    const { managedFields: _, ...rest } = metadata;
    return { ...object, metadata: rest };
  }
  return { ...object, metadata: { ...metadata, managedFields: entries } };
}

/** `group/version, Kind=K`, as the API server prints a kind. */
export function formatKind(object: JsonObject): string {
  const apiVersion = typeof object.apiVersion === 'string' ? object.apiVersion : '';
  const kind = typeof object.kind === 'string' ? object.kind : '';
  return `${apiVersion.includes('/') ? '' : '/'}${apiVersion}, Kind=${kind}`;
}

/** `namespace/name; group/version, Kind=K`, as the API server names an object in messages. */
export function formatObject(object: JsonObject): string {
  const { namespace, name } = metadataOf(object);
  return `${typeof namespace === 'string' ? namespace : ''}/${typeof name === 'string' ? name : ''}; ${formatKind(object)}`;
}

/**
 * Takes back new times of managers when nothing else has changed, so that a write that changes nothing stays one
 * (apiserver, IgnoreManagedFieldsTimestampsTransformer). Call it with what would be stored, defaulted and pruned.
 * Returns `previous` itself when both are the same.
 */
export function settleTimestamps(previous: JsonObject, next: JsonObject): JsonObject {
  const before = metadataOf(previous).managedFields;
  const after = metadataOf(next).managedFields;
  if (!Array.isArray(before) || !Array.isArray(after) || before.length !== after.length) return next;
  for (let i = 0; i < after.length; i++) {
    if (before[i] !== after[i] && !deepEqual(timeless(before[i]), timeless(after[i]))) return next;
  }
  return deepEqual(withManagedFields(previous, undefined), withManagedFields(next, undefined)) ? previous : next;
}

function timeless(entry: unknown): unknown {
  if (!isObject(entry)) return entry;
  const { time: _, ...rest } = entry;
  return rest;
}
