/** What the operations on image files share. */
import { fstatSync, ftruncateSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { NodeError } from '../node-error.ts';
import { type BlockCalls, loadBlockCalls } from './block-calls.ts';
import { type LoopDevice, loopDevices } from './loop-devices.ts';

let loaded: BlockCalls | undefined;

export function blockCalls(): BlockCalls {
  loaded ??= loadBlockCalls();
  return loaded;
}

/**
 * Loop devices of a file. Told by the inode: a name may be another file's in another mount namespace, and one file may
 * have several.
 */
export function loopsOf(file: string): readonly LoopDevice[] {
  const { dev, ino } = statSync(file, { bigint: true });
  return loopDevices().filter(({ path }) => {
    const backing = blockCalls().backing(path);
    return backing?.dev === dev && backing.ino === ino;
  });
}

export function isAttached(file: string): boolean {
  return loopsOf(file).length > 0;
}

export async function setSize(
  fd: number,
  sizeBytes: bigint,
  allocation: 'sparse' | 'full',
  path: string,
): Promise<void> {
  if (allocation === 'full') {
    const before = BigInt(fstatSync(fd).size);
    try {
      // Only what is new: XFS wants room for the whole range it is told, allocated already or not.
      await blockCalls().allocate(fd, before, sizeBytes, path);
    } catch (thrown) {
      // What was allocated before the room ended would stay taken.
      ftruncateSync(fd, Number(before));
      throw thrown;
    }
    return;
  }
  ftruncateSync(fd, Number(sizeBytes));
}

/** Gives a file every block of its size: those that it lacks. */
export async function allocateAll(fd: number, sizeBytes: bigint, path: string): Promise<void> {
  await blockCalls().allocate(fd, 0n, sizeBytes, path);
}

export function commandFailed(program: string, output: string): NodeError {
  const line = output.trim().split('\n').slice(-3).join('; ');
  if (/No space left/.test(output)) return new NodeError('NoSpace', `${program}: ${line}`);
  return new NodeError('CommandFailed', `${program}: ${line}`);
}

export function noSpaceOr(thrown: unknown, file: string): NodeError {
  const error = NodeError.from(thrown);
  if (error.errno !== 'ENOSPC' && error.errno !== 'EFBIG' && error.code !== 'NoSpace') return error;
  return new NodeError('NoSpace', `there is no room for ${basename(file)} in ${dirname(file)}`, {
    errno: error.errno,
    path: file,
    cause: error,
  });
}

export function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
