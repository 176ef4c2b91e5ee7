import { readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { processIdentity } from './process-identity.ts';

const LOCK = 'apiserver.lock';

/** Another server uses the state directory. */
export class LockedError extends Error {
  override readonly name = 'LockedError';
  readonly pid: number;

  constructor(directory: string, pid: number) {
    super(`${directory} is in use by process ${pid}`);
    this.pid = pid;
  }
}

/** A lock that is held. */
export interface Lock {
  release(): void;
}

/**
 * Lets one server run for each state directory: a symbolic link (made atomically) that names the process, so that
 * a number that is used again is not taken for the dead owner. Throws LockedError.
 */
export function lockDirectory(directory: string): Lock {
  const link = join(directory, LOCK);
  const mine = processIdentity(process.pid) ?? '';
  for (;;) {
    try {
      symlinkSync(mine, link);
      return {
        release: () => {
          if (ownerOf(link) === mine) rmSync(link, { force: true });
        },
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = ownerOf(link);
    if (owner === undefined) continue;
    const pid = Number(owner.split(':')[0]);
    if (processIdentity(pid) === owner) throw new LockedError(directory, pid);
    rmSync(link, { force: true });
  }
}

/** Says whether a server uses the state directory now. */
export function isInUse(directory: string): boolean {
  const owner = ownerOf(join(directory, LOCK));
  return owner !== undefined && processIdentity(Number(owner.split(':')[0])) === owner;
}

function ownerOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}
