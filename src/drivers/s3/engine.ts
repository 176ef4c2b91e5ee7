/**
 * rclone, which serves the mount of a volume: what it is told, and what it finds in its directory. Credentials reach it
 * through files of mode 0600 only. It asks a one-line script for them every few seconds of use, so that a new Secret is
 * picked up without a new mount.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { uidSegment } from '../../api/names.ts';
import type { NodeLayer } from '../../node/layer.ts';
import type { StartMountDaemon } from '../../node/mount-daemons/operations.ts';
import { HIDDEN_PREFIX, type S3Credentials, type S3Location } from '../../s3/location.ts';
import { stageTarget } from '../stage.ts';
import { CACHE } from './cache-notes.ts';
import { SOCKET } from './rc.ts';

/** As the mount table shows it. */
export const FS_TYPE = 'fuse.rclone';
const SOURCE_PREFIX = 'clawstore-s3-';
const FOLDER = 's3';
const CREDENTIALS = 'credentials';
const AWS_CONFIG = 'aws-config';
const CA = 'ca.pem';
const REMOTE = 'volume';
const MAX_LOG_BYTES = 1_000_000;

/** Seconds for which rclone uses credentials before it asks for them again. */
const CREDENTIALS_SECONDS = 5;

/** Variables of this process from which the AWS SDKs take what the machine itself is allowed. */
const AMBIENT = /^(?:AWS_[A-Z0-9_]+|HOME)$/;

export function sourceOf(uid: string): string {
  return `${SOURCE_PREFIX}${uidSegment('metadata.uid', uid)}`;
}

/** The UID of the volume that a mount of ours shows. */
export function uidOf(source: string): string | undefined {
  return source.startsWith(SOURCE_PREFIX) ? source.slice(SOURCE_PREFIX.length) : undefined;
}

/** Everything that this node keeps for a volume, the files that were not sent yet among it. */
export function directoryOf({ stateDir }: Pick<NodeLayer, 'stateDir'>, uid: string): string {
  return join(stateDir, FOLDER, uidSegment('metadata.uid', uid));
}

/** Where files are put that were not sent and cannot be any more; a person must look at them. */
export function rescueOf({ stateDir }: Pick<NodeLayer, 'stateDir'>, uid: string): string {
  return join(stateDir, 's3-rescued', uidSegment('metadata.uid', uid));
}

/** UIDs of all volumes that this node keeps something for. */
export function keptUids({ stateDir }: Pick<NodeLayer, 'stateDir'>): readonly string[] {
  const folder = join(stateDir, FOLDER);
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Writes what the engine reads while it runs. Cheap when nothing changed. */
export function writeSecrets(directory: string, { credentials, caBundle }: S3Location): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (credentials !== undefined) {
    writePrivate(join(directory, CREDENTIALS), credentialsText(credentials));
    writePrivate(
      join(directory, AWS_CONFIG),
      `[default]\ncredential_process = /bin/sh ${quoted(scriptFile(directory))}\n`,
    );
    writePrivate(scriptFile(directory), script(directory));
  }
  if (caBundle !== undefined) writePrivate(join(directory, CA), caBundle);
}

/** Whether there is anything for {@link removeSecrets} to do. */
export function hasSecrets(directory: string): boolean {
  return secretFiles(directory).some((file) => existsSync(file));
}

/** Removes what {@link writeSecrets} has written, also where that was killed in the middle. */
export function removeSecrets(directory: string): void {
  for (const file of secretFiles(directory)) rmSync(file, { force: true });
}

function secretFiles(directory: string): readonly string[] {
  const files = [CREDENTIALS, AWS_CONFIG, CA].map((name) => join(directory, name));
  return [...files, scriptFile(directory)].flatMap((file) => [file, `${file}.new`]);
}

/**
 * Writes are sent at once, and what was not sent stays in the cache. What was sent gives way within seconds where the disk
 * of the cache gets full: it is that of all other state, too.
 */
const WRITING = [
  '--vfs-cache-mode=writes',
  '--vfs-write-back=100ms',
  '--vfs-cache-max-age=10m',
  '--vfs-cache-min-free-space=1Gi',
  '--vfs-cache-poll-interval=10s',
  '--dir-cache-time=1s',
  '--attr-timeout=1s',
  '--contimeout=2s',
  '--timeout=5s',
  '--low-level-retries=1',
  '--retries=1',
];
/** Each object is read once from its beginning to its end; a request that fails is worth another one. */
const READING = [
  '--read-only',
  '--vfs-cache-mode=off',
  '--dir-cache-time=1h',
  '--attr-timeout=1h',
  '--contimeout=10s',
  '--timeout=60s',
  '--low-level-retries=5',
  '--retries=3',
];

/**
 * What starts the engine for a volume.
 *
 * @param uid Of the volume, or of who reads it: names its directory and its mount.
 */
export function startRequest(
  node: NodeLayer,
  rclone: string,
  uid: string,
  location: S3Location,
  use: 'writing' | 'reading',
): StartMountDaemon {
  const directory = directoryOf(node, uid);
  const target = stageTarget(node, uid);
  const { bucket, prefix, caBundle, checksums } = location;
  const name = sourceOf(uid);
  return {
    directory,
    name,
    target,
    fsType: FS_TYPE,
    source: name,
    discard: [SOCKET],
    env: environment(directory, location),
    argv: [
      rclone,
      'mount',
      `${REMOTE}:${bucket}/${prefix}`,
      join(target.root, target.path),
      '--config=',
      `--devname=${name}`,
      '--allow-other',
      '--dir-perms=0777',
      '--file-perms=0666',
      '--umask=0',
      `--cache-dir=${join(directory, CACHE)}`,
      '--poll-interval=0',
      ...(use === 'writing' ? WRITING : READING),
      '--rc',
      `--rc-addr=unix://${SOCKET}`,
      '--rc-no-auth',
      '--log-level=NOTICE',
      // In a whole bucket, our snapshots are none of the volume's files.
      ...(prefix === '' ? [`--exclude=/${HIDDEN_PREFIX}**`] : []),
      ...(caBundle === undefined ? [] : [`--ca-cert=${join(directory, CA)}`]),
      ...(checksums === 'WhenSupported' ? ['--s3-use-data-integrity-protections=true'] : []),
    ],
  };
}

function environment(directory: string, location: S3Location): Readonly<Record<string, string>> {
  const { endpoint, region, forcePathStyle, credentials } = location;
  const option = (name: string, value: string): readonly [string, string] => [
    `RCLONE_CONFIG_${REMOTE.toUpperCase()}_${name}`,
    value,
  ];
  const ambient = Object.entries(process.env).flatMap(([name, value]) =>
    AMBIENT.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  const own = [
    ['HOME', directory],
    ['AWS_CONFIG_FILE', join(directory, AWS_CONFIG)],
    ['AWS_SHARED_CREDENTIALS_FILE', '/dev/null'],
    ['AWS_EC2_METADATA_DISABLED', 'true'],
  ] as const;
  return Object.fromEntries([
    option('TYPE', 's3'),
    option('PROVIDER', endpoint === undefined ? 'AWS' : 'Other'),
    option('ENV_AUTH', 'true'),
    option('REGION', region),
    option('FORCE_PATH_STYLE', String(forcePathStyle)),
    // Buckets are never made, and empty directories stay.
    option('NO_CHECK_BUCKET', 'true'),
    option('DIRECTORY_MARKERS', 'true'),
    ...(endpoint === undefined ? [] : [option('ENDPOINT', endpoint)]),
    ...(credentials === undefined ? ambient : own),
  ]);
}

/** An outage makes a line for every failed request. */
export function limitLog(directory: string): void {
  const file = join(directory, 'log');
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > MAX_LOG_BYTES) truncateSync(file);
}

/** Removes everything that this node keeps for a volume. */
export function forget(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

function scriptFile(directory: string): string {
  return join(directory, 'credentials.sh');
}

/** Prints what the AWS SDKs expect of a `credential_process`. */
function script(directory: string): string {
  return [
    `soon=$(date -u -d '+${CREDENTIALS_SECONDS} seconds' +%Y-%m-%dT%H:%M:%SZ)`,
    `printf '{"Version":1,"Expiration":"%s",%s}' "$soon" "$(cat ${quoted(join(directory, CREDENTIALS))})"`,
    '',
  ].join('\n');
}

/** The members of a JSON object. */
function credentialsText({ accessKeyId, secretAccessKey, sessionToken }: S3Credentials): string {
  const text = JSON.stringify({
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    ...(sessionToken === undefined ? {} : { SessionToken: sessionToken }),
  });
  return text.slice(1, -1);
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

function writePrivate(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
