import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { compileSchema } from '../../../src/apiserver/schema/compile.ts';
import { toStatusError } from '../../../src/apiserver/schema/field-error.ts';
import { deepCopy, type Json, type JsonObject } from '../../../src/apiserver/schema/json-value.ts';
import type { SchemaNode } from '../../../src/apiserver/schema/structural.ts';
import { SCHEMAS } from './kubernetes-cases.ts';

/** Values that often fit a schema and sometimes do not. */
function valueOf(schema: SchemaNode, depth = 0): fc.Arbitrary<Json> {
  const odd = fc.jsonValue({ maxDepth: 1 }) as fc.Arbitrary<Json>;
  if (depth > 4) return odd;
  const fitting = fit(schema, depth);
  return fc.oneof(
    { arbitrary: fitting, weight: 12 },
    { arbitrary: odd, weight: 1 },
    { arbitrary: fc.constant(null), weight: 1 },
  );
}

function fit(schema: SchemaNode, depth: number): fc.Arbitrary<Json> {
  switch (schema.type) {
    case 'object': {
      const entries = Object.entries(schema.properties ?? {}).map(
        ([key, node]) => [key, valueOf(node, depth + 1)] as const,
      );
      const more = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {};
      const rest = fc.dictionary(
        fc.constantFrom('a', 'b', '__proto__', 'constructor', 'x y'),
        valueOf(more, depth + 1),
        { maxKeys: 2 },
      );
      const known = fc.record(Object.fromEntries(entries), { requiredKeys: [] }) as fc.Arbitrary<JsonObject>;
      return fc.tuple(known, rest).map(([a, b]) => ({ ...b, ...a }));
    }
    case 'array':
      return fc.array(valueOf(schema.items ?? {}, depth + 1), { maxLength: 4 });
    case 'string':
      return fc.oneof(
        fc.constantFrom('a', 'abc', '10Gi', '2026-01-01T00:00:00Z', ...(schema.enum ?? []).map(String)),
        fc.string(),
      );
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.oneof(fc.integer({ min: -3, max: 21 }), fc.integer());
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    default:
      return fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>;
  }
}

const RUNS = { numRuns: 60 };

for (const [name, schema] of Object.entries<SchemaNode>(SCHEMAS)) {
  const compiled = compileSchema(schema);
  const objects = valueOf(schema).filter(
    (value): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value),
  );

  describe(`properties of the schema ${name}`, () => {
    it('pruning twice changes nothing more', () => {
      fc.assert(
        fc.property(objects, (object) => {
          compiled.prune(object);
          const once = deepCopy(object);
          expect(compiled.prune(object)).to.deep.equal([]);
          expect(object).to.deep.equal(once);
        }),
        RUNS,
      );
    });

    it('defaulting twice changes nothing more', () => {
      fc.assert(
        fc.property(objects, (object) => {
          compiled.applyDefaults(object);
          const once = deepCopy(object);
          compiled.applyDefaults(object);
          expect(object).to.deep.equal(once);
        }),
        RUNS,
      );
    });

    it('validating never throws and never changes the object', () => {
      fc.assert(
        fc.property(objects, fc.option(objects, { nil: undefined }), (object, old) => {
          const before = deepCopy(object);
          const { errors } = compiled.validate(object, old);
          expect(toStatusError('Kind', 'group', 'name', errors).message).to.be.a('string');
          expect(object).to.deep.equal(before);
        }),
        RUNS,
      );
    });
  });
}
