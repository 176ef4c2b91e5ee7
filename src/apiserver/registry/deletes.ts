import { conflict, notFound, StatusError } from '../http/errors.ts';
import { keyOf, objectOf, type Resource } from '../kinds/resource.ts';
import { invalid, notSupported } from '../schema/field-error.ts';
import { isObject, type JsonObject } from '../schema/json-value.ts';
import type { Item } from '../storage/item.ts';
import type { Store } from '../storage/store.ts';
import { timestamp } from './clock.ts';
import { invalidObject } from './invalid.ts';
import { draft } from './objects.ts';
import type { WriteContext } from './request.ts';
import { isReleased } from './updates.ts';

/** Finalizers of the garbage collector. */
export const ORPHAN_FINALIZER = 'orphan';
export const FOREGROUND_FINALIZER = 'foregroundDeletion';

/** `meta/v1` DeleteOptions, decoded and checked. */
export interface DeleteOptions {
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
  readonly orphanDependents?: boolean;
}

/** The outcome of a delete. */
export interface Deleted {
  /** The last version, or the one that is marked for deletion. */
  readonly item: Item;
  /** Gone, rather than waiting for finalizers. */
  readonly gone: boolean;
}

const POLICIES = ['Foreground', 'Background', 'Orphan'];

/** Checks DeleteOptions. Throws StatusError. */
export function parseDeleteOptions(body: JsonObject): DeleteOptions {
  const { propagationPolicy: policy, orphanDependents, preconditions } = body;
  const fail = (error: Parameters<typeof invalidObject>[3][number]): StatusError =>
    invalidObject('DeleteOptions', 'meta.k8s.io', '', [error]);
  if (policy !== undefined && policy !== null && (typeof policy !== 'string' || !POLICIES.includes(policy))) {
    const error = notSupported('propagationPolicy', policy, [...POLICIES, 'nil']);
    throw fail(error);
  }
  if (typeof policy === 'string' && typeof orphanDependents === 'boolean') {
    throw fail(invalid('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set'));
  }
  const wanted = isObject(preconditions) ? preconditions : {};
  return {
    ...(typeof wanted['uid'] === 'string' ? { uid: wanted['uid'] } : {}),
    ...(typeof wanted['resourceVersion'] === 'string' ? { resourceVersion: wanted['resourceVersion'] } : {}),
    ...(typeof policy === 'string' ? { propagationPolicy: policy as 'Orphan' | 'Background' | 'Foreground' } : {}),
    ...(typeof orphanDependents === 'boolean' ? { orphanDependents } : {}),
  };
}

/** Deletes objects: at once, or by marking them while finalizers hold them (apiserver, `Store.Delete`). */
export class Deletes {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** DELETE of one object. Throws StatusError. */
  delete(resource: Resource, namespace: string, name: string, options: DeleteOptions, context: WriteContext): Deleted {
    const live = resource.collection.get(keyOf(resource, namespace, name));
    if (live === undefined) throw notFound(resource, name);
    return this.deleteItem(resource, live, options, context);
  }

  /** As {@link delete}, for an object that was just looked up. */
  deleteItem(resource: Resource, live: Item, options: DeleteOptions, context: WriteContext): Deleted {
    const object = objectOf(resource, live);
    const metadata = object['metadata'] as JsonObject;
    this.#checkPreconditions(resource, live, metadata, options);
    if (isProtected(resource, live.name)) {
      throw new StatusError(
        403,
        'Forbidden',
        `${resource.resource} ${JSON.stringify(live.name)} is forbidden: this namespace may not be deleted`,
        {
          name: live.name,
          kind: resource.resource,
        },
      );
    }
    const finalizers = wantedFinalizers(metadata, options);
    const isNew = metadata['deletionTimestamp'] === undefined;
    const next: JsonObject = { ...object, metadata: { ...metadata } };
    const nextMeta = next['metadata'] as JsonObject;
    if (finalizers.length > 0) nextMeta['finalizers'] = finalizers;
    else delete nextMeta['finalizers'];
    if (isReleased(resource, next)) {
      const item = context.dryRun ? live : this.#store.delete(resource.collection, live.key);
      return { item, gone: true };
    }
    if (!isNew && sameList(finalizers, metadata['finalizers'])) return { item: live, gone: false };
    if (isNew) {
      nextMeta['deletionTimestamp'] = timestamp(context.clock);
      if (resource.resource !== 'namespaces' || resource.group !== '') nextMeta['deletionGracePeriodSeconds'] = 0;
      if (typeof nextMeta['generation'] === 'number') nextMeta['generation'] += 1;
      if (resource.resource === 'namespaces' && resource.group === '') {
        next['status'] = { ...(isObject(object['status']) ? object['status'] : {}), phase: 'Terminating' };
      }
    }
    const stored = resource.view === undefined ? next : resource.view.toStored(next);
    if (context.dryRun) return { item: draft(live.key, stored), gone: false };
    return { item: this.#store.put(resource.collection, live.key, stored), gone: false };
  }

  #checkPreconditions(resource: Resource, live: Item, metadata: JsonObject, options: DeleteOptions): void {
    const { uid, resourceVersion } = options;
    const name = live.name;
    if (uid !== undefined && uid !== metadata['uid']) {
      const what = { group: resource.group, resource: resource.custom ? resource.kind : resource.resource };
      throw conflict(
        what,
        name,
        `the UID in the precondition (${uid}) does not match the UID in record (${String(metadata['uid'])}). The object might have been deleted and then recreated`,
      );
    }
    if (resourceVersion !== undefined && resourceVersion !== String(live.revision)) {
      const what = { group: resource.group, resource: resource.custom ? resource.kind : resource.resource };
      throw conflict(
        what,
        name,
        `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${live.revision}). The object might have been modified`,
      );
    }
  }
}

/** Namespaces that the server itself needs (admission `NamespaceLifecycle`). */
function isProtected(resource: Resource, name: string): boolean {
  return (
    resource.group === '' &&
    resource.resource === 'namespaces' &&
    ['default', 'kube-system', 'kube-public'].includes(name)
  );
}

/** The finalizers after this delete: the propagation policy adds and takes away those of the garbage collector. */
function wantedFinalizers(metadata: JsonObject, options: DeleteOptions): string[] {
  const present = Array.isArray(metadata['finalizers']) ? (metadata['finalizers'] as string[]) : [];
  const { propagationPolicy: policy, orphanDependents } = options;
  let orphan = present.includes(ORPHAN_FINALIZER);
  let foreground = present.includes(FOREGROUND_FINALIZER);
  if (orphanDependents !== undefined) {
    orphan = orphanDependents;
    foreground = false;
  } else if (policy !== undefined) {
    orphan = policy === 'Orphan';
    foreground = policy === 'Foreground';
  }
  const others = present.filter((name) => name !== ORPHAN_FINALIZER && name !== FOREGROUND_FINALIZER);
  return [...others, ...(orphan ? [ORPHAN_FINALIZER] : []), ...(foreground ? [FOREGROUND_FINALIZER] : [])];
}

function sameList(a: readonly string[], b: unknown): boolean {
  const other = Array.isArray(b) ? b : [];
  return a.length === other.length && a.every((value) => other.includes(value));
}
