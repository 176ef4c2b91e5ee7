import { existsSync, readdirSync, readFileSync } from 'node:fs';

export interface LoopDevice {
  readonly name: string;
  readonly backing: string;
}

/** The loop devices of this machine whose backing file has `part` in its path (also one that was deleted). */
export function loopDevicesOf(part: string): readonly LoopDevice[] {
  if (part === '') return [];
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop') && existsSync(`/sys/block/${name}/loop/backing_file`))
    .flatMap((name) => {
      try {
        const backing = readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim();
        return backing.includes(part) ? [{ name, backing }] : [];
      } catch {
        return []; // released meanwhile
      }
    });
}
