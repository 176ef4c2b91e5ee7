import { readFileSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

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
 * Lets one server run for each state directory: a symbolic link (made atomically) that names the process and when it
 * started, so that a number that is used again is not taken for the dead owner. Throws LockedError.
 */
export function lockDirectory(directory: string): Lock {
  const link = join(directory, 'apiserver.lock');
  const mine = `${process.pid}:${startOf(process.pid) ?? ''}`;
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
    const [pid = '', started = ''] = owner.split(':');
    if (startOf(Number(pid)) === started) throw new LockedError(directory, Number(pid));
    rmSync(link, { force: true });
  }
}

function ownerOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}

/** When a process started, in clock ticks since boot (proc(5), field 22 of `stat`); undefined when it has ended. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie holds nothing; where nobody reaps (a container without an init) it stays for ever.
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
