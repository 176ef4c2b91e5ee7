/** Whether anything is written to a tree while somebody reads it: looked over before, and after. */
import type { HelperContext, RequestContext } from '../helper/context.ts';
import { settle, synchronise } from './copy.ts';
import { openPrivately, openSource } from './directories.ts';
import type { TreeChanges, TreeOperations, TreeState } from './operations.ts';
import { changesBetween, type Scan, scanTree } from './scan.ts';

export async function stateOfTree(
  context: HelperContext,
  { source, exclude }: TreeOperations['stateOfTree']['params'],
  { signal }: RequestContext,
): Promise<TreeState> {
  using opened = openSource(context, source);
  using tree = openPrivately(context, opened);
  const scan = (): Promise<Scan> => scanTree({ directory: tree.number, exclude, signal });
  const { before, settled } = await settle(() => meanwhile(scan(), synchronise(tree, signal)), signal);
  // Pages that were dirtied while it was looked over are clean only now.
  if (!settled) await synchronise(tree, signal);
  const { digest, entries, content, newest } = before;
  return { digest, entries, content, newest, settled };
}

/**
 * Both at once. That is as good as one after the other: what a mapping writes once its pages are clean sets a time which is
 * later than the beginning of the scan, so that the scan is not settled, or which comes after it, so that it is a change.
 */
async function meanwhile<T>(work: Promise<T>, other: Promise<void>): Promise<T> {
  const [done, otherDone] = await Promise.allSettled([work, other]);
  if (done.status === 'rejected') throw done.reason;
  if (otherDone.status === 'rejected') throw otherDone.reason;
  return done.value;
}

export async function changesOfTree(
  context: HelperContext,
  { source, exclude, since, most }: TreeOperations['changesOfTree']['params'],
  { signal }: RequestContext,
): Promise<TreeChanges> {
  using opened = openSource(context, source);
  using tree = openPrivately(context, opened);
  const changed = { time: since.newest, inclusive: !since.settled };
  return changesBetween(since, await scanTree({ directory: tree.number, exclude, since: changed, most, signal }));
}
