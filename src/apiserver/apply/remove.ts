import type { FieldSet } from './field-set.ts';
import { itemElement } from './list-items.ts';
import {
  firstShape,
  LIST,
  type ListType,
  MAP,
  type MapType,
  mapElement,
  mapValueType,
  NO_TYPE,
  SCALAR,
  shapesOf,
  type Type,
} from './schema.ts';
import { isObject, put } from './values.ts';

/**
 * A value without the given paths. As in structured-merge-diff a container that loses everything becomes null; the
 * API server drops such nulls afterwards wherever the schema does not allow them.
 */
export function removeItems(type: Type, value: unknown, paths: FieldSet): unknown {
  switch (firstShape(shapesOf(type, value))) {
    case MAP:
      return fromMap(type.map as MapType, value, paths);
    case LIST:
      return fromList(type.list as ListType, value, paths);
    case SCALAR:
      return value;
    default:
      return null;
  }
}

function fromMap(map: MapType, value: unknown, paths: FieldSet): unknown {
  if (!isObject(value) || map.atomic) return null;
  const out: Record<string, unknown> = {};
  let count = 0;
  let same = true;
  for (const key of Object.keys(value)) {
    const item = value[key];
    const below = paths.kids?.get(mapElement(map, key));
    if (below?.self) {
      same = false;
      continue;
    }
    const rest = below?.kids === undefined ? item : removeItems(mapValueType(map, key), item, below);
    if (rest !== item) same = false;
    put(out, key, rest);
    count++;
  }
  if (count === 0) return null;
  return same ? value : out;
}

function fromList(list: ListType, value: unknown, paths: FieldSet): unknown {
  if (!Array.isArray(value) || list.atomic) return null;
  const out: unknown[] = [];
  let same = true;
  for (const item of value) {
    const element = itemElement(list, item);
    const below = typeof element === 'string' ? paths.kids?.get(element) : undefined;
    if (below?.self) {
      same = false;
      continue;
    }
    const rest = below?.kids === undefined ? item : removeItems(list.element, item, below);
    if (rest !== item) same = false;
    out.push(rest);
  }
  if (out.length === 0) return null;
  return same ? value : out;
}

/**
 * The set with every declared field that has members below it made a member too. The keys of free maps are members
 * of their own and stay what they are.
 */
export function withNamedFields(type: Type, set: FieldSet): FieldSet {
  if (set.kids === undefined) return set;
  let kids: Map<string, FieldSet> | undefined;
  for (const [element, kid] of set.kids) {
    if (kid.kids === undefined) continue;
    const isField = element.charCodeAt(0) === 102;
    const name = isField ? element.slice(2) : '';
    const declared = isField && type.map?.fields.has(name) === true;
    const below = withNamedFields(kidType(type, element, name), kid);
    const self = kid.self || declared;
    if (below === kid && self === kid.self) continue;
    kids ??= new Map(set.kids);
    kids.set(element, { self, kids: below.kids });
  }
  return kids === undefined ? set : { self: set.self, kids };
}

function kidType(type: Type, element: string, name: string): Type {
  if (element.charCodeAt(0) === 102) return type.map === undefined ? NO_TYPE : mapValueType(type.map, name);
  return element.charCodeAt(0) === 107 && type.list !== undefined ? type.list.element : NO_TYPE;
}
