import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { VolumeSpec } from '../../../src/api/volume.ts';
import type { VolumeClassSpec } from '../../../src/api/volume-class.ts';
import type { Named, NamedData } from '../../../src/controllers/policy/facts.ts';
import { driverVolume, resolveVolume } from '../../../src/controllers/policy/resolve-volume.ts';
import { volume, volumeClass } from '../support/objects.ts';

type S3 = NonNullable<VolumeSpec['s3']>;

const KEYS = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'key' };
const bucket = (source: Partial<S3> = {}, spec: Partial<VolumeSpec> = {}) =>
  volume('data', { s3: { bucket: 'data', credentialsSecretRef: { name: 'keys' }, ...source }, ...spec });
const everything = { allowedS3Endpoints: ['*'], allowedS3Buckets: ['*'] };

function judged(source: Partial<S3>, byClass: Partial<VolumeClassSpec> | undefined, spec: Partial<VolumeSpec> = {}) {
  const classes = byClass === undefined ? [] : [volumeClass('default', byClass)];
  return resolveVolume({
    volume: bucket(source, spec),
    classNamed: (name) => classes.find(({ metadata }) => metadata.name === name),
    namespaceLabels: {},
    node: { hostPathAllow: [] },
  });
}
const refusal = (source: Partial<S3>, byClass: Partial<VolumeClassSpec> | undefined) => {
  const resolution = judged(source, byClass);
  return resolution.ok ? undefined : resolution.refusal.reason;
};
/** What a driver gets when the objects that the volume names are these. */
function given(
  source: Partial<S3>,
  named: Partial<Record<keyof NamedData, Named>>,
  byClass: Partial<VolumeClassSpec> = {},
) {
  const resolution = judged(source, { ...everything, allowAmbientCredentials: true, ...byClass });
  if (!resolution.ok) throw new Error(resolution.refusal.message);
  const absent: Named = { state: 'absent' };
  const data: NamedData = { secret: () => named.secret ?? absent, configMap: () => named.configMap ?? absent };
  const made = driverVolume(bucket(source), resolution.resolved, data).source;
  if (made.type !== 's3') throw new Error('no s3 source');
  return made;
}
const found = (data: Readonly<Record<string, string>>): Named => ({ state: 'found', data });

describe('the policy of an s3 volume', () => {
  it('refuses every server and every bucket where no class names one', () => {
    expect(refusal({}, undefined)).to.equal('S3EndpointNotAllowed');
    expect(refusal({}, {})).to.equal('S3EndpointNotAllowed');
    expect(refusal({}, { allowedS3Endpoints: ['*'] })).to.equal('S3BucketNotAllowed');
  });

  it('takes endpoints as written, Amazon by name, or any', () => {
    const endpoint = 'https://s3.example.com';
    const allowing = (...allowedS3Endpoints: string[]) => ({ ...everything, allowedS3Endpoints });
    expect(refusal({ endpoint }, allowing(endpoint))).to.equal(undefined);
    expect(refusal({ endpoint }, allowing('https://s3.example.com:9000', 'aws'))).to.equal('S3EndpointNotAllowed');
    expect(refusal({}, allowing('aws'))).to.equal(undefined);
    expect(refusal({}, allowing(endpoint))).to.equal('S3EndpointNotAllowed');
  });

  it('takes buckets by name or by the beginning of it', () => {
    const allowing = (...allowedS3Buckets: string[]) => ({ ...everything, allowedS3Buckets });
    expect(refusal({ bucket: 'team-a' }, allowing('team-*'))).to.equal(undefined);
    expect(refusal({ bucket: 'other' }, allowing('team-*', 'othe', 'other-2'))).to.equal('S3BucketNotAllowed');
    expect(refusal({ bucket: 'other' }, allowing('other'))).to.equal(undefined);
  });

  it('lends the credentials of the node only where the class says so', () => {
    const none = { credentialsSecretRef: undefined } as unknown as Partial<S3>;
    expect(refusal(none, everything)).to.equal('AmbientCredentialsNotAllowed');
    expect(refusal(none, { ...everything, allowAmbientCredentials: true })).to.equal(undefined);
    const byClass = { ...everything, defaults: { s3: { credentialsSecretRef: { name: 'team-keys' } } } };
    expect(refusal(none, byClass)).to.equal(undefined);
  });

  it('deletes only below a prefix, and only when the volume itself says so', () => {
    const policy = (source: Partial<S3>, spec: Partial<VolumeSpec> = {}) => {
      const resolution = judged(source, { ...everything, defaults: { reclaimPolicy: 'Delete' } }, spec);
      return resolution.ok ? resolution.resolved.reclaimPolicy : undefined;
    };
    expect(policy({ prefix: 'a' })).to.equal('Retain');
    expect(policy({ prefix: 'a' }, { reclaimPolicy: 'Delete' })).to.equal('Delete');
    expect(policy({}, { reclaimPolicy: 'Delete' })).to.equal('Retain');
  });

  it('hands the driver everything resolved', () => {
    const source = { prefix: 'a/b', endpoint: 'https://s3.example.com', caBundleRef: { name: 'ca' } };
    const made = given(source, { secret: found(KEYS), configMap: found({ 'ca.crt': 'PEM' }) });
    expect(made.missing).to.equal(undefined);
    expect(made.location).to.deep.equal({
      bucket: 'data',
      prefix: 'a/b/',
      endpoint: 'https://s3.example.com',
      region: 'us-east-1',
      forcePathStyle: true,
      checksums: 'WhenRequired',
      credentials: { accessKeyId: 'id', secretAccessKey: 'key', sessionToken: undefined },
      caBundle: 'PEM',
    });
  });

  it('takes from the class what the volume leaves open, and Amazon where both do', () => {
    const defaults = { s3: { endpoint: 'http://minio:9000', region: 'local', forcePathStyle: false } };
    expect(given({}, { secret: found(KEYS) }, { defaults }).location).to.deep.include({
      endpoint: 'http://minio:9000',
      region: 'local',
      forcePathStyle: false,
      checksums: 'WhenRequired',
    });
    expect(given({}, { secret: found(KEYS) }).location).to.deep.include({
      endpoint: undefined,
      region: 'us-east-1',
      forcePathStyle: false,
      checksums: 'WhenSupported',
    });
  });

  it('says what is missing, and whether that is certain', () => {
    expect(given({}, {}).missing).to.deep.equal({
      message: 'Secret "keys" does not exist; create it.',
      confirmed: true,
    });
    expect(given({}, { secret: { state: 'unknown' } }).missing).to.deep.include({ confirmed: false });
    expect(given({}, { secret: found({ AWS_ACCESS_KEY_ID: 'id' }) }).missing?.message).to.include(
      'AWS_SECRET_ACCESS_KEY',
    );
    expect(given({ caBundleRef: { name: 'ca' } }, { secret: found(KEYS) }).missing?.message).to.include(
      'ConfigMap "ca"',
    );
  });
});
