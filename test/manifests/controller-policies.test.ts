/**
 * What the admission policies for controllers say. That a real API server reads them the same way:
 * test/contract/access/controller-access.test.ts.
 */
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type Requester, readPolicies, refusalsOf } from '../support/admission-policies.ts';
import { WRITE_CASES, type WriteCase } from '../support/controller-access-cases.ts';

const CONTROLLER = 'system:serviceaccount:clawstore-system:clawstore-controller';
const documents = readPolicies('controller-policies.yaml');

const refusing = (write: WriteCase, userInfo: Requester): readonly string[] =>
  refusalsOf(documents, write, userInfo).map(({ policy }) => policy);

describe('the policies for controllers', () => {
  it('are bound, deny, and are closed when they fail', () => {
    const policies = documents.filter(({ kind }) => kind === 'ValidatingAdmissionPolicy');
    expect(policies).to.have.length.above(0);
    for (const { metadata, spec } of policies) {
      expect(spec.failurePolicy, metadata.name).to.equal('Fail');
      const bindings = documents.filter((one) => one.spec.policyName === metadata.name);
      expect(bindings.map((one) => one.spec.validationActions)).to.deep.equal([['Deny']]);
    }
  });

  for (const [who, userInfo] of [
    ['by its ServiceAccount', { username: CONTROLLER, groups: ['system:authenticated'] }],
    ['by its certificate', { username: 'c', groups: ['clawstore:controllers', 'system:authenticated'] }],
  ] as const) {
    describe(`a controller, known ${who},`, () => {
      for (const one of WRITE_CASES) {
        it(one.name, () => {
          expect(refusing(one, userInfo)).to.deep.equal(one.policy === undefined ? [] : [one.policy]);
        });
      }
    });
  }

  it('concern nobody else', () => {
    for (const one of WRITE_CASES)
      expect(refusing(one, { username: 'vera', groups: ['system:authenticated'] }), one.name).to.deep.equal([]);
  });
});
