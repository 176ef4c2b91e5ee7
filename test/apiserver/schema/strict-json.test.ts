import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  parseJsonStrict,
  strictDecodingMessage,
  strictErrors,
  undecodableMessage,
} from '../../../src/apiserver/schema/strict-json.ts';

describe('parseJsonStrict', () => {
  it('reports duplicate keys in the order and form of kube-apiserver, and keeps the last value', () => {
    const text =
      '{"metadata":{"name":"d","name":"e","labels":{"a":"b","a":"c"}},"spec":{"map":[{"key":"a" , "key":"b"}],"we\\"ird":1,"we\\"ird":2}}';
    const { value, errors } = parseJsonStrict(text);
    expect(errors).to.deep.equal([
      'duplicate field "metadata.name"',
      'duplicate field "metadata.labels.a"',
      'duplicate field "spec.map[0].key"',
      'duplicate field "spec.we\\"ird"',
    ]);
    expect(value).to.deep.equal(JSON.parse(text));
  });

  it('knows keys by their meaning, not by their spelling', () => {
    expect(parseJsonStrict('{"a":1,"\\u0061":2}').errors).to.deep.equal(['duplicate field "a"']);
  });

  it('is not misled by colons and braces in strings', () => {
    expect(parseJsonStrict('{"a":"x:{\\"b\\":1}","b":[":","}"]}').errors).to.deep.equal([]);
  });

  it('reports a repeated key once per path', () => {
    expect(parseJsonStrict('[{"a":1,"a":2,"a":3},{"a":1}]').errors).to.deep.equal(['duplicate field "[0].a"']);
  });

  it('throws on malformed and on deeply nested text', () => {
    expect(() => parseJsonStrict('{"a":')).to.throw(SyntaxError);
    expect(() => parseJsonStrict('['.repeat(5000) + ']'.repeat(5000))).to.throw(SyntaxError, 'exceeded max depth');
  });

  it('finds nothing in what JSON.stringify wrote', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        const parsed = parseJsonStrict(text);
        expect(parsed.errors).to.deep.equal([]);
        expect(JSON.stringify(parsed.value)).to.equal(JSON.stringify(JSON.parse(text)));
      }),
      { numRuns: 300 },
    );
  });

  it('words the answers', () => {
    const errors = strictErrors(['duplicate field "spec.a"'], ['spec.foo']);
    expect(undecodableMessage('Volume', 'v1alpha1', strictDecodingMessage(errors))).to.equal(
      'Volume in version "v1alpha1" cannot be handled as a Volume: strict decoding error: duplicate field "spec.a", unknown field "spec.foo"',
    );
  });
});
