import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compileSchema } from '../../../src/apiserver/schema/compile.ts';
import { toStatusError } from '../../../src/apiserver/schema/field-error.ts';
import { deepCopy, type JsonObject } from '../../../src/apiserver/schema/json-value.ts';
import { coerceMeta, MetadataError } from '../../../src/apiserver/schema/object-meta.ts';
import { strictDecodingMessage, strictErrors, undecodableMessage } from '../../../src/apiserver/schema/strict-json.ts';
import { CASES, type Case, GROUP, SCHEMAS } from './kubernetes-cases.ts';

/** What kube-apiserver v1.34.4 said to each case. */
interface Answer {
  readonly code: number;
  readonly message?: string;
  readonly causes?: readonly { reason: string; message: string; field: string }[];
  readonly object?: JsonObject;
  readonly warnings: readonly string[];
}

const answers = JSON.parse(readFileSync(new URL('./kubernetes-answers.json', import.meta.url), 'utf8')) as Readonly<
  Record<string, Answer>
>;

/** Does with a case what the API server does: decode, prune, default, validate. */
function answer({ schema, object, from, fieldValidation, subresource }: Case): Answer {
  const compiled = compileSchema(SCHEMAS[schema]);
  const head = { apiVersion: `${GROUP}/v1`, kind: schema };
  const body: JsonObject = { ...head, ...deepCopy(object) };
  body.metadata = { ...(body.metadata as JsonObject), name: 'x' };
  try {
    coerceMeta(body);
  } catch (error) {
    if (!(error instanceof MetadataError)) throw error;
    return { code: 400, message: undecodableMessage(schema, 'v1', error.message), warnings: [] };
  }
  const unknown = strictErrors([], compiled.prune(body));
  if (fieldValidation === 'Strict' && unknown.length > 0) {
    const message = undecodableMessage(schema, 'v1', strictDecodingMessage(unknown));
    return { code: 400, message, warnings: [] };
  }
  const warnings = fieldValidation === 'Ignore' ? [] : unknown;
  compiled.applyDefaults(body);
  const old = from === undefined ? undefined : stored({ ...head, ...deepCopy(from) });
  if (subresource === 'status' && old !== undefined) body.spec = old.spec ?? {};
  const result = compiled.validate(body, old, subresource === undefined ? {} : { subresource });
  if (result.errors.length > 0) {
    const status = toStatusError(schema, GROUP, 'x', result.errors);
    return {
      code: 422,
      message: status.message,
      causes: status.details.causes ?? [],
      warnings: [...warnings, ...result.warnings],
    };
  }
  const { spec, status } = body;
  return {
    code: 200,
    object: { ...(spec === undefined ? {} : { spec }), ...(status === undefined ? {} : { status }) },
    warnings: [...warnings, ...result.warnings],
  };

  function stored(value: JsonObject): JsonObject {
    compiled.prune(value);
    compiled.applyDefaults(value);
    return value;
  }
}

/** Kubernetes walks objects in random order, so its causes have none. */
function sorted(value: Answer): unknown {
  const { causes, message, ...rest } = value;
  if (causes === undefined) return { ...rest, message };
  const texts = causes.map((cause) => JSON.stringify(cause)).sort();
  return {
    ...rest,
    causes: texts.map((text) => JSON.parse(text) as unknown),
    ...(causes.length === 1 ? { message } : {}),
  };
}

describe('schema, against the recorded answers of a real kube-apiserver', () => {
  it('has an answer for each case', () => {
    expect(CASES.map(({ schema, name }) => `${schema}: ${name}`)).to.have.members(Object.keys(answers));
  });

  for (const test of CASES) {
    const name = `${test.schema}: ${test.name}`;
    it(name, () => {
      const recorded = answers[name];
      if (recorded === undefined) throw new Error('not recorded');
      expect(sorted(answer(test))).to.deep.equal(sorted(recorded));
    });
  }
});
