import { type FieldSet, FieldSetBuilder, recursiveDifference } from './field-set.ts';
import { itemElement } from './list-items.ts';
import type { PathElement } from './path-element.ts';
import {
  firstShape,
  LIST,
  type ListType,
  MAP,
  type MapType,
  mapElement,
  mapValueType,
  SCALAR,
  shapesOf,
  type Type,
} from './schema.ts';
import { deepEqual, isObject, type JsonObject, own } from './values.ts';

/** How a new value differs from an old one. No path is in more than one of the sets. */
export interface Comparison {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

interface Walk {
  readonly path: PathElement[];
  readonly added: FieldSetBuilder;
  readonly modified: FieldSetBuilder;
  readonly removed: FieldSetBuilder;
}

/** Compares two values of a type. Parts that are the same object are not looked into. */
export function compare(type: Type, left: unknown, right: unknown): Comparison {
  const walk: Walk = {
    path: [],
    added: new FieldSetBuilder(),
    modified: new FieldSetBuilder(),
    removed: new FieldSetBuilder(),
  };
  compareAt(walk, type, left, right);
  return { added: walk.added.build(), modified: walk.modified.build(), removed: walk.removed.build() };
}

/** A comparison without the given paths and all below them. */
export function excluding(comparison: Comparison, ignored: FieldSet): Comparison {
  return {
    added: recursiveDifference(comparison.added, ignored),
    modified: recursiveDifference(comparison.modified, ignored),
    removed: recursiveDifference(comparison.removed, ignored),
  };
}

/** `undefined` on a side means that the value is absent there. */
function compareAt(walk: Walk, type: Type, left: unknown, right: unknown): void {
  if (left === right) return;
  const before = shapesOf(type, left);
  const after = shapesOf(type, right);
  let isLeaf: boolean;
  if (right === undefined) isLeaf = compareAs(walk, type, before, left, right);
  else if (left === undefined || before === after) isLeaf = compareAs(walk, type, after, left, right);
  else {
    compareAs(walk, type, before, left, right);
    isLeaf = compareAs(walk, type, after, left, right);
  }
  if (isLeaf) return;
  if (left === undefined) walk.added.insert(walk.path);
  else if (right === undefined) walk.removed.insert(walk.path);
}

function compareAs(walk: Walk, type: Type, shapes: number, left: unknown, right: unknown): boolean {
  switch (firstShape(shapes)) {
    case MAP:
      return compareMaps(walk, type.map as MapType, left, right);
    case LIST:
      return compareLists(walk, type.list as ListType, left, right);
    case SCALAR:
      compareLeaf(walk, left, right);
      return true;
    default:
      return false;
  }
}

function compareLeaf(walk: Walk, left: unknown, right: unknown): void {
  if (left === undefined) walk.added.insert(walk.path);
  else if (right === undefined) walk.removed.insert(walk.path);
  else if (!deepEqual(left, right)) walk.modified.insert(walk.path);
}

const NO_FIELDS: JsonObject = {};
const NO_ITEMS: readonly unknown[] = [];

function compareMaps(walk: Walk, map: MapType, left: unknown, right: unknown): boolean {
  const before = isObject(left) ? left : NO_FIELDS;
  const after = isObject(right) ? right : NO_FIELDS;
  const beforeKeys = Object.keys(before);
  const afterKeys = Object.keys(after);
  // Two empty sides are a leaf, which keeps null and {} apart.
  if (map.atomic || (beforeKeys.length === 0 && afterKeys.length === 0)) {
    compareLeaf(walk, left, right);
    return true;
  }
  for (const key of beforeKeys) compareKey(walk, map, key, before[key], own(after, key));
  for (const key of afterKeys) if (!Object.hasOwn(before, key)) compareKey(walk, map, key, undefined, after[key]);
  return false;
}

function compareKey(walk: Walk, map: MapType, key: string, left: unknown, right: unknown): void {
  if (left === right) return;
  walk.path.push(mapElement(map, key));
  compareAt(walk, mapValueType(map, key), left, right);
  walk.path.pop();
}

type Index = Map<PathElement, unknown[]>;

function indexItems(list: ListType, items: readonly unknown[]): Index {
  const index: Index = new Map();
  for (const item of items) {
    const element = itemElement(list, item);
    if (typeof element !== 'string') continue;
    const same = index.get(element);
    if (same === undefined) index.set(element, [item]);
    else same.push(item);
  }
  return index;
}

function compareLists(walk: Walk, list: ListType, left: unknown, right: unknown): boolean {
  const before = Array.isArray(left) ? left : NO_ITEMS;
  const after = Array.isArray(right) ? right : NO_ITEMS;
  if (list.atomic || (before.length === 0 && after.length === 0)) {
    compareLeaf(walk, left, right);
    return true;
  }
  const beforeItems = indexItems(list, before);
  const afterItems = indexItems(list, after);
  for (const [element, lefts] of beforeItems) compareItems(walk, list, element, lefts, afterItems.get(element) ?? []);
  for (const [element, rights] of afterItems) {
    if (!beforeItems.has(element)) compareItems(walk, list, element, [], rights);
  }
  return false;
}

/** Items of one key. Duplicates are compared and owned as a bunch; alone, an item is looked into. */
function compareItems(
  walk: Walk,
  list: ListType,
  element: PathElement,
  left: readonly unknown[],
  right: readonly unknown[],
): void {
  walk.path.push(element);
  if (left.length <= 1 && right.length <= 1) compareAt(walk, list.element, left[0], right[0]);
  else if (left.length >= 2 && right.length >= 2) {
    if (!deepEqual(left, right)) walk.modified.insert(walk.path);
  } else if (left.length >= 2) {
    if (right.length !== 0) compareAt(walk, list.element, undefined, right[0]);
    walk.removed.insert(walk.path);
  } else {
    if (left.length !== 0) compareAt(walk, list.element, left[0], undefined);
    walk.added.insert(walk.path);
  }
  walk.path.pop();
}
