import { compareBytes, goQuote } from './go-format.ts';
import { isObject, type Json, type JsonObject } from './json-value.ts';

/** How a field of ObjectMeta is encoded. */
type MetaType =
  | 'string'
  | 'types.UID'
  | 'v1.ManagedFieldsOperationType'
  | 'int64'
  | 'bool'
  | 'time'
  | 'raw'
  | { readonly map: MetaType }
  | { readonly list: MetaType }
  | { readonly name: string; readonly fields: Readonly<Record<string, MetaType>> };

const OWNER_REFERENCE: MetaType = {
  name: 'OwnerReference',
  fields: {
    apiVersion: 'string',
    kind: 'string',
    name: 'string',
    uid: 'types.UID',
    controller: 'bool',
    blockOwnerDeletion: 'bool',
  },
};

const MANAGED_FIELDS: MetaType = {
  name: 'ManagedFieldsEntry',
  fields: {
    manager: 'string',
    operation: 'v1.ManagedFieldsOperationType',
    apiVersion: 'string',
    time: 'time',
    fieldsType: 'string',
    fieldsV1: 'raw',
    subresource: 'string',
  },
};

const OBJECT_META: MetaType = {
  name: 'ObjectMeta',
  fields: {
    name: 'string',
    generateName: 'string',
    namespace: 'string',
    selfLink: 'string',
    uid: 'types.UID',
    resourceVersion: 'string',
    generation: 'int64',
    creationTimestamp: 'time',
    deletionTimestamp: 'time',
    deletionGracePeriodSeconds: 'int64',
    labels: { map: 'string' },
    annotations: { map: 'string' },
    ownerReferences: { list: OWNER_REFERENCE },
    finalizers: { list: 'string' },
    managedFields: { list: MANAGED_FIELDS },
  },
};

/** Metadata that cannot be decoded; the message is encoding/json's, as kube-apiserver answers it with a 400. */
export class MetadataError extends Error {
  override readonly name = 'MetadataError';
}

/**
 * Drops unknown fields from the metadata, in place, and returns their paths (`metadata.foo`), in the order of the keys.
 */
export function pruneMeta(object: JsonObject): string[] {
  const unknown: string[] = [];
  const metadata = object.metadata;
  if (isObject(metadata)) prune(metadata, OBJECT_META, 'metadata', unknown);
  return unknown;
}

function prune(value: Json, type: MetaType, path: string, unknown: string[]): void {
  if (typeof type === 'string' || 'map' in type) return;
  if ('list' in type) {
    if (Array.isArray(value)) value.forEach((item, index) => prune(item, type.list, `${path}[${index}]`, unknown));
    return;
  }
  if (!isObject(value)) return;
  for (const key of Object.keys(value).sort(compareBytes)) {
    const field = Object.hasOwn(type.fields, key) ? type.fields[key] : undefined;
    if (field === undefined) {
      unknown.push(`${path}.${key}`);
      delete value[key];
    } else {
      prune(value[key] as Json, field, `${path}.${key}`, unknown);
    }
  }
}

/**
 * Checks that the metadata has the types of ObjectMeta and drops its nulls and empty values, in place, as a round trip
 * through the Go type does. Throws MetadataError.
 */
export function coerceMeta(object: JsonObject): void {
  const { metadata } = object;
  if (metadata === undefined) return;
  if (metadata === null) {
    delete object.metadata;
    return;
  }
  check(metadata, OBJECT_META, '', '');
  dropEmpty(metadata as JsonObject, OBJECT_META);
}

/** Fields that Go leaves out when they are empty. */
function dropEmpty(object: JsonObject, type: MetaType): void {
  if (typeof type === 'string' || !('fields' in type)) return;
  for (const key of Object.keys(object)) {
    const value = object[key] as Json;
    const field = type.fields[key];
    if (isEmpty(value) && !(type === OWNER_REFERENCE && typeof value === 'string')) {
      if (field !== 'bool' || value === null) delete object[key];
    } else if (field !== undefined && typeof field === 'object' && 'list' in field && Array.isArray(value)) {
      // A null in a list is an empty value of its type.
      for (const [index, item] of value.entries()) {
        if (item === null) value[index] = typeof field.list === 'string' ? '' : {};
        else if (isObject(item)) dropEmpty(item, field.list);
      }
    } else if (field !== undefined && typeof field === 'object' && 'map' in field && isObject(value)) {
      for (const name of Object.keys(value)) if (value[name] === null) value[name] = '';
    }
  }
}

function isEmpty(value: Json): boolean {
  if (value === null || value === '' || value === 0) return true;
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}

/** `owner` is the innermost Go struct and `path` the field in it, which the text names. */
function check(value: Json, type: MetaType, owner: string, path: string): void {
  if (value === null || type === 'raw') return;
  if (type === 'time') {
    checkTime(value);
  } else if (typeof type === 'string') {
    checkScalar(value, type, owner, path);
  } else if ('map' in type) {
    if (!isObject(value)) throw mismatch(value, 'map[string]string', owner, path);
    for (const item of Object.values(value)) check(item, type.map, owner, path);
  } else if ('list' in type) {
    const name = typeof type.list === 'object' && 'name' in type.list ? `v1.${type.list.name}` : 'string';
    if (!Array.isArray(value)) throw mismatch(value, `[]${name}`, owner, path);
    for (const item of value) check(item, type.list, owner, path);
  } else {
    if (!isObject(value)) throw mismatch(value, `v1.${type.name}`, owner, path);
    for (const [key, item] of Object.entries(value)) {
      const field = Object.hasOwn(type.fields, key) ? type.fields[key] : undefined;
      if (field !== undefined) check(item, field, type.name, path === '' ? key : `${path}.${key}`);
    }
  }
}

function checkScalar(value: Json, type: string, owner: string, path: string): void {
  const isWhole = typeof value === 'number' && Number.isInteger(value);
  const fits = type === 'bool' ? typeof value === 'boolean' : type === 'int64' ? isWhole : typeof value === 'string';
  if (!fits) throw mismatch(value, type, owner, path);
}

const RFC3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

function checkTime(value: Json): void {
  if (typeof value !== 'string') {
    throw new MetadataError(`json: cannot unmarshal ${jsonKind(value)} into Go value of type string`);
  }
  if (!RFC3339.test(value) || Number.isNaN(Date.parse(value))) {
    const layout = goQuote('2006-01-02T15:04:05Z07:00');
    throw new MetadataError(`parsing time ${goQuote(value)} as ${layout}: cannot parse ${goQuote(value)} as "2006"`);
  }
}

function mismatch(value: Json, wanted: string, owner: string, path: string): MetadataError {
  const target = owner === '' ? `Go value of type ${wanted}` : `Go struct field ${owner}.${path} of type ${wanted}`;
  return new MetadataError(`json: cannot unmarshal ${jsonKind(value)} into ${target}`);
}

function jsonKind(value: Json): string {
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return Number.isInteger(value) ? 'number' : `number ${value}`;
  if (typeof value === 'string') return 'string';
  return Array.isArray(value) ? 'array' : 'object';
}
