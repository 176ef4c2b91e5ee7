import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import type { RepositoryAccess } from '../../src/backup/engine.ts';
import { invocationOf } from '../../src/backup/restic/invocation.ts';

const bucket = {
  type: 's3',
  endpoint: 'https://s3.example.com',
  bucket: 'backups',
  prefix: '',
  region: 'us-east-1',
  forcePathStyle: true,
  credentials: undefined,
  caBundle: undefined,
} as const;
const access = (change: Partial<RepositoryAccess> = {}): RepositoryAccess => ({
  location: bucket,
  password: 'hunter2',
  cacheDirectory: { root: '/var/lib/clawstore', path: 'cache' },
  ...change,
});
const OF_MACHINE = {
  AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'of-the-machine',
  AWS_SESSION_TOKEN: 'of-the-hour',
  AWS_REGION: 'eu-central-1',
};

describe('how restic is told where a repository is', () => {
  const before = { ...process.env };
  afterEach(() => {
    for (const name of Object.keys(OF_MACHINE)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  });

  it('is by its environment alone, as far as it is secret', () => {
    const credentials = { accessKeyId: 'AKIA1', secretAccessKey: 'of-a-secret', sessionToken: 'of-a-day' };
    const { args, env, secrets } = invocationOf(access({ location: { ...bucket, credentials } }));
    expect(env).to.include({ RESTIC_PASSWORD: 'hunter2', AWS_SECRET_ACCESS_KEY: 'of-a-secret' });
    expect(secrets).to.have.members(['hunter2', 'AKIA1', 'of-a-secret', 'of-a-day']);
    for (const secret of secrets) expect(args.join(' ')).to.not.contain(secret);
  });

  it('has the credentials of the machine where it names none, and they are as secret', () => {
    Object.assign(process.env, OF_MACHINE);
    const { env, secrets } = invocationOf(access());
    expect(env).to.include(OF_MACHINE);
    expect(secrets).to.include.members(['hunter2', 'AKIAEXAMPLE', 'of-the-machine', 'of-the-hour']);
    expect(secrets).to.not.include('eu-central-1');
    const directory = { user: { prefix: '/srv', path: '/srv/backups' } };
    const other = invocationOf(access({ location: { type: 'directory', directory } }));
    expect(other.env).to.not.have.property('AWS_SECRET_ACCESS_KEY');
    expect(other.secrets).to.deep.equal(['hunter2']);
  });
});
