/** Where a volume is mounted once on this node, for drivers that have something to mount. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { uidSegment } from '../api/names.ts';
import type { NodeLayer, TargetPath, UnmountOutcome, UnmountRequest } from '../node/layer.ts';
import type { MountEntry } from '../node/mount-entry.ts';
import { asDriver } from './failure.ts';

/** Below the mount root; no namespace has a name like this. */
export const STAGE_FOLDER = '.volumes';
/** @throws NameError when the UID could not be part of a path. */
export function stageTarget({ mountRoot }: Pick<NodeLayer, 'mountRoot'>, uid: string): TargetPath {
  return { root: mountRoot, path: `${STAGE_FOLDER}/${uidSegment('metadata.uid', uid)}` };
}

export function stageMountOf(node: Pick<NodeLayer, 'mountRoot' | 'table'>, uid: string): MountEntry | undefined {
  return node.table.at(pathOf(stageTarget(node, uid)));
}

/** It is mounted, or its directory is left: an unmount keeps that for as long as another mount namespace shows the mount. */
export function isStageLeft(node: Pick<NodeLayer, 'mountRoot' | 'table'>, uid: string): boolean {
  return stageMountOf(node, uid) !== undefined || existsSync(pathOf(stageTarget(node, uid)));
}

/** Every stage mount of this node. */
export function stageMounts({ mountRoot, table }: Pick<NodeLayer, 'mountRoot' | 'table'>): readonly MountEntry[] {
  return table.below(join(mountRoot, STAGE_FOLDER));
}

/** The UID of the volume that is staged at a path, as far as its name says; undefined for any other path. */
export function stagedUid({ mountRoot }: Pick<NodeLayer, 'mountRoot'>, path: string): string | undefined {
  const folder = `${join(mountRoot, STAGE_FOLDER)}/`;
  if (!path.startsWith(folder)) return undefined;
  const name = path.slice(folder.length);
  return name.includes('/') ? undefined : name;
}

/** Takes the stage mount down; done only when no mount namespace shows its filesystem any more. */
export function unmountStage(
  node: Pick<NodeLayer, 'mountRoot' | 'table' | 'unmount'>,
  uid: string,
  signal: AbortSignal,
  was?: UnmountRequest['was'],
): Promise<UnmountOutcome> {
  const request: UnmountRequest = {
    target: stageTarget(node, uid),
    mountId: stageMountOf(node, uid)?.id,
    scope: 'device',
    ...(was === undefined ? {} : { was }),
  };
  return asDriver('UnmountFailed', () => node.unmount(request, signal));
}

/** In a few words, why an unmount of a stage is not done. */
export function inUse(outcome: UnmountOutcome): string {
  if (outcome.outcome !== 'busy') return outcome.outcome;
  const { mounts = [] } = outcome;
  return mounts.length > 0 ? `mounted at ${mounts.join(', ')}` : outcome.outcome;
}

export function pathOf({ root, path }: TargetPath): string {
  return join(root, path);
}
