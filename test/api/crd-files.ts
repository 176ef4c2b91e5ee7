import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** The part of a structural schema that the tests look at. */
export interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message?: string }[];
}

export interface Crd {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly shortNames: readonly string[];
      readonly categories: readonly string[];
    };
    readonly versions: readonly [
      {
        readonly name: string;
        readonly subresources?: { readonly status?: object };
        readonly selectableFields?: readonly { readonly jsonPath: string }[];
        readonly additionalPrinterColumns: readonly { readonly name: string; readonly priority?: number }[];
        readonly schema: { readonly openAPIV3Schema: Schema };
      },
    ];
  };
}

const folder = join(import.meta.dirname, '../../crds');

/** Every file of `crds/`, by kind. */
export const CRDS: ReadonlyMap<string, Crd> = new Map(
  readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => {
      const crd = parse(readFileSync(join(folder, file), 'utf8')) as Crd;
      return [crd.spec.names.kind, crd];
    }),
);

/** Returns the schema of a kind, or of a field below it. */
export function schemaOf(kind: string, ...path: readonly string[]): Schema {
  const crd = CRDS.get(kind);
  if (crd === undefined) throw new Error(`no CRD of ${kind}`);
  return path.reduce<Schema>((schema, field) => {
    const next = schema.properties?.[field];
    if (next === undefined) throw new Error(`no ${field} in ${kind}`);
    return next;
  }, crd.spec.versions[0].schema.openAPIV3Schema);
}
