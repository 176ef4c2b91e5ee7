/**
 * Puts the content of a snapshot in the place of what a directory has, for drivers whose volumes are directories. The copy is
 * made whole in a directory of ours inside the volume's own, and swapped in there (`swapTree`); what was before goes last.
 * Where names were moved and the Restore is gone, the next one ends that first: it is never built on half of something. That
 * can be read in the directory itself, so that another node knows it too. Where none was moved, the copy is removed.
 */
import { isUid } from '../../api/names.ts';
import { Reason } from '../../api/reasons.ts';
import { crashPoint } from '../../node/crash-points.ts';
import { NO_DEADLINE_MS, type TargetPath } from '../../node/layer.ts';
import { NodeError } from '../../node/node-error.ts';
import type { SwapTree, TreeSource } from '../../node/trees/operations.ts';
import { DriverError, type DriverRestore, type DriverSnapshot, type DriverVolume, type LongCall } from '../driver.ts';
import type { BegunRevert, Reverts } from '../reverts.ts';
import { halfError } from '../reverts.ts';
import { HIDDEN, type TreeNode, UNFINISHED } from './snapshots.ts';

/** Longest that names are moved, in milliseconds: a hundred thousand on a slow server. Then it goes on with the next try. */
const SWAP_MS = 1_800_000;
/** Begins the names of new content; the UID of its Restore follows. */
const FRESH = 'revert-';
const ASIDE = '.aside';

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
    return await clear(target, volume.uid, restore.uid, call.signal);
  }
  const look = await node.call('lookAtTree', { source: { own: target.tree } }, { signal: call.signal });
  if (look === null) throw new DriverError(Reason.DataMissing, `${target.name} is not there`);
  await endOthers(target, volume.uid, restore.uid, call.signal);
  const state = await node.call('swapState', swap, { signal: call.signal });
  const isSwapped = begun?.restoreUID === restore.uid && state === 'none';
  if (!isSwapped) {
    if (state === 'none') await revert.read((source) => copyFresh(target, swap, source, revert, call));
    crashPoint('revert.after-clone');
    reverts.begin(restore, volume, snapshot);
    await swapIn(target, swap, { volumeUID: volume.uid, restoreUID: restore.uid }, call.signal);
    crashPoint('revert.after-name');
  }
  reverts.finish(restore.uid, volume.uid, snapshot.uid);
  await clear(target, volume.uid, restore.uid, call.signal);
}

/** Removes what a revert has left that is no content of the volume any more, or never was. */
export async function forgetRevert(target: RevertTarget, volumeUID: string, signal: AbortSignal): Promise<void> {
  const begun = target.reverts.begunOf(volumeUID);
  // What was moved aside is still the owner's: it is put where it belongs rather than removed.
  if (begun !== undefined) await endOther(target, volumeUID, begun, signal);
  await tidyRevert(target, volumeUID, signal);
  target.reverts.forget(volumeUID);
}

/** Removes what was copied for a Restore that is gone, where no name was moved for it. */
export async function tidyRevert(target: RevertTarget, volumeUID: string, signal: AbortSignal): Promise<void> {
  const restoreUID = target.reverts.copyOf(volumeUID);
  if (restoreUID === undefined) return;
  const state = await target.node.call('swapState', swapOf(target.tree, restoreUID), { signal });
  if (state !== 'half') await discard(target, volumeUID, restoreUID, signal);
}

/** The Restores that have left a part of each in a directory, on whatever node, by their UIDs. */
export async function halvesIn(
  node: Pick<TreeNode, 'call'>,
  tree: TargetPath,
  options: { readonly signal: AbortSignal; readonly deadlineMs?: number },
): Promise<readonly string[]> {
  const names = await node.call('halfSwaps', { tree, hidden: HIDDEN, asideEnd: ASIDE }, options);
  // Whoever writes to the volume may make names too: no other becomes a part of a path.
  return names
    .filter((name) => name.startsWith(FRESH))
    .map((name) => name.slice(FRESH.length))
    .filter(isUid);
}

/** @throws DriverError `RevertIncomplete` where a directory has a part of each. */
export async function refuseHalfTree(
  node: Pick<TreeNode, 'call'>,
  tree: TargetPath,
  options: { readonly signal: AbortSignal; readonly deadlineMs?: number },
): Promise<void> {
  const [restoreUID] = await halvesIn(node, tree, options);
  if (restoreUID !== undefined) throw halfError({ restoreUID, restoreName: '', snapshotName: '' });
}

/** Nothing of a revert that was begun is left to be done in a directory; not known of one that is not there. */
export async function isEnded(
  node: Pick<TreeNode, 'call'>,
  tree: TargetPath,
  { restoreUID }: BegunRevert,
  signal: AbortSignal,
): Promise<boolean> {
  if ((await node.call('lookAtTree', { source: { own: tree } }, { signal })) === null) return false;
  return (await node.call('swapState', swapOf(tree, restoreUID), { signal })) === 'none';
}

/** Ends what other Restores have begun, here or on another node, which only the directory knows of. */
async function endOthers(
  target: RevertTarget,
  volumeUID: string,
  restoreUID: string,
  signal: AbortSignal,
): Promise<void> {
  const begun = target.reverts.begunOf(volumeUID);
  if (begun !== undefined && begun.restoreUID !== restoreUID) await endOther(target, volumeUID, begun, signal);
  for (const other of await halvesIn(target.node, target.tree, { signal })) {
    if (other === restoreUID) continue;
    await endOther(target, volumeUID, { restoreUID: other, snapshotUID: '' }, signal);
  }
  if (target.reverts.copyOf(volumeUID) !== restoreUID) await tidyRevert(target, volumeUID, signal);
}

/** Ends what another Restore has begun: all of it is there, or nothing was moved. */
async function endOther(
  target: RevertTarget,
  volumeUID: string,
  { restoreUID, snapshotUID }: Pick<BegunRevert, 'restoreUID' | 'snapshotUID'>,
  signal: AbortSignal,
): Promise<void> {
  const { node, reverts, tree } = target;
  const swap = swapOf(tree, restoreUID);
  const state = await node.call('swapState', swap, { signal });
  // Who gave it up before anything was moved wants what is there.
  if (state === 'ready') return await discard(target, volumeUID, restoreUID, signal);
  if (state === 'half') await swapIn(target, swap, { volumeUID, restoreUID }, signal);
  reverts.finish(restoreUID, volumeUID, snapshotUID);
  await clear(target, volumeUID, restoreUID, signal);
}

/** Removes new content of which nothing was moved, or what was being made of it: the volume is as it was. */
async function discard(
  target: RevertTarget,
  volumeUID: string,
  restoreUID: string,
  signal: AbortSignal,
): Promise<void> {
  const { node, reverts, tree } = target;
  const swap = swapOf(tree, restoreUID);
  // First of all: without new content, what was begun counts as done. And it loses its name before it is removed: half of
  // it must not be swapped in.
  if (reverts.begunOf(volumeUID)?.restoreUID === restoreUID) reverts.takeBack(volumeUID);
  if ((await node.call('swapState', swap, { signal })) === 'ready') {
    const name = `${swap.fresh}${UNFINISHED}`;
    await node.call('nameTree', { tree: inHidden(tree, swap.fresh), name }, { signal });
  }
  await clear(target, volumeUID, restoreUID, signal);
}

async function copyFresh(
  { node, tree, reverts }: RevertTarget,
  { fresh }: SwapTree,
  source: TreeSource,
  { snapshot, volume, restore }: TreeRevert,
  call: LongCall,
): Promise<void> {
  reverts.noteCopy(volume.uid, restore.uid);
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
  target: RevertTarget,
  swap: SwapTree,
  { volumeUID, restoreUID }: { readonly volumeUID: string; readonly restoreUID: string },
  signal: AbortSignal,
): Promise<void> {
  const { node, name } = target;
  signal.throwIfAborted();
  const options = { signal: new AbortController().signal, deadlineMs: SWAP_MS };
  try {
    await node.call('swapTree', swap, options);
  } catch (thrown) {
    const error = NodeError.from(thrown);
    // Unless a helper died under it, it says itself whether anything was moved.
    if (error.code !== 'HelperLost' && (await node.call('swapState', swap, { signal })) === 'ready') {
      await discard(target, volumeUID, restoreUID, signal);
      if (error.code === 'MountBelow') {
        const message = `${name} cannot go back: ${error.message}`;
        throw new DriverError(Reason.RevertFailed, message, { terminal: true, cause: thrown });
      }
    }
    throw thrown;
  }
}

async function clear(
  { node, reverts, tree }: RevertTarget,
  volumeUID: string,
  restoreUID: string,
  signal: AbortSignal,
): Promise<void> {
  const { fresh, aside } = swapOf(tree, restoreUID);
  for (const name of [`${fresh}${UNFINISHED}`, aside]) await node.removeTree(inHidden(tree, name), signal);
  await node.call('removeEmptyTree', inHidden(tree), { signal });
  if (reverts.copyOf(volumeUID) === restoreUID) reverts.copyIsGone(volumeUID);
}

function swapOf(tree: TargetPath, restoreUID: string): SwapTree {
  const fresh = `${FRESH}${restoreUID}`;
  return { tree, hidden: HIDDEN, fresh, aside: `${fresh}${ASIDE}` };
}

function inHidden({ root, path }: TargetPath, name?: string): TargetPath {
  return { root, path: [path, HIDDEN, name].filter((part) => part !== undefined && part !== '').join('/') };
}
