/**
 * What the files of a repository are called, past the engine: that costs a listing, and opening a repository half a second of
 * a core (its key is made slow to guess). A file is named by a hash of what is in it and never changes, so a name that is
 * known needs no reading, and one that is gone is gone.
 */
import { BackupError } from '../backup-error.ts';
import type { EngineDirectory, RepositoryAccess } from '../engine.ts';
import { withBucket } from '../s3-repository.ts';
import { REPOSITORY_PATH } from './invocation.ts';
import type { ResticRunner } from './runner.ts';

const FOLDERS = ['keys', 'locks', 'snapshots'] as const;
const NAME = /^(keys|locks|snapshots)\/([0-9a-f]{64})$/;

/** IDs by folder, sorted. */
export type RepositoryNames = Readonly<Record<(typeof FOLDERS)[number], readonly string[]>>;

/** undefined where there is no repository, or not all of it can be listed: the engine says why in its own words. */
export async function listNames(
  runner: ResticRunner,
  access: RepositoryAccess,
  signal: AbortSignal,
): Promise<RepositoryNames | undefined> {
  const paths = await pathsIn(runner, access, signal);
  if (!paths.includes('config')) return undefined;
  const names: Record<(typeof FOLDERS)[number], string[]> = { keys: [], locks: [], snapshots: [] };
  for (const path of paths.toSorted()) {
    const [, folder, id = ''] = NAME.exec(path) ?? [];
    if (folder !== undefined) names[folder as keyof typeof names].push(id);
  }
  return names;
}

async function pathsIn(
  runner: ResticRunner,
  access: RepositoryAccess,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { location } = access;
  switch (location.type) {
    case 's3':
      return await inBucket(location, signal);
    case 'directory':
      return await inDirectory(runner, location.directory, signal);
    case 'nfs':
      return await inExport(runner, access, signal);
    default:
      return location satisfies never;
  }
}

async function inDirectory(
  runner: ResticRunner,
  directory: EngineDirectory,
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    return await runner.fileNames(directory, FOLDERS, signal);
  } catch (thrown) {
    // It was opened, and a disk does not read.
    if (thrown instanceof BackupError && thrown.code === 'EngineFailed') return [];
    throw thrown;
  }
}

/** It is mounted where the engine runs and nowhere else. */
async function inExport(
  runner: ResticRunner,
  access: RepositoryAccess,
  signal: AbortSignal,
): Promise<readonly string[]> {
  // What there may be much of is passed over.
  const pruned = ['(', '-path', `${REPOSITORY_PATH}/data`, '-o', '-path', `${REPOSITORY_PATH}/index`, ')', '-prune'];
  const files = ['-type', 'f', '-printf', String.raw`%P\n`];
  const args = [REPOSITORY_PATH, '-mindepth', '1', '-maxdepth', '2', ...pruned, '-o', ...files];
  const chunks: Uint8Array[] = [];
  const onBytes = (chunk: Uint8Array): void => void chunks.push(chunk);
  const { status } = await runner.run({ ...access, readOnly: true }, { program: 'find', args, onBytes }, signal);
  return status === 0 ? Buffer.concat(chunks).toString('latin1').split('\n') : [];
}

function inBucket(location: Parameters<typeof withBucket>[0], signal: AbortSignal): Promise<readonly string[]> {
  return withBucket(location, async (repository) => {
    const found = (await repository.has('config', signal)) ? ['config'] : [];
    if (found.length === 0) return found;
    for (const folder of FOLDERS) for await (const { name } of repository.files(signal, `${folder}/`)) found.push(name);
    return found;
  });
}
