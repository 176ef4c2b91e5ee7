import { type Environment, Optional } from '@marcbachmann/cel-js';
import { duplicate, type FieldError, forbidden, invalid, required } from '../field-error.ts';
import type { Json } from '../json-value.ts';
import type { SchemaNode, ValidationRule } from '../structural.ts';
import { celErrorText } from './errors.ts';
import { normalizeFieldPath } from './field-path.ts';
import { rewrite, usesVariable } from './source.ts';
import type { CelType } from './values.ts';

/** The most that a computed message may have (apiserver: MaxEvaluatedMessageExpressionSizeBytes). */
const MAX_MESSAGE_BYTES = 5 * 1024;

/** A rule that does not compile; `part` says which field of it. */
export class RuleError extends Error {
  override readonly name = 'RuleError';
  readonly part: 'rule' | 'messageExpression' | 'fieldPath';

  constructor(part: RuleError['part'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.part = part;
  }
}

/** The values a rule sees. */
export interface RuleInput {
  readonly self: unknown;
  /** Undefined when there is no old value to compare with. */
  readonly oldSelf: unknown;
}

/** One compiled rule of a schema node. */
export interface CompiledRule {
  /** A transition rule: it says something about a change, so it is never exempt. */
  readonly usesOldSelf: boolean;
  /** The error for a rule that could not be evaluated. */
  readonly fail: (error: unknown, path: string) => FieldError;
  /** Undefined when the rule holds; else the error, and whether it says that evaluating failed. */
  readonly evaluate: (input: RuleInput, path: string) => { error: FieldError; failed: boolean } | undefined;
}

type Program = (context: Record<string, unknown>) => unknown;

/** Compiles a rule for values of a type. Throws RuleError. */
export function compileRule(rule: ValidationRule, schema: SchemaNode, type: CelType, env: Environment): CompiledRule {
  const optional = rule.optionalOldSelf === true;
  const scope = env.clone();
  scope.registerVariable('self', type.name);
  scope.registerVariable('oldSelf', optional ? `optional<${type.name}>` : type.name);
  const program = compile(scope, rule.rule, 'bool', 'rule');
  const message = rule.messageExpression
    ? compile(scope, rule.messageExpression, 'string', 'messageExpression')
    : undefined;
  const usesOldSelf = usesVariable(rule.rule, 'oldSelf');
  const suffix = fieldPath(rule, schema);
  const label = rule.message?.trim() || rule.rule.trim();
  const typeName = schema.type ?? '';

  const fail = (error: unknown, path: string): FieldError =>
    invalid(path, typeName, failureText(celErrorText(error), label));

  return {
    usesOldSelf,
    fail,
    evaluate({ self, oldSelf }, path) {
      if (usesOldSelf && oldSelf === undefined && !optional) return undefined;
      const context = { self, oldSelf: optional ? Optional.of(oldSelf) : oldSelf };
      let holds: unknown;
      try {
        holds = program(context);
      } catch (error) {
        return { error: fail(error, path), failed: true };
      }
      if (holds === true) return undefined;
      const detail = computedMessage(message, context) ?? (rule.message?.trim() || `failed rule: ${rule.rule.trim()}`);
      return { error: byReason(rule.reason, childPath(path, suffix), typeName, detail), failed: false };
    },
  };
}

function compile(env: Environment, source: string, type: string, part: RuleError['part']): Program {
  try {
    const program = env.parse(rewrite(source));
    const checked = program.check();
    if (!checked.valid)
      throw new Error(checked.error?.message ?? 'the expression has no valid type', { cause: checked.error });
    if (checked.type !== type && checked.type !== 'dyn') {
      throw new Error(
        part === 'rule' ? 'cel expression must evaluate to a bool' : 'messageExpression must evaluate to a string',
      );
    }
    return program;
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new RuleError(part, `compilation failed: ${text}`, { cause });
  }
}

function fieldPath(rule: ValidationRule, schema: SchemaNode): string {
  if (rule.fieldPath === undefined || rule.fieldPath === '') return '';
  try {
    return normalizeFieldPath(rule.fieldPath, schema);
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new RuleError('fieldPath', `fieldPath must be a valid path: ${text}`, { cause });
  }
}

function childPath(path: string, suffix: string): string {
  if (suffix === '') return path;
  return path === '<nil>' ? suffix : `${path}.${suffix}`;
}

function failureText(error: string, label: string): string {
  if (error.startsWith('no such overload')) {
    return `'${error}': call arguments did not match a supported operator, function or macro signature for rule: ${label}`;
  }
  return `${error} evaluating rule: ${label}`;
}

/** Undefined when there is no usable computed message; Kubernetes then falls back to the fixed one. */
function computedMessage(program: Program | undefined, context: Record<string, unknown>): string | undefined {
  if (program === undefined) return undefined;
  try {
    const text = program(context);
    if (typeof text !== 'string') return undefined;
    const trimmed = text.trim();
    const usable = trimmed !== '' && !trimmed.includes('\n') && Buffer.byteLength(trimmed) <= MAX_MESSAGE_BYTES;
    return usable ? trimmed : undefined;
  } catch {
    return undefined;
  }
}

function byReason(reason: ValidationRule['reason'], path: string, value: Json, detail: string): FieldError {
  switch (reason) {
    case 'FieldValueForbidden':
      return forbidden(path, detail);
    case 'FieldValueRequired':
      return required(path, detail);
    case 'FieldValueDuplicate':
      return duplicate(path, value);
    default:
      return invalid(path, value, detail);
  }
}
