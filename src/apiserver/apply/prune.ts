import { contains, difference, type FieldSet, intersection, isEmpty, union } from './field-set.ts';
import { removeItems, withNamedFields } from './remove.ts';
import type { Type } from './schema.ts';
import { toFieldSet } from './to-field-set.ts';

/**
 * Removes from a merged object what its applier set the last time, does not set now, and nobody else owns.
 *
 * @param last what the applier owned before
 * @param now what it owns by its new configuration
 * @param others what all other managers own
 */
export function prune(type: Type, merged: unknown, last: FieldSet, now: FieldSet, others: Iterable<FieldSet>): unknown {
  // The common case: everything that was owned is still owned.
  if (contains(now, last)) return merged;
  let managed = now;
  for (const set of others) managed = union(managed, set);

  const named = (set: FieldSet): FieldSet => withNamedFields(type, set);
  const all = named(toFieldSet(type, merged));
  const lastNamed = named(last);
  // Removing an item takes along what is below it, so what others own there comes back in the second step, and what
  // nobody claimed in the third.
  const withoutLast = removeItems(type, merged, lastNamed);
  const kept = union(named(toFieldSet(type, withoutLast)), named(managed));
  const withOwned = removeItems(type, merged, difference(all, kept));
  const gone = difference(all, named(toFieldSet(type, withOwned)));
  const mine = intersection(gone, lastNamed);
  return isEmpty(mine) ? merged : removeItems(type, merged, mine);
}
