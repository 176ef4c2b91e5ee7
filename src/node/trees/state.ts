/** Whether anything is written to a tree while somebody reads it: looked over before, and after. */
import type { HelperContext, RequestContext } from '../helper/context.ts';
import { settle, synchronise } from './copy.ts';
import { openPrivately, openSource } from './directories.ts';
import type { TreeChanges, TreeOperations, TreeState } from './operations.ts';
import { changesBetween, scanTree } from './scan.ts';

export async function stateOfTree(
  context: HelperContext,
  { source, exclude }: TreeOperations['stateOfTree']['params'],
  { signal }: RequestContext,
): Promise<TreeState> {
  using opened = openSource(context, source);
  using tree = openPrivately(context, opened);
  const { before, settled } = await settle(() => scanTree({ directory: tree.number, exclude, signal }), signal);
  await synchronise(tree, signal);
  const { digest, entries, bytes, newest } = before;
  return { digest, entries, bytes, newest, settled };
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
