import { EMPTY, type FieldSet, setOf } from './field-set.ts';
import type { Writer } from './ownership.ts';
import { fieldElement } from './path-element.ts';
import { compileSchema, type StructuralSchema } from './schema.ts';

/** Who writes an object, through which endpoint, and when. */
export interface WriteOptions {
  /** The schema of the kind, without regard to `apiVersion`, `kind` and `metadata`, which are known. */
  readonly schema: StructuralSchema;
  /** The field manager; empty means `unknown`. */
  readonly manager: string;
  /** The version of this endpoint, `group/version`. */
  readonly apiVersion: string;
  /** The subresource of this endpoint, such as `status`; empty or absent for the object itself. */
  readonly subresource?: string;
  /** Now. Managers record it in whole seconds. */
  readonly time: Date;
  /**
   * Dotted paths of fields that this endpoint does not write: they are neither owned nor conflict. Kubernetes has
   * `['status']` for the main resource of a kind with a status subresource, and `['spec']` for `status`. The default
   * is none.
   */
  readonly resetFields?: readonly string[];
  /** Other versions of the kind that share its schema. Managers of versions that are not known are forgotten. */
  readonly otherVersions?: readonly string[];
}

/** What the main endpoint of a kind with a status subresource does not write (apiextensions, GetResetFields). */
export const MAIN_RESET_FIELDS: readonly string[] = ['status'];

/** What the endpoint of the status subresource does not write (apiextensions, GetResetFields). */
export const STATUS_RESET_FIELDS: readonly string[] = ['spec'];

const NO_VERSIONS: readonly string[] = [];
const versionSets = new Map<string, ReadonlySet<string>>();
const resetSets = new WeakMap<readonly string[], FieldSet>();

/** Resolves options into what ownership works with. */
export function writerOf(options: WriteOptions): Writer {
  return {
    type: compileSchema(options.schema),
    manager: options.manager,
    apiVersion: options.apiVersion,
    subresource: options.subresource ?? '',
    time: `${options.time.toISOString().slice(0, 19)}Z`,
    resetFields: options.resetFields === undefined ? EMPTY : resetSet(options.resetFields),
    versions: versionSet(options.apiVersion, options.otherVersions ?? NO_VERSIONS),
  };
}

function resetSet(fields: readonly string[]): FieldSet {
  let set = resetSets.get(fields);
  if (set === undefined) {
    set = setOf(...fields.map((field) => field.split('.').map(fieldElement)));
    resetSets.set(fields, set);
  }
  return set;
}

function versionSet(apiVersion: string, others: readonly string[]): ReadonlySet<string> {
  if (others.length !== 0) return new Set([apiVersion, ...others]);
  let set = versionSets.get(apiVersion);
  if (set === undefined) {
    set = new Set([apiVersion]);
    versionSets.set(apiVersion, set);
  }
  return set;
}
