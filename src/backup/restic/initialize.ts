/**
 * Makes a repository where there is nothing. restic writes a key first and the configuration last, and refuses to go on
 * where it finds a key: what a kill left in between is taken away, once it is too old to be somebody's who is at it.
 */
import { BackupError } from '../backup-error.ts';
import type { RepositoryAccess, RepositoryInfo } from '../engine.ts';
import { openRepository } from './open.ts';
import type { ResticRunner } from './runner.ts';
import { lookAtStorage, removeFiles } from './storage.ts';

/** Version 2 has compression; every restic that is used here knows it. */
const FORMAT = '2';

export async function initialize(
  runner: ResticRunner,
  access: RepositoryAccess,
  /** Milliseconds after which a key without a configuration was left by a kill. */
  graceMs: number,
  signal: AbortSignal,
): Promise<RepositoryInfo> {
  const found = await lookAtStorage(runner, access, true, signal);
  if (found.state === 'repository') return openRepository(runner, access, signal);
  if (found.state === 'other') {
    const message = `there is something else at the location (${JSON.stringify(found.example)}), and nothing is made over it`;
    throw new BackupError('NotEmpty', message);
  }
  if (found.state === 'begun') {
    if (Date.now() - found.newestAt < graceMs) {
      const message = 'somebody is making a repository there, or was interrupted just now; tried again later';
      throw new BackupError('Locked', message);
    }
    await removeFiles(runner, access, found.keys, signal);
  }
  await runner.succeed(access, { args: ['init', '--json', `--repository-version=${FORMAT}`], make: true }, signal);
  return openRepository(runner, access, signal);
}
