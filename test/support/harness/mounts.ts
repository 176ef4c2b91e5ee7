/** What the kernel says about mounts and loop devices, read here and not through the product. */
import { readFileSync } from 'node:fs';
import { loopDevicesOf } from '../../../scripts/test/loops.ts';
import { isAtOrBelow, type MountEntry, parseMountinfo } from '../../../src/node/mount-entry.ts';
import { exec } from './exec.ts';
import { Hopeless, waitFor } from './wait.ts';

/** The mount table of this suite's namespace, or of a process's. */
export function mountTable(pid: number | 'self' = 'self'): readonly MountEntry[] {
  return parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
}

/** Mounts at or below a directory, in the kernel's order. */
export function mountsBelow(directory: string, pid: number | 'self' = 'self'): readonly MountEntry[] {
  return mountTable(pid).filter(({ target }) => isAtOrBelow(target, directory));
}

/** The mounts on exactly this path, lowest first. */
export function mountsAt(path: string): readonly MountEntry[] {
  return mountTable().filter(({ target }) => target === path);
}

/** Loop devices whose image lies below a directory (also when it was deleted). */
export function loopsBelow(directory: string): readonly string[] {
  return loopDevicesOf(`${directory}/`).map(({ name, backing }) => `${name} ${backing}`);
}

/** Mount IDs by target, for comparing before and after; a target that is stacked has several. */
export function mountIds(directory: string): Readonly<Record<string, readonly number[]>> {
  const ids: Record<string, number[]> = {};
  for (const { target, id } of mountsBelow(directory)) (ids[target] ??= []).push(id);
  return ids;
}

/** Unmounts what is on top there, as a person would: somebody (the product among others) may be looking at it just now. */
export async function unmount(path: string): Promise<void> {
  await waitFor(
    async () => {
      const { code, stderr } = await exec('umount', [path]);
      if (code !== 0 && !stderr.includes('busy')) throw new Hopeless(`umount ${path}: ${stderr}`);
      return code === 0;
    },
    { message: `${path} to be busy no more` },
  );
}
