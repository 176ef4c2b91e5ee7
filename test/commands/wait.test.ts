import { expect } from 'chai';
import { describe, it } from 'mocha';
import { fromKube } from '../../src/commands/wait.ts';
import { KubeError } from '../../src/kube/errors.ts';

describe('what the API server answered, as the error of a command', () => {
  it('says of one that does not answer what to do', () => {
    const { code, reason, message } = fromKube(new KubeError({ reason: 'ConnectionRefused', message: 'refused' }));
    expect({ code, reason }).to.deep.equal({ code: 'Unavailable', reason: 'ConnectionRefused' });
    expect(message).to.equal('the control plane does not answer: refused; see that it runs, then try again');
  });
});
