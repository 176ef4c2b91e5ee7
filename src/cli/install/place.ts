/** Whether an installation stays where it is: a unit names it by its path at every boot. */
import { realpathSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../package-root.ts';
import { isInside } from '../settings.ts';

/** `f_type` of statfs(2) of filesystems that are empty after a reboot. */
const IN_MEMORY: ReadonlyMap<number, string> = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
]);
const TEMPORARY = ['/tmp', '/var/tmp', '/run', '/dev/shm'];

/** The launcher of this very installation, by its real path. */
export function thisLauncher(): string {
  return realpathSync(join(packageRoot(), 'bin', 'clawstore'));
}

/** Says why a launcher may not be there at the next boot; undefined when nothing is known against it. */
export function placeObjection(launcher: string, fsType = statfsSync(launcher).type): string | undefined {
  const parts = launcher.split('/');
  const cache = parts.find((part) => part === '_npx' || part === 'dlx' || part.startsWith('dlx-'));
  if (cache !== undefined) return 'lies in a cache from which packages are run once';
  const folder = TEMPORARY.find((path) => isInside(launcher, path));
  if (folder !== undefined) return `lies in ${folder}, which is cleared`;
  const memory = IN_MEMORY.get(fsType);
  return memory === undefined ? undefined : `lies in memory (${memory})`;
}
