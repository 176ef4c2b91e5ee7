import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import {
  compileColumns,
  compileSelectableFields,
  type PrinterColumn,
  type SelectableField,
} from '../schema/columns.ts';
import { compileSchema } from '../schema/compile.ts';
import { type CustomResourceDefinition, validateCrd } from '../schema/crd.ts';
import { errorText } from '../schema/field-error.ts';
import type { JsonObject } from '../schema/json-value.ts';
import type { SchemaNode } from '../schema/structural.ts';
import type { Store } from '../storage/store.ts';
import { CREATED_COLUMN, NAME_COLUMN } from './columns.ts';
import { type Column, CUSTOM_VERBS, type FieldGetter, type Resource, type Strategy } from './resource.ts';

/** The CRD as a file has it. */
interface CrdFile {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly [key: string]: unknown };
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly singular?: string;
      readonly listKind?: string;
      readonly shortNames?: readonly string[];
      readonly categories?: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly schema: { readonly openAPIV3Schema: SchemaNode };
      readonly subresources?: { readonly status?: unknown };
      readonly additionalPrinterColumns?: readonly PrinterColumn[];
      readonly selectableFields?: readonly SelectableField[];
    }[];
  };
}

/** A CRD that cannot be served. */
export class CrdError extends Error {
  override readonly name = 'CrdError';
}

/** One CRD: the object that clients read, and what it makes the server serve. */
export interface CustomKind {
  readonly crd: JsonObject;
  readonly resources: readonly Resource[];
}

const STRATEGY: Strategy = {
  allowCreateOnUpdate: false,
  allowUnconditionalUpdate: false,
  hasGeneration: true,
  nameFormat: 'subdomain',
};

/** What {@link compileCrds} makes; beside YAML files it counts for nothing. */
const COMPILED = 'crds.json';

/**
 * Reads all CRDs of a directory: those that {@link compileCrds} has put there, else its YAML files. Throws CrdError for
 * one that is not valid.
 */
export function loadCrds(directory: string, store: Store): CustomKind[] {
  const compiled = join(directory, COMPILED);
  const crds = existsSync(compiled)
    ? (JSON.parse(readFileSync(compiled, 'utf8')) as readonly JsonObject[])
    : readCrds(directory);
  return crds.map((crd) => ({ crd, resources: resourcesOf(crd as unknown as CrdFile, store) }));
}

/**
 * The CRDs of a directory with YAML files as the text of one file {@link COMPILED}, for a directory of its own: reading
 * and checking them is a third of the start of a server, and a release has them checked once. Throws CrdError.
 */
export function compileCrds(directory: string): { readonly name: string; readonly text: string } {
  return { name: COMPILED, text: JSON.stringify(readCrds(directory)) };
}

function readCrds(directory: string): readonly JsonObject[] {
  const crds: JsonObject[] = [];
  for (const file of readdirSync(directory).sort()) {
    if (!/\.ya?ml$/.test(file)) continue;
    for (const document of parseAllDocuments(readFileSync(join(directory, file), 'utf8'))) {
      const value = document.toJS() as unknown;
      if (value === null || value === undefined) continue;
      if (document.errors.length > 0) throw new CrdError(`${file}: ${document.errors[0]?.message}`);
      if ((value as CrdFile).kind !== 'CustomResourceDefinition') continue;
      const errors = validateCrd(value as CustomResourceDefinition);
      if (errors.length > 0) throw new CrdError(`${file}: ${errors.map(errorText).join('; ')}`);
      crds.push(value as JsonObject);
    }
  }
  return crds;
}

function resourcesOf({ spec }: CrdFile, store: Store): Resource[] {
  const { group, names } = spec;
  return spec.versions
    .filter(({ served }) => served)
    .map((version): Resource => {
      const node = version.schema.openAPIV3Schema;
      const hasStatus = version.subresources?.status !== undefined;
      const columns = version.additionalPrinterColumns ?? [AGE];
      const cells = compileColumns(columns);
      return {
        group,
        version: version.name,
        apiVersion: `${group}/${version.name}`,
        resource: names.plural,
        singular: names.singular ?? names.kind.toLowerCase(),
        kind: names.kind,
        listKind: names.listKind ?? `${names.kind}List`,
        shortNames: names.shortNames ?? [],
        categories: names.categories ?? [],
        namespaced: spec.scope === 'Namespaced',
        verbs: CUSTOM_VERBS,
        custom: true,
        hasStatus,
        // Compiled when the first object of the kind is written: most kinds wait long for theirs.
        get schema() {
          return compileSchema(node);
        },
        node,
        resetFields: hasStatus ? ['status'] : [],
        statusResetFields: ['spec'],
        columns: [NAME_COLUMN, ...columns.map(columnOf)],
        cells: (object, now) => [(object['metadata'] as JsonObject)['name'], ...cells(object, now)],
        selectable: selectableOf(version.selectableFields ?? []),
        strategy: STRATEGY,
        view: undefined,
        collection: store.collection(`${group}/${names.plural}`),
      };
    });
}

const AGE: PrinterColumn = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: CREATED_COLUMN.description,
};

function columnOf(column: PrinterColumn): Column {
  return {
    name: column.name,
    type: column.type,
    format: column.format ?? '',
    description: column.description ?? `Custom resource definition column (in JSONPath format): ${column.jsonPath}`,
    priority: column.priority ?? 0,
  };
}

function selectableOf(fields: readonly SelectableField[]): ReadonlyMap<string, FieldGetter> {
  return new Map(
    fields.map((field) => {
      const name = field.jsonPath.replace(/^\./, '');
      const getter = compileSelectableFields([field]);
      return [name, (object: JsonObject) => getter(object)[name] ?? ''] as const;
    }),
  );
}

/** The names and conditions with which a CRD shows that it is served. */
export function establishedStatus(crd: JsonObject, time: string): JsonObject {
  const spec = crd['spec'] as JsonObject;
  const names = spec['names'] as JsonObject;
  const versions = spec['versions'] as JsonObject[];
  const condition = (type: string, reason: string, message: string): JsonObject => ({
    lastTransitionTime: time,
    message,
    reason,
    status: 'True',
    type,
  });
  return {
    acceptedNames: names,
    conditions: [
      condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
      condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
    ],
    storedVersions: versions.filter(({ storage }) => storage === true).map(({ name }) => name as string),
  };
}
