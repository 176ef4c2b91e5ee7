/**
 * Checks on host paths as text, before anything looks at the disk. They repeat the rules of the CRDs for paths that come
 * from elsewhere (flags, commands), and decide containment.
 */

/** Longest path the kernel takes, without the closing NUL (`PATH_MAX` in limits.h). */
export const MAX_PATH = 4095;

/** Returns what is wrong with a host path, or `undefined` when it is absolute, free of `..` and of control characters. */
export function pathProblem(path: string): string | undefined {
  if (!path.startsWith('/')) return 'must be absolute';
  if (Buffer.byteLength(path) > MAX_PATH) return `must be at most ${MAX_PATH} bytes`;
  if (path.split('/').includes('..')) return 'must not contain ".."';
  if (Array.from(path).some((character) => character < ' ' || character === '\u007f')) {
    return 'must not contain control characters';
  }
  return undefined;
}

/** Removes empty and `.` segments and the slash at the end. Expects a path without `..`. */
export function cleanPath(path: string): string {
  return `/${path
    .split('/')
    .filter((segment) => segment !== '' && segment !== '.')
    .join('/')}`;
}

/** Says whether `path` is `prefix` or lies below it, segment by segment (`/data` does not contain `/database`). */
export function isWithin(path: string, prefix: string): boolean {
  const inner = cleanPath(path);
  const outer = cleanPath(prefix);
  return outer === '/' || inner === outer || inner.startsWith(`${outer}/`);
}
