import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type CustomResourceDefinition, validateCrd, validateSchema } from '../../../src/apiserver/schema/crd.ts';
import { errorText } from '../../../src/apiserver/schema/field-error.ts';
import type { SchemaNode } from '../../../src/apiserver/schema/structural.ts';
import { SCHEMAS } from './kubernetes-cases.ts';

function spec(node: SchemaNode): SchemaNode {
  return { type: 'object', properties: { spec: node } };
}

function problems(schema: SchemaNode): string[] {
  return validateSchema(schema, 's').map((error) => errorText(error).split('\n')[0] ?? '');
}

describe('validateSchema', () => {
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    it(`accepts ${name}, as the real server did`, () => expect(problems(schema)).to.deep.equal([]));
  }

  const cases: readonly [name: string, schema: SchemaNode, place: string][] = [
    ['no type', spec({}), 's.properties[spec].type: Required value'],
    ['an unknown type', spec({ type: 'text' }), 's.properties[spec].type: Unsupported value'],
    ['a root that is no object', { type: 'string' }, 's.type: Invalid value'],
    ['a list without items', spec({ type: 'array' }), 's.properties[spec].items: Required value'],
    [
      'uniqueItems',
      spec({ type: 'array', items: { type: 'string' }, uniqueItems: true }),
      's.properties[spec].uniqueItems: Forbidden',
    ],
    [
      'additionalProperties: false',
      spec({ type: 'object', additionalProperties: false }),
      's.properties[spec].additionalProperties: Forbidden',
    ],
    [
      'an embedded object, which it would not check',
      spec({ type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true }),
      's.properties[spec].x-kubernetes-embedded-resource: Forbidden',
    ],
    [
      'both kinds of properties',
      spec({ type: 'object', properties: {}, additionalProperties: { type: 'string' } }),
      's.properties[spec].additionalProperties: Forbidden',
    ],
    [
      'a pattern that is not RE2',
      spec({ type: 'string', pattern: '(?=a)' }),
      's.properties[spec].pattern: Invalid value',
    ],
    [
      'a map without keys',
      spec({ type: 'array', 'x-kubernetes-list-type': 'map', items: { type: 'object' } }),
      's.properties[spec].x-kubernetes-list-map-keys: Required value',
    ],
    [
      'an optional map key',
      spec({
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['k'],
        items: { type: 'object', properties: { k: { type: 'string' } } },
      }),
      's.properties[spec].x-kubernetes-list-map-keys[0]: Invalid value',
    ],
    [
      'a type inside anyOf',
      spec({ type: 'object', anyOf: [{ type: 'object' }] }),
      's.properties[spec].anyOf[0].type: Forbidden',
    ],
    [
      'a field that is only inside oneOf',
      spec({ type: 'object', oneOf: [{ properties: { a: {} } }] }),
      's.properties[spec].oneOf[0].properties[a]: Required value',
    ],
    [
      'a default of a wrong type',
      spec({ type: 'object', properties: { a: { type: 'integer', default: 'x' } } }),
      's.properties[spec].properties[a].default: Invalid value',
    ],
    [
      'a default with unknown fields',
      spec({ type: 'object', default: { zz: 1 } }),
      's.properties[spec].default: Invalid value',
    ],
    [
      'a rule with a syntax error',
      spec({ type: 'string', 'x-kubernetes-validations': [{ rule: 'self ==' }] }),
      's.properties[spec].x-kubernetes-validations[0].rule: Invalid value',
    ],
    [
      'a rule about an unknown field',
      spec({
        type: 'object',
        properties: { a: { type: 'string' } },
        'x-kubernetes-validations': [{ rule: 'self.b == 1' }],
      }),
      's.properties[spec].x-kubernetes-validations[0].rule: Invalid value',
    ],
    [
      'a rule of wrong types',
      spec({
        type: 'object',
        properties: { a: { type: 'string' } },
        'x-kubernetes-validations': [{ rule: 'self.a > 5' }],
      }),
      's.properties[spec].x-kubernetes-validations[0].rule: Invalid value',
    ],
    [
      'a rule that is no condition',
      spec({ type: 'string', 'x-kubernetes-validations': [{ rule: 'self' }] }),
      's.properties[spec].x-kubernetes-validations[0].rule: Invalid value',
    ],
    [
      'a message that is no text',
      spec({ type: 'string', 'x-kubernetes-validations': [{ rule: 'true', messageExpression: '1' }] }),
      's.properties[spec].x-kubernetes-validations[0].messageExpression: Invalid value',
    ],
    [
      'a fieldPath to nowhere',
      spec({ type: 'object', 'x-kubernetes-validations': [{ rule: 'true', fieldPath: '.x' }] }),
      's.properties[spec].x-kubernetes-validations[0].fieldPath: Invalid value',
    ],
  ];
  for (const [name, schema, place] of cases) {
    it(`refuses ${name}`, () => {
      const found = problems(schema);
      expect(
        found.some((text) => text.startsWith(place)),
        found.join('; '),
      ).to.equal(true);
    });
  }
});

describe('validateCrd', () => {
  const good: CustomResourceDefinition = {
    metadata: { name: 'things.example.com' },
    spec: {
      group: 'example.com',
      names: { kind: 'Thing', plural: 'things' },
      scope: 'Namespaced',
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: spec({ type: 'object', properties: { a: { type: 'string' } } }) },
          additionalPrinterColumns: [{ name: 'A', type: 'string', jsonPath: '.spec.a' }],
          selectableFields: [{ jsonPath: '.spec.a' }],
        },
      ],
    },
  };
  const [version] = good.spec.versions;
  if (version === undefined) throw new Error('no version');

  it('accepts a good one', () => expect(validateCrd(good)).to.deep.equal([]));

  const bad = (change: Partial<typeof version>) =>
    validateCrd({ ...good, spec: { ...good.spec, versions: [{ ...version, ...change }] } }).map(({ field }) => field);

  it('names the place of what is wrong', () => {
    expect(bad({ storage: false })).to.deep.equal(['spec.versions']);
    expect(bad({ schema: {} })).to.deep.equal(['spec.versions[0].schema.openAPIV3Schema']);
    expect(bad({ additionalPrinterColumns: [{ name: 'A', type: 'string', jsonPath: '.a[' }] })).to.deep.equal([
      'spec.versions[0].additionalPrinterColumns[0].jsonPath',
    ]);
    expect(bad({ selectableFields: [{ jsonPath: '.spec' }] })).to.deep.equal([
      'spec.versions[0].selectableFields[0].jsonPath',
    ]);
    expect(bad({ subresources: { scale: {} } })).to.deep.equal(['spec.versions[0].subresources.scale']);
    const two = [version, { ...version, name: 'v2', storage: false }];
    const spoken = validateCrd({ ...good, spec: { ...good.spec, versions: two } }).map(({ field }) => field);
    expect(spoken, 'two served versions').to.deep.equal(['spec.versions']);
    expect(validateCrd({ ...good, metadata: { name: 'x' } }).map(({ field }) => field)).to.deep.equal([
      'metadata.name',
    ]);
  });
});
