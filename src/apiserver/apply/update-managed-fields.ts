import { decodeManagers, encodeManagers, type Managers } from './managers.ts';
import { metadataOf, withManagedFields } from './metadata.ts';
import { recordUpdate } from './ownership.ts';
import { FieldsError } from './path-element.ts';
import { validate, validateStored } from './validate.ts';
import { isObject, type JsonObject } from './values.ts';
import { type WriteOptions, writerOf } from './writer.ts';

/** A create, replace or patch other than an apply. */
export interface UpdateOptions extends WriteOptions {
  /** The stored object, or null when it is being created. */
  readonly old: JsonObject | null;
  /**
   * The object to be stored, defaulted and pruned, still with the `metadata.managedFields` that the client sent (for a
   * patch: that the patch resulted in).
   */
  readonly new: JsonObject;
}

/**
 * Records in `metadata.managedFields` who set what, as kube-apiserver does for all writes but applies: the writer
 * gets what it added or changed, the others lose it. A write that changes nothing leaves the entries as they are;
 * a client resets them by sending `[]` or `[{}]`, and an object without any is not tracked before its first apply.
 * Never fails: an object that does not fit its schema loses its entries, as in kube-apiserver.
 */
export function updateManagedFields(options: UpdateOptions): JsonObject {
  const { old, new: next } = options;
  const writer = writerOf(options);
  const managers = managersOf(old, next, writer.subresource !== '');
  const after = withManagedFields(next, undefined);
  // No entries on an existing object: tracking starts with the first apply.
  if (managers.size === 0 && old !== null) return after;
  const before = old === null ? { apiVersion: next.apiVersion, kind: next.kind } : withManagedFields(old, undefined);
  if (validate(writer.type, after, true).length !== 0) return after;
  if (old !== null && validateStored(writer.type, old).length !== 0) return after;
  return withManagedFields(after, encodeManagers(recordUpdate(writer, before, after, managers)));
}

/** The entries to start from: those the client sent, else those of the stored object. */
function managersOf(old: JsonObject | null, next: JsonObject, isSubresource: boolean): Managers {
  const stored = old === null ? undefined : metadataOf(old).managedFields;
  // A subresource is no way to change the entries by hand.
  if (isSubresource) return decodeOrNone(stored);
  const sent = metadataOf(next).managedFields;
  if (isReset(sent)) return new Map();
  try {
    const managers = decodeManagers(sent);
    if (managers.size !== 0) return managers;
  } catch (error) {
    if (!(error instanceof FieldsError)) throw error;
  }
  return decodeOrNone(stored);
}

function decodeOrNone(entries: unknown): Managers {
  try {
    return decodeManagers(entries);
  } catch (error) {
    if (error instanceof FieldsError) return new Map();
    throw error;
  }
}

/** An empty list, or a list of one empty entry: the client wants all entries gone. */
function isReset(entries: unknown): boolean {
  if (!Array.isArray(entries) || entries.length > 1) return false;
  return entries.length === 0 || (isObject(entries[0]) && Object.keys(entries[0]).length === 0);
}
