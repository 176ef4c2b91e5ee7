import { expect } from 'chai';
import { describe, it } from 'mocha';
import { failureOf, withoutSecrets } from '../../src/backup/restic/failures.ts';

/** As the three versions say it. */
const SAID: readonly (readonly [code: string, retryable: boolean, status: number, words: string])[] = [
  ['NoRepository', false, 10, 'repository does not exist: unable to open config file'],
  [
    'NoRepository',
    false,
    1,
    'Fatal: unable to open config file: stat /x/config: no such file or directory\nIs there a repository at the following location?',
  ],
  ['WrongPassword', false, 12, 'wrong password or no key found'],
  ['WrongPassword', false, 1, 'Fatal: wrong password or no key found'],
  ['Locked', true, 11, 'unable to create lock in backend: repository is already locked by PID 1 on a by root'],
  ['Locked', true, 1, 'Fatal: unable to create lock in backend: repository is already locked exclusively by PID 1'],
  ['NotFound', false, 1, 'Fatal: failed to find snapshot: no matching ID found for prefix "0123"'],
  ['NotFound', false, 1, 'cannot dump file: path "/data/zz" not found in snapshot'],
  ['NotFound', false, 1, 'Load(<snapshot/ffffffffff>, 0, 0) failed: open /r/snapshots/ff: no such file or directory'],
  ['NoSpace', true, 1, 'Save(<data/0123>) returned error: write /x: no space left on device'],
  ['Damaged', false, 1, 'ciphertext verification failed'],
  ['Damaged', false, 1, 'Error: Packs from index missing in repo!'],
  ['Damaged', false, 1, 'Fatal: index is not complete'],
  ['Damaged', false, 1, 'Fatal: pack size does not match calculated size from index'],
  ['CredentialsRejected', false, 1, 'client.PutObject: SignatureDoesNotMatch: The request signature we calculated'],
  ['AccessDenied', false, 1, 'client.PutObject: Access Denied.'],
  ['NoBucket', false, 1, 'Stat: The specified bucket does not exist'],
  ['CertificateNotTrusted', false, 1, 'Get "https://x/": x509: certificate signed by unknown authority'],
  ['NameNotResolved', true, 1, 'dial tcp: lookup x.invalid: no such host'],
  ['Unreachable', true, 1, 'dial tcp 127.0.0.1:9: connect: connection refused'],
  ['ServerError', true, 1, 'client.PutObject: 503 Service Unavailable'],
  ['Interrupted', true, 137, ''],
  ['Interrupted', true, 130, 'Fatal: unable to save snapshot: context canceled'],
  ['EngineFailed', true, 1, 'Fatal: something that nobody has seen'],
];

describe('failures of restic', () => {
  for (const [code, retryable, status, words] of SAID) {
    it(`take ${JSON.stringify(words.slice(0, 50))} with status ${status} for ${code}`, () => {
      expect(failureOf(status, words)).to.include({ code, retryable });
    });
  }

  it('say the last words in one line, not endless', () => {
    const { message } = failureOf(1, `one\n  two\n${'x'.repeat(10_000)}`);
    expect(message).to.contain('one; two').and.to.have.length.below(1_000);
  });

  it('keep secrets to themselves', () => {
    const said = 'Get "https://key:secret@host/x?X=secret": password pa$$ word';
    expect(withoutSecrets(said, ['secret', 'pa$$ word', ''])).to.equal('Get "https://***@host/x?X=***": password ***');
  });
});
