/** What writers and readers see of a filesystem. */
import { closeSync, type Dirent, openSync, readdirSync, statfsSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const MIB = 1024 * 1024;

/** Writes zeros until the filesystem says no or the limit is reached. */
export function fill(
  file: string,
  limitBytes: number,
): { readonly written: number; readonly code: string | undefined } {
  const chunk = Buffer.alloc(MIB);
  const fd = openSync(file, 'w');
  let written = 0;
  try {
    while (written < limitBytes) written += writeSync(fd, chunk);
    return { written, code: undefined };
  } catch (error) {
    return { written, code: codeOf(error) };
  } finally {
    closeSync(fd);
  }
}

/** The error code with which an action fails; undefined when it does not fail. */
export function codeFrom(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

/** Size of the filesystem at a path in bytes, as df shows it. */
export function sizeOf(path: string): number {
  const { blocks, bsize } = statfsSync(path);
  return blocks * bsize;
}

/** Bytes that a file really occupies. */
export function allocatedBytes(file: string): number {
  return statSync(file).blocks * 512;
}

/** Every path below the directories whose name has `part` in it; what goes while this looks may be among them or not. */
export function pathsNamed(part: string, ...directories: readonly string[]): readonly string[] {
  return directories.flatMap((directory) =>
    entriesOf(directory).flatMap((entry) => {
      const path = join(directory, entry.name);
      const own = entry.name.includes(part) ? [path] : [];
      return entry.isDirectory() ? [...own, ...pathsNamed(part, path)] : own;
    }),
  );
}

function entriesOf(directory: string): readonly Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
