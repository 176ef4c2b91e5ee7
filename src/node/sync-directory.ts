/**
 * Puts the names in a directory on disk (fsync(2)), for many at a time: one fsync serves all who asked before it began, so
 * that eighty names cost two or three of them. Never blocks the event loop.
 */
import { open } from 'node:fs/promises';

/** @throws Whatever the fsync failed with that was to serve the caller. */
export const syncDirectory = sharedSync(fsyncDirectory);

/** Shares what `sync` does to a path. Exported for tests. */
export function sharedSync(sync: (path: string) => Promise<void>): (path: string) => Promise<void> {
  const running = new Map<string, Promise<void>>();
  /** Begins when the one that runs has ended: that may have begun before the latest name was made. */
  const next = new Map<string, Promise<void>>();
  const begin = (path: string): Promise<void> => {
    const mine = sync(path).finally(() => {
      if (running.get(path) === mine) running.delete(path);
    });
    running.set(path, mine);
    return mine;
  };
  return (path) => {
    const before = running.get(path);
    if (before === undefined) return begin(path);
    const there = next.get(path);
    if (there !== undefined) return there;
    const mine = before
      .catch(() => undefined)
      .then(() => {
        next.delete(path);
        return begin(path);
      });
    next.set(path, mine);
    return mine;
  };
}

async function fsyncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
