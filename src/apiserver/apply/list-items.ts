import { keyElement, type PathElement, valueElement } from './path-element.ts';
import type { ListType } from './schema.ts';
import { isObject, own } from './values.ts';

/** Why an item of a list cannot be addressed. */
export interface ItemProblem {
  readonly problem: string;
}

/**
 * The step to an item of a set or keyed list. Keys that are absent take their default; without one they are left
 * out, which names an item of its own.
 */
export function itemElement(list: ListType, item: unknown): PathElement | ItemProblem {
  if (list.atomic) return { problem: 'invalid indexing of non-associative list' };
  if (list.keys.length === 0) return setElement(item);
  if (item === null) return { problem: 'associative list with keys may not have a null element' };
  if (!isObject(item)) return { problem: 'associative list with keys may not have non-map elements' };
  const names = list.sortedKeys;
  if (names.length === 1) {
    const value = own(item, names[0] as string) ?? fallback(list, item, 0);
    return value === undefined ? missing(list) : keyElement(names, [value]);
  }
  let found = false;
  const values = names.map((name, i) => {
    const value = own(item, name) ?? fallback(list, item, i);
    if (value !== undefined) found = true;
    return value;
  });
  return found ? keyElement(names, values) : missing(list);
}

// A null that is written out is a value, not an absence.
function fallback(list: ListType, item: { readonly [key: string]: unknown }, index: number): unknown {
  const name = list.sortedKeys[index] as string;
  if (Object.hasOwn(item, name)) return null;
  return list.keyDefaults[index];
}

function missing(list: ListType): ItemProblem {
  const keys = list.keys.map((key) => `"${key}"`).join(' ');
  return {
    problem: `associative list with keys has an element that omits all key fields [${keys}] (and doesn't have default values for any key fields)`,
  };
}

function setElement(item: unknown): PathElement | ItemProblem {
  if (item === null) return { problem: "associative list without keys has an element that's an explicit null" };
  if (Array.isArray(item)) return { problem: 'not supported: associative list with lists as elements' };
  if (typeof item === 'object') return { problem: "associative list without keys has an element that's a map type" };
  return valueElement(item);
}
