/**
 * The locks of a repository. Named ones are removed past restic, whose `unlock` judges by the name of the machine and the
 * process ID alone, and takes either too few or, with `--remove-all`, live ones too.
 */
import { BackupError } from '../backup-error.ts';
import type { LockRecord, RepositoryAccess } from '../engine.ts';
import { withBucket } from '../s3-repository.ts';
import { holderOf, REPOSITORY_PATH } from './invocation.ts';
import { listNames } from './names.ts';
import { checkLockId } from './patterns.ts';
import type { ResticRunner } from './runner.ts';

export async function listLocks(
  runner: ResticRunner,
  access: RepositoryAccess,
  signal: AbortSignal,
): Promise<readonly LockRecord[]> {
  const locks = await locksByHost(runner, access, signal);
  return locks.map((lock) => ({ ...lock, holder: holderOf(lock.holder) }));
}

/** Removes the locks of one call, which has ended. */
export async function removeLocksOf(
  runner: ResticRunner,
  access: RepositoryAccess,
  holder: string,
  signal: AbortSignal,
): Promise<void> {
  const locks = await locksByHost(runner, access, signal);
  const own = locks.filter((lock) => lock.holder === holder);
  await removeLocks(
    runner,
    access,
    own.map(({ id }) => id),
    signal,
  );
}

async function locksByHost(
  runner: ResticRunner,
  access: RepositoryAccess,
  signal: AbortSignal,
): Promise<readonly LockRecord[]> {
  const locks: LockRecord[] = [];
  for (const id of await lockIds(runner, access, signal)) {
    const lock = await readLock(runner, access, id, signal);
    if (lock !== undefined) locks.push(lock);
  }
  return locks;
}

async function lockIds(
  runner: ResticRunner,
  access: RepositoryAccess,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const names = await listNames(runner, access, signal);
  if (names !== undefined) return names.locks;
  const said = await runner.output(unlocked(access), { args: ['list', 'locks'] }, signal);
  return said
    .toString('latin1')
    .split('\n')
    .filter((line) => /^[0-9a-f]{64}$/.test(line));
}

/** undefined when it went away meanwhile. One that cannot be read, as a kill may leave it, is nobody's. */
async function readLock(
  runner: ResticRunner,
  access: RepositoryAccess,
  id: string,
  signal: AbortSignal,
): Promise<LockRecord | undefined> {
  try {
    const said = await runner.output(unlocked(access), { args: ['cat', 'lock', id] }, signal);
    const lock = JSON.parse(said.toString('utf8')) as {
      readonly time: string;
      readonly exclusive: boolean;
      readonly hostname: string;
      readonly username: string;
      readonly pid: number;
    };
    const { time, exclusive, hostname: holder, username, pid } = lock;
    return { id, time, exclusive, holder, username, pid };
  } catch (thrown) {
    if (signal.aborted || !(await lockIds(runner, access, signal)).includes(id)) {
      if (signal.aborted) throw thrown;
      return undefined;
    }
    if (thrown instanceof BackupError && thrown.code !== 'EngineFailed' && thrown.code !== 'Damaged') throw thrown;
    return { id, time: '', exclusive: false, holder: '', username: '', pid: 0 };
  }
}

/** Looking at locks takes none. */
function unlocked(access: RepositoryAccess): RepositoryAccess {
  return { ...access, readOnly: true };
}

export async function removeLocks(
  runner: ResticRunner,
  access: RepositoryAccess,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { location } = access;
  const names = ids.map((id) => `locks/${checkLockId(id)}`);
  if (names.length === 0) return;
  if (location.type === 's3') return withBucket(location, (repository) => repository.remove(names, signal));
  const args = ['-f', '--', ...names.map((name) => `${REPOSITORY_PATH}/${name}`)];
  await runner.succeed(access, { program: 'rm', args }, signal);
}
