/** `clawstore apiserver backup FILE` and `restore FILE`: copies of the control plane's database. */
import { resolve } from 'node:path';
import { backupDatabase, restoreDatabase } from '../apiserver/storage/backup.ts';
import { LockedError } from '../apiserver/storage/lock.ts';
import { StorageError } from '../apiserver/storage/revision-log.ts';
import { CliError, ExitCode } from './exit-code.ts';
import type { Settings } from './settings.ts';
import { makeStateDir, stateDirOf } from './state-dir.ts';

/** Copies the database while the server works on. */
export function backupApiServer({ stateDir }: Settings, file: string): ExitCode {
  const { apiserver } = stateDirOf(stateDir);
  const { objects, revision } = explained(stateDir, () => backupDatabase(apiserver, resolve(file), Date.now()));
  process.stdout.write(`${objects} objects, up to version ${revision}, are backed up in ${file}\n`);
  return ExitCode.ok;
}

/** Puts a backup in the place of the database. */
export function restoreApiServer({ stateDir }: Settings, file: string): ExitCode {
  const { apiserver } = makeStateDir(stateDir);
  const restored = explained(stateDir, () => restoreDatabase(apiserver, resolve(file), Date.now()));
  const { objects, madeAt, replaced } = restored;
  const when = madeAt === undefined ? '' : `, as they were at ${new Date(madeAt).toISOString()}`;
  process.stdout.write(`${objects} objects are restored${when}\n`);
  if (replaced !== undefined) process.stdout.write(`what was there before is kept in ${replaced}\n`);
  process.stdout.write('the next start serves them; what was made since is kept on its node and listed as an orphan\n');
  return ExitCode.ok;
}

function explained<T>(stateDir: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    if (cause instanceof LockedError) {
      const text = `a control plane runs on ${stateDir} (pid ${cause.pid}): stop it first; nothing was changed`;
      throw new CliError(ExitCode.refused, text, { cause });
    }
    if (cause instanceof StorageError) throw new CliError(ExitCode.failed, cause.message, { cause });
    throw cause;
  }
}
