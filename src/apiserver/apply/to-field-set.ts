import { EMPTY, type FieldSet, isEmpty, LEAF } from './field-set.ts';
import { itemElement } from './list-items.ts';
import type { PathElement } from './path-element.ts';
import { firstShape, type ListType, MAP, type MapType, SCALAR, shapesOf, type Type } from './schema.ts';
import { isObject } from './values.ts';

/**
 * The paths a value sets: its leaves, the items of lists and the keys of maps that are no declared fields. The value
 * must have the type.
 */
export function toFieldSet(type: Type, value: unknown): FieldSet {
  switch (firstShape(shapesOf(type, value))) {
    case MAP:
      return ofMap(type.map as MapType, value);
    case SCALAR:
      return LEAF;
    case 0:
      return EMPTY;
    default:
      return ofList(type.list as ListType, value);
  }
}

function ofMap(map: MapType, value: unknown): FieldSet {
  if (map.atomic) return LEAF;
  if (!isObject(value)) return EMPTY;
  let kids: Map<PathElement, FieldSet> | undefined;
  for (const key of Object.keys(value)) {
    const item = value[key];
    const field = map.fields.get(key);
    let kid =
      field === undefined && map.element === undefined ? EMPTY : toFieldSet(field?.type ?? (map.element as Type), item);
    if (!kid.self && (field === undefined || isHollow(item))) kid = asMember(kid);
    if (isEmpty(kid)) continue;
    kids ??= new Map();
    kids.set(field?.path ?? `f:${key}`, kid);
  }
  return kids === undefined ? EMPTY : { self: false, kids };
}

/** Null and the empty map are something that was set, though nothing is in them. */
function isHollow(value: unknown): boolean {
  if (value === null) return true;
  if (!isObject(value)) return false;
  for (const _ in value) return false;
  return true;
}

/** Where an item has lost its key, as pruning in several steps may leave it: the list still has something in it. */
const UNADDRESSABLE: PathElement = '?:';

function ofList(list: ListType, value: unknown): FieldSet {
  if (list.atomic) return LEAF;
  if (!Array.isArray(value) || value.length === 0) return EMPTY;
  const kids = new Map<PathElement, FieldSet>();
  for (const item of value) {
    const step = itemElement(list, item);
    const element = typeof step === 'string' ? step : UNADDRESSABLE;
    // Of duplicates the ownership is that of the whole bunch.
    kids.set(element, kids.has(element) ? LEAF : asMember(toFieldSet(list.element, item)));
  }
  return kids.size === 0 ? EMPTY : { self: false, kids };
}

function asMember(set: FieldSet): FieldSet {
  return set.self ? set : set.kids === undefined ? LEAF : { self: true, kids: set.kids };
}
