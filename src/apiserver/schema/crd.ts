import { compileSelectableFields, type PrinterColumn, type SelectableField } from './columns.ts';
import { compileSchema } from './compile.ts';
import { type FieldError, forbidden, invalid, notSupported, required } from './field-error.ts';
import { compileJsonPath } from './json-path.ts';
import { deepCopy, deepEqual, type Json, type JsonObject } from './json-value.ts';
import { compilePattern } from './pattern.ts';
import { additional, property, type SchemaNode } from './structural.ts';

/** A CustomResourceDefinition (apiextensions.k8s.io/v1), as far as the embedded server reads it. */
export interface CustomResourceDefinition {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string; readonly plural: string };
    readonly scope: string;
    readonly versions: readonly CrdVersion[];
  };
}

/** One version of a CRD. */
export interface CrdVersion {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly schema?: { readonly openAPIV3Schema?: SchemaNode };
  readonly subresources?: { readonly status?: unknown; readonly scale?: unknown };
  readonly additionalPrinterColumns?: readonly PrinterColumn[];
  readonly selectableFields?: readonly SelectableField[];
}

const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string'];
const COLUMN_TYPES = ['boolean', 'date', 'integer', 'number', 'string'];

/**
 * Checks what would make the embedded server misread a CRD: its schemas must be structural, patterns, rules, defaults and
 * JSONPaths must be valid. It is no replacement for the checks of a real API server (names, cost of rules). Each error
 * names its place, as `spec.versions[0].schema.openAPIV3Schema.properties[spec].type`.
 */
export function validateCrd(crd: CustomResourceDefinition): FieldError[] {
  const { group, names, scope, versions } = crd.spec;
  const errors: FieldError[] = [];
  const name = `${names.plural}.${group}`;
  if (crd.metadata.name !== name) {
    errors.push(invalid('metadata.name', crd.metadata.name, 'must be spec.names.plural+"."+spec.group'));
  }
  if (scope !== 'Cluster' && scope !== 'Namespaced')
    errors.push(notSupported('spec.scope', scope, ['Cluster', 'Namespaced']));
  if (versions.filter(({ storage }) => storage).length !== 1) {
    const detail = 'must have exactly one version marked as storage version';
    errors.push(
      invalid(
        'spec.versions',
        versions.map((version) => version.name),
        detail,
      ),
    );
  }
  // Objects are shown in the version that they were written in: nothing here converts.
  if (versions.filter(({ served }) => served).length > 1) {
    errors.push(forbidden('spec.versions', 'the embedded API server serves one version of a kind'));
  }
  versions.forEach((version, index) => errors.push(...validateVersion(version, `spec.versions[${index}]`)));
  return errors;
}

function validateVersion(version: CrdVersion, path: string): FieldError[] {
  const schema = version.schema?.openAPIV3Schema;
  const place = `${path}.schema.openAPIV3Schema`;
  if (schema === undefined) return [required(place, 'schemas are required')];
  const errors = validateSchema(schema, place);
  if (version.subresources?.scale !== undefined) {
    errors.push(forbidden(`${path}.subresources.scale`, 'the embedded API server does not serve it'));
  }
  for (const [index, column] of (version.additionalPrinterColumns ?? []).entries()) {
    const at = `${path}.additionalPrinterColumns[${index}]`;
    if (!COLUMN_TYPES.includes(column.type)) errors.push(notSupported(`${at}.type`, column.type, COLUMN_TYPES));
    pushPathError(errors, `${at}.jsonPath`, column.jsonPath, () => compileJsonPath(column.jsonPath));
  }
  for (const [index, field] of (version.selectableFields ?? []).entries()) {
    const at = `${path}.selectableFields[${index}].jsonPath`;
    pushPathError(errors, at, field.jsonPath, () => compileSelectableFields([field]));
    if (!isSelectable(schema, field.jsonPath)) {
      const detail =
        'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.';
      errors.push(invalid(at, field.jsonPath, detail));
    }
  }
  return errors;
}

function pushPathError(errors: FieldError[], at: string, path: string, compile: () => unknown): void {
  try {
    compile();
  } catch (error) {
    errors.push(invalid(at, path, `is an invalid path: ${error instanceof Error ? error.message : String(error)}`));
  }
}

function isSelectable(schema: SchemaNode, path: string): boolean {
  let node: SchemaNode | undefined = schema;
  for (const part of path.replace(/^\./, '').split('.')) node = node === undefined ? undefined : property(node, part);
  return node?.type === 'string' || node?.type === 'boolean' || node?.type === 'integer';
}

/** Checks one schema: structure, patterns, rules and defaults. `path` is the place of the schema. */
export function validateSchema(schema: SchemaNode, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (schema.type !== 'object') errors.push(invalid(`${path}.type`, schema.type ?? '', 'must be object at the root'));
  if (schema.additionalProperties !== undefined) {
    errors.push(forbidden(`${path}.additionalProperties`, 'must not be used at the root'));
  }
  checkNode(schema, path, errors);
  if (errors.length > 0) return errors;
  for (const { path: place, rule, message } of compileSchema(schema).ruleProblems) {
    errors.push(invalid(`${path}.${place}`, rule, message));
  }
  checkDefaults(schema, path, errors);
  return errors;
}

/** Every node below the root needs a type; lists need items. */
function checkNode(schema: SchemaNode, path: string, errors: FieldError[]): void {
  const { type } = schema;
  const free = schema['x-kubernetes-int-or-string'] === true || schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (type === undefined && !free)
    errors.push(required(`${path}.type`, 'must not be empty for specified object fields'));
  if (type !== undefined && !TYPES.includes(type)) errors.push(notSupported(`${path}.type`, type, TYPES));
  if (type === 'array' && schema.items === undefined) errors.push(required(`${path}.items`, 'must be specified'));
  if (schema['x-kubernetes-embedded-resource'] === true) {
    const detail = 'embedded objects are not checked by the embedded API server';
    errors.push(forbidden(`${path}.x-kubernetes-embedded-resource`, detail));
  }
  if (schema.uniqueItems === true) {
    errors.push(
      forbidden(
        `${path}.uniqueItems`,
        'uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
      ),
    );
  }
  if (schema.additionalProperties === false) {
    errors.push(forbidden(`${path}.additionalProperties`, 'additionalProperties cannot be set to false'));
  }
  if (schema.properties !== undefined && schema.additionalProperties !== undefined) {
    errors.push(forbidden(`${path}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'));
  }
  checkPattern(schema, path, errors);
  checkListType(schema, path, errors);
  for (const [keyword, branch] of branches(schema)) checkBranch(branch, schema, `${path}.${keyword}`, errors);
  for (const [key, node] of Object.entries(schema.properties ?? {}))
    checkNode(node, `${path}.properties[${key}]`, errors);
  const more = additional(schema);
  if (more !== undefined) checkNode(more, `${path}.additionalProperties`, errors);
  if (schema.items !== undefined) checkNode(schema.items, `${path}.items`, errors);
}

function checkPattern({ pattern }: SchemaNode, path: string, errors: FieldError[]): void {
  if (pattern === undefined) return;
  try {
    compilePattern(pattern);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    errors.push(invalid(`${path}.pattern`, pattern, `must be a valid regular expression, but isn't: ${text}`));
  }
}

function checkListType(schema: SchemaNode, path: string, errors: FieldError[]): void {
  const type = schema['x-kubernetes-list-type'];
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  if (type === undefined) return;
  if (!['atomic', 'set', 'map'].includes(type)) {
    errors.push(notSupported(`${path}.x-kubernetes-list-type`, type, ['atomic', 'map', 'set']));
  }
  if (schema.type !== 'array') {
    errors.push(invalid(`${path}.type`, schema.type ?? '', 'must be array if x-kubernetes-list-type is specified'));
  }
  if (type !== 'map') return;
  if (keys.length === 0) {
    errors.push(required(`${path}.x-kubernetes-list-map-keys`, 'must not be empty if x-kubernetes-list-type is map'));
  }
  keys.forEach((key, index) => {
    const node = schema.items === undefined ? undefined : property(schema.items, key);
    const given = node?.default !== undefined || schema.items?.required?.includes(key) === true;
    if (node === undefined || !given) {
      const detail = 'entries must all be names of item properties that are required or have a default';
      errors.push(invalid(`${path}.x-kubernetes-list-map-keys[${index}]`, key, detail));
    }
  });
}

function* branches(schema: SchemaNode): Generator<readonly [string, SchemaNode]> {
  for (const keyword of ['allOf', 'anyOf', 'oneOf'] as const) {
    for (const [index, branch] of (schema[keyword] ?? []).entries()) yield [`${keyword}[${index}]`, branch];
  }
  if (schema.not !== undefined) yield ['not', schema.not];
}

const STRUCTURE = ['type', 'default', 'title', 'description', 'nullable', 'additionalProperties'] as const;

/** Inside allOf, anyOf, oneOf and not there are only conditions, on fields that the structure outside has. */
function checkBranch(branch: SchemaNode, shape: SchemaNode, path: string, errors: FieldError[]): void {
  const union = shape['x-kubernetes-int-or-string'] === true;
  for (const keyword of STRUCTURE) {
    if (branch[keyword] === undefined || (keyword === 'type' && union)) continue;
    errors.push(forbidden(`${path}.${keyword}`, 'must be undefined to be structural'));
  }
  checkPattern(branch, path, errors);
  for (const [keyword, inner] of branches(branch)) checkBranch(inner, shape, `${path}.${keyword}`, errors);
  for (const [key, node] of Object.entries(branch.properties ?? {})) {
    const outside = property(shape, key);
    if (outside === undefined) {
      errors.push(required(`${path}.properties[${key}]`, 'must be specified outside of value validation, too'));
    } else {
      checkBranch(node, outside, `${path}.properties[${key}]`, errors);
    }
  }
  if (branch.items !== undefined && shape.items !== undefined) {
    checkBranch(branch.items, shape.items, `${path}.items`, errors);
  }
}

/** A default must be valid by itself, and nothing of it may be unknown. */
function checkDefaults(schema: SchemaNode, path: string, errors: FieldError[]): void {
  if (schema.default !== undefined) errors.push(...checkDefault(schema, schema.default, `${path}.default`));
  for (const [key, node] of Object.entries(schema.properties ?? {}))
    checkDefaults(node, `${path}.properties[${key}]`, errors);
  const more = additional(schema);
  if (more !== undefined) checkDefaults(more, `${path}.additionalProperties`, errors);
  if (schema.items !== undefined) checkDefaults(schema.items, `${path}.items`, errors);
}

function checkDefault(schema: SchemaNode, value: Json, path: string): FieldError[] {
  const compiled = compileSchema({ type: 'object', properties: { default: schema } });
  const object: JsonObject = { default: deepCopy(value) };
  compiled.prune(object);
  if (!deepEqual(object.default, value)) return [invalid(path, value, 'must not have unknown fields')];
  compiled.applyDefaults(object);
  return compiled.validate(object).errors.map((error) => ({ ...error, field: error.field.replace(/^default/, path) }));
}
