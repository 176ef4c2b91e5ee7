/** The file of a unit: replaced at once and durably, or left as it is. */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CliError, ExitCode } from '../exit-code.ts';

/** Reads it; undefined when there is none. @throws CliError when it is not a file, e.g. a masked unit. */
export function readUnit(file: string): string | undefined {
  return explained(file, 'read', () => {
    const stat = lstatSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    if (!stat.isFile()) {
      throw new CliError(
        ExitCode.refused,
        `${file} is not a file (a masked unit is a link to /dev/null): remove it, or name another unit with --unit`,
      );
    }
    return readFileSync(file, 'utf8');
  });
}

export function writeUnit(file: string, text: string): void {
  explained(file, 'written', () => {
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    const part = `${file}.new`;
    rmSync(part, { force: true });
    const fd = openSync(part, 'wx', 0o644);
    try {
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    // Whatever the umask says.
    chmodSync(part, 0o644);
    renameSync(part, file);
    syncFolder(dirname(file));
  });
}

export function removeUnit(file: string): void {
  explained(file, 'removed', () => {
    rmSync(file, { force: true });
    syncFolder(dirname(file));
  });
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function explained<T>(file: string, done: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    const { code = String(cause) } = cause as NodeJS.ErrnoException;
    const advice = code === 'EACCES' || code === 'EPERM' ? 'run it with sudo, or name another --unit-dir' : code;
    throw new CliError(ExitCode.failed, `${file} cannot be ${done}: ${advice}`, { cause });
  }
}
