import { applyPatch as applyOperations, type Operation, Pointer } from 'rfc6902';
import { badRequest, StatusError } from '../http/errors.ts';
import { deepCopy, isObject, type Json, type JsonObject, setOwn } from '../schema/json-value.ts';

/** A JSON patch may not have more operations (apiserver, `maxJSONPatchOperations`). */
const MAX_OPERATIONS = 10_000;
const OPERATIONS = ['add', 'remove', 'replace', 'move', 'copy', 'test'];

function rejected(cause?: unknown): StatusError {
  const message = 'the server rejected our request due to an error in our request';
  return new StatusError(422, 'Invalid', message, {}, { cause });
}

/** Returns the object after a JSON patch (RFC 6902). Throws StatusError. */
export function jsonPatch(object: JsonObject, patch: Json): JsonObject {
  if (!Array.isArray(patch)) {
    throw badRequest(
      'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp',
    );
  }
  if (patch.length > MAX_OPERATIONS) {
    const message = `Request entity too large: The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${patch.length}`;
    throw new StatusError(413, 'RequestEntityTooLarge', message);
  }
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
  let copied = 0;
  for (const operation of patch as unknown as Operation[]) {
    if (operation.op === 'copy') {
      // Thirty copies of a copy of the whole are a thousand million.
      copied += sizeAt(copy, operation.from);
      if (copied > MAX_COPIED) throw rejected();
    }
    let error: unknown;
    try {
      // The library of the real server (evanphx/json-patch) adds what a `replace` does not find in an object.
      const isAdded = operation.op === 'replace' && isObject(parentOf(copy, operation.path));
      [error] = applyOperations(copy, [isAdded ? { ...operation, op: 'add' } : operation]);
    } catch (cause) {
      error = cause;
    }
    if (error !== null) throw rejected(error);
  }
  return copy;
}

/** What copies of a patch may add, in characters of JSON (evanphx/json-patch, `AccumulatedCopySizeLimit`). */
const MAX_COPIED = 3 * 1024 * 1024;

function sizeAt(object: JsonObject, pointer: unknown): number {
  if (typeof pointer !== 'string') return 0;
  try {
    return JSON.stringify(Pointer.fromJSON(pointer).get(object))?.length ?? 0;
  } catch {
    // Applying it says what is wrong.
    return 0;
  }
}

/** What holds the last part of a JSON pointer; undefined when it is not there. */
function parentOf(object: JsonObject, pointer: string): Json | undefined {
  let at: Json | undefined = object;
  for (const part of pointer.split('/').slice(1, -1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    at = Array.isArray(at) ? at[Number(key)] : isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  }
  return at;
}

/** Returns the object after a merge patch (RFC 7386); parts that do not change are shared. Throws StatusError. */
export function mergePatch(object: JsonObject, patch: Json): JsonObject {
  if (patch === null) throw badRequest('Invalid JSON Patch');
  if (!isObject(patch)) throw notAnObject(patch);
  return merge(object, patch);
}

function notAnObject(patch: Json): StatusError {
  const kind = Array.isArray(patch) ? 'array' : typeof patch === 'boolean' ? 'bool' : typeof patch;
  return badRequest(
    `error decoding patch: json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`,
  );
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
  if (!isObject(patch)) throw notAnObject(patch);
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
  const result: (Json | undefined)[] = Array.isArray(before) ? [...before] : [];
  // Found by key, not by looking through the list: both may be long.
  const positions = new Map<Json | undefined, number>();
  const keyOf = (item: Json | undefined): Json | undefined => (isObject(item) ? item[mergeKey] : item);
  for (const [index, item] of result.entries()) {
    if (!positions.has(keyOf(item))) positions.set(keyOf(item), index);
  }
  for (const item of patch) {
    const key = keyOf(item);
    const index = positions.get(key);
    if (!isObject(item)) {
      if (index === undefined) positions.set(key, result.push(item) - 1);
      continue;
    }
    const { $patch: directive, ...rest } = item;
    if (directive === 'replace') return patch.filter((other) => other !== item);
    if (directive === 'delete') {
      if (index !== undefined) result[index] = undefined;
      positions.delete(key);
    } else if (index === undefined) {
      positions.set(key, result.push(rest) - 1);
    } else {
      result[index] = strategic(result[index], rest, '');
    }
  }
  return result.filter((item) => item !== undefined);
}
