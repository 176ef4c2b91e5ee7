/**
 * Puts the content of another tree into a directory that is missing or empty, for drivers whose volumes are directories.
 *
 * Missing: the copy is made beside, and renamed. Empty: it is made inside, and moved up name by name once it is complete. Either
 * way what is not complete has a name of ours, so that a kill leaves nothing that looks like data; and nothing that is there is
 * ever overwritten. A record, made before anything else, says that it was begun, later that the copy was complete, and last
 * that it has its place.
 */
import { basename, dirname, join } from 'node:path';
import { Reason } from '../../api/reasons.ts';
import { NO_DEADLINE_MS, type TargetPath } from '../../node/layer.ts';
import { Records } from '../../node/records.ts';
import type { CopiedTree, TreeSource } from '../../node/trees/operations.ts';
import { DriverError, type LongCall } from '../driver.ts';
import { consistencyOf, HIDDEN, type TreeNode, UNFINISHED } from './snapshots.ts';

/** Begins the names of what is made here and not complete. */
export const FILLING = '.clawstore-fill-';
const FOLDER = 'fills';
/** mkfs.ext4(8) makes it in every filesystem. */
const LOST_AND_FOUND = 'lost+found';

/** What is remembered of a volume that was made from another one, or from a snapshot. */
export interface FillRecord {
  /** The copy is complete and on disk; it may not have its name yet. */
  readonly isComplete: boolean;
  /** It has its name, and nothing else is left of it. */
  readonly isPlaced?: boolean;
  /** The directory was missing, and made. */
  readonly isMade: boolean;
  /** What people should know of the content; null when all is of one moment. */
  readonly note: string | null;
}

/** The records of every volume on this node that was made from something; all drivers share them. */
export function fillRecords(stateDir: string): Records<FillRecord> {
  return new Records(join(stateDir, FOLDER), isFillRecord);
}

function isFillRecord(value: unknown): value is FillRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { isComplete, isPlaced, isMade, note } = value as Partial<Record<keyof FillRecord, unknown>>;
  const flags = [isComplete, isMade, isPlaced ?? false];
  return flags.every((flag) => typeof flag === 'boolean') && (note === null || typeof note === 'string');
}

/** A directory that is to be filled, of the volume with this UID. */
export interface FillTarget {
  readonly node: TreeNode;
  readonly records: Records<FillRecord>;
  readonly uid: string;
  /** `path` may be empty: the root itself. */
  readonly tree: TargetPath;
}

export interface FillContent {
  readonly source: TreeSource;
  /** For messages. */
  readonly name: string;
  /** It is a snapshot, so that changes are a fault. */
  readonly isFixed: boolean;
  readonly mayCreate: boolean;
}

export async function fillTree(target: FillTarget, content: FillContent, call: LongCall): Promise<void> {
  const { node, records, uid, tree } = target;
  if (await isPlaced(target, call.signal)) return;
  const { beside, inside } = unfinishedOf(target);
  const options = { signal: call.signal };
  const names = await namesIn(target, call.signal);
  const where = names === undefined ? beside : inside;
  if (where === undefined || (names === undefined && !content.mayCreate)) {
    throw new DriverError(Reason.HostPathNotFound, `"${join(tree.root, tree.path)}" is not there`);
  }
  const complete = names === undefined ? basename(tree.path) : basename(inside.path).slice(0, -UNFINISHED.length);
  const held = { ...inside, path: join(tree.path, complete) };
  if (names === undefined || !(await exists(node, held, call.signal))) {
    if (names !== undefined && names.length > 0) throw notEmpty(target, names);
    const isMade = names === undefined;
    records.write(uid, { isComplete: false, isMade, note: null });
    const copied = await copyTo(target, where, content, call);
    records.write(uid, { isComplete: true, isMade, note: noteOf(content, copied) });
    await node.call('nameTree', { tree: where, name: complete }, options);
  }
  if (names !== undefined) await node.call('unfoldTree', { tree: held }, options);
  notePlaced(target);
}

/** The volume has all of its content. That is noted, so that nobody needs to look for what is left. */
export async function isPlaced(target: FillTarget, signal: AbortSignal): Promise<boolean> {
  if (!(await isFilled(target, signal))) return false;
  notePlaced(target);
  return true;
}

/** The volume has all of its content. */
export async function isFilled(target: FillTarget, signal: AbortSignal): Promise<boolean> {
  const { node, records, uid, tree } = target;
  if (records.read(uid)?.isComplete !== true || !(await exists(node, tree, signal))) return false;
  for (const left of leftOf(target)) if (await exists(node, left, signal)) return false;
  return true;
}

/** Removes what a fill has left that was never complete, and the record. */
export async function forgetFill(target: FillTarget, signal: AbortSignal): Promise<void> {
  const { node, records, uid } = target;
  if (records.read(uid) === undefined) return;
  for (const left of leftOf(target)) if (await exists(node, left, signal)) await node.removeTree(left, signal);
  records.remove(uid);
}

function notePlaced({ records, uid }: FillTarget): void {
  const record = records.read(uid);
  if (record?.isComplete === true && record.isPlaced !== true) records.write(uid, { ...record, isPlaced: true });
}

async function copyTo(
  { node }: FillTarget,
  destination: TargetPath,
  { source, name, isFixed }: FillContent,
  call: LongCall,
): Promise<CopiedTree> {
  const copied = await node.call(
    'copyTree',
    { source, destination, exclude: HIDDEN },
    { ...call, deadlineMs: NO_DEADLINE_MS },
  );
  if (!isFixed || copied.changes.count === 0) return copied;
  await node.removeTree(destination, call.signal);
  throw new DriverError(Reason.CloneFailed, `${name} was changed or removed while it was copied`);
}

function noteOf({ name, isFixed }: FillContent, { changes }: CopiedTree): string | null {
  if (isFixed || changes.count === 0) return null;
  return `It was copied from ${name}, which was written to meanwhile. ${consistencyOf(changes).message}`;
}

/** Undefined when the directory does not exist. */
async function namesIn({ node, tree, uid }: FillTarget, signal: AbortSignal): Promise<readonly string[] | undefined> {
  const exclude = [`${FILLING}${uid}`, `${FILLING}${uid}${UNFINISHED}`, HIDDEN, LOST_AND_FOUND];
  return (await node.call('lookAtTree', { source: { own: tree }, exclude }, { signal }))?.names;
}

function notEmpty({ tree }: FillTarget, names: readonly string[]): DriverError {
  const shown = names.map((name) => JSON.stringify(name)).join(', ');
  const message = `"${join(tree.root, tree.path)}" is not empty (${shown} …), and nothing is overwritten by a dataSource.`;
  return new DriverError(Reason.CloneFailed, message);
}

function unfinishedOf({ tree: { root, path }, uid }: FillTarget) {
  const name = `${FILLING}${uid}${UNFINISHED}`;
  return {
    beside: path === '' ? undefined : { root, path: join(dirname(path), name) },
    inside: { root, path: join(path, name) },
  };
}

function leftOf(target: FillTarget): readonly TargetPath[] {
  const { beside, inside } = unfinishedOf(target);
  const complete = { ...inside, path: inside.path.slice(0, -UNFINISHED.length) };
  return [...(beside === undefined ? [] : [beside]), inside, complete];
}

async function exists(node: TreeNode, tree: TargetPath, signal: AbortSignal): Promise<boolean> {
  return (await node.call('lookAtTree', { source: { own: tree } }, { signal })) !== null;
}
