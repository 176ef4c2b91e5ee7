/** What a repository is as files: whether it is one, how large it is, and what is left over in it. */
import { BackupError } from '../backup-error.ts';
import type { RepositoryAccess } from '../engine.ts';
import { MOST_BELOW } from '../engine.ts';
import { withBucket } from '../s3-repository.ts';
import { CACHE_PATH, REPOSITORY_PATH, TEMPORARY_PATH } from './invocation.ts';
import type { ResticRunner } from './runner.ts';

/** Names at the top of a repository. */
const OWN = /^(?:config|(?:data|index|keys|locks|snapshots)(?:\/.*)?)$/;
const KEY = /^keys\/([0-9a-f]{64})(?:-tmp-\d+)?$/;
const FOLDERS = /^(?:data(?:\/[0-9a-f]{2})?|index|keys|locks|snapshots)$/;
/** Files of a directory are looked at; it is known after a few whether it is a repository. */
const MOST_NAMES_BYTES = 4 * 1024 * 1024;
/** Minutes after which what a killed engine left half written is nobody's. */
const LEFT_MINUTES = 24 * 60;

export type Found =
  | { readonly state: 'empty' }
  | { readonly state: 'repository' }
  /** Keys, and nothing that they would open: an initialization was interrupted, or is going on. */
  | { readonly state: 'begun'; readonly keys: readonly string[]; readonly newestAt: number }
  | { readonly state: 'other'; readonly example: string };

interface Name {
  readonly name: string;
  readonly isDirectory: boolean;
  /** Milliseconds since the epoch. */
  readonly modifiedAt: number;
}

/** Looks at what is there. @param make Makes the directory where it is missing. */
export async function lookAtStorage(
  runner: ResticRunner,
  access: RepositoryAccess,
  make: boolean,
  signal: AbortSignal,
): Promise<Found> {
  const { location } = access;
  if (location.type === 's3') {
    return withBucket(location, async (repository) => {
      if (await repository.has('config', signal)) return { state: 'repository' };
      const names: Name[] = [];
      for await (const { name, modifiedAt } of repository.files(signal)) {
        names.push({ name, isDirectory: false, modifiedAt });
        // Anything but keys decides at once, and keys are few.
        if (!KEY.test(name) || names.length > 100) break;
      }
      // An object of the name of the prefix itself is how some programs show a folder.
      return judge(names.filter(({ name }) => name !== ''));
    });
  }
  const args = [REPOSITORY_PATH, '-mindepth', '1', '-maxdepth', '2', '-printf', String.raw`%y %T@ %P\0`];
  const said = await runner.output(access, { program: 'find', args, make }, signal, MOST_NAMES_BYTES);
  const names = said
    .toString('utf8')
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const [type = '', time = '', ...name] = line.split(' ');
      return { name: name.join(' '), isDirectory: type === 'd', modifiedAt: Number(time) * 1_000 };
    });
  return judge(names);
}

/** Places one step below that have what a repository has at its top. */
export async function repositoriesBelow(
  runner: ResticRunner,
  access: RepositoryAccess,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { location } = access;
  if (location.type === 's3') {
    return withBucket(location, async (repository) => {
      const found: string[] = [];
      for await (const folder of repository.folders(signal)) {
        if (await repository.has(`${folder}/config`, signal)) found.push(folder);
        if (found.length >= MOST_BELOW) break;
      }
      return found;
    });
  }
  const args = [
    REPOSITORY_PATH,
    '-mindepth',
    '2',
    '-maxdepth',
    '2',
    '-name',
    'config',
    '-type',
    'f',
    '-printf',
    String.raw`%P\0`,
  ];
  const run = { program: 'find', args } as const;
  const said = await runner.output({ ...access, readOnly: true }, run, signal, MOST_NAMES_BYTES);
  const folders = said
    .toString('utf8')
    .split('\0')
    .map((path) => path.slice(0, -'/config'.length));
  return folders
    .filter((folder) => folder !== '')
    .sort()
    .slice(0, MOST_BELOW);
}

/** Pure. */
export function judge(names: readonly Name[]): Found {
  const other = names.find(({ name, isDirectory }) => !OWN.test(name) && !(isDirectory && name === 'lost+found'));
  const isThere = names.some(({ name, isDirectory }) => name === 'config' && !isDirectory);
  if (isThere) return { state: 'repository' };
  if (other !== undefined) return { state: 'other', example: other.name };
  const files = names.filter(
    ({ name, isDirectory }) => !(isDirectory && (FOLDERS.test(name) || name === 'lost+found')),
  );
  const content = files.find(({ name }) => !KEY.test(name));
  if (content !== undefined) return { state: 'other', example: content.name };
  if (files.length === 0) return { state: 'empty' };
  const newestAt = Math.max(...files.map(({ modifiedAt }) => modifiedAt));
  return { state: 'begun', keys: files.map(({ name }) => name), newestAt };
}

/** Removes files of a repository by their names. */
export async function removeFiles(
  runner: ResticRunner,
  access: RepositoryAccess,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { location } = access;
  if (location.type === 's3') return withBucket(location, (repository) => repository.remove(names, signal));
  const args = ['-f', '--', ...names.map((name) => `${REPOSITORY_PATH}/${name}`)];
  await runner.succeed(access, { program: 'rm', args }, signal);
}

export async function sizeOf(runner: ResticRunner, access: RepositoryAccess, signal: AbortSignal): Promise<bigint> {
  const { location } = access;
  if (location.type === 's3') {
    return withBucket(location, async (repository) => {
      let sum = 0n;
      for await (const { size } of repository.files(signal)) sum += size;
      return sum;
    });
  }
  const args = ['--summarize', '--apparent-size', '--block-size=1', '--one-file-system', '--', REPOSITORY_PATH];
  const said = await runner.output({ ...access, readOnly: true }, { program: 'du', args }, signal, 1_000);
  const bytes = /^(\d+)/.exec(said.toString('latin1'))?.[1];
  if (bytes === undefined) throw new BackupError('EngineFailed', 'du did not tell the size of the repository');
  return BigInt(bytes);
}

/** Removes what killed engines have left half written, in the cache and, where it is a directory, in the repository. */
export async function tidy(runner: ResticRunner, access: RepositoryAccess, signal: AbortSignal): Promise<void> {
  const old = ['-mmin', `+${LEFT_MINUTES}`];
  const own = [CACHE_PATH, TEMPORARY_PATH, '-mindepth', '1', '-maxdepth', '1', '-name', 'restic-*'];
  await runner.run(access, { program: 'find', args: [...own, ...old, '-exec', 'rm', '-rf', '--', '{}', '+'] }, signal);
  if (access.location.type === 's3' || access.readOnly === true) return;
  const halves = [REPOSITORY_PATH, '-mindepth', '2', '-maxdepth', '3', '-type', 'f', '-name', '*-tmp-*'];
  await runner.run(access, { program: 'find', args: [...halves, ...old, '-delete'] }, signal);
}
