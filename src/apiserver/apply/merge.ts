import { itemElement } from './list-items.ts';
import type { PathElement } from './path-element.ts';
import { firstShape, LIST, type ListType, MAP, type MapType, mapValueType, shapesOf, type Type } from './schema.ts';
import { deepEqual, isObject, own, put } from './values.ts';

/**
 * Merges an applied value over a live one of the same type. Nothing is removed; leaves take the applied value; lists
 * that are merged by item follow the applied order where it says something and the live order elsewhere. What does
 * not change is the live object itself. `undefined` means absent.
 */
export function merge(type: Type, live: unknown, applied: unknown): unknown {
  if (applied === undefined || live === applied) return live;
  if (live === undefined) return applied;
  switch (firstShape(shapesOf(type, applied))) {
    case MAP:
      return mergeMaps(type.map as MapType, live, applied);
    case LIST:
      return mergeLists(type.list as ListType, live, applied);
    default:
      return applied;
  }
}

function mergeMaps(map: MapType, live: unknown, applied: unknown): unknown {
  const before = isObject(live) ? live : undefined;
  const config = isObject(applied) ? applied : undefined;
  const beforeKeys = before === undefined ? [] : Object.keys(before);
  const configKeys = config === undefined ? [] : Object.keys(config);
  // Two empty sides are a leaf, which keeps null and {} apart.
  if (map.atomic || (beforeKeys.length === 0 && configKeys.length === 0))
    return deepEqual(live, applied) ? live : applied;
  if (before === undefined || beforeKeys.length === 0) return applied;
  if (config === undefined || configKeys.length === 0) return live;
  let out: Record<string, unknown> | undefined;
  for (const key of configKeys) {
    const left = own(before, key);
    const merged = merge(mapValueType(map, key), left, config[key]);
    if (merged === left) continue;
    out ??= { ...before };
    put(out, key, merged);
  }
  return out ?? live;
}

function mergeLists(list: ListType, live: unknown, applied: unknown): unknown {
  const before = Array.isArray(live) ? (live as readonly unknown[]) : [];
  const config = Array.isArray(applied) ? (applied as readonly unknown[]) : [];
  if (list.atomic || (before.length === 0 && config.length === 0)) return deepEqual(live, applied) ? live : applied;
  if (before.length === 0) return applied;
  if (config.length === 0) return live;
  const out = mergeItems(list, before, config);
  return out.length === before.length && out.every((item, i) => item === before[i]) ? live : out;
}

interface Items {
  readonly elements: readonly PathElement[];
  readonly byElement: ReadonlyMap<PathElement, unknown>;
}

/** Duplicates are not merged with what is applied, only replaced: they count as null. */
function indexItems(list: ListType, items: readonly unknown[]): Items {
  const elements: PathElement[] = [];
  const byElement = new Map<PathElement, unknown>();
  for (const item of items) {
    const element = itemElement(list, item);
    if (typeof element !== 'string') continue;
    byElement.set(element, byElement.has(element) ? null : item);
    elements.push(element);
  }
  return { elements, byElement };
}

/**
 * Walks both lists at once. Items that only live knows stay where they are relative to their neighbours; shared items
 * and those that only the applied list knows come in the applied order.
 */
function mergeItems(list: ListType, before: readonly unknown[], config: readonly unknown[]): unknown[] {
  const left = indexItems(list, before);
  const right = indexItems(list, config);
  const shared = right.elements.filter((element) => left.byElement.has(element));
  const taken = new Set<PathElement>();
  const out: unknown[] = [];
  let next = 0;
  let l = 0;
  let r = 0;
  const take = (element: PathElement): void => {
    taken.add(element);
    out.push(merge(list.element, left.byElement.get(element), right.byElement.get(element)));
    r++;
  };
  while (l < left.elements.length || r < right.elements.length) {
    const fromLive = left.elements[l];
    const fromConfig = right.elements[r];
    if (fromLive !== undefined && fromConfig !== undefined) {
      if (fromLive === fromConfig) {
        take(fromConfig);
        l++;
        next++;
        continue;
      }
      // A shared item, but not the one whose turn it is.
      if (right.byElement.has(fromLive) && next < shared.length && shared[next] !== fromLive) {
        l++;
        continue;
      }
    }
    if (fromLive !== undefined) {
      if (!right.byElement.has(fromLive)) {
        out.push(before[l]);
        l++;
        continue;
      }
      if (taken.has(fromLive)) l++;
    }
    if (fromConfig !== undefined) {
      take(fromConfig);
      if (shared[next] === fromConfig) next++;
    }
  }
  return out;
}
