/**
 * The ValidatingAdmissionPolicies of a manifest, asked by the interpreter that our own API server has for the rules of CRDs:
 * what their expressions say, without a cluster. Real API servers are asked in test/contract.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Optional } from '@marcbachmann/cel-js';
import { parseAllDocuments } from 'yaml';
import { ruleEnvironment } from '../../src/apiserver/schema/cel/environment.ts';
import { deepEqual, type Json } from '../../src/apiserver/schema/json-value.ts';

const BASE = join(import.meta.dirname, '../../manifests/kubernetes/base');

interface Named {
  readonly name: string;
  readonly expression: string;
}

export interface PolicyDocument {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly failurePolicy: string;
    /** Of a binding. */
    readonly policyName: string;
    readonly validationActions: readonly string[];
    readonly matchConstraints: {
      readonly resourceRules: readonly {
        readonly resources: readonly string[];
        readonly operations: readonly string[];
      }[];
    };
    readonly matchConditions: readonly Named[];
    readonly variables?: readonly Named[];
    readonly validations: readonly { readonly expression: string; readonly message: string }[];
  };
}

/** A write: what stands there before it is absent where something is made, what stands there afterwards where it goes. */
export interface Write {
  readonly resource: string;
  readonly namespace?: string;
  readonly old?: unknown;
  readonly object?: unknown;
}

export interface Requester {
  readonly username: string;
  readonly groups: readonly string[];
}

export interface Refusal {
  readonly policy: string;
  /** Of the first expression that does not hold. */
  readonly message: string;
}

/** Policies and their bindings in a file of the base. */
export function readPolicies(file: string): readonly PolicyDocument[] {
  return parseAllDocuments(readFileSync(join(BASE, file), 'utf8')).map((document) => document.toJS() as PolicyDocument);
}

/** Which policies refuse a write, but for what asks the authorizer. @throws Error when an expression cannot be evaluated. */
export function refusalsOf(
  documents: readonly PolicyDocument[],
  { resource, namespace = '', old, object }: Write,
  userInfo: Requester,
): readonly Refusal[] {
  const operation = old === undefined ? 'CREATE' : object === undefined ? 'DELETE' : 'UPDATE';
  const request = { operation, namespace, userInfo, resource: { resource } };
  const input = { request, object: object ?? null, oldObject: old ?? null };
  const concerns = ({ kind, spec }: PolicyDocument): boolean =>
    kind === 'ValidatingAdmissionPolicy' &&
    spec.matchConstraints.resourceRules.some(
      ({ resources, operations }) =>
        (resources.includes(resource) || resources.includes('*/*')) && operations.includes(operation),
    );
  return documents.filter(concerns).flatMap(({ metadata, spec }) => {
    const variables: Record<string, unknown> = {};
    const holds = (expression: string): unknown => evaluate(expression, { ...input, variables });
    if (!spec.matchConditions.every(({ expression }) => holds(expression) === true)) return [];
    for (const { name, expression } of spec.variables ?? []) variables[name] = holds(expression);
    // What rights somebody has is for a real API server to say.
    const own = spec.validations.filter(({ expression }) => !expression.includes('authorizer.'));
    const broken = own.find(({ expression }) => holds(expression) !== true);
    return broken === undefined ? [] : [{ policy: metadata.name, message: broken.message }];
  });
}

function evaluate(expression: string, input: Readonly<Record<string, unknown>>): unknown {
  const environment = ruleEnvironment();
  for (const name of Object.keys(input)) environment.registerVariable(name, 'dyn');
  // Which the interpreter lacks, and no rule of a CRD of ours needs.
  environment.registerOperator('optional == optional', sameOptional);
  return environment.evaluate(expression, input);
}

function sameOptional(a: Optional, b: Optional): boolean {
  if (!a.hasValue() || !b.hasValue()) return a.hasValue() === b.hasValue();
  return deepEqual(a.value() as Json, b.value() as Json);
}
