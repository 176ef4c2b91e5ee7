/** A hostPath volume in the words of its driver. Pure. */
import { Reason } from '../../api/reasons.ts';
import type { UserPath } from '../../node/layer.ts';
import { isAtOrBelow } from '../../node/mount-entry.ts';
import { DriverError, type DriverVolume } from '../driver.ts';
import { FILLING } from '../trees/fill.ts';
import { HIDDEN } from '../trees/snapshots.ts';

export type HostPathSource = Extract<DriverVolume['source'], { readonly type: 'hostPath' }>;

export function hostPathOf({ source }: DriverVolume): HostPathSource {
  if (source.type === 'hostPath') return source;
  throw new DriverError(Reason.InvalidSpec, `a ${source.type} volume was given to the hostPath driver`, {
    terminal: true,
  });
}

export function mayCreate(volume: DriverVolume): boolean {
  return hostPathOf(volume).pathType === 'DirectoryOrCreate';
}

/** The path and the prefix that allows it. Throws `HostPathNotAllowed` when none does. */
export function userPath(volume: DriverVolume): UserPath {
  const { path, allowedPrefixes } = hostPathOf(volume);
  const refuse = (why: string): never => {
    throw new DriverError(Reason.HostPathNotAllowed, `${JSON.stringify(path)} ${why}`, { terminal: true });
  };
  // Snapshots of other volumes: whoever could mount them could read and change them.
  if (path.split('/').some((name) => name === HIDDEN || name.startsWith(FILLING))) {
    refuse('lies in a directory that clawstore keeps for itself');
  }
  const prefix = narrowestPrefix(volume);
  if (prefix === undefined)
    return refuse(`is below none of the allowed prefixes (${allowedPrefixes.join(', ') || 'none'})`);
  return { prefix, path };
}

/** For looking and for taking down: what was mounted while it was allowed must be recognised afterwards too. */
export function formerPath(volume: DriverVolume): UserPath {
  return { prefix: narrowestPrefix(volume) ?? '/', path: hostPathOf(volume).path };
}

export function narrowestPrefix(volume: DriverVolume): string | undefined {
  const { path, allowedPrefixes } = hostPathOf(volume);
  return allowedPrefixes
    .filter((prefix) => isAtOrBelow(path, prefix))
    .sort((a, b) => b.length - a.length)
    .at(0);
}
