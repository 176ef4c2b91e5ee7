import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { RepositoryLocation } from '../../../src/api/backup-repository.ts';
import type { VolumeClassSpec } from '../../../src/api/volume-class.ts';
import type { Named, NamedData } from '../../../src/controllers/policy/facts.ts';
import type { RepositoryPolicyFacts } from '../../../src/controllers/policy/repository.ts';
import { liesInVolume, resolveAccess, resolveRepository } from '../../../src/controllers/policy/repository.ts';
import { volume, volumeClass } from '../support/objects.ts';

const ENCRYPTION = { secretRef: { name: 'key' } };
const EVERYTHING: Partial<VolumeClassSpec> = {
  allowedHostPathPrefixes: ['/srv', '/data'],
  allowedNfsServers: ['*'],
  allowedS3Endpoints: ['*'],
  allowedS3Buckets: ['*'],
  allowAmbientCredentials: true,
};

function facts(
  location: Omit<RepositoryLocation, 'encryption'>,
  byClass: Partial<VolumeClassSpec> | undefined = EVERYTHING,
): RepositoryPolicyFacts {
  const classes = byClass === undefined ? [] : [volumeClass('default', byClass)];
  return {
    namespace: 'team',
    location: { ...location, encryption: ENCRYPTION },
    classNamed: (name) => classes.find(({ metadata }) => metadata.name === name),
    namespaceLabels: {},
    node: { hostPathAllow: ['/srv'], ownDirectories: ['/srv/state', '/run/clawstore/mounts'] },
  };
}
const found = (data: Readonly<Record<string, string>>): Named => ({ state: 'found', data });
const NOTHING: Readonly<Record<string, Named>> = {};

function access(
  location: Omit<RepositoryLocation, 'encryption'>,
  secrets: Readonly<Record<string, Named>> = { key: found({ password: 'hunter2' }) },
  byClass: Partial<VolumeClassSpec> = EVERYTHING,
) {
  const read = (_namespace: string, name: string): Named => secrets[name] ?? { state: 'absent' };
  const named: NamedData = { secret: read, configMap: read };
  return resolveAccess(facts(location, byClass), {
    named,
    cacheDirectory: { root: '/srv/state', path: 'cache' },
    holder: 'uid-1',
  });
}
const refusal = (resolution: { readonly ok: boolean; readonly refusal?: { readonly reason: string } }) =>
  resolution.ok ? undefined : resolution.refusal?.reason;
const judged = (location: Omit<RepositoryLocation, 'encryption'>, byClass?: Partial<VolumeClassSpec>) =>
  refusal(resolveRepository(facts(location, byClass)));
const s3 = (rest: Partial<NonNullable<RepositoryLocation['s3']>> = {}) => ({ s3: { bucket: 'backups', ...rest } });

describe('the policy of a repository', () => {
  it('is the one of volumes', () => {
    const noClass = resolveRepository({ ...facts(s3()), classNamed: () => undefined });
    expect(refusal(noClass)).to.equal('S3EndpointNotAllowed');
    expect(judged(s3(), {})).to.equal('S3EndpointNotAllowed');
    expect(judged(s3(), { ...EVERYTHING, allowedS3Buckets: ['other*'] })).to.equal('S3BucketNotAllowed');
    expect(judged(s3(), { ...EVERYTHING, allowAmbientCredentials: false })).to.equal('AmbientCredentialsNotAllowed');
    expect(judged({ nfs: { server: 'nas', path: '/e' } }, {})).to.equal('NfsServerNotAllowed');
    expect(judged({ hostPath: { path: '/srv/a' } }, { ...EVERYTHING, allowedTypes: ['s3'] })).to.equal(
      'TypeNotAllowed',
    );
    expect(judged({ hostPath: { path: '/etc' } })).to.equal('HostPathNotAllowed');
    expect(judged({ hostPath: { path: '/data/a' } }), 'the node does not allow it').to.equal('HostPathNotAllowed');
    expect(judged({ ...s3(), volumeClassName: 'other' })).to.equal('VolumeClassNotFound');
    const nowhere = { allowedNamespaces: { matchLabels: { a: 'b' } } };
    expect(judged(s3(), { ...EVERYTHING, ...nowhere })).to.equal('NamespaceNotAllowed');
    const nfs = { nfs: { server: 'nas', path: '/e' }, mountOptions: ['soft'] };
    expect(judged(nfs)).to.equal('MountOptionNotAllowed');
    expect(judged(nfs, { ...EVERYTHING, allowedMountOptions: ['soft'] })).to.equal(undefined);
  });

  it('speaks of repositories', () => {
    const resolution = resolveRepository(facts(s3(), { ...EVERYTHING, allowAmbientCredentials: false }));
    expect(resolution.ok ? '' : resolution.refusal.message).to.match(/^The repository names no Secret/);
    const type = resolveRepository(facts(s3(), { ...EVERYTHING, allowedTypes: ['nfs'] }));
    expect(type.ok ? '' : type.refusal.message).to.contain('does not allow s3 repositories');
  });

  it('lets no repository lie where it would be lost with what it keeps', () => {
    expect(judged({ hostPath: { path: '/srv/state/backups' } })).to.equal('HostPathNotAllowed');
    expect(judged({ hostPath: { path: '/srv' } }), 'holds the state directory').to.equal('HostPathNotAllowed');
    expect(judged({ hostPath: { path: '/srv/state-2' } })).to.equal(undefined);
  });

  it('refuses what would be ignored', () => {
    expect(judged({ hostPath: { path: '/srv/a' }, mountOptions: ['noatime'] })).to.equal('InvalidSpec');
    expect(judged({})).to.equal('InvalidSpec');
  });

  it('completes the URL with what the class says', () => {
    const byClass = { ...EVERYTHING, defaults: { s3: { endpoint: 'https://s3.example.com', region: 'eu-1' } } };
    const resolution = resolveRepository(facts(s3({ prefix: 'a' }), byClass));
    expect(resolution.ok && resolution.url).to.equal('s3://backups/a?endpoint=https://s3.example.com&region=eu-1');
  });
});

describe('the access to a repository', () => {
  it('has all that the engine needs for a bucket', () => {
    const keys = found({ AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' });
    const location = s3({ prefix: 'a', endpoint: 'http://h:1', credentialsSecretRef: { name: 'keys' } });
    const resolution = access(location, { key: found({ password: 'hunter2' }), keys });
    expect(resolution.ok && resolution.access).to.deep.equal({
      location: {
        type: 's3',
        endpoint: 'http://h:1',
        bucket: 'backups',
        prefix: 'a/',
        region: 'us-east-1',
        forcePathStyle: true,
        credentials: { accessKeyId: 'id', secretAccessKey: 'secret', sessionToken: undefined },
        caBundle: undefined,
      },
      password: 'hunter2',
      cacheDirectory: { root: '/srv/state', path: 'cache' },
      holder: 'uid-1',
    });
  });

  it('names the directory and the narrowest prefix that allows it', () => {
    const byClass = { ...EVERYTHING, allowedHostPathPrefixes: ['/srv', '/srv/backups'] };
    const resolution = access({ hostPath: { path: '/srv/backups//a/' } }, undefined, byClass);
    const user = { prefix: '/srv/backups', path: '/srv/backups/a' };
    expect(resolution.ok && resolution.access.location).to.deep.equal({ type: 'directory', directory: { user } });
    expect(resolution.ok && resolution.directory).to.deep.equal(user);
  });

  it('mounts an export with the options of a volume', () => {
    const resolution = access({ nfs: { server: 'nas', path: '/e', subPath: 'team' } });
    expect(resolution.ok && resolution.access.location).to.deep.equal({
      type: 'nfs',
      server: 'nas',
      path: '/e',
      subPath: 'team',
      mountOptions: ['nodev', 'nosuid'],
    });
  });

  it('waits for Secrets that were not read, and says which are missing', () => {
    expect(refusal(access(s3(), { key: { state: 'unknown' } }))).to.equal('Pending');
    expect(refusal(access(s3(), NOTHING))).to.equal('KeyNotFound');
    expect(refusal(access(s3(), { key: found({}) }))).to.equal('KeyNotFound');
    expect(refusal(access(s3(), { key: found({ password: 'a\nb' }) }))).to.equal('KeyNotFound');
    const location = s3({ credentialsSecretRef: { name: 'keys' } });
    expect(refusal(access(location))).to.equal('CredentialsNotFound');
    expect(refusal(access(location, { keys: { state: 'unknown' } }))).to.equal('Pending');
    expect(refusal(access(s3({ caBundleRef: { name: 'ca' } })))).to.equal('CredentialsNotFound');
  });
});

describe('liesInVolume', () => {
  const at = (location: Omit<RepositoryLocation, 'encryption'>) => ({ ...location, encryption: ENCRYPTION });

  it('sees a repository inside of what is backed up', () => {
    const files = volume('data', { hostPath: { path: '/srv/data' } }, { nodeName: 'n1' });
    expect(liesInVolume(at({ hostPath: { path: '/srv/data/backups' }, nodeName: 'n1' }), files)).to.equal(true);
    expect(liesInVolume(at({ hostPath: { path: '/srv/data/backups' }, nodeName: 'n2' }), files)).to.equal(false);
    expect(liesInVolume(at({ hostPath: { path: '/srv/database' }, nodeName: 'n1' }), files)).to.equal(false);
    const exported = volume('data', { nfs: { server: 'nas', path: '/e' } });
    expect(liesInVolume(at({ nfs: { server: 'nas', path: '/e', subPath: 'b' } }), exported)).to.equal(true);
    expect(liesInVolume(at({ nfs: { server: 'nas', path: '/f' } }), exported)).to.equal(false);
    const objects = volume('data', { s3: { bucket: 'backups', prefix: 'a' } });
    expect(liesInVolume(at(s3({ prefix: 'a/b' })), objects)).to.equal(true);
    expect(liesInVolume(at(s3({ prefix: 'ab' })), objects)).to.equal(false);
    expect(liesInVolume(at(s3({ prefix: 'a/b' })), volume('data', { s3: { bucket: 'backups' } }))).to.equal(true);
    expect(liesInVolume(at(s3()), volume('data', { emptyDir: {} }))).to.equal(false);
  });
});
