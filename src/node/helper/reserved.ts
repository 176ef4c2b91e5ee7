/** Refuses directories by where they really are, so that a bind mount or a link is no way round the list of names. */
import { isAtOrBelow } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import type { HelperContext } from './context.ts';
import { type Located, locate } from './location.ts';
import { openRoot } from './open-beneath.ts';
import { refuseReserved } from './paths.ts';

/** The directories whose content must not be reachable under another name. */
const GUARDED = ['/boot', '/dev', '/etc', '/proc', '/sys', '/usr', '/var/lib/kubelet'];

interface Guarded {
  readonly name: string;
  readonly device: string;
  readonly root: string;
}

/** Seconds matter little here: only root can move these directories. */
const KEEP_MS = 5_000;
let cache: { readonly key: string; readonly at: number; readonly guarded: readonly Guarded[] } | undefined;

/** Throws `HostPathNotAllowed` when the opened directory is, holds, or lies in a reserved one. */
export function refuseReservedLocation(context: HelperContext, located: Located, shownAs: string): void {
  refuseReserved(located.realPath, context.settings, shownAs);
  for (const { name, device, root } of guarded(context)) {
    if (located.device !== device) continue;
    if (isAtOrBelow(located.root, root) || isAtOrBelow(root, located.root)) {
      throw new NodeError('HostPathNotAllowed', `${JSON.stringify(shownAs)} is another name of ${name}`, {
        path: shownAs,
      });
    }
  }
}

function guarded(context: HelperContext): readonly Guarded[] {
  const { stateDir, mountRoot } = context.settings;
  const key = `${stateDir}\0${mountRoot}`;
  const now = performance.now();
  if (cache !== undefined && cache.key === key && now - cache.at < KEEP_MS) return cache.guarded;
  const found = [...GUARDED, stateDir, mountRoot].flatMap((name) => locateName(context, name));
  cache = { key, at: now, guarded: found };
  return found;
}

function locateName({ libc, table }: HelperContext, name: string): Guarded[] {
  try {
    using fd = openRoot(libc, name);
    const { device, root } = locate(libc, table, fd);
    return [{ name, device, root }];
  } catch (error) {
    // A directory this machine does not have has no other name either.
    if (error instanceof NodeError && error.code === 'NotFound') return [];
    throw error;
  }
}
