import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  contains,
  difference,
  EMPTY,
  equal,
  type FieldSet,
  has,
  intersection,
  isEmpty,
  paths,
  recursiveDifference,
  setOf,
  union,
} from '../../../src/apiserver/apply/field-set.ts';
import { decodeFields, encodeFields } from '../../../src/apiserver/apply/fields-v1.ts';
import { formatPath } from '../../../src/apiserver/apply/path-element.ts';

const element = fc.constantFrom(
  'f:a',
  'f:b',
  'f:c',
  'k:{"name":"x"}',
  'k:{"id":2}',
  'k:{"id":10}',
  'v:"q"',
  'v:3',
  'i:0',
);
const path = fc.array(element, { minLength: 1, maxLength: 4 });
const members = fc.array(path, { maxLength: 12 });
const sets = members.map((list) => setOf(...list));

const key = (list: readonly string[]): string => JSON.stringify(list);
const membersOf = (set: FieldSet): Set<string> => new Set(paths(set).map(key));
const sortedKeys = (keys: Iterable<string>): string[] => [...keys].sort();

describe('apply: field sets', () => {
  it('hold exactly the paths they were made of', () => {
    fc.assert(
      fc.property(members, (list) => {
        const set = setOf(...list);
        expect(sortedKeys(membersOf(set))).to.deep.equal(sortedKeys(new Set(list.map(key))));
        for (const one of list) expect(has(set, one)).to.equal(true);
      }),
    );
  });

  it('join, intersect and subtract as sets of paths do', () => {
    fc.assert(
      fc.property(sets, sets, (a, b) => {
        const left = membersOf(a);
        const right = membersOf(b);
        expect(sortedKeys(membersOf(union(a, b)))).to.deep.equal(sortedKeys(left.union(right)));
        expect(sortedKeys(membersOf(intersection(a, b)))).to.deep.equal(sortedKeys(left.intersection(right)));
        expect(sortedKeys(membersOf(difference(a, b)))).to.deep.equal(sortedKeys(left.difference(right)));
      }),
    );
  });

  it('obey the laws of union: commutative, associative, idempotent, with the empty set as unit', () => {
    fc.assert(
      fc.property(sets, sets, sets, (a, b, c) => {
        expect(equal(union(a, b), union(b, a))).to.equal(true);
        expect(equal(union(a, union(b, c)), union(union(a, b), c))).to.equal(true);
        expect(union(a, a)).to.equal(a);
        expect(union(a, EMPTY)).to.equal(a);
        expect(union(union(a, b), b)).to.satisfy((set: FieldSet) => equal(set, union(a, b)));
      }),
    );
  });

  it('subtract with all that is below when asked to', () => {
    fc.assert(
      fc.property(sets, sets, (a, b) => {
        const below = (one: readonly string[]): boolean => one.some((_, i) => has(b, one.slice(0, i + 1)));
        const expected = paths(a).filter((one) => !below(one));
        expect(sortedKeys(membersOf(recursiveDifference(a, b)))).to.deep.equal(sortedKeys(expected.map(key)));
      }),
    );
  });

  it('contain one another as sets of paths do', () => {
    fc.assert(
      fc.property(sets, sets, (a, b) => {
        expect(contains(a, b)).to.equal(membersOf(b).isSubsetOf(membersOf(a)));
        expect(contains(union(a, b), b)).to.equal(true);
      }),
    );
  });

  it('are empty exactly when they have no paths, and nothing empty stays behind', () => {
    fc.assert(
      fc.property(sets, sets, (a, b) => {
        for (const set of [difference(a, b), intersection(a, b), recursiveDifference(a, b), difference(a, a)]) {
          expect(isEmpty(set)).to.equal(paths(set).length === 0);
          expect(equal(set, setOf(...paths(set)))).to.equal(true);
        }
      }),
    );
  });

  it('survive being written as FieldsV1 and read again', () => {
    fc.assert(
      fc.property(sets, (set) => {
        const text = JSON.stringify(encodeFields(set));
        const { set: again, canonical } = decodeFields(JSON.parse(text));
        expect(equal(again, set)).to.equal(true);
        expect(canonical || isEmpty(set)).to.equal(true);
      }),
    );
  });
});

describe('apply: FieldsV1', () => {
  const canonical: readonly (readonly [string, readonly string[][], string])[] = [
    ['orders fields by bytes', [['f:b'], ['f:a'], ['f:A']], '{"f:A":{},"f:a":{},"f:b":{}}'],
    [
      'orders fields, keys, values, indices',
      [['i:0'], ['v:1'], ['k:{"a":1}'], ['f:z']],
      '{"f:z":{},"k:{\\"a\\":1}":{},"v:1":{},"i:0":{}}',
    ],
    ['orders numbers by value', [['v:10'], ['v:9'], ['v:-1']], '{"v:-1":{},"v:9":{},"v:10":{}}'],
    ['marks members with members below', [['f:a'], ['f:a', 'f:b']], '{"f:a":{".":{},"f:b":{}}}'],
    ['does not mark mere containers', [['f:a', 'f:b']], '{"f:a":{"f:b":{}}}'],
  ];
  for (const [name, list, text] of canonical) {
    it(name, () => expect(JSON.stringify(encodeFields(setOf(...list)))).to.equal(text));
  }

  it('reads keys in any spelling and order', () => {
    const { set, canonical: same } = decodeFields({ 'k:{ "b":2, "a":"x" }': {}, 'f:a': { 'x:later': {}, '.': {} } });
    expect(paths(set)).to.deep.equal([['f:a'], ['k:{"a":"x","b":2}']]);
    expect(same).to.equal(false);
  });

  for (const bad of ['f', 'ff', 'k:{', 'v:', 'i:x', 'k:[]']) {
    it(`refuses the key ${bad}`, () => expect(() => decodeFields({ [bad]: {} })).to.throw());
  }

  it('prints paths as the API server does', () => {
    const one = ['f:spec', 'f:ports', 'k:{"port":80,"protocol":"T\\"CP"}', 'f:tags', 'v:"a"', 'i:3', 'v:true'];
    expect(formatPath(one)).to.equal('.spec.ports[port=80,protocol="T\\"CP"].tags[="a"][3][=true]');
  });
});
