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
  const owned = { ...object, metadata: { ...metadata, managedFields: structuredClone(metadata['managedFields']) } };
  disownStructs(owned, structs);
  return owned;
}

/** What a Go type always has is there without anybody's doing: empty values, and the presence of a struct. */
export function disownStructs(object: JsonObject, structs: readonly string[]): void {
  const entries = (object['metadata'] as JsonObject)['managedFields'];
  if (!Array.isArray(entries)) return;
  for (const entry of entries) {
    const fields = isObject(entry) && entry['operation'] === 'Update' ? entry['fieldsV1'] : undefined;
    if (!isObject(fields)) continue;
    for (const name of structs) {
      const field = fields[`f:${name}`];
      if (object[name] === null || object[name] === '') delete fields[`f:${name}`];
      else if (isObject(field)) {
        delete field['.'];
        const value = object[name];
        if (isObject(value) && Object.keys(value).length === 0) delete fields[`f:${name}`];
      }
    }
  }
  const kept = entries.filter(
    (entry) => !isObject(entry) || !isObject(entry['fieldsV1']) || Object.keys(entry['fieldsV1']).length > 0,
  );
  if (kept.length === entries.length) return;
  if (kept.length > 0) (object['metadata'] as JsonObject)['managedFields'] = kept;
  else delete (object['metadata'] as JsonObject)['managedFields'];
}
