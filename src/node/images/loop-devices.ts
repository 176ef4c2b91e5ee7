/** What sysfs tells of loop devices (`Documentation/ABI/testing/sysfs-block`, `loop/backing_file`). */
import { readdirSync, readFileSync } from 'node:fs';

export interface LoopDevice {
  /** `/dev/loopN`. */
  readonly path: string;
  /** `major:minor`, as in the mount table. */
  readonly device: string;
  /** Ends in ` (deleted)` when the file was unlinked: what has its path now is another file. */
  readonly backingFile: string;
}

/** Path of the file behind a device `major:minor`; undefined when it is no loop device in use. */
export function backingFileOf(device: string): string | undefined {
  return read(`/sys/dev/block/${device}/loop/backing_file`);
}

/** Path of the device `major:minor` in /dev. */
export function devicePathOf(device: string): string | undefined {
  const name = /^DEVNAME=(.+)$/m.exec(read(`/sys/dev/block/${device}/uevent`) ?? '')?.[1];
  return name === undefined ? undefined : `/dev/${name}`;
}

/** Every loop device in use. */
export function loopDevices(): readonly LoopDevice[] {
  return readdirSync('/sys/block').flatMap((name) => {
    if (!name.startsWith('loop')) return [];
    const backingFile = read(`/sys/block/${name}/loop/backing_file`);
    const device = read(`/sys/block/${name}/dev`);
    if (backingFile === undefined || device === undefined) return [];
    return [{ path: `/dev/${name}`, device, backingFile }];
  });
}

/**
 * Loop devices of a file that is named by a UID, so that no other file has its name; its path as the kernel shows it, which
 * is absolute and without symbolic links.
 */
export function loopsOf(file: string): readonly LoopDevice[] {
  return loopDevices().filter(({ backingFile }) => backingFile === file);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}
