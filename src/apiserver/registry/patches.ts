import { applyPatch as applyOperations, type Operation } from 'rfc6902';
import { badRequest, StatusError, tooLarge } from '../http/errors.ts';
import { deepCopy, isObject, type Json, type JsonObject, setOwn } from '../schema/json-value.ts';

/** A JSON patch may not have more operations (apiserver, `maxJSONPatchOperations`). */
const MAX_OPERATIONS = 10_000;
const OPERATIONS = ['add', 'remove', 'replace', 'move', 'copy', 'test'];

function rejected(): StatusError {
  return new StatusError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});
}

/** Returns the object after a JSON patch (RFC 6902). Throws StatusError. */
export function jsonPatch(object: JsonObject, patch: Json): JsonObject {
  if (!Array.isArray(patch)) {
    throw badRequest(
      'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp',
    );
  }
  if (patch.length > MAX_OPERATIONS) throw tooLarge(MAX_OPERATIONS);
  for (const operation of patch) {
    if (!isObject(operation) || typeof operation['op'] !== 'string' || typeof operation['path'] !== 'string') {
      throw rejected();
    }
    if (!OPERATIONS.includes(operation['op'])) throw rejected();
    // A path that touches a prototype can only be an attack.
    if (
      /(?:^|\/)(?:__proto__|constructor|prototype)(?:\/|$)/.test(
        `${operation['path']}/${String(operation['from'] ?? '')}`,
      )
    ) {
      throw rejected();
    }
  }
  const copy = deepCopy(object);
  let errors: readonly unknown[];
  try {
    errors = applyOperations(copy, patch as unknown as Operation[]);
  } catch (cause) {
    throw new StatusError(
      422,
      'Invalid',
      'the server rejected our request due to an error in our request',
      {},
      { cause },
    );
  }
  if (errors.some((error) => error !== null)) throw rejected();
  return copy;
}

/** Returns the object after a merge patch (RFC 7386); parts that do not change are shared. Throws StatusError. */
export function mergePatch(object: JsonObject, patch: Json): JsonObject {
  if (!isObject(patch))
    throw badRequest(
      'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}',
    );
  return merge(object, patch);
}

function merge(target: Json | undefined, patch: JsonObject): JsonObject {
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else if (isObject(value)) setOwn(result, key, merge(Object.hasOwn(result, key) ? result[key] : undefined, value));
    else setOwn(result, key, value);
  }
  return result;
}

/** Lists of the built-in kinds that a strategic merge patch merges: path → key (`''` = a set of scalars). */
const MERGED_LISTS: ReadonlyMap<string, string> = new Map([
  ['metadata.finalizers', ''],
  ['metadata.ownerReferences', 'uid'],
  ['status.conditions', 'type'],
]);

/**
 * Returns the object after a strategic merge patch (apimachinery, `strategicpatch`): as a merge patch, but that the few
 * lists of our built-in kinds are merged by key, with the directives `$patch`, `$retainKeys`, `$setElementOrder/…` and
 * `$deleteFromPrimitiveList/…`. Throws StatusError.
 */
export function strategicPatch(object: JsonObject, patch: Json): JsonObject {
  if (!isObject(patch))
    throw badRequest(
      'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}',
    );
  return strategic(object, patch, '');
}

function strategic(target: Json | undefined, patch: JsonObject, path: string): JsonObject {
  const directive = patch['$patch'];
  if (directive === 'replace') {
    const { $patch: _, ...rest } = patch;
    return rest;
  }
  if (directive === 'delete') return {};
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    const at = path === '' ? key : `${path}.${key}`;
    if (key === '$retainKeys' || key === '$patch' || key.startsWith('$setElementOrder/')) continue;
    if (key.startsWith('$deleteFromPrimitiveList/')) {
      const field = key.slice(key.indexOf('/') + 1);
      const list = result[field];
      if (Array.isArray(list) && Array.isArray(value)) result[field] = list.filter((item) => !value.includes(item));
      continue;
    }
    const before = Object.hasOwn(result, key) ? result[key] : undefined;
    if (value === null) delete result[key];
    else if (isObject(value)) setOwn(result, key, strategic(before, value, at));
    else if (Array.isArray(value)) setOwn(result, key, mergeList(before, value, MERGED_LISTS.get(at)));
    else setOwn(result, key, value);
  }
  const kept = patch['$retainKeys'];
  if (Array.isArray(kept)) for (const key of Object.keys(result)) if (!kept.includes(key)) delete result[key];
  return result;
}

function mergeList(before: Json | undefined, patch: readonly Json[], mergeKey: string | undefined): Json[] {
  if (mergeKey === undefined) return [...patch];
  const result = Array.isArray(before) ? [...before] : [];
  for (const item of patch) {
    if (!isObject(item)) {
      if (!result.includes(item)) result.push(item);
      continue;
    }
    const { $patch: directive, ...rest } = item;
    if (directive === 'replace') return patch.filter((other) => other !== item);
    const index = result.findIndex((other) => isObject(other) && other[mergeKey] === item[mergeKey]);
    if (directive === 'delete') {
      if (index >= 0) result.splice(index, 1);
    } else if (index >= 0) {
      result[index] = strategic(result[index], rest, '');
    } else {
      result.push(rest);
    }
  }
  return result;
}
