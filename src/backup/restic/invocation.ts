/** How restic is told where a repository is and what may be done: places, environment, first arguments. Pure. */
import { randomBytes } from 'node:crypto';
import { ENGINE_ROOT, type EnginePlace } from '../../node/backups/operations.ts';
import { BackupError } from '../backup-error.ts';
import type { RepositoryAccess, RepositoryLocation } from '../engine.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const REPOSITORY = 'repository';
const CACHE = 'cache';
const TEMPORARY = 'tmp';
const CA = 'ca.pem';

/** As the engine sees them. */
export const REPOSITORY_PATH = `${ENGINE_ROOT}/${REPOSITORY}`;
export const CACHE_PATH = `${ENGINE_ROOT}/${CACHE}`;
export const TEMPORARY_PATH = `${ENGINE_ROOT}/${TEMPORARY}`;

/** HOST_NAME_MAX of Linux, 64, less what is added to tell one call from another. */
const HOLDER_MAX = 55;
const RUN = /#[0-9a-f]{8}$/;
/** Lines of progress a second. */
const PROGRESS_FPS = '2';
/** Variables of this process from which the AWS SDKs take what the machine itself is allowed. */
const AMBIENT = /^(?:AWS_[A-Z0-9_]+|HOME)$/;
/** Those of them that nobody may read. */
const AMBIENT_SECRET = /^AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|CONTAINER_AUTHORIZATION_TOKEN)$/;

export interface Invocation {
  readonly places: readonly EnginePlace[];
  readonly env: Readonly<Record<string, string>>;
  /** Go before the command. */
  readonly args: readonly string[];
  readonly hostname: string | undefined;
  /** What must appear in no text. */
  readonly secrets: readonly string[];
}

/** @param make Makes the directory of the repository where it is missing. */
export function invocationOf(access: RepositoryAccess, make = false): Invocation {
  const { location, password, cacheDirectory, readOnly = false, holder, limits = {} } = access;
  checkAccess(access);
  const { root, path } = cacheDirectory;
  const own = (at: string, below: string): EnginePlace => ({
    kind: 'directory',
    at,
    source: { own: { root, path: `${path}${below}` } },
    readOnly: false,
    make: true,
  });
  const { uploadKiBps, downloadKiBps, connections } = limits;
  const backend = location.type === 's3' ? 's3' : 'local';
  return {
    places: [own(CACHE, ''), own(TEMPORARY, '/tmp'), ...placesOf(location, readOnly, make)],
    env: {
      PATH,
      HOME: TEMPORARY_PATH,
      TMPDIR: TEMPORARY_PATH,
      RESTIC_CACHE_DIR: CACHE_PATH,
      RESTIC_PROGRESS_FPS: PROGRESS_FPS,
      RESTIC_PASSWORD: password,
      RESTIC_REPOSITORY: repositoryOf(location),
      ...(location.type === 's3' ? credentialsOf(location) : {}),
    },
    args: [
      ...(readOnly ? ['--no-lock'] : []),
      ...(uploadKiBps === undefined ? [] : [`--limit-upload=${uploadKiBps}`]),
      ...(downloadKiBps === undefined ? [] : [`--limit-download=${downloadKiBps}`]),
      ...(connections === undefined ? [] : ['-o', `${backend}.connections=${connections}`]),
      ...(location.type === 's3' ? s3Arguments(location) : []),
    ],
    hostname: holder,
    secrets: secretsOf(access),
  };
}

/** One call's own holder. */
export function holderOfRun(holder: string): string {
  return `${holder}#${randomBytes(4).toString('hex')}`;
}

/** Whoever made the call. */
export function holderOf(hostname: string): string {
  return hostname.replace(RUN, '');
}

function checkAccess({ password, holder, limits = {} }: RepositoryAccess): void {
  const refuse = (message: string): never => {
    throw new BackupError('InvalidRequest', message);
  };
  if (password === '' || /[\0\n\r]/.test(password)) refuse('the password is empty, or has line breaks in it');
  if (
    holder !== undefined &&
    (holder === '' || /[\0\s]/.test(holder) || Buffer.byteLength(holder.replace(RUN, '')) > HOLDER_MAX)
  ) {
    refuse(`holder must have 1 to ${HOLDER_MAX} bytes and no spaces`);
  }
  for (const [name, value] of Object.entries(limits)) {
    if (value !== undefined && !(Number.isInteger(value) && value > 0)) refuse(`limits.${name} must be above zero`);
  }
}

function placesOf(location: RepositoryLocation, readOnly: boolean, make: boolean): readonly EnginePlace[] {
  switch (location.type) {
    case 's3': {
      const { caBundle } = location;
      return caBundle === undefined ? [] : [{ kind: 'file', at: CA, content: Buffer.from(caBundle) }];
    }
    case 'directory':
      return [{ kind: 'directory', at: REPOSITORY, source: location.directory, readOnly, make, apart: true }];
    case 'nfs': {
      const { server, path, subPath, mountOptions: options } = location;
      return [{ kind: 'nfs', at: REPOSITORY, server, path, subPath, options, readOnly, make }];
    }
    default:
      return location satisfies never;
  }
}

/** Parts of the address are decoded by restic, so they are encoded here. */
function repositoryOf(location: RepositoryLocation): string {
  if (location.type !== 's3') return REPOSITORY_PATH;
  const { endpoint, region, bucket, prefix } = location;
  const server = (endpoint ?? `https://s3.${region}.amazonaws.com`).replace(/\/+$/, '');
  const parts = [bucket, ...prefix.split('/').filter((part) => part !== '')];
  return `s3:${server}/${parts.map(encodeURIComponent).join('/')}`;
}

function s3Arguments({ region, forcePathStyle, caBundle }: Extract<RepositoryLocation, { type: 's3' }>): string[] {
  return [
    '-o',
    `s3.region=${region}`,
    // Tries that are not told of; those that are go on for a quarter of an hour.
    '-o',
    's3.retries=3',
    '-o',
    `s3.bucket-lookup=${forcePathStyle ? 'path' : 'dns'}`,
    ...(caBundle === undefined ? [] : [`--cacert=${ENGINE_ROOT}/${CA}`]),
  ];
}

function credentialsOf({ credentials }: Extract<RepositoryLocation, { type: 's3' }>): Readonly<Record<string, string>> {
  if (credentials === undefined) return ambient(AMBIENT);
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  return {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    ...(sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: sessionToken }),
  };
}

/** Variables of this process. */
function ambient(names: RegExp): Readonly<Record<string, string>> {
  const found = Object.entries(process.env).flatMap(([name, value]) =>
    names.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  return Object.fromEntries(found);
}

function secretsOf({ password, location }: RepositoryAccess): readonly string[] {
  if (location.type !== 's3') return [password];
  if (location.credentials === undefined) return [password, ...Object.values(ambient(AMBIENT_SECRET))];
  const { accessKeyId, secretAccessKey, sessionToken = '' } = location.credentials;
  return [password, secretAccessKey, sessionToken, accessKeyId];
}
