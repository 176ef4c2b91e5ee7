/**
 * Puts the content of a snapshot in the place of what a directory has, for drivers whose volumes are directories. The copy is
 * made whole in a directory of ours inside the volume's own, and swapped in there (`swapTree`); what was before goes last.
 * Where one was begun and its Restore is gone, the next one ends it first: it is never built on half of something.
 */
import { Reason } from '../../api/reasons.ts';
import { crashPoint } from '../../node/crash-points.ts';
import { NO_DEADLINE_MS, type TargetPath } from '../../node/layer.ts';
import { NodeError } from '../../node/node-error.ts';
import type { SwapTree, TreeSource } from '../../node/trees/operations.ts';
import { DriverError, type DriverRestore, type DriverSnapshot, type DriverVolume, type LongCall } from '../driver.ts';
import type { Reverts } from '../reverts.ts';
import { HIDDEN, type TreeNode, UNFINISHED } from './snapshots.ts';

/** Longest that names are moved, in milliseconds: a hundred thousand on a slow server. Then it goes on with the next try. */
const SWAP_MS = 1_800_000;

export interface RevertTarget {
  readonly node: TreeNode;
  readonly reverts: Reverts;
  /** `path` may be empty: the root itself. */
  readonly tree: TargetPath;
  /** Name of the volume's storage, for messages. */
  readonly name: string;
}

export interface TreeRevert {
  readonly volume: DriverVolume;
  readonly snapshot: DriverSnapshot;
  readonly restore: DriverRestore;
  /** Does something with the data of the snapshot. */
  readonly read: (work: (source: TreeSource) => Promise<void>) => Promise<void>;
}

export async function revertTree(target: RevertTarget, revert: TreeRevert, call: LongCall): Promise<void> {
  const { node, reverts } = target;
  const { volume, snapshot, restore } = revert;
  const swap = swapOf(target.tree, restore.uid);
  const begun = reverts.begunOf(volume.uid);
  if (reverts.of(restore)?.done === true) {
    if (begun?.restoreUID === restore.uid) reverts.takeBack(volume.uid);
    return await clear(target, restore.uid, call.signal);
  }
  const look = await node.call('lookAtTree', { source: { own: target.tree } }, { signal: call.signal });
  if (look === null) throw new DriverError(Reason.DataMissing, `${target.name} is not there`);
  if (begun !== undefined && begun.restoreUID !== restore.uid) await endOther(target, volume.uid, call.signal);
  const state = await node.call('swapState', swap, { signal: call.signal });
  const isSwapped = begun?.restoreUID === restore.uid && state === 'none';
  if (!isSwapped) {
    if (state === 'none') await revert.read((source) => copyFresh(target, swap, source, revert, call));
    crashPoint('revert.after-clone');
    reverts.begin(restore, volume, snapshot);
    await swapIn(target, swap, volume.uid, call.signal);
    crashPoint('revert.after-name');
  }
  reverts.finish(restore.uid, volume.uid, snapshot.uid);
  await clear(target, restore.uid, call.signal);
}

/** Removes what a revert has left that is no content of the volume any more, or never was. */
export async function forgetRevert(target: RevertTarget, volumeUID: string, signal: AbortSignal): Promise<void> {
  const begun = target.reverts.begunOf(volumeUID);
  // What was moved aside is still the owner's: it is put where it belongs rather than removed.
  if (begun !== undefined) await endOther(target, volumeUID, signal);
  target.reverts.forget(volumeUID);
}

/** Ends what another Restore has begun: all of it is there, or nothing was moved. */
async function endOther(target: RevertTarget, volumeUID: string, signal: AbortSignal): Promise<void> {
  const { node, reverts } = target;
  const begun = reverts.begunOf(volumeUID);
  if (begun === undefined) return;
  const swap = swapOf(target.tree, begun.restoreUID);
  if ((await node.call('swapState', swap, { signal })) !== 'none') await swapIn(target, swap, volumeUID, signal);
  reverts.finish(begun.restoreUID, volumeUID, begun.snapshotUID);
  await clear(target, begun.restoreUID, signal);
}

async function copyFresh(
  { node, tree }: RevertTarget,
  { fresh }: SwapTree,
  source: TreeSource,
  { snapshot }: TreeRevert,
  call: LongCall,
): Promise<void> {
  const destination = inHidden(tree, `${fresh}${UNFINISHED}`);
  const options = { ...call, deadlineMs: NO_DEADLINE_MS };
  const { changes } = await node.call('copyTree', { source, destination, exclude: HIDDEN }, options);
  if (changes.count > 0) {
    await node.removeTree(destination, call.signal);
    throw new DriverError(Reason.RevertFailed, `snapshot ${snapshot.name} was changed while it was copied`);
  }
  await node.call('nameTree', { tree: destination, name: fresh }, { signal: call.signal });
}

/** Not ended by whoever gives the revert up: it takes a moment, and half of it is worse than either end. */
async function swapIn(
  { node, reverts, name, tree }: RevertTarget,
  swap: SwapTree,
  volumeUID: string,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const options = { signal: new AbortController().signal, deadlineMs: SWAP_MS };
  try {
    await node.call('swapTree', swap, options);
  } catch (thrown) {
    const error = NodeError.from(thrown);
    // Unless a helper died under it, it says itself whether anything was moved.
    if (error.code !== 'HelperLost' && (await node.call('swapState', swap, { signal })) === 'ready') {
      await node.removeTree(inHidden(tree, swap.fresh), signal);
      await node.call('removeEmptyTree', inHidden(tree), { signal });
      reverts.takeBack(volumeUID);
      if (error.code === 'MountBelow') {
        const message = `${name} cannot go back: ${error.message}`;
        throw new DriverError(Reason.RevertFailed, message, { terminal: true, cause: thrown });
      }
    }
    throw thrown;
  }
}

async function clear({ node, tree }: RevertTarget, restoreUID: string, signal: AbortSignal): Promise<void> {
  const { fresh, aside } = swapOf(tree, restoreUID);
  for (const name of [`${fresh}${UNFINISHED}`, aside]) await node.removeTree(inHidden(tree, name), signal);
  await node.call('removeEmptyTree', inHidden(tree), { signal });
}

function swapOf(tree: TargetPath, restoreUID: string): SwapTree {
  return { tree, hidden: HIDDEN, fresh: `revert-${restoreUID}`, aside: `revert-${restoreUID}.aside` };
}

function inHidden({ root, path }: TargetPath, name?: string): TargetPath {
  return { root, path: [path, HIDDEN, name].filter((part) => part !== undefined && part !== '').join('/') };
}
