import { compileRules, type RuleProblem } from './cel/rules.ts';
import { compileDefaults } from './defaults.ts';
import { type FieldError, type FieldErrorType, invalid, NO_FIELD } from './field-error.ts';
import { type JsonObject, own } from './json-value.ts';
import { compileListTypes } from './list-types.ts';
import { pruneMeta } from './object-meta.ts';
import { compilePrune } from './prune.ts';
import { property, type SchemaNode } from './structural.ts';
import { compileValues } from './validate-value.ts';

/** What there is to say about an object. */
export interface ValidationResult {
  /** Empty when the object is valid. */
  readonly errors: readonly FieldError[];
  /** Texts for Warning headers: rules that the object violated before this update already. */
  readonly warnings: readonly string[];
}

/** How to validate. */
export interface ValidateOptions {
  /** `status`: only the status is checked against the schema, as on the status subresource. The rules see the whole object. */
  readonly subresource?: 'status';
  /** What was found before (in the metadata): it comes first, and the rules are skipped after an error that blocks them. */
  readonly before?: readonly FieldError[];
}

/** A CRD's schema, compiled: each method costs some 10 µs on a small object. */
export interface CompiledSchema {
  readonly schema: SchemaNode;
  /** Rules that do not compile; they are not enforced. */
  readonly ruleProblems: readonly RuleProblem[];
  /**
   * Drops what the schema does not know, in place, and returns the paths (`spec.foo`): first those in the metadata, then
   * the others, sorted.
   */
  prune(object: JsonObject): string[];
  /** Fills in defaults and drops nulls, in place, as the API server does with each object it reads or receives. */
  applyDefaults(object: JsonObject, keepNulls?: boolean): void;
  /** Validates an object; `old`, on an update, exempts what did not change and gives transition rules their `oldSelf`. */
  validate(object: JsonObject, old?: JsonObject, options?: ValidateOptions): ValidationResult;
}

const BLOCKING: ReadonlySet<FieldErrorType> = new Set<FieldErrorType>([
  'FieldValueNotSupported',
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
]);

const SKIPPED = invalid(
  NO_FIELD,
  null,
  'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
);

const compiled = new WeakMap<SchemaNode, CompiledSchema>();

/**
 * Compiles the `openAPIV3Schema` of a CRD version; the result is kept as long as the schema object. The schema must be
 * structural (see validateCrd) and must not be changed afterwards. Throws when a pattern is not valid RE2.
 */
export function compileSchema(schema: SchemaNode): CompiledSchema {
  const known = compiled.get(schema);
  if (known !== undefined) return known;
  const result = compile(schema);
  compiled.set(schema, result);
  return result;
}

function compile(schema: SchemaNode): CompiledSchema {
  const prune = compilePrune(schema);
  const applyDefaults = compileDefaults(schema);
  const values = compileValues(schema);
  const statusSchema = property(schema, 'status');
  const statusValues = statusSchema === undefined ? undefined : compileValues(statusSchema);
  const lists = compileListTypes(schema);
  const rules = compileRules(schema);

  const checkValues = (object: JsonObject, old: JsonObject | undefined, status: boolean): FieldError[] => {
    if (!status) return values(object, old);
    const value = own(object, 'status');
    if (statusValues === undefined || value === undefined) return [];
    return statusValues(value, old === undefined ? undefined : own(old, 'status'), 'status');
  };

  return {
    schema,
    ruleProblems: rules.problems,
    prune: (object) => [...pruneMeta(object), ...prune(object)],
    applyDefaults,
    validate(object, old, options = {}) {
      const errors = [...(options.before ?? []), ...checkValues(object, old, options.subresource === 'status')];
      // Duplicates that are stored already are tolerated as a whole.
      const duplicates = lists(object);
      if (duplicates.length > 0 && (old === undefined || lists(old).length === 0))
        for (const error of duplicates) errors.push(error);
      if (errors.some(({ type }) => BLOCKING.has(type))) {
        return { errors: rules.any ? [...errors, SKIPPED] : errors, warnings: [] };
      }
      const outcome = rules.check(object, old);
      return { errors: [...errors, ...outcome.errors], warnings: outcome.warnings };
    },
  };
}
