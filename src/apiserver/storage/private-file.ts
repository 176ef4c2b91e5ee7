import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Writes a file that only the owner can read. It is there whole or not at all, and when this returns it is on disk: a
 * name that outlives a power cut without its content would be worse than none (keys and tokens would be made anew, and
 * every client locked out). Throws an Error that names the file.
 */
export function writePrivate(file: string, text: string): void {
  try {
    writeWhole(file, text);
  } catch (cause) {
    throw new Error(`cannot write ${file}: ${(cause as Error).message}`, { cause });
  }
}

function writeWhole(file: string, text: string): void {
  const fresh = `${file}.new`;
  rmSync(fresh, { force: true });
  const fd = openSync(fresh, 'wx', 0o600);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(fresh, file);
  syncDirectory(dirname(file));
}

/** Makes a directory for its owner alone, with those above it; when this returns it is on disk. */
export function makePrivateDirectory(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    syncDirectory(parent);
    if (parent === dirname(first)) return;
  }
}

/** Has the names in a directory written to disk. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
