/**
 * The helper's side of cloning an image while a filesystem in it is in use.
 *
 * What is done while writers wait is kept short: extents are counted and dirty data is written before, the clone is put on
 * disk after. A watchdog thaws whatever happens to this process. The kernel says whether it worked: a filesystem that is
 * still frozen when it is thawed here was frozen all the time.
 */
import { closeSync, constants, fstatSync, openSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { crashPoint } from '../crash-points.ts';
import { run } from '../helper/command.ts';
import type { HelperContext, RequestContext } from '../helper/context.ts';
import { openBeneath, openRoot } from '../helper/open-beneath.ts';
import { targetName } from '../helper/target.ts';
import { NodeError } from '../node-error.ts';
import { syncDirectory } from '../sync-directory.ts';
import { type BlockUse, type CloneCalls, loadCloneCalls } from './clone-calls.ts';
import { allocateAll, commandFailed, exists, isAttached, noSpaceOr } from './files.ts';
import { Holds } from './hold.ts';
import { backingFileOf } from './loop-devices.ts';
import {
  type ClonedImage,
  type CloneImage,
  GROWING,
  type MountedImage,
  type NameImage,
  type ReplaceImage,
  UNFINISHED,
} from './operations.ts';
import { Gate, Turns } from './turns.ts';

/** What FICLONE takes for one extent on XFS, measured (STORAGE). */
const MS_PER_EXTENT = 0.021;
/** What a plain copy moves at least, so that its time can be told before. */
const COPIED_BYTES_PER_MS = 100_000;
/** `st_blocks`, stat(2). */
const STAT_BLOCK = 512;
const SYNCS_AT_ONCE = 6;

const turns = new Turns();
const holds = new Holds(cloneCalls, turns);
const syncGate = new Gate(SYNCS_AT_ONCE);

let loaded: CloneCalls | undefined;

function cloneCalls(): CloneCalls {
  loaded ??= loadCloneCalls();
  return loaded;
}

/** Nobody freezes or thaws the image while another does: each would undo what the other relies on. */
export function inTurn<T>(image: string, work: () => Promise<T>): Promise<T> {
  return turns.take(image, work);
}

export async function cloneImage(
  context: HelperContext,
  request: CloneImage,
  requestContext: RequestContext,
): Promise<ClonedImage> {
  // An attempt that was given up may still run: it ends first.
  return turns.take(`${request.file}${UNFINISHED}`, () => cloneUnfinished(context, request, requestContext));
}

async function cloneUnfinished(
  context: HelperContext,
  request: CloneImage,
  requestContext: RequestContext,
): Promise<ClonedImage> {
  const source = realpathSync(request.source);
  const unfinished = `${request.file}${UNFINISHED}`;
  rmSync(unfinished, { force: true });
  refuseAborted(requestContext);
  const from = openSync(source, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const to = await open(unfinished, 'wx', 0o600);
    try {
      const job: Job = { ...request, source, unfinished, from, to: to.fd, requestContext };
      const cloned = await cloneTo(context, job);
      refuseAborted(requestContext);
      if (request.allocation === 'full') await allocateAll(to.fd, BigInt(fstatSync(from).size), unfinished);
      await to.sync();
      crashPoint('clone.after-sync');
      return cloned;
    } finally {
      await to.close();
    }
  } catch (thrown) {
    rmSync(unfinished, { force: true });
    throw noSpaceOr(thrown, request.file);
  } finally {
    closeSync(from);
  }
}

interface Job extends CloneImage {
  readonly unfinished: string;
  readonly from: number;
  readonly to: number;
  readonly requestContext: RequestContext;
}

async function cloneTo(context: HelperContext, job: Job): Promise<ClonedImage> {
  if (job.mounted === null) return cloneIdle(job);
  using root = openRoot(context.libc, job.mounted.target.root);
  using directory = openBeneath(context.libc, root, job.mounted.target.path, targetName(job.mounted.target));
  checkShows(context, directory.number, job.mounted, job.source);
  const fd = openSync(directory.procPath, constants.O_RDONLY);
  try {
    const name = targetName(job.mounted.target);
    await syncGate.pass(() => cloneCalls().syncFilesystem(fd, name));
    refuseAborted(job.requestContext);
    if (job.hold === 'never') return await cloneRunning(job, 'writers were not held, as was asked', false);
    const expectedMs = await expectedTime(job);
    if (expectedMs > job.freezeTimeoutMs) {
      const message = `writers would have to wait about ${Math.ceil(expectedMs)} ms, longer than the ${job.freezeTimeoutMs} ms that are allowed`;
      return await cloneRunning(job, message, false);
    }
    const { source, by, freezeTimeoutMs: timeoutMs, requestContext } = job;
    const held = await holds.make({
      // A copy takes too long to make others wait for it.
      key: by === 'copy' ? job.unfinished : `${source} ${timeoutMs}`,
      image: source,
      fd,
      name,
      timeoutMs,
      expectedMs,
      check: () => refuseAborted(requestContext),
      fill: (ended) => fillHeld(job, ended),
    });
    if (held.writers === 'held') return { ...held, why: '' };
    const message = `writers were let go after ${timeoutMs} ms, before the image was cloned`;
    return givenUp(job, message, true, { ...held, why: '' });
  } finally {
    closeSync(fd);
  }
}

/** One clone for a hold: false when a copy ran out of time, which ended with the watchdog. */
async function fillHeld(job: Job, ended: AbortSignal): Promise<boolean> {
  try {
    await fillBlocks(job, ended);
    return true;
  } catch (thrown) {
    if (job.by === 'clone' || !ended.aborted) throw thrown;
    return false;
  }
}

/** Mounted nowhere: the image is as its last unmount left it. */
async function cloneIdle(job: Job): Promise<ClonedImage> {
  const elsewhere = 'the image is mounted in another mount namespace, where its writers cannot be held';
  if (isAttached(job.source)) return cloneRunning(job, elsewhere, true);
  const takenAt = new Date();
  await fillBlocks(job);
  const idle: ClonedImage = { takenAt, writers: 'idle', heldMs: 0, why: '' };
  if (!isAttached(job.source)) return idle;
  return givenUp(job, 'the image was mounted while it was cloned', true, idle);
}

/** FICLONE takes all blocks at one moment, whoever writes: the clone is as after a power cut. A copy is not. */
async function cloneRunning(job: Job, why: string, mayPass: boolean): Promise<ClonedImage> {
  const takenAt = new Date();
  if (job.hold === 'must' || job.by === 'copy') throw tooLong(job, why, mayPass);
  await fillBlocks(job);
  return { takenAt, writers: 'running', heldMs: 0, why };
}

function givenUp(job: Job, why: string, mayPass: boolean, cloned: ClonedImage): ClonedImage {
  if (job.hold === 'must' || job.by === 'copy') throw tooLong(job, why, mayPass);
  return { ...cloned, writers: 'running', why };
}

function tooLong({ by, source }: Job, why: string, mayPass: boolean): NodeError {
  const hint = by === 'copy' ? ' (its pool cannot clone files, so it has to be copied while nobody writes)' : '';
  return new NodeError('FreezeTimeout', `${basename(source)}: ${why}${hint}`, { retryable: mayPass });
}

async function expectedTime({ by, from }: Job): Promise<number> {
  if (by === 'copy') return (fstatSync(from).blocks * STAT_BLOCK) / COPIED_BYTES_PER_MS;
  return ((await cloneCalls().countExtents(from)) ?? 0) * MS_PER_EXTENT;
}

async function fillBlocks(
  { by, from, to, source, unfinished, requestContext }: Job,
  ended?: AbortSignal,
): Promise<void> {
  if (by === 'clone') return cloneCalls().clone(from, to, unfinished);
  const signal = ended === undefined ? requestContext.signal : AbortSignal.any([requestContext.signal, ended]);
  const { status, stderr } = await run(
    { argv: ['cp', '--reflink=never', '--sparse=auto', '--', source, unfinished] },
    { signal },
  );
  if (status !== 0) throw commandFailed('cp', stderr);
}

/** A path that is no mount point would freeze the filesystem below it, the root one too. */
function checkShows(
  { libc, table }: HelperContext,
  fd: number,
  { target, device }: MountedImage,
  source: string,
): void {
  const stat = libc.statx(fd, '');
  if (stat.isMountRoot && table.byId(stat.mountId)?.device === device && backingFileOf(device) === source) return;
  throw new NodeError('ForeignMount', `${targetName(target)} does not show ${basename(source)} on device ${device}`);
}

/** The clone becomes the image that it was made for, or was already. */
export async function nameImage(_context: HelperContext, { file, filesystemBytes }: NameImage): Promise<null> {
  const unfinished = `${file}${UNFINISHED}`;
  if (exists(unfinished)) {
    if (filesystemBytes !== null && BigInt(statSync(unfinished).size) > filesystemBytes) {
      rmSync(`${file}${GROWING}`, { force: true });
      symlinkSync(String(filesystemBytes), `${file}${GROWING}`);
    }
    await rename(unfinished, file);
    crashPoint('clone.after-rename');
  }
  if (!exists(file)) throw new NodeError('NotFound', `there is no clone for ${file}`, { path: file });
  await syncDirectory(dirname(file));
  return null;
}

export function replaceImage(_context: HelperContext, request: ReplaceImage): Promise<null> {
  const { file, inode, filesystemBytes } = request;
  const unfinished = `${file}${UNFINISHED}`;
  return turns.take(unfinished, async () => {
    const stat = statSync(unfinished, { bigint: true, throwIfNoEntry: false });
    if (stat?.ino !== inode) throw new NodeError('NotFound', `there is no clone for ${file}`, { path: file });
    // Whoever has it mounted would go on with a file that has no name any more.
    if (isAttached(file)) throw new NodeError('Busy', `${file} is attached to a loop device`, { path: file });
    const growing = `${file}${GROWING}`;
    const isSmaller = stat.size > filesystemBytes;
    if (isSmaller) {
      rmSync(growing, { force: true });
      symlinkSync(String(filesystemBytes), growing);
    }
    await rename(unfinished, file);
    // What was not grown yet is gone. Were it believed once more, it would only be grown once more.
    if (!isSmaller) rmSync(growing, { force: true });
    crashPoint('clone.after-rename');
    await syncDirectory(dirname(file));
    return null;
  });
}

export async function blockUse(
  _context: HelperContext,
  { file, most }: { readonly file: string; readonly most: number },
): Promise<BlockUse | null> {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    return (await cloneCalls().blockUse(fd, most)) ?? null;
  } finally {
    closeSync(fd);
  }
}

function refuseAborted({ signal }: RequestContext): void {
  if (signal.aborted) throw new NodeError('Aborted', 'the clone was given up');
}
