import { type Check, type Finding, reportWhole, type Walk } from './findings.ts';
import type { Json } from './json-value.ts';
import type { SchemaNode } from './structural.ts';

interface Outcome {
  readonly findings: Finding[];
  readonly matches: number;
}

/** Compiles allOf, anyOf, oneOf and not; `node` compiles each of their schemas. */
export function compileJunctions(schema: SchemaNode, node: (schema: SchemaNode) => Check): Check | undefined {
  const any = (schema.anyOf ?? []).map(node);
  const one = (schema.oneOf ?? []).map(node);
  const all = (schema.allOf ?? []).map(node);
  const not = schema.not === undefined ? undefined : node(schema.not);
  if (any.length + one.length + all.length === 0 && not === undefined) return undefined;
  return (value, walk) => {
    if (any.length > 0) checkAny(any, value, walk);
    if (one.length > 0) checkOne(one, value, walk);
    if (all.length > 0) checkAll(all, value, walk);
    if (not !== undefined && attempt(not, value, walk).findings.length === 0) {
      reportWhole(walk, 'must not validate the schema (not)');
    }
  };
}

/** Nothing is exempt inside alternatives: ratcheting stops at them in Kubernetes. */
function attempt(check: Check, value: Json, walk: Walk): Outcome {
  const { findings, matches } = walk;
  walk.findings = [];
  walk.matches = 0;
  check(value, walk, undefined);
  const outcome = { findings: walk.findings, matches: walk.matches };
  walk.findings = findings;
  walk.matches = matches;
  return outcome;
}

function merge(walk: Walk, outcome: Outcome | undefined): void {
  if (outcome === undefined) return;
  for (const finding of outcome.findings) walk.findings.push(finding);
  walk.matches += outcome.matches;
}

function checkAny(checks: readonly Check[], value: Json, walk: Walk): void {
  let best: Outcome | undefined;
  for (const check of checks) {
    const outcome = attempt(check, value, walk);
    if (outcome.findings.length === 0) {
      merge(walk, outcome);
      return;
    }
    if (best === undefined || outcome.matches > best.matches) best = outcome;
  }
  reportWhole(walk, 'must validate at least one schema (anyOf)');
  merge(walk, best);
}

function checkOne(checks: readonly Check[], value: Json, walk: Walk): void {
  const outcomes = checks.map((check) => attempt(check, value, walk));
  const valid = outcomes.filter(({ findings }) => findings.length === 0);
  if (valid.length === 1) {
    merge(walk, valid[0]);
  } else if (valid.length > 1) {
    reportWhole(walk, `must validate one and only one schema (oneOf). Found ${valid.length} valid alternatives`);
  } else {
    reportWhole(walk, 'must validate one and only one schema (oneOf). Found none valid');
    merge(
      walk,
      outcomes.reduce((best, outcome) => (outcome.matches > best.matches ? outcome : best)),
    );
  }
}

function checkAll(checks: readonly Check[], value: Json, walk: Walk): void {
  let valid = 0;
  for (const check of checks) {
    const outcome = attempt(check, value, walk);
    if (outcome.findings.length === 0) valid++;
    merge(walk, outcome);
  }
  if (valid < checks.length) {
    reportWhole(walk, `must validate all the schemas (allOf)${valid === 0 ? '. None validated' : ''}`);
  }
}
