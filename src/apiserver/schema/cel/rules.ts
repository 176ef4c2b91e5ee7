import { correlatedEqual, correlateField, correlateItem } from '../correlation.ts';
import { errorText, type FieldError, NO_FIELD } from '../field-error.ts';
import { isObject, type Json, type JsonObject, own } from '../json-value.ts';
import { additional, property, type SchemaNode, type ValidationRule } from '../structural.ts';
import { ruleEnvironment } from './environment.ts';
import { CelError } from './errors.ts';
import { type CompiledRule, compileRule, RuleError } from './rule.ts';
import { type CelType, CelTypes, withTypeAndMeta } from './values.ts';

/** A rule that does not compile, with the place of it in the schema. */
export interface RuleProblem {
  /** For example `properties[spec].x-kubernetes-validations[0].rule`. */
  readonly path: string;
  readonly rule: string;
  readonly message: string;
}

/** What the rules say about an object. */
export interface RuleOutcome {
  readonly errors: readonly FieldError[];
  /** Violations that the object had before and that therefore only warn. */
  readonly warnings: readonly string[];
}

/** The rules of a schema, compiled. */
export interface CompiledRules {
  /** False when the schema has no rules at all. */
  readonly any: boolean;
  readonly problems: readonly RuleProblem[];
  /** `old` is the stored object on an update. */
  readonly check: (object: JsonObject, old?: JsonObject) => RuleOutcome;
}

/** A value, the old value it correlates with, and the schema by which they compare. */
interface Correlated {
  readonly schema: SchemaNode;
  readonly value: Json;
  readonly old: Json;
}

/** Where ratcheting stands: the correlated node itself, and the nearest correlated one above it. */
interface Ratchet {
  readonly current?: Correlated | undefined;
  readonly nearest?: Correlated | undefined;
}

const NO_RATCHET: Ratchet = {};

interface Walk {
  readonly errors: FieldError[];
  readonly warnings: string[];
}

interface RuleNode {
  readonly schema: SchemaNode;
  readonly type: CelType | undefined;
  readonly rules: readonly CompiledRule[];
  readonly properties: ReadonlyMap<string, RuleNode>;
  readonly rest: RuleNode | undefined;
  readonly items: RuleNode | undefined;
  readonly all: readonly RuleNode[];
  /**
   * Values that followed all rules while they did not change. Stored values are shared by the versions of an object and
   * never changed, and rules depend on nothing but the value and the old one: what passed as both passes again.
   */
  readonly passedUnchanged: WeakSet<object>;
}

/**
 * Compiles the `x-kubernetes-validations` of a schema (apiextensions: pkg/apiserver/schema/cel). Rules that do not compile
 * are listed in `problems` and left out.
 */
export function compileRules(schema: SchemaNode): CompiledRules {
  if (!hasRules(schema)) return { any: false, problems: [], check: () => ({ errors: [], warnings: [] }) };
  const builder = new Builder();
  const root = builder.node(schema, withTypeAndMeta(schema), '');
  return {
    any: true,
    problems: builder.problems,
    check: (object, old) => {
      const walk: Walk = { errors: [], warnings: [] };
      const ratchet = old === undefined ? NO_RATCHET : { current: { schema, value: object, old } };
      if (root !== undefined) visit(root, object, old, NO_FIELD, ratchet, walk);
      return walk;
    },
  };
}

function hasRules(schema: SchemaNode | undefined): boolean {
  if (schema === undefined) return false;
  if ((schema['x-kubernetes-validations'] ?? []).length > 0) return true;
  if (hasRules(schema.items) || hasRules(additional(schema))) return true;
  return Object.values(schema.properties ?? {}).some(hasRules) || (schema.allOf ?? []).some(hasRules);
}

class Builder {
  readonly problems: RuleProblem[] = [];
  readonly #env = ruleEnvironment();
  readonly #types = new CelTypes(this.#env);

  /** `rules` says what holds, `shape` what the values look like; they differ inside allOf. */
  node(rules: SchemaNode, shape: SchemaNode, path: string): RuleNode | undefined {
    if (!hasRules(rules)) return undefined;
    // Children first: an environment takes no more types once a rule was compiled in a copy of it.
    const type = this.#types.of(shape);
    const properties = new Map<string, RuleNode>();
    for (const [key, child] of Object.entries(rules.properties ?? {})) {
      const childShape = property(shape, key);
      const node = childShape === undefined ? undefined : this.node(child, childShape, `${path}properties[${key}].`);
      if (node !== undefined) properties.set(key, node);
    }
    const [more, moreShape] = [additional(rules), additional(shape)];
    const rest =
      more === undefined || moreShape === undefined
        ? undefined
        : this.node(more, moreShape, `${path}additionalProperties.`);
    const items =
      rules.items === undefined || shape.items === undefined
        ? undefined
        : this.node(rules.items, shape.items, `${path}items.`);
    const all = (rules.allOf ?? [])
      .map((branch, index) => this.node(branch, shape, `${path}allOf[${index}].`))
      .filter((node) => node !== undefined);
    const compiled = this.#rules(rules['x-kubernetes-validations'] ?? [], shape, type, path);
    return { schema: shape, type, rules: compiled, properties, rest, items, all, passedUnchanged: new WeakSet() };
  }

  #rules(rules: readonly ValidationRule[], shape: SchemaNode, type: CelType | undefined, path: string): CompiledRule[] {
    const compiled: CompiledRule[] = [];
    rules.forEach((rule, index) => {
      if (rule.rule.trim() === '') return;
      const place = `${path}x-kubernetes-validations[${index}]`;
      try {
        if (type === undefined) {
          throw new RuleError('rule', 'failed to convert to declType for CEL validation rules');
        }
        compiled.push(compileRule(rule, shape, type, this.#env));
      } catch (error) {
        const part = error instanceof RuleError ? error.part : 'rule';
        const message = error instanceof Error ? error.message : String(error);
        this.problems.push({ path: `${place}.${part}`, rule: rule.rule, message });
      }
    });
    return compiled;
  }
}

function visit(node: RuleNode, value: Json, old: Json | undefined, path: string, ratchet: Ratchet, walk: Walk): void {
  if (value === null) return;
  const isUnchanged = value === old && typeof value === 'object';
  if (isUnchanged && node.passedUnchanged.has(value)) return;
  const before = walk.errors.length + walk.warnings.length;
  if (node.rules.length > 0) runRules(node, value, old, path, ratchet, walk);
  for (const branch of node.all) visit(branch, value, old, path, { nearest: ratchet.nearest }, walk);
  if (Array.isArray(value)) {
    if (node.items !== undefined) visitItems(node, node.items, value, old, path, ratchet, walk);
  } else if (isObject(value)) {
    visitFields(node, value, old, path, ratchet, walk);
  }
  if (isUnchanged && walk.errors.length + walk.warnings.length === before) node.passedUnchanged.add(value);
}

function runRules(
  node: RuleNode,
  value: Json,
  old: Json | undefined,
  path: string,
  ratchet: Ratchet,
  walk: Walk,
): void {
  if (node.type === undefined) return;
  const { convert } = node.type;
  let self: unknown;
  try {
    self = convert(value);
  } catch (error) {
    for (const rule of node.rules) walk.errors.push(rule.fail(error, path));
    return;
  }
  const oldSelf = old === undefined || old === null ? undefined : tryConvert(convert, old);
  for (const rule of node.rules) {
    const outcome = rule.evaluate({ self, oldSelf }, path);
    if (outcome === undefined) continue;
    if (!outcome.failed && !rule.usesOldSelf && isExempt(ratchet)) walk.warnings.push(errorText(outcome.error));
    else walk.errors.push(outcome.error);
  }
}

/** An old object may be of an older schema: then there is nothing to compare with. */
function tryConvert(convert: (value: Json) => unknown, old: Json): unknown {
  try {
    return convert(old);
  } catch (error) {
    if (error instanceof CelError) return undefined;
    throw error;
  }
}

function visitFields(
  node: RuleNode,
  value: JsonObject,
  old: Json | undefined,
  path: string,
  ratchet: Ratchet,
  walk: Walk,
): void {
  const previous = isObject(old) ? old : undefined;
  const { rest } = node;
  if (rest !== undefined) {
    for (const key of Object.keys(value)) {
      const before = previous === undefined ? undefined : own(previous, key);
      visit(rest, value[key] as Json, before, `${path}[${key}]`, below(ratchet, key), walk);
    }
  }
  for (const [key, child] of node.properties) {
    const item = own(value, key);
    if (item === undefined) continue;
    const before = previous === undefined ? undefined : own(previous, key);
    visit(child, item, before, path === NO_FIELD ? key : `${path}.${key}`, below(ratchet, key), walk);
  }
}

function visitItems(
  node: RuleNode,
  items: RuleNode,
  value: readonly Json[],
  old: Json | undefined,
  path: string,
  ratchet: Ratchet,
  walk: Walk,
): void {
  value.forEach((item, index) => {
    const before = old === undefined ? undefined : correlateItem(node.schema, old, item);
    visit(items, item, before, `${path}[${index}]`, belowItem(ratchet, item), walk);
  });
}

function below(ratchet: Ratchet, key: string): Ratchet {
  const { current, nearest } = ratchet;
  if (current === undefined) return ratchet;
  if (nearest === undefined && (key === 'apiVersion' || key === 'kind')) return NO_RATCHET;
  const schema = property(current.schema, key) ?? additional(current.schema);
  const value = isObject(current.value) ? own(current.value, key) : undefined;
  const old = correlateField(current.schema, current.old, key);
  if (schema === undefined || value === undefined || old === undefined) return { nearest: current };
  return { current: { schema, value, old }, nearest: current };
}

function belowItem(ratchet: Ratchet, item: Json): Ratchet {
  const { current } = ratchet;
  if (current === undefined) return ratchet;
  const schema = current.schema.items;
  const old = correlateItem(current.schema, current.old, item);
  if (schema === undefined || old === undefined) return { nearest: current };
  return { current: { schema, value: item, old }, nearest: current };
}

function isExempt({ current, nearest }: Ratchet): boolean {
  const node = current ?? nearest;
  return node !== undefined && correlatedEqual(node.schema, node.value, node.old);
}
