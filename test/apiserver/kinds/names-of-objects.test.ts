import { expect } from 'chai';
import { describe, it } from 'mocha';
import { decodeProtobuf } from '../../../src/apiserver/http/protobuf.ts';
import { validateSecretType } from '../../../src/apiserver/kinds/strategies.ts';

/** Names that every object of JavaScript answers to; clients may send them as any other. */
const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];

describe('names that every object has', () => {
  it('are Secret types like any other of the user', () => {
    for (const type of NAMES) expect(validateSecretType({ type, data: {} }), type).to.deep.equal([]);
    expect(validateSecretType({ type: 'kubernetes.io/tls', data: {} })).to.have.length(2);
  });

  it('are no kinds that can be decoded from protobuf', () => {
    for (const kind of NAMES) {
      const text = (field: number, value: string): number[] => [field * 8 + 2, value.length, ...Buffer.from(value)];
      const typeMeta = [...text(1, 'v1'), ...text(2, kind)];
      const body = Buffer.from([0x6b, 0x38, 0x73, 0x00, 1 * 8 + 2, typeMeta.length, ...typeMeta]);
      expect(() => decodeProtobuf(body), kind).to.throw(`protobuf is not supported for ${kind}`);
    }
  });
});
