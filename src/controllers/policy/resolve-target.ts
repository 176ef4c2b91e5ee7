/** Where a VolumeMount is mounted on the host: the default target below the mount root, or the exact one it asks for. */

import { mountTarget } from '../../api/names.ts';
import { cleanPath, isWithin, pathProblem } from '../../api/paths.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { Refusal } from './facts.ts';

export interface MountTarget {
  /** Trusted directory that the target is resolved beneath. */
  readonly root: string;
  /** Path below `root`, without a slash at the start. */
  readonly path: string;
  /** Both together: what `status.hostPath` says. */
  readonly hostPath: string;
}

export type TargetResolution =
  | { readonly ok: true; readonly target: MountTarget }
  | { readonly ok: false; readonly refusal: Refusal };

/** Returns the host path a VolumeMount asks for, as text and unchecked: the key for "who else uses this target". */
export function wantedHostPath(mount: VolumeMount, mountRoot: string): string {
  const { metadata, spec } = mount;
  return spec.hostPath === undefined
    ? mountTarget(mountRoot, metadata.namespace ?? '', metadata.name)
    : cleanPath(spec.hostPath);
}

/** Resolves the target. `allowedPrefixes` holds what class and node both allow. */
export function resolveTarget(
  mount: VolumeMount,
  mountRoot: string,
  allowedPrefixes: readonly string[],
): TargetResolution {
  const hostPath = wantedHostPath(mount, mountRoot);
  if (mount.spec.hostPath === undefined) return { ok: true, target: below(cleanPath(mountRoot), hostPath) };
  const problem = pathProblem(mount.spec.hostPath);
  if (problem !== undefined) {
    return { ok: false, refusal: { reason: 'InvalidSpec', message: `spec.hostPath ${problem}.`, stalled: true } };
  }
  // The longest prefix: the least that has to be walked below it.
  const prefix = allowedPrefixes
    .filter((candidate) => isWithin(hostPath, candidate) && hostPath !== cleanPath(candidate))
    .sort((a, b) => b.length - a.length)[0];
  if (prefix === undefined) {
    const allowed = allowedPrefixes.join(', ') || 'nothing';
    return {
      ok: false,
      refusal: {
        reason: 'HostPathNotAllowed',
        message: `spec.hostPath "${hostPath}" is not below what VolumeClass and node allow (${allowed}).`,
        stalled: true,
      },
    };
  }
  return { ok: true, target: below(cleanPath(prefix), hostPath) };
}

function below(root: string, hostPath: string): MountTarget {
  return { root, path: hostPath.slice(root === '/' ? 1 : root.length + 1), hostPath };
}
