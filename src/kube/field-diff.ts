/**
 * Says whether server-side apply of a body would change anything, from what the server itself says we own.
 *
 * The walk follows the owned set, whose notation tells the structure as the schema sees it: `f:NAME` is a field,
 * `k:{KEYS}` an item of a list with keys, `v:VALUE` an item of a set, an empty set a leaf (atomic lists and maps
 * included). So no schema is needed here.
 */
import { isDeepStrictEqual } from 'node:util';
import type { FieldsV1 } from './ownership.ts';

type JsonMap = Readonly<Record<string, unknown>>;

/**
 * True when an apply of `wanted` is needed: a wanted value differs from the live one, a wanted field is not owned, or
 * an owned field is no longer wanted.
 *
 * @param wanted What we apply; absent and undefined are the same.
 * @param live What the server has at the same place.
 * @param owned The fields of it that we own.
 */
export function needsApply(wanted: unknown, live: unknown, owned: FieldsV1): boolean {
  const members = Object.keys(owned).filter((key) => key !== '.');
  if (members.length === 0) return !sameValue(wanted, live);
  if (members.some((key) => key.startsWith('f:'))) return mapDiffers(wanted, live, owned);
  if (members.some((key) => key.startsWith('k:'))) return keyedListDiffers(wanted, live, owned, members);
  if (members.some((key) => key.startsWith('v:'))) return setDiffers(wanted, members);
  // `i:INDEX` is written for no list of a structural schema. Not understood means: let the server decide.
  return true;
}

function mapDiffers(wanted: unknown, live: unknown, owned: FieldsV1): boolean {
  if (!isMap(wanted) || !isMap(live)) return true;
  for (const key of Object.keys(owned)) {
    if (key.startsWith('f:') && wanted[key.slice(2)] === undefined) return true;
  }
  for (const [name, value] of Object.entries(wanted)) {
    if (value === undefined) continue;
    const fields = owned[`f:${name}`];
    if (!isMap(fields) || needsApply(value, live[name], fields)) return true;
  }
  return false;
}

function keyedListDiffers(wanted: unknown, live: unknown, owned: FieldsV1, members: readonly string[]): boolean {
  if (!Array.isArray(wanted) || !Array.isArray(live) || wanted.length !== members.length) return true;
  for (const member of members) {
    const keys = keysOf(member);
    const fields = owned[member];
    if (keys === undefined || !isMap(fields)) return true;
    const item = findByKeys(wanted, keys);
    if (item === undefined || needsApply(item, findByKeys(live, keys), fields)) return true;
  }
  return false;
}

/** Members of a set have no inner values: ours are there as long as we own them. */
function setDiffers(wanted: unknown, members: readonly string[]): boolean {
  if (!Array.isArray(wanted) || wanted.length !== members.length) return true;
  const values = members.map((member) => JSON.parse(member.slice(2)) as unknown);
  return !values.every((value) => wanted.some((item) => isDeepStrictEqual(item, value)));
}

/** Keys read before; few are distinct (types of conditions), and each is read for every object on every reconcile. */
const parsedKeys = new Map<string, JsonMap>();
const MAX_PARSED = 4096;

function keysOf(member: string): JsonMap | undefined {
  const known = parsedKeys.get(member);
  if (known !== undefined) return known;
  const keys: unknown = JSON.parse(member.slice(2));
  if (!isMap(keys)) return undefined;
  if (parsedKeys.size >= MAX_PARSED) parsedKeys.clear();
  parsedKeys.set(member, keys);
  return keys;
}

function findByKeys(items: readonly unknown[], keys: JsonMap): unknown {
  return items.find((item) => isMap(item) && Object.entries(keys).every(([name, value]) => item[name] === value));
}

function isMap(value: unknown): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Equal as JSON: keys whose value is undefined do not count. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => sameValue(item, b[index]));
  }
  if (!isMap(a) || !isMap(b)) return false;
  for (const [name, value] of Object.entries(a)) if (!sameValue(value, b[name])) return false;
  for (const [name, value] of Object.entries(b)) if (value !== undefined && a[name] === undefined) return false;
  return true;
}
