import type { CompiledSchema } from '../schema/compile.ts';
import type { FieldError } from '../schema/field-error.ts';
import type { JsonObject } from '../schema/json-value.ts';
import type { SchemaNode } from '../schema/structural.ts';
import type { Collection } from '../storage/collection.ts';
import type { Item } from '../storage/item.ts';

/** A column that the server prints for `kubectl get`. */
export interface Column {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly description: string;
  /** 0 = always, above = with `-o wide`. */
  readonly priority: number;
}

/** Where kinds differ from each other on a write (apiserver, `registry/rest` strategies). */
export interface Strategy {
  /** Whether a PUT (or an apply) of a missing object makes it; an apply always does. */
  readonly allowCreateOnUpdate: boolean;
  /** Whether an update may come without a resourceVersion. */
  readonly allowUnconditionalUpdate: boolean;
  /** Whether `metadata.generation` counts changes outside of metadata and status. */
  readonly hasGeneration: boolean;
  /** What a name must be. */
  readonly nameFormat: 'subdomain' | 'label' | 'any';
  /** Fills in what a Go type or its defaulting fills in, before anybody is recorded as the owner of fields. */
  readonly complete?: (object: JsonObject) => void;
  /** Fields that the Go type always has, although they may be empty. */
  readonly structs?: readonly string[];
  /** Changes a new object after owners are recorded and before it is validated. */
  readonly prepareForCreate?: (object: JsonObject) => void;
  /** Changes an update before it is validated. */
  readonly prepareForUpdate?: (object: JsonObject, old: JsonObject) => void;
  /** Checks beyond the schema. */
  readonly validate?: (object: JsonObject, old: JsonObject | undefined) => readonly FieldError[];
}

/** Another API version's view of stored objects. */
export interface View {
  /** Changes an object of this version into the stored version. */
  readonly toStored: (object: JsonObject) => JsonObject;
  readonly fromStored: (object: JsonObject) => JsonObject;
}

/** The value of a selectable field. */
export type FieldGetter = (object: JsonObject) => string;

/** One served resource. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  /** `GROUP/VERSION`, or `v1`. */
  readonly apiVersion: string;
  /** The plural name, as in paths. */
  readonly resource: string;
  readonly singular: string;
  readonly kind: string;
  readonly listKind: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  /** From a CustomResourceDefinition. */
  readonly custom: boolean;
  readonly hasStatus: boolean;
  readonly schema: CompiledSchema;
  /** The schema as it stands in OpenAPI and as field ownership sees it. */
  readonly node: SchemaNode;
  /** Fields that a write to the main resource, or to the status, does not touch. */
  readonly resetFields: readonly string[];
  readonly statusResetFields: readonly string[];
  readonly columns: readonly Column[];
  /** The cells of an object's row, one for each column. */
  readonly cells: (object: JsonObject, now: number) => readonly unknown[];
  /** Selectable fields besides `metadata.name` and `metadata.namespace`. */
  readonly selectable: ReadonlyMap<string, FieldGetter>;
  readonly strategy: Strategy;
  readonly view: View | undefined;
  readonly collection: Collection;
}

/** Verbs of everything that can be written. */
export const ALL_VERBS: readonly string[] = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
];

/** The JSON of an item as this resource shows it. */
export function jsonOf(resource: Resource, item: Item): string {
  const { view } = resource;
  if (view === undefined) return item.json;
  return item.form(resource.apiVersion, () => JSON.stringify(view.fromStored(item.object)));
}

/** An item's object as this resource shows it; not to be changed. */
export function objectOf(resource: Resource, item: Item): JsonObject {
  return resource.view === undefined ? item.object : resource.view.fromStored(item.object);
}

/** Lists of built-in kinds hold items without `kind` and `apiVersion`, which stand first in what we store. */
export function listItemJson(resource: Resource, item: Item): string {
  const json = jsonOf(resource, item);
  if (resource.custom) return json;
  const { kind, apiVersion } = resource;
  const head = `{"kind":${JSON.stringify(kind)},"apiVersion":${JSON.stringify(apiVersion)},`;
  return json.startsWith(head) ? `{${json.slice(head.length)}` : json;
}

/** The key of an object in its collection. */
export function keyOf(resource: Resource, namespace: string, name: string): string {
  return resource.namespaced ? `${namespace}/${name}` : name;
}

/** The same, in the order in which custom resources show them. */
export const CUSTOM_VERBS: readonly string[] = [
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'create',
  'update',
  'watch',
];
