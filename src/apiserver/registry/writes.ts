import { randomUUID } from 'node:crypto';
import { ApplyError, applyPatch, settleTimestamps } from '../apply/index.ts';
import {
  alreadyExists,
  badRequest,
  conflict,
  forbidden,
  MODIFIED,
  notFound,
  StatusError,
  tooLarge,
} from '../http/errors.ts';
import { keyOf, objectOf, type Resource } from '../kinds/resource.ts';
import { type FieldError, invalid } from '../schema/field-error.ts';
import { deepEqual, isObject, type JsonObject } from '../schema/json-value.ts';
import { coerceMeta, MetadataError } from '../schema/object-meta.ts';
import { strictYamlMessage } from '../schema/strict-json.ts';
import type { Collection } from '../storage/collection.ts';
import type { Item } from '../storage/item.ts';
import { MAX_OBJECT_CHARACTERS, ObjectTooLargeError, type Store } from '../storage/store.ts';
import { timestamp } from './clock.ts';
import { decode, type Sent } from './decode.ts';
import { invalidObject } from './invalid.ts';
import { validateMeta, validateMetaUpdate } from './meta-validation.ts';
import { generateName } from './names.ts';
import { checkNamespace, copyForWrite, draft, metadataOf, storedForm } from './objects.ts';
import { ownedByHand, record, resetFieldsOf } from './owners.ts';
import type { Subresource, WriteContext } from './request.ts';
import { countGeneration, isReleased, keepSystemFields, prepareForUpdate } from './updates.ts';

/** The outcome of a write. */
export interface Written {
  readonly item: Item;
  readonly created: boolean;
}

/** For an apply whose configuration does not say what it is about. */
function unnamed(name: string): StatusError {
  return badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`);
}

const SYSTEM_METADATA = [
  'uid',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generation',
  'selfLink',
];

/**
 * Creates, replaces and applies objects: the pipeline decode → prune → default → prepare → own fields → validate → store
 * of the generic registry (apiserver, `registry/generic/registry/store.go`). Every method runs in one piece without
 * letting go of the event loop, so the version it read is still the newest when it stores.
 */
export class Writes {
  readonly #store: Store;
  readonly #namespaces: Collection;

  constructor(store: Store) {
    this.#store = store;
    this.#namespaces = store.collection('/namespaces');
  }

  /** POST. Throws StatusError. */
  create(resource: Resource, namespace: string, sent: Sent, context: WriteContext): Written {
    const object = decode(resource, sent, context);
    const metadata = metadataOf(object);
    checkNamespace(resource, metadata, namespace);
    return { item: this.#create(resource, namespace, object, context, true), created: true };
  }

  #create(resource: Resource, namespace: string, sent: JsonObject, context: WriteContext, own: boolean): Item {
    let metadata = metadataOf(sent);
    if (metadata['resourceVersion'] !== undefined && metadata['resourceVersion'] !== '0') {
      throw new StatusError(500, '', 'resourceVersion should not be set on objects to be created');
    }
    const generated = metadata['name'] === undefined && typeof metadata['generateName'] === 'string';
    this.#admitNamespace(resource, namespace, String(metadata['name'] ?? ''));
    for (const key of SYSTEM_METADATA) delete metadata[key];
    delete metadata['resourceVersion'];
    resource.schema.applyDefaults(sent, resource.custom && !own);
    resource.strategy.complete?.(sent);
    const object = own ? record(resource, null, sent, context, '') : sent;
    metadata = object['metadata'] as JsonObject;
    if (generated) metadata['name'] = generateName(metadata['generateName'] as string);
    metadata['uid'] = randomUUID();
    metadata['creationTimestamp'] = timestamp(context.clock);
    if (resource.strategy.hasGeneration) metadata['generation'] = 1;
    if (resource.custom && resource.hasStatus) {
      delete object['status'];
      resource.schema.applyDefaults(object, !own);
    }
    resource.strategy.prepareForCreate?.(object);
    const name = String(metadata['name'] ?? '');
    context.admit?.({ resource, subresource: '', old: undefined, object });
    this.#validate(resource, object, undefined, context, '', name);
    let key = keyOf(resource, namespace, name);
    for (let attempt = 0; resource.collection.get(key) !== undefined; attempt++) {
      if (!generated || attempt === 8) throw alreadyExists(resource, name);
      const other = generateName(metadata['generateName'] as string);
      metadataOf(object)['name'] = other;
      key = keyOf(resource, namespace, other);
    }
    return this.#put(resource, key, object, context);
  }

  /** PUT. Throws StatusError. */
  replace(
    resource: Resource,
    namespace: string,
    name: string,
    subresource: Subresource,
    sent: Sent,
    context: WriteContext,
  ): Written {
    const object = decode(resource, sent, context);
    const metadata = metadataOf(object);
    checkNamespace(resource, metadata, namespace);
    if (metadata['name'] !== name) {
      if (metadata['name'] === undefined || metadata['name'] === '') {
        throw badRequest('name must be provided');
      }
      throw badRequest(
        `the name of the object (${String(metadata['name'])}) does not match the name on the URL (${name})`,
      );
    }
    const live = resource.collection.get(keyOf(resource, namespace, name));
    if (live === undefined) {
      if (!resource.strategy.allowCreateOnUpdate || subresource !== '') throw notFound(resource, name);
      delete metadata['resourceVersion'];
      return { item: this.#create(resource, namespace, object, context, true), created: true };
    }
    return { item: this.#update(resource, live, object, subresource, context, false), created: false };
  }

  /**
   * PATCH other than an apply: `change` gives the patched object from the stored one, which it must not change. Throws
   * StatusError.
   */
  patch(
    resource: Resource,
    namespace: string,
    name: string,
    subresource: Subresource,
    change: (live: JsonObject) => Sent,
    context: WriteContext,
  ): Written {
    const live = resource.collection.get(keyOf(resource, namespace, name));
    if (live === undefined) throw notFound(resource, name);
    const changed = change(objectOf(resource, live));
    if (resource.custom && changed.object['apiVersion'] !== resource.apiVersion) {
      const detail = `must be ${resource.apiVersion}`;
      const error = invalid('apiVersion', changed.object['apiVersion'] ?? '', detail);
      throw invalidObject(resource.kind, '', name, [error]);
    }
    const object = decode(resource, { ...changed, object: copyForWrite(changed.object) }, context, true);
    const metadata = metadataOf(object);
    if (metadata['namespace'] !== undefined) checkNamespace(resource, metadata, namespace);
    if (metadata['name'] !== name) {
      throw badRequest(
        `the name of the object (${String(metadata['name'] ?? '')}) does not match the name on the URL (${name})`,
      );
    }
    return { item: this.#update(resource, live, object, subresource, context, true), created: false };
  }

  /** PATCH with a server-side apply; creates what is missing. Throws StatusError. */
  apply(
    resource: Resource,
    namespace: string,
    name: string,
    subresource: Subresource,
    sent: Sent,
    force: boolean,
    context: WriteContext,
  ): Written {
    const live = resource.collection.get(keyOf(resource, namespace, name));
    const config = sent.object;
    this.#checkApplied(resource, namespace, name, config);
    if (live === undefined && subresource !== '') throw notFound(resource, name);
    const metadata = config['metadata'] as JsonObject;
    if (live === undefined && metadata['uid'] !== undefined && metadata['uid'] !== '') {
      throw conflict(
        resource,
        name,
        `uid mismatch: the provided object specified uid ${String(metadata['uid'])}, and no existing object was found`,
      );
    }
    // Unknown fields fail in the merge, whatever the field validation.
    if (sent.duplicates.length > 0 && context.fieldValidation !== 'Ignore') {
      if (context.fieldValidation === 'Strict') throw badRequest(strictYamlMessage(sent.duplicates));
      for (const duplicate of sent.duplicates) context.warnings.push(duplicate);
    }
    const stored = live === undefined ? null : objectOf(resource, live);
    const outcome = this.#merge(resource, subresource, stored, config, force, context);
    if (live === undefined) {
      const object = merged(outcome);
      const made = object['metadata'] as JsonObject;
      if (resource.namespaced) made['namespace'] = namespace;
      // Of an object that is not there every version is the right one.
      delete made['resourceVersion'];
      return { item: this.#create(resource, namespace, object, context, false), created: true };
    }
    if (outcome === stored) {
      const { resourceVersion } = metadata;
      if (resourceVersion !== undefined) this.#checkVersion(resource, live, resourceVersion, name);
      return { item: live, created: false };
    }
    return { item: this.#update(resource, live, merged(outcome), subresource, context, true, true), created: false };
  }

  #merge(
    resource: Resource,
    subresource: Subresource,
    live: JsonObject | null,
    config: JsonObject,
    force: boolean,
    context: WriteContext,
  ): JsonObject {
    try {
      const result = applyPatch({
        schema: resource.node,
        kind: resource.kind,
        apiVersion: resource.apiVersion,
        manager: context.fieldManager,
        subresource,
        time: new Date(context.clock.now()),
        resetFields: resetFieldsOf(resource, subresource),
        live,
        config,
        force,
      });
      return ownedByHand(resource, result.object as JsonObject, live);
    } catch (error) {
      if (!(error instanceof ApplyError)) throw error;
      const { message, reason, details, code } = error.status();
      throw new StatusError(code, reason ?? '', message, details, { cause: error });
    }
  }

  #checkApplied(resource: Resource, namespace: string, name: string, config: JsonObject): void {
    const { metadata } = config;
    if (!isObject(metadata)) {
      if (metadata !== undefined && metadata !== null) throw badRequest('metadata must be an object');
      throw unnamed(name);
    }
    if (metadata['name'] === undefined || metadata['name'] === '') throw unnamed(name);
    if (metadata['name'] !== name) {
      throw badRequest(
        `the name of the object (${String(metadata['name'])}) does not match the name on the URL (${name})`,
      );
    }
    if (metadata['namespace'] !== undefined && metadata['namespace'] !== '')
      checkNamespace(resource, metadata, namespace);
  }

  #update(
    resource: Resource,
    live: Item,
    sent: JsonObject,
    subresource: Subresource,
    context: WriteContext,
    isPatch: boolean,
    isApply = false,
  ): Item {
    const stored = objectOf(resource, live);
    const old = stored['metadata'] as JsonObject;
    const name = live.name;
    const metadata = metadataOf(sent);
    this.#checkUid(resource, metadata, old, name, isPatch);
    this.#checkVersion(resource, live, metadata['resourceVersion'], name);
    metadata['resourceVersion'] = old['resourceVersion'] as string;
    keepSystemFields(metadata, old);
    resource.schema.applyDefaults(sent, resource.custom && isApply);
    resource.strategy.complete?.(sent);
    let object = isApply ? sent : record(resource, stored, sent, context, subresource);
    object = prepareForUpdate(resource, object, stored, subresource);
    if (resource.custom && subresource === '' && object['status'] === undefined) {
      resource.schema.applyDefaults(object, isApply);
    }
    countGeneration(resource, object, stored);
    context.admit?.({ resource, subresource, old: stored, object });
    this.#validate(resource, object, stored, context, subresource, name);
    object = settleTimestamps(stored, object) as JsonObject;
    if (typeof old['deletionTimestamp'] === 'string' && isReleased(resource, object)) {
      return this.#remove(resource, live, object, context);
    }
    if (object === stored || deepEqual(object, stored)) return live;
    return this.#put(resource, live.key, object, context);
  }

  #checkUid(resource: Resource, metadata: JsonObject, old: JsonObject, name: string, isPatch: boolean): void {
    const { uid } = metadata;
    if (uid === undefined || uid === '' || uid === old['uid'] || isPatch) return;
    const failed = `Precondition failed: UID in precondition: ${String(uid)}, UID in object meta: ${String(old['uid'])}`;
    const key = `/registry/${resource.group === '' ? '' : `${resource.group}/`}${resource.resource}/${resource.namespaced ? `${String(old['namespace'])}/` : ''}${name}`;
    const why = `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ${failed}`;
    throw conflict(resource, name, why);
  }

  #checkVersion(resource: Resource, live: Item, version: unknown, name: string): void {
    if (version === undefined || version === '' || version === '0') {
      if (resource.strategy.allowUnconditionalUpdate) return;
      const error = invalid('metadata.resourceVersion', 0, 'must be specified for an update');
      throw invalidObject(resource.resource, resource.group, name, [error]);
    }
    if (typeof version === 'string' && !/^\d+$/.test(version)) {
      throw new StatusError(500, '', `strconv.ParseUint: parsing ${JSON.stringify(version)}: invalid syntax`);
    }
    if (version !== String(live.revision)) throw conflict(resource, name, MODIFIED);
  }

  /** Stores, or with dry run only shows, a version. */
  #put(resource: Resource, key: string, object: JsonObject, context: WriteContext): Item {
    const stored = storedForm(resource, object);
    if (context.dryRun) return draft(key, stored);
    try {
      return this.#store.put(resource.collection, key, stored);
    } catch (error) {
      if (error instanceof ObjectTooLargeError) throw tooLarge(MAX_OBJECT_CHARACTERS);
      throw error;
    }
  }

  /** The last finalizer is gone. */
  #remove(resource: Resource, live: Item, object: JsonObject, context: WriteContext): Item {
    if (!context.dryRun) this.#store.delete(resource.collection, live.key);
    return draft(live.key, storedForm(resource, object));
  }

  /** A namespaced object needs a namespace that is not on its way out (admission `NamespaceLifecycle`). */
  #admitNamespace(resource: Resource, namespace: string, name: string): void {
    if (!resource.namespaced) return;
    const item = this.#namespaces.get(namespace);
    if (item === undefined) throw notFound({ group: '', resource: 'namespaces' }, namespace);
    if (item.metadata['deletionTimestamp'] === undefined) return;
    const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
    throw forbidden(resource, name, why, [
      {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      },
    ]);
  }

  #validate(
    resource: Resource,
    object: JsonObject,
    old: JsonObject | undefined,
    context: WriteContext,
    subresource: Subresource,
    name: string,
  ): void {
    const metadata = object['metadata'] as JsonObject;
    const before: FieldError[] = validateMeta(resource, metadata);
    if (resource.custom && object['kind'] !== resource.kind) {
      before.push(invalid('kind', object['kind'] ?? '', `must be ${resource.kind}`));
    }
    if (old !== undefined) {
      const changes = validateMetaUpdate(metadata, old['metadata'] as JsonObject);
      before.push(...changes);
      // The real server checks this twice for custom resources, and says so.
      if (resource.custom) before.push(...changes);
    }
    const { errors, warnings } = resource.schema.validate(object, old, {
      before,
      ...(subresource === 'status' ? { subresource } : {}),
    });
    for (const warning of warnings) context.warnings.push(warning);
    const stored = resource.view === undefined ? object : resource.view.toStored(object);
    const more = resource.strategy.validate?.(stored, old) ?? [];
    if (errors.length === 0 && more.length === 0) return;
    const kind = resource.custom ? String(object['kind']) : resource.kind;
    throw invalidObject(kind, resource.group, name, [...errors, ...more]);
  }
}

/** What an apply has made, as what is stored of it: metadata goes through its Go type, which has no empty lists. */
function merged(outcome: JsonObject): JsonObject {
  const object = copyForWrite(outcome);
  try {
    coerceMeta(object);
  } catch (error) {
    if (error instanceof MetadataError) throw badRequest(error.message, { cause: error });
    throw error;
  }
  return object;
}
