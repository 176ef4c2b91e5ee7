import type { ReclaimPolicy, S3Source, VolumeSpec } from '../../../api/volume.ts';
import type { VolumeClass, VolumeClassDefaults } from '../../../api/volume-class.ts';
import type { DriverVolume } from '../../../drivers/driver.ts';
import { cleanPrefix, type S3Credentials } from '../../../s3/location.ts';
import type { Named, Refusal } from '../facts.ts';
import type { Completion, SourceType } from './source-type.ts';

const DEFAULT_REGION = 'us-east-1';
const ACCESS_KEY = 'AWS_ACCESS_KEY_ID';
const SECRET_KEY = 'AWS_SECRET_ACCESS_KEY';
const SESSION_TOKEN = 'AWS_SESSION_TOKEN';
const CA = 'ca.crt';

type Missing = NonNullable<Extract<DriverVolume['source'], { readonly type: 's3' }>['missing']>;

export const s3Source: SourceType<S3Source> = {
  nodeLocal: false,
  allocates: false,
  defaultCapacity: undefined,
  reclaimPolicy,
  refusal,
  forDriver,
  isPassing: () => false,
  describe: ({ bucket, prefix }) => `"s3://${bucket}/${cleanPrefix(prefix)}"`,
};

/** What lies on a server outlives the nodes that use it; only the volume itself can give it up, and never a whole bucket. */
function reclaimPolicy({ s3, reclaimPolicy: wanted = 'Retain' }: VolumeSpec): ReclaimPolicy {
  return s3?.prefix === undefined ? 'Retain' : wanted;
}

function refusal(source: S3Source, volumeClass: VolumeClass | undefined): Refusal | undefined {
  if (volumeClass === undefined) {
    const message = 'No VolumeClass allows S3 servers here; an administrator must create one and the volume name it.';
    return { reason: 'S3EndpointNotAllowed', message, stalled: true };
  }
  const {
    allowedS3Endpoints = [],
    allowedS3Buckets = [],
    allowAmbientCredentials = false,
    defaults,
  } = volumeClass.spec;
  const { endpoint, secretName } = completed(source, defaults);
  const inClass = `that VolumeClass "${volumeClass.metadata.name}" allows`;
  const list = (entries: readonly string[]): string => entries.join(', ') || 'none';
  if (!allowedS3Endpoints.some((entry) => entry === '*' || entry === (endpoint ?? 'aws'))) {
    const what = endpoint === undefined ? "Amazon's S3 (aws)" : `The endpoint ${endpoint}`;
    return {
      reason: 'S3EndpointNotAllowed',
      message: `${what} is not among those ${inClass} (${list(allowedS3Endpoints)}).`,
      stalled: true,
    };
  }
  if (!allowedS3Buckets.some((entry) => covers(entry, source.bucket))) {
    const message = `Bucket "${source.bucket}" is not among those ${inClass} (${list(allowedS3Buckets)}).`;
    return { reason: 'S3BucketNotAllowed', message, stalled: true };
  }
  if (secretName === undefined && !allowAmbientCredentials) {
    const message = `The volume names no Secret, and VolumeClass "${volumeClass.metadata.name}" does not allow the credentials of the node; set s3.credentialsSecretRef.`;
    return { reason: 'AmbientCredentialsNotAllowed', message, stalled: true };
  }
  return undefined;
}

function covers(entry: string, bucket: string): boolean {
  return entry.endsWith('*') ? bucket.startsWith(entry.slice(0, -1)) : entry === bucket;
}

function completed(source: S3Source, defaults: VolumeClassDefaults = {}) {
  const endpoint = source.endpoint ?? defaults.s3?.endpoint;
  return {
    endpoint,
    region: source.region ?? defaults.s3?.region ?? DEFAULT_REGION,
    forcePathStyle: source.forcePathStyle ?? defaults.s3?.forcePathStyle ?? endpoint !== undefined,
    checksums: source.checksums ?? (endpoint === undefined ? ('WhenSupported' as const) : ('WhenRequired' as const)),
    secretName: (source.credentialsSecretRef ?? defaults.s3?.credentialsSecretRef)?.name,
  };
}

function forDriver(source: S3Source, completion: Completion): DriverVolume['source'] {
  const { secretName, ...rest } = completed(source, completion.defaults);
  const credentials = secretName === undefined ? undefined : readCredentials(secretName, completion.secret(secretName));
  const caName = source.caBundleRef?.name;
  const ca = caName === undefined ? undefined : readCa(caName, completion.configMap(caName));
  return {
    type: 's3',
    location: {
      ...rest,
      bucket: source.bucket,
      prefix: cleanPrefix(source.prefix),
      credentials: credentials?.value,
      caBundle: ca?.value,
    },
    missing: credentials?.missing ?? ca?.missing,
  };
}

interface Read<T> {
  readonly value: T | undefined;
  readonly missing: Missing | undefined;
}

function readCredentials(name: string, named: Named): Read<S3Credentials> {
  const what = `Secret "${name}"`;
  if (named.state !== 'found') return lacking(what, named.state);
  const { [ACCESS_KEY]: accessKeyId, [SECRET_KEY]: secretAccessKey, [SESSION_TOKEN]: sessionToken } = named.data;
  if (accessKeyId === undefined || accessKeyId === '') return without(what, ACCESS_KEY);
  if (secretAccessKey === undefined || secretAccessKey === '') return without(what, SECRET_KEY);
  return { value: { accessKeyId, secretAccessKey, sessionToken }, missing: undefined };
}

function readCa(name: string, named: Named): Read<string> {
  const what = `ConfigMap "${name}"`;
  if (named.state !== 'found') return lacking(what, named.state);
  const pem = named.data[CA];
  return pem === undefined || pem === '' ? without(what, CA) : { value: pem, missing: undefined };
}

function lacking(what: string, state: 'absent' | 'unknown'): Read<never> {
  const confirmed = state === 'absent';
  const message = confirmed ? `${what} does not exist; create it.` : `${what} has not been read yet.`;
  return { value: undefined, missing: { message, confirmed } };
}

function without(what: string, key: string): Read<never> {
  return { value: undefined, missing: { message: `${what} has no key ${key}; add it.`, confirmed: true } };
}
