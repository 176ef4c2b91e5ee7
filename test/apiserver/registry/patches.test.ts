import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { StatusError } from '../../../src/apiserver/http/errors.ts';
import { jsonPatch, mergePatch, strategicPatch } from '../../../src/apiserver/registry/patches.ts';
import type { Json, JsonObject } from '../../../src/apiserver/schema/json-value.ts';

const frozen = (value: JsonObject): JsonObject => {
  for (const item of Object.values(value)) if (typeof item === 'object' && item !== null) frozen(item as JsonObject);
  return Object.freeze(value);
};

describe('patches', () => {
  it('follow the example of RFC 7386', () => {
    const object = { title: 'Goodbye!', author: { givenName: 'John', familyName: 'Doe' }, tags: ['example', 'sample'] };
    const patch = { title: 'Hello!', phone: '+01-123', author: { familyName: null }, tags: ['example'] };
    expect(mergePatch(frozen(object), patch)).to.deep.equal({
      title: 'Hello!',
      author: { givenName: 'John' },
      tags: ['example'],
      phone: '+01-123',
    });
  });

  it('leave the stored object as it is', () => {
    const stored = frozen({ metadata: { labels: { a: 'b' } }, spec: { list: [1, 2] } });
    expect(jsonPatch(stored, [{ op: 'replace', path: '/spec/list/0', value: 9 }])).to.deep.include({
      spec: { list: [9, 2] },
    });
    expect(strategicPatch(stored, { metadata: { labels: { a: null } } })).to.deep.include({ metadata: { labels: {} } });
    expect(stored).to.deep.equal({ metadata: { labels: { a: 'b' } }, spec: { list: [1, 2] } });
  });

  it('cannot reach a prototype', () => {
    const evil = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}') as Json;
    mergePatch({}, evil);
    strategicPatch({}, evil);
    for (const path of ['/__proto__/polluted', '/constructor/prototype/polluted']) {
      expect(() => jsonPatch({}, [{ op: 'add', path, value: true }])).to.throw(StatusError);
    }
    expect({}).not.to.have.property('polluted');
  });

  it('merge lists by key when they are strategic', () => {
    const object = {
      status: {
        conditions: [
          { type: 'A', status: 'True' },
          { type: 'B', status: 'True' },
        ],
      },
    };
    const patch = {
      status: {
        conditions: [
          { type: 'B', status: 'False' },
          { type: 'A', $patch: 'delete' },
          { type: 'C', status: 'True' },
        ],
      },
    };
    expect(strategicPatch(frozen(object), patch)).to.deep.equal({
      status: {
        conditions: [
          { type: 'B', status: 'False' },
          { type: 'C', status: 'True' },
        ],
      },
    });
  });

  it('take single values out of a strategic list', () => {
    const object = frozen({ metadata: { finalizers: ['a', 'b'] } });
    const patch = { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'], '$setElementOrder/finalizers': ['b'] } };
    expect(strategicPatch(object, patch)).to.deep.equal({ metadata: { finalizers: ['b'] } });
  });

  it('of any shape are refused with a status or applied, never otherwise', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (target, patch) => {
        const object = (
          typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {}
        ) as JsonObject;
        for (const apply of [mergePatch, jsonPatch, strategicPatch]) {
          try {
            expect(apply(object, patch as Json)).to.be.an('object');
          } catch (error) {
            expect(error).to.be.instanceOf(StatusError);
            expect((error as StatusError).code).to.be.oneOf([400, 413, 422]);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('that are JSON patches of any operations are refused with a status or applied', () => {
    const pointer = fc
      .array(fc.constantFrom('a', 'b', '0', '-', '~0', ''), { maxLength: 4 })
      .map((parts) => parts.map((part) => `/${part}`).join(''));
    const operation = fc.record({
      op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'other'),
      path: pointer,
      from: pointer,
      value: fc.jsonValue(),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 5 }), (operations) => {
        try {
          jsonPatch({ a: { b: [1, 2] }, b: 'x' }, operations as unknown as Json);
        } catch (error) {
          expect(error).to.be.instanceOf(StatusError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
