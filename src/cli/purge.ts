/** What `clawstore down --purge` deletes, and what it leaves. Everything is unmounted before. */
import { readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeLayer } from '../node/layer.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { contentsOf, stateDirOf } from './state-dir.ts';

/** Names in a message at most. */
const MOST_NAMES = 5;

/**
 * Deletes everything of ours in a state directory, and the directory when nothing is left in it.
 *
 * @returns what is left, with why; nothing when the directory is gone.
 * @throws CliError when something is mounted in it, or it cannot be deleted.
 */
export function purge({ stateDir, table }: Pick<NodeLayer, 'stateDir' | 'table'>): readonly string[] {
  const [mounted] = table.below(stateDir);
  if (mounted !== undefined) {
    throw new CliError(ExitCode.refused, `${stateDir} is not deleted: ${mounted.target} is mounted in it`);
  }
  const { projects, rescued } = stateDirOf(stateDir);
  try {
    for (const path of contentsOf(stateDir)) rmSync(path, { recursive: true, force: true });
    // Each is of use for as long as there is something in it.
    for (const folder of [projects, rescued]) removeIfEmpty(folder);
    if (removeIfEmpty(stateDir)) return [];
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(ExitCode.failed, `${stateDir} is not deleted, or not all of it: ${why}`, { cause });
  }
  return leftIn(stateDir);
}

/** @returns false when it is not empty. */
export function removeIfEmpty(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    if (code === 'ENOTEMPTY' || code === 'EBUSY') return false;
    throw thrown;
  }
}

function leftIn(stateDir: string): readonly string[] {
  const { projects, rescued } = stateDirOf(stateDir);
  const reasons = new Map([
    [projects, 'it says which directories of hostPath volumes still have a size limit of ours'],
    [rescued, 'files of s3 volumes that could not be sent to their server; look at them, and delete them by hand'],
  ]);
  const paths = readdirSync(stateDir)
    .toSorted()
    .map((name) => join(stateDir, name));
  // The directory alone, when it is a mount point.
  if (paths.length === 0) return [`${stateDir}: it is in use, or a mount point; it is empty`];
  const ours = paths.flatMap((path) => {
    const why = reasons.get(path);
    return why === undefined ? [] : [`${path}: ${why}`];
  });
  const others = paths.filter((path) => !reasons.has(path));
  if (others.length === 0) return ours;
  const more = others.length > MOST_NAMES ? ` and ${others.length - MOST_NAMES} more` : '';
  return [...ours, `${others.slice(0, MOST_NAMES).join(', ')}${more}: not made by clawstore`];
}
