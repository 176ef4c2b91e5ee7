/** Names as restic wants them. Pure. */
import { BackupError } from '../backup-error.ts';
import type { Tags } from '../engine.ts';

const SNAPSHOT_ID = /^[0-9a-f]{8,64}$/;
const LOCK_ID = /^[0-9a-f]{64}$/;

/** @throws BackupError `InvalidRequest`: anything else could be taken for an option, or for several snapshots. */
export function checkSnapshotId(id: string): string {
  if (SNAPSHOT_ID.test(id)) return id;
  throw new BackupError('InvalidRequest', `${JSON.stringify(id)} is no ID of a snapshot`);
}

/** @throws BackupError `InvalidRequest`: it becomes part of a path. */
export function checkLockId(id: string): string {
  if (LOCK_ID.test(id)) return id;
  throw new BackupError('InvalidRequest', `${JSON.stringify(id)} is no ID of a lock`);
}

/**
 * A pattern that means this absolute path and nothing else, and all that is below it (Go's `filepath.Match`). U+FFFD stands
 * for a byte that is not UTF-8: a class of it matches such bytes, and itself.
 */
export function patternOf(path: string): string {
  return path.replaceAll(/[\\*?[\]]/g, String.raw`\$&`).replaceAll('\uFFFD', '[\uFFFD]');
}

/** The deepest directory on the way to a path, or the path itself, whose name can be given to restic as it is. */
export function nameableAbove(path: string): string {
  const at = path.indexOf('\uFFFD');
  return at < 0 ? path : path.slice(0, Math.max(1, path.lastIndexOf('/', at)));
}

/** `/a/b` of `/a` and `b`. @throws BackupError `InvalidRequest` for what leads elsewhere. */
export function pathBelow(directory: string, relative: string): string {
  const parts = relative.split('/');
  if (relative.includes('\0') || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new BackupError('InvalidRequest', `${JSON.stringify(relative)} is no relative path without "." and ".."`);
  }
  return `${directory === '/' ? '' : directory}/${relative}`;
}

/** One `key=value` each. @throws BackupError `InvalidRequest` for what restic would take apart. */
export function tagArguments(tags: Tags): readonly string[] {
  return Object.entries(tags).map(([key, value]) => {
    const tag = `${key}=${value}`;
    const isPlain = key !== '' && !key.includes('=') && !/[,\0]/.test(tag) && tag === tag.trim();
    if (!isPlain) throw new BackupError('InvalidRequest', `the tag ${JSON.stringify(tag)} cannot be kept`);
    return tag;
  });
}

/** The opposite of {@link tagArguments}; what is no `key=value` stays as it is. */
export function parseTags(said: readonly string[]): { readonly tags: Tags; readonly otherTags: readonly string[] } {
  const pairs = said.filter((tag) => tag.indexOf('=') > 0);
  return {
    tags: Object.fromEntries(pairs.map((tag) => [tag.slice(0, tag.indexOf('=')), tag.slice(tag.indexOf('=') + 1)])),
    otherTags: said.filter((tag) => !pairs.includes(tag)),
  };
}
