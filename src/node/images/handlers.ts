/**
 * The helper's side of image files.
 *
 * An image gets its name only when its filesystem is complete and on disk, so that a name is a promise. Its loop device
 * frees itself with the last user: dying between attach and mount leaks nothing.
 */
import { closeSync, constants, fstatSync, openSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { crashPoint } from '../crash-points.ts';
import { attributesOf } from '../helper/attributes.ts';
import { run } from '../helper/command.ts';
import type { HelperContext, RequestContext } from '../helper/context.ts';
import { Fd } from '../helper/fd.ts';
import { MNT_DETACH } from '../helper/libc.ts';
import { openBeneath, openRoot } from '../helper/open-beneath.ts';
import { checkEmpty, makeTarget, setImmutable, targetName } from '../helper/target.ts';
import type { BindResult, TargetPath } from '../layer.ts';
import { NodeError } from '../node-error.ts';
import { syncDirectory } from '../sync-directory.ts';
import { inTurn } from './clone.ts';
import { blockCalls, commandFailed, exists, loopsOf, noSpaceOr, setSize } from './files.ts';
import { backingFileOf, devicePathOf } from './loop-devices.ts';
import {
  type CreateImage,
  GROWING,
  type GrowImage,
  type ImageFilesystem,
  type MakeInside,
  type MountImage,
  UNFINISHED,
} from './operations.ts';

/** Suffix of an image that is not complete. */
const DIRECTORY_MODE_MASK = 0o7777;

/** Whether the device `major:minor` is a loop device of this file. */
function shows(device: string, file: string): boolean {
  return loopsOf(file).some((loop) => loop.device === device);
}

/** STORAGE choices: 4096-byte sectors work with direct I/O on clones; no discard of a file that is empty anyway. */
const MKFS: Readonly<Record<ImageFilesystem, (file: string) => readonly [string, ...string[]]>> = {
  xfs: (file) => ['mkfs.xfs', '-q', '-K', '-f', '-s', 'size=4096', '-m', 'reflink=1', file],
  ext4: (file) => [
    'mkfs.ext4',
    '-q',
    '-F',
    '-b',
    '4096',
    '-m',
    '0',
    '-e',
    'remount-ro',
    '-E',
    'nodiscard,lazy_itable_init=1',
    file,
  ],
};

export async function createImage(
  _context: HelperContext,
  { file, sizeBytes, allocation, filesystem }: CreateImage,
  request: RequestContext,
): Promise<{ readonly created: boolean }> {
  if (exists(file)) return { created: false };
  const unfinished = `${file}${UNFINISHED}`;
  rmSync(unfinished, { force: true });
  try {
    const handle = await open(unfinished, 'wx', 0o600);
    try {
      await setSize(handle.fd, sizeBytes, allocation, unfinished);
      crashPoint('image.after-allocate');
      await succeed(MKFS[filesystem](unfinished), request);
      crashPoint('image.after-mkfs');
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, file);
    crashPoint('image.after-rename');
    await syncDirectory(dirname(file));
  } catch (thrown) {
    rmSync(unfinished, { force: true });
    throw noSpaceOr(thrown, file);
  }
  return { created: true };
}

export async function mountImage(context: HelperContext, request: MountImage): Promise<BindResult> {
  const { libc, table } = context;
  const file = realpathSync(request.file);
  const attributes = attributesOf(request.options, false);
  using target = makeTarget(context, request.target);
  const there = libc.statx(target.fd.number, '');
  if (there.mountId !== target.parent.stat.mountId) {
    table.refresh();
    const entry = table.byId(there.mountId);
    if (entry === undefined || !shows(entry.device, file)) {
      throw new NodeError('ForeignMount', `${target.path} has ${entry?.source ?? 'something'} mounted`, {
        path: target.path,
      });
    }
    if (request.inside !== null)
      makeInside(context, { ...request.inside, target: request.target, device: entry.device });
    return { entry, created: false, immutableTarget: target.ours };
  }
  const present = presentLoop(context, file);
  checkEmpty(target.fd, target.path);
  const immutableTarget = target.ours && setImmutable(libc, target.fd, true);
  const loop = present ?? blockCalls().attach(file);
  try {
    crashPoint('image.after-attach');
    // A clone has the UUID of what it was cloned from, which may be mounted too.
    const flags = [...(request.discard ? ['discard'] : []), ...(request.filesystem === 'xfs' ? ['nouuid'] : [])];
    using tree = new Fd(libc, await blockCalls().mountDevice(loop.path, request.filesystem, flags, attributes.set));
    libc.moveMount(tree.number, target.fd.number);
    crashPoint('image.after-mount');
    const id = libc.statx(tree.number, '').mountId;
    table.refresh();
    const entry = table.byId(id);
    if (entry?.target !== target.path || !shows(entry.device, file)) {
      libc.umount(tree.procPath, MNT_DETACH);
      throw new NodeError('VerificationFailed', `${target.path} does not show the image that was mounted`, {
        path: target.path,
      });
    }
    if (request.inside !== null)
      makeInside(context, { ...request.inside, target: request.target, device: entry.device });
    return { entry, created: true, immutableTarget };
  } finally {
    closeSync(loop.fd);
  }
}

/**
 * The device that shows the image elsewhere in this namespace: its mount here went behind our back while binds of it stay,
 * and another mount of the same device is the same filesystem. Undefined when the image is attached nowhere.
 *
 * @throws NodeError `Busy` when it is attached and not mounted here: from two devices it would destroy itself.
 */
function presentLoop(
  { table }: HelperContext,
  file: string,
): { readonly path: string; readonly fd: number } | undefined {
  const loops = loopsOf(file);
  const [only] = loops;
  if (only === undefined) return undefined;
  table.refresh();
  if (loops.length === 1 && [...table.entries()].some(({ device }) => device === only.device)) {
    const fd = openSync(only.path, constants.O_RDWR);
    // It may have been given to another file between the two calls.
    if (shows(only.device, file)) return { path: only.path, fd };
    closeSync(fd);
  }
  throw new NodeError('Busy', `${file} is attached to ${loops.map(({ path }) => path).join(', ')} already`, {
    path: file,
  });
}

export async function growImage(
  _context: HelperContext,
  { file, sizeBytes, allocation, filesystem, target }: GrowImage,
  request: RequestContext,
): Promise<null> {
  if (target === null && filesystem === 'xfs') {
    throw new NodeError('Unsupported', `${basename(file)} has an xfs filesystem, which grows only while it is mounted`);
  }
  await extend(file, sizeBytes, allocation);
  crashPoint('image.after-extend');
  const [loop] = loopsOf(file);
  if (loop !== undefined) blockCalls().updateCapacity(loop.path);
  if (filesystem === 'xfs') {
    if (target === null || loop === undefined)
      throw new NodeError('Failed', `${basename(file)} is not mounted any more`);
    await succeed(['xfs_growfs', '-d', targetName(target)], request);
  } else if (target === null || loop === undefined) {
    // An unmounted ext4 grows in its file, after the check that resize2fs(8) demands.
    await succeed(['e2fsck', '-f', '-p', file], request, [0, 1]);
    await succeed(['resize2fs', file], request);
  } else {
    await growMountedExt4(devicePathOf(loop.device) ?? loop.path, request);
  }
  crashPoint('image.after-grow');
  rmSync(`${file}${GROWING}`, { force: true });
  return null;
}

/** Makes the file larger, and leaves a note of the size before until its filesystem has grown too. */
async function extend(file: string, sizeBytes: bigint, allocation: 'sparse' | 'full'): Promise<void> {
  const fd = openSync(file, constants.O_RDWR | constants.O_NOFOLLOW);
  const before = BigInt(fstatSync(fd).size);
  try {
    if (before >= sizeBytes) return;
    noteSize(`${file}${GROWING}`, before);
    await syncDirectory(dirname(file));
    crashPoint('image.before-extend');
    await setSize(fd, sizeBytes, allocation, file);
  } catch (thrown) {
    throw noSpaceOr(thrown, file);
  } finally {
    closeSync(fd);
  }
}

/** A note that is there already is of an earlier attempt, and tells the size that the filesystem still has. */
function noteSize(link: string, sizeBytes: bigint): void {
  try {
    symlinkSync(String(sizeBytes), link);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
  }
}

async function growMountedExt4(device: string, request: RequestContext): Promise<void> {
  const result = await run({ argv: ['resize2fs', device] }, request);
  if (result.status === 0) return;
  if (/Permission denied|Operation not permitted/.test(result.stderr)) {
    throw new NodeError('Unsupported', 'ext4 grows online only with CAP_SYS_RESOURCE, which this process lacks');
  }
  throw commandFailed('resize2fs', result.stderr);
}

export async function removeImage(_context: HelperContext, { file }: { readonly file: string }): Promise<null> {
  for (const path of [file, `${file}${UNFINISHED}`]) {
    if (!exists(path)) continue;
    const users = loopsOf(path);
    if (users.length > 0) {
      throw new NodeError('Busy', `${path} is still attached to ${users.map((loop) => loop.path).join(', ')}`, {
        path,
      });
    }
    await unlink(path);
    crashPoint('image.after-unlink');
  }
  rmSync(`${file}${GROWING}`, { force: true });
  if (exists(dirname(file))) await syncDirectory(dirname(file));
  return null;
}

export async function freeze(
  context: HelperContext,
  { target, device, frozen }: { readonly target: TargetPath; readonly device: string; readonly frozen: boolean },
  { signal }: RequestContext,
): Promise<null> {
  const { libc, table } = context;
  using root = openRoot(libc, target.root);
  using directory = openBeneath(libc, root, target.path, targetName(target));
  const stat = libc.statx(directory.number, '');
  const entry = table.byId(stat.mountId);
  const image = backingFileOf(device);
  // A path that is no mount point would freeze the filesystem below it, the root one too.
  if (!stat.isMountRoot || entry?.device !== device || image === undefined) {
    throw new NodeError('ForeignMount', `${targetName(target)} does not show the image on device ${device}`);
  }
  const fd = openSync(directory.procPath, constants.O_RDONLY);
  try {
    await inTurn(image, async () => {
      // Given up while a clone was made: nobody would know that it is frozen.
      if (signal.aborted) throw new NodeError('Aborted', `${targetName(target)} was left as it is`);
      await blockCalls().setFrozen(fd, frozen, targetName(target));
    });
  } finally {
    closeSync(fd);
  }
  return null;
}

export async function probeClone(
  _context: HelperContext,
  { directory }: { readonly directory: string },
): Promise<{ readonly cloneable: boolean; readonly message: string }> {
  const names = ['source', 'clone'].map((name) => join(directory, `.probe-${process.pid}-${name}`));
  const [source = '', clone = ''] = names;
  try {
    const from = await open(source, 'w+', 0o600);
    const to = await open(clone, 'w+', 0o600);
    try {
      await from.write(Buffer.alloc(4096, 1));
      const errno = blockCalls().clone(from.fd, to.fd);
      return errno === null
        ? { cloneable: true, message: 'files can share blocks' }
        : { cloneable: false, message: `files in ${directory} cannot share blocks (${errno})` };
    } finally {
      await from.close();
      await to.close();
    }
  } finally {
    for (const name of names) rmSync(name, { force: true });
  }
}

/** Made only where it is missing, so that a workload's own changes to its permissions stay. */
export function makeInside({ libc, table }: HelperContext, inside: MakeInside): null {
  const { target, device } = inside;
  using root = openRoot(libc, target.root);
  using mounted = openBeneath(libc, root, target.path, targetName(target));
  const stat = libc.statx(mounted.number, '');
  if (!stat.isMountRoot || table.byId(stat.mountId)?.device !== device) {
    throw new NodeError('ForeignMount', `${targetName(target)} does not show the filesystem that was mounted`);
  }
  // One call makes it with all its bits: a mode that came later could be missing after a crash.
  const umask = process.umask(0);
  try {
    libc.mkdirat(mounted.number, inside.name, inside.mode & DIRECTORY_MODE_MASK);
  } catch (thrown) {
    if (!(thrown instanceof NodeError) || thrown.errno !== 'EEXIST') throw thrown;
  } finally {
    process.umask(umask);
  }
  return null;
}

async function succeed(
  argv: readonly [string, ...string[]],
  request: RequestContext,
  accepted: readonly number[] = [0],
): Promise<void> {
  const { status, stderr, stdout } = await run({ argv }, request);
  if (status === null || !accepted.includes(status)) throw commandFailed(argv[0], stderr === '' ? stdout : stderr);
}
