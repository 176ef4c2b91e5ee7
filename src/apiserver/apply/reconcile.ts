import { type FieldSet, LEAF } from './field-set.ts';
import { mapValueType, NO_TYPE, type Type } from './schema.ts';

const settled = new WeakMap<FieldSet, Type>();

/**
 * Brings a set that was written under an earlier schema up to this one: where a list or map has become atomic, who
 * owned parts of it owns all of it. Lists and maps that have become granular need nothing.
 */
export function reconcileWithSchema(type: Type, set: FieldSet): FieldSet {
  if (set.kids === undefined || settled.get(set) === type) return set;
  const out = reconcileKids(type, set);
  settled.set(out, type);
  return out;
}

function reconcileNode(type: Type, set: FieldSet): FieldSet {
  if (set.kids === undefined) return set;
  if (type.map !== undefined) {
    if (type.map.freeForm) return set;
    return type.map.atomic ? LEAF : reconcileKids(type, set);
  }
  if (type.scalar !== undefined || type.list === undefined) return set;
  return type.list.atomic ? LEAF : reconcileKids(type, set);
}

function reconcileKids(type: Type, set: FieldSet): FieldSet {
  if (set.kids === undefined || type.map?.freeForm) return set;
  let kids: Map<string, FieldSet> | undefined;
  for (const [element, kid] of set.kids) {
    if (kid.kids === undefined) continue;
    const now = reconcileNode(kidType(type, element), kid);
    if (now === kid) continue;
    kids ??= new Map(set.kids);
    kids.set(element, now);
  }
  return kids === undefined ? set : { self: set.self, kids };
}

function kidType(type: Type, element: string): Type {
  if (type.map === undefined) return type.list?.element ?? NO_TYPE;
  return element.charCodeAt(0) === 102 ? mapValueType(type.map, element.slice(2)) : (type.map.element ?? NO_TYPE);
}
