import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compileColumns, compileSelectableFields, humanDuration } from '../../../src/apiserver/schema/columns.ts';
import { compileJsonPath, JsonPathError } from '../../../src/apiserver/schema/json-path.ts';
import type { Json } from '../../../src/apiserver/schema/json-value.ts';

const object = {
  metadata: { name: 'a', annotations: { 'a.b/c': 'x' }, creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { size: 5, ratio: 1.5, flag: false, map: { k: 'v' }, list: ['a', 'b', 'c'], nothing: null },
  status: {
    nodeName: 'n1',
    conditions: [
      { type: 'Ready', status: 'True', n: 1 },
      { type: 'Stalled', status: 'False', n: 2 },
    ],
  },
};

describe('compileJsonPath', () => {
  const cases: readonly [path: string, found: Json[]][] = [
    ['.spec.size', [5]],
    ['{.spec.size}', [5]],
    ['$.spec.size', [5]],
    ['.spec.missing', []],
    ['.spec.missing.deeper', []],
    ['.spec.size.deeper', []],
    ['.constructor', []],
    [".metadata.annotations['a.b/c']", ['x']],
    ['.metadata.annotations["a.b/c"]', ['x']],
    ['.metadata.annotations.a\\.b/c', ['x']],
    ['.spec.list[0]', ['a']],
    ['.spec.list[-1]', ['c']],
    ['.spec.list[7]', []],
    ['.spec.list[1:]', ['b', 'c']],
    ['.spec.list[:2]', ['a', 'b']],
    ['.spec.list[*]', ['a', 'b', 'c']],
    ['.spec.map.*', ['v']],
    ['.status.conditions[?(@.type=="Ready")].status', ['True']],
    [".status.conditions[?(@.type == 'Stalled')].status", ['False']],
    ['.status.conditions[?(@.type!="Ready")].n', [2]],
    ['.status.conditions[?(@.n>=1)].n', [1, 2]],
    ['.status.conditions[?(@.n<2)].n', [1]],
    ['.status.conditions[?(@.status)].n', [1, 2]],
    ['.status.conditions[?(@.missing)].n', []],
    ['.status.conditions[?(@.type=="Nothing")].status', []],
    ['.status.conditions[?(@.type=="Ready")][0]', []],
  ];
  for (const [path, found] of cases) {
    it(path, () => expect(compileJsonPath(path)(object)).to.deep.equal(found));
  }

  for (const path of ['spec', '.spec[', ".spec['a'", '.a[?(@.b==)]', '.a[x]', '.a]', '.a[?(@.b=="c"]']) {
    it(`refuses ${path}`, () => expect(() => compileJsonPath(path)).to.throw(JsonPathError));
  }
});

describe('compileColumns', () => {
  const now = Date.parse('2026-01-01T00:05:30Z');
  const cases = [
    ['integer', '.spec.size', 5],
    ['integer', '.spec.ratio', 1],
    ['integer', '.status.nodeName', null],
    ['number', '.spec.ratio', 1.5],
    ['boolean', '.spec.flag', false],
    ['boolean', '.spec.size', null],
    ['string', '.status.nodeName', 'n1'],
    ['string', '.spec.size', '5'],
    ['string', '.spec.flag', 'false'],
    ['string', '.spec.map', '{"k":"v"}'],
    ['string', '.spec.missing', null],
    ['string', '.status.conditions[?(@.type=="Ready")].status', 'True'],
    ['date', '.metadata.creationTimestamp', '5m30s'],
    ['date', '.status.nodeName', '<invalid>'],
    ['date', '.spec.missing', null],
  ] as const;
  for (const [type, jsonPath, cell] of cases) {
    it(`${type} ${jsonPath}`, () => {
      expect(compileColumns([{ name: 'C', type, jsonPath }])(object, now)).to.deep.equal([cell]);
    });
  }
});

describe('compileSelectableFields', () => {
  it('names fields as field selectors do, and gives missing ones as empty', () => {
    const fields = compileSelectableFields([
      { jsonPath: '.status.nodeName' },
      { jsonPath: '.spec.gone' },
      { jsonPath: '.spec.flag' },
    ]);
    expect(fields(object)).to.deep.equal({ 'status.nodeName': 'n1', 'spec.gone': '', 'spec.flag': 'false' });
  });
});

describe('humanDuration', () => {
  const second = 1000;
  const hour = 3600 * second;
  const cases: readonly [number, string][] = [
    [-3 * second, '<invalid>'],
    [-1 * second, '0s'],
    [0, '0s'],
    [119.9 * second, '119s'],
    [120 * second, '2m'],
    [200 * second, '3m20s'],
    [15 * 60 * second, '15m'],
    [179 * 60 * second, '179m'],
    [3 * hour, '3h'],
    [5 * hour + 12 * 60 * second, '5h12m'],
    [47 * hour, '47h'],
    [51 * hour, '2d3h'],
    [45 * 24 * hour, '45d'],
    [760 * 24 * hour, '2y30d'],
    [9 * 365 * 24 * hour, '9y'],
  ];
  for (const [milliseconds, text] of cases) {
    it(`${milliseconds} ms is ${text}`, () => expect(humanDuration(milliseconds)).to.equal(text));
  }
});
