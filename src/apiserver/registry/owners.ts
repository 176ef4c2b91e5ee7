/** The record of who set which fields. */
import { updateManagedFields } from '../apply/index.ts';
import type { Resource } from '../kinds/resource.ts';
import { isObject, type JsonObject } from '../schema/json-value.ts';
import { copyForWrite } from './objects.ts';
import type { Subresource, WriteContext } from './request.ts';

/** Fields that an endpoint does not write, and that its writers therefore do not own. */
export function resetFieldsOf(resource: Resource, subresource: Subresource): readonly string[] {
  return subresource === 'status' ? resource.statusResetFields : resource.resetFields;
}

/** The object with `managedFields` that say who wrote what. */
export function record(
  resource: Resource,
  old: JsonObject | null,
  object: JsonObject,
  context: WriteContext,
  subresource: Subresource,
): JsonObject {
  const recorded = updateManagedFields({
    schema: resource.node,
    apiVersion: resource.apiVersion,
    manager: context.fieldManager,
    subresource,
    time: new Date(context.clock.now()),
    resetFields: resetFieldsOf(resource, subresource),
    old,
    new: object,
  }) as JsonObject;
  // Its own copy: what follows changes it.
  const owned = recorded === object ? recorded : copyForWrite(recorded);
  if (resource.strategy.structs !== undefined) disownStructs(owned, resource.strategy.structs);
  return owned;
}

/** The same for what an apply has made of `live`, where updates of the past may get an entry (`before-first-apply`). */
export function ownedByHand(resource: Resource, object: JsonObject, live: JsonObject | null): JsonObject {
  const { structs } = resource.strategy;
  const metadata = object['metadata'];
  if (object === live || structs === undefined || !isObject(metadata) || metadata['managedFields'] === undefined) {
    return object;
  }
  const owned = { ...object, metadata: { ...metadata } };
  disownStructs(owned, structs);
  return owned;
}

/**
 * What a Go type always has is there without anybody's doing: empty values, and the presence of a struct. The object's
 * metadata are its own; its entries may be shared with others and are not changed.
 */
export function disownStructs(object: JsonObject, structs: readonly string[]): void {
  const metadata = object['metadata'] as JsonObject;
  const entries = metadata['managedFields'];
  if (!Array.isArray(entries)) return;
  const kept = entries
    .map((entry) => {
      const fields = isObject(entry) && entry['operation'] === 'Update' ? entry['fieldsV1'] : undefined;
      if (!isObject(entry) || !isObject(fields)) return entry;
      const left = withoutStructs(object, fields, structs);
      return left === fields ? entry : { ...entry, fieldsV1: left };
    })
    .filter((entry) => !isObject(entry) || !isObject(entry['fieldsV1']) || Object.keys(entry['fieldsV1']).length > 0);
  if (kept.length > 0) metadata['managedFields'] = kept;
  else delete metadata['managedFields'];
}

function withoutStructs(object: JsonObject, fields: JsonObject, structs: readonly string[]): JsonObject {
  let left = fields;
  for (const name of structs) {
    const key = `f:${name}`;
    const field = left[key];
    if (field === undefined) continue;
    const value = object[name];
    const isEmpty = value === null || value === '' || (isObject(value) && Object.keys(value).length === 0);
    if (isEmpty) {
      const { [key]: _, ...rest } = left;
      left = rest;
    } else if (isObject(field) && field['.'] !== undefined) {
      const { '.': _, ...rest } = field;
      left = { ...left, [key]: rest };
    }
  }
  return left;
}
