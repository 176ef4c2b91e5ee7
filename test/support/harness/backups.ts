/** Backups in tests: their objects, and what restic alone makes of a repository. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Backup, BackupSpec } from '../../../src/api/backup.ts';
import { hasEnded } from '../../../src/api/backup.ts';
import type { BackupRepository } from '../../../src/api/backup-repository.ts';
import type { Secret } from '../../../src/api/core.ts';
import { API_VERSION } from '../../../src/api/group.ts';
import { BACKUP_REPOSITORIES, BACKUPS, SECRETS } from '../../../src/api/meta.ts';
import type { Machine } from './machine.ts';
import { Restic } from './restic.ts';
import { cheapen } from './restic-key.ts';
import type { S3Server } from './s3-server.ts';
import { waitFor } from './wait.ts';

const PASSWORD = 'of the tests';
const REPOSITORY_MS = 150_000;

/** Puts the engine where the product looks for it. */
export function useRestic(): void {
  const { RESTIC_0_19: restic = '', PATH } = process.env;
  if (restic === '') throw new Error('RESTIC_0_19 does not name restic');
  process.env['PATH'] = `${dirname(restic)}:${PATH}`;
}

export function backup(namespace: string, name: string, spec: Partial<BackupSpec> = {}): Backup {
  return {
    apiVersion: API_VERSION,
    kind: BACKUPS.kind,
    metadata: { namespace, name },
    spec: { scope: 'Volumes', ...spec },
  };
}

/**
 * Makes a repository in a directory of the machine whose key opens at once: that of one that the product makes takes half
 * a second of a core in each of the dozen runs of restic of a backup.
 * @returns what a Backup says to go there.
 */
export async function makeRepository(
  machine: Machine,
  namespace: string,
  name = 'kept',
): Promise<Required<Pick<BackupSpec, 'repositoryRef'>>> {
  const path = machine.hostDirectory(name);
  await new Restic(path, PASSWORD).makeCheap();
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: `${name}-password` } };
  await machine.client.create(SECRETS, { ...secret, stringData: { password: PASSWORD } });
  const spec = {
    hostPath: { path },
    nodeName: machine.settings.nodeName,
    encryption: { secretRef: { name: secret.metadata.name } },
  };
  await machine.create({ apiVersion: API_VERSION, kind: 'BackupRepository', metadata: { namespace, name }, spec });
  await machine.waitReady(BACKUP_REPOSITORIES, `${namespace}/${name}`, REPOSITORY_MS);
  return { repositoryRef: { name } };
}

/**
 * Makes the key of the repository in a directory that the product has made for a Backup open at once, as that of {@link
 * makeRepository} does.
 */
export async function openAtOnce(machine: Machine, namespace: string, { status }: Backup): Promise<void> {
  const { path, password } = await placeOf(machine, namespace, status?.repositoryRef?.name ?? '');
  await waitFor(() => engines() === 0, { message: 'nobody to use the repository', deadline: REPOSITORY_MS });
  cheapen(path, password);
}

/** How many processes of restic there are. */
function engines(): number {
  const isEngine = (pid: string): boolean => {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8') === 'restic\n';
    } catch {
      return false; // no process, or ended meanwhile
    }
  };
  return readdirSync('/proc').filter(isEngine).length;
}

async function placeOf(machine: Machine, namespace: string, name: string) {
  const { spec } = await machine.get<BackupRepository>(BACKUP_REPOSITORIES, `${namespace}/${name}`);
  const secret = await machine.get<Secret>(SECRETS, `${namespace}/${spec.encryption.secretRef.name}`);
  const password = Buffer.from(secret.data?.['password'] ?? '', 'base64').toString();
  return { path: spec.hostPath?.path ?? '', password };
}

/** Makes a repository in a bucket of a server of tests, with a key that opens at once. */
export async function makeRepositoryIn(
  server: S3Server,
  bucket: string,
  prefix: string,
  password: string,
): Promise<void> {
  const { accessKeyId, secretAccessKey } = server.root;
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  await new Restic(`s3:${server.endpoint}/${bucket}/${prefix}`, password, env).run('init');
  await server.cheapenKeys(bucket, prefix, password);
}

/** Waits until nothing acts for a Backup any more. */
export function ended(machine: Machine, key: string, deadline = 150_000): Promise<Backup> {
  return machine.waitFor<Backup>(BACKUPS, key, hasEnded, 'to have ended', deadline);
}

let serial = 0;

/** A repository as somebody has it who has lost everything else: its place, and its key. */
export class BareRepository {
  readonly #url: string;
  readonly #env: Readonly<Record<string, string>>;
  /** Of the machine, gone with it. */
  readonly #directory: string;

  constructor(url: string, password: string, directory: string, env: Readonly<Record<string, string>> = {}) {
    this.#url = url;
    this.#directory = directory;
    this.#env = { ...env, RESTIC_PASSWORD: password };
  }

  /** That of a BackupRepository, with the key that its Secret has. */
  static async of(
    machine: Machine,
    namespace: string,
    name: string,
    env: Readonly<Record<string, string>> = {},
    url?: string,
  ): Promise<BareRepository> {
    const { path, password } = await placeOf(machine, namespace, name);
    return new BareRepository(url ?? path, password, machine.directory, env);
  }

  restic(...args: readonly string[]): string {
    const environment = { PATH: process.env['PATH'], HOME: this.#directory };
    // The product may be looking at it just now.
    return execFileSync('restic', ['-r', this.#url, '--no-cache', '--retry-lock=2m', ...args], {
      encoding: 'utf8',
      env: { ...environment, ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  snapshots(): readonly ResticSnapshot[] {
    return JSON.parse(this.restic('snapshots', '--json')) as readonly ResticSnapshot[];
  }

  /** Restores all of a snapshot. @returns the directory. */
  restore(id: string): string {
    serial += 1;
    const target = join(this.#directory, `restored-${serial}`);
    mkdirSync(target);
    this.restic('restore', id, '--sparse', '--target', target);
    return target;
  }

  /** A file of a snapshot. */
  read(id: string, path: string): string {
    return this.restic('dump', id, path);
  }

  /** Restores the volume of a backup, and finds its content. */
  restoreVolume(backupID: string, volume: string): string {
    const tags = [`id=${backupID}`, `volume=${volume}`];
    const found = this.snapshots().filter((snapshot) => tags.every((tag) => snapshot.tags?.includes(tag)));
    const [only] = found;
    if (only === undefined || found.length !== 1) throw new Error(`${found.length} snapshots of ${tags.join(', ')}`);
    return join(this.restore(only.id), 'data');
  }
}

export interface ResticSnapshot {
  readonly id: string;
  readonly tags?: readonly string[];
  readonly paths: readonly string[];
}

/** Deletes what machines do not delete by themselves, while their agents still run. */
export async function deleteBackups(machine: Machine, namespace: string): Promise<void> {
  for (const resource of [BACKUPS, BACKUP_REPOSITORIES]) {
    const { items } = await machine.client.list(resource, { namespace });
    for (const { metadata } of items) await machine.delete(resource, `${namespace}/${metadata.name}`);
    for (const { metadata } of items) await machine.waitGone(resource, `${namespace}/${metadata.name}`, 150_000);
  }
}
