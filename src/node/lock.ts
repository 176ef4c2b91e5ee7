/** Locks that one agent per node holds: flock(2) on a descriptor of this process, taken through the helper. */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { NodeLock } from './layer.ts';
import { NodeError } from './node-error.ts';

/** Locks the open file description behind a descriptor of this process; false when someone else holds it. */
export type LockDescriptor = (fd: number) => Promise<boolean>;

/**
 * Takes the lock. The description stays locked as long as this process has it open, whatever becomes of the helper,
 * and the kernel lets go of it when this process dies.
 *
 * @throws NodeError `Locked`, naming the holder.
 */
export async function acquireLock(file: string, lockDescriptor: LockDescriptor): Promise<NodeLock> {
  mkdirSync(dirname(file), { recursive: true });
  const fd = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    if (!(await lockDescriptor(fd))) {
      throw new NodeError('Locked', `${file} is held by ${holderOf(file)}`, { path: file });
    }
    // Someone may have removed or replaced the file between open and lock: then this lock excludes nobody.
    if (!isSameFile(fd, file))
      throw new NodeError('Locked', `${file} was replaced while it was locked`, { path: file });
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`, 0);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  let held = true;
  return {
    file,
    release: () => {
      if (held) closeSync(fd);
      held = false;
      return Promise.resolve();
    },
  };
}

/** Without koffi: flock(1) locks the description that it inherits, which this process keeps open. */
export function lockByCommand(fd: number): boolean {
  const { status, error } = spawnSync('flock', ['--nonblock', '--exclusive', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
  });
  if (error !== undefined) throw NodeError.from(error, 'Unsupported');
  return status === 0;
}

function isSameFile(fd: number, file: string): boolean {
  try {
    const [open, named] = [fstatSync(fd), statSync(file)];
    return open.dev === named.dev && open.ino === named.ino;
  } catch {
    return false;
  }
}

function holderOf(file: string): string {
  const pid = readFileSync(file, 'utf8').trim();
  return /^\d+$/.test(pid) ? `process ${pid}` : 'another process';
}
