/**
 * Which fields each manager owns, kept beside cached objects.
 *
 * `metadata.managedFields` is more than half of an object, so caches drop it. But it is the only record of which fields
 * we own, and without it a restarted process could not tell that a field it no longer wants is its own. So the part
 * about status written by server-side apply is kept, shared between objects: thousands of objects have the same few
 * sets. It is a fact from the server, not a memory of ours.
 */
import type { KubeObjectBase, ManagedFieldsEntry, ResourceDescriptor } from '../api/meta.ts';
import { apiVersionOf } from '../api/meta.ts';

/** A set of fields in the FieldsV1 notation: `f:NAME`, `k:{…}`, `v:…`, and `.` for the thing itself. */
export type FieldsV1 = Readonly<Record<string, unknown>>;

/** Distinct sets shared at most; past it the table starts anew (sharing is lost, nothing else). */
const MAX_SHARED = 4096;

const shared = new Map<string, FieldsV1>();
const owned = new WeakMap<KubeObjectBase, ReadonlyMap<string, FieldsV1>>();
const NOBODY: ReadonlyMap<string, FieldsV1> = new Map();

/**
 * Builds the object that goes into a cache: without managedFields, with apiVersion and kind (items of lists may lack
 * them). It is built anew, since `delete` leaves a slow and large object behind.
 */
export function forCache<T extends KubeObjectBase>(object: T, resource: ResourceDescriptor): T {
  const { managedFields, ...metadata } = object.metadata;
  const { apiVersion, kind, metadata: _, ...rest } = object;
  const slim = {
    apiVersion: apiVersion ?? apiVersionOf(resource),
    kind: kind ?? resource.kind,
    metadata,
    ...rest,
  } as unknown as T;
  if (managedFields !== undefined) owned.set(slim, statusOwners(managedFields));
  return slim;
}

/**
 * The status fields that `manager` owns by server-side apply: a set (perhaps empty), or undefined when the object did
 * not come from the server with its managedFields, so that nothing is known.
 */
export function ownedStatus(object: KubeObjectBase, manager: string): FieldsV1 | undefined {
  const known = owned.get(object) ?? ownersOf(object);
  return known === undefined ? undefined : (known.get(manager) ?? {});
}

function ownersOf(object: KubeObjectBase): ReadonlyMap<string, FieldsV1> | undefined {
  const entries = object.metadata.managedFields;
  return entries === undefined ? undefined : statusOwners(entries);
}

function statusOwners(entries: readonly ManagedFieldsEntry[]): ReadonlyMap<string, FieldsV1> {
  let owners: Map<string, FieldsV1> | undefined;
  for (const { manager, operation, subresource, fieldsV1 } of entries) {
    if (operation !== 'Apply' || subresource !== 'status' || manager === undefined) continue;
    const status = fieldsV1?.['f:status'];
    if (typeof status !== 'object' || status === null) continue;
    owners ??= new Map();
    owners.set(manager, share(status as FieldsV1));
  }
  return owners ?? NOBODY;
}

function share(fields: FieldsV1): FieldsV1 {
  const key = JSON.stringify(fields);
  const present = shared.get(key);
  if (present !== undefined) return present;
  if (shared.size >= MAX_SHARED) shared.clear();
  shared.set(key, fields);
  return fields;
}
