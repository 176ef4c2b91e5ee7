/** Parts of objects, and their forms in storage. */
import { badRequest } from '../http/errors.ts';
import type { Resource } from '../kinds/resource.ts';
import { isObject, type JsonObject } from '../schema/json-value.ts';
import { Item } from '../storage/item.ts';

/** The metadata of an object; made when it has none. */
export function metadataOf(object: JsonObject): JsonObject {
  const { metadata } = object;
  if (isObject(metadata)) return metadata;
  const created: JsonObject = {};
  object['metadata'] = created;
  return created;
}

/** The parts of an object that a write changes are its own; the rest is shared with the stored version. */
export function copyForWrite(object: JsonObject): JsonObject {
  const { metadata } = object;
  return isObject(metadata) ? { ...object, metadata: { ...metadata } } : { ...object };
}

/** Fits the namespace of an object to that of the request. Throws StatusError. */
export function checkNamespace(resource: Resource, metadata: JsonObject, namespace: string): void {
  if (!resource.namespaced) {
    delete metadata['namespace'];
    return;
  }
  if (metadata['namespace'] === undefined || metadata['namespace'] === '') metadata['namespace'] = namespace;
  else if (metadata['namespace'] !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
}

/** A version that is shown but not stored. */
export function draft(key: string, object: JsonObject): Item {
  const { resourceVersion } = object['metadata'] as JsonObject;
  return new Item(key, Number(resourceVersion ?? 0), JSON.stringify(object), object);
}

/** The version that is stored; `kind` and `apiVersion` come first, as Go encodes the built-in kinds. */
export function storedForm(resource: Resource, object: JsonObject): JsonObject {
  if (resource.custom) return object;
  const stored = resource.view === undefined ? object : resource.view.toStored(object);
  const { kind, apiVersion, metadata, ...rest } = stored;
  return { kind: kind as string, apiVersion: apiVersion as string, metadata: metadata as JsonObject, ...rest };
}
