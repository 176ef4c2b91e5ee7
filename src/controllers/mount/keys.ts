/** Which changes of other objects concern a mount on its node. */
import { keyOf } from '../../api/meta.ts';
import type { Volume, VolumeAttachment } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import { sameValue } from '../../kube/field-diff.ts';
import type { Delta } from '../../runtime/store.ts';
import { wantedHostPath } from '../policy/resolve-target.ts';
import type { AgentStores } from '../support/agent.ts';
import { BY_TARGET, BY_VOLUME } from '../support/indexes.ts';
import { conditionsDiffer, ordersDiffer } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';

/**
 * A grant of its own that came or went, storage that is ready, a spec that changed: all that a mount reads of its volume.
 * The grants of other nodes' mounts are none of it.
 */
export function volumeToMountKeys(delta: Delta<Volume>, stores: Pick<AgentStores, 'mounts'>): Wanted[] {
  const mounts = stores.mounts.byIndex(BY_VOLUME, delta.key);
  return mounts.filter((mount) => concerns(delta, mount)).map((mount) => ({ key: keyOf(mount) }));
}

/** Those that wait for the target of a mount that is gone. */
export function rivalKeys(delta: Delta<VolumeMount>, stores: Pick<AgentStores, 'mounts'>, mountRoot: string): Wanted[] {
  if (delta.type !== 'deleted') return [];
  return stores.mounts.byIndex(BY_TARGET, wantedHostPath(delta.old, mountRoot)).map((mount) => ({ key: keyOf(mount) }));
}

function concerns(delta: Delta<Volume>, mount: VolumeMount): boolean {
  if (delta.type !== 'updated') return true;
  const { old, object } = delta;
  return (
    ordersDiffer(old, object) ||
    conditionsDiffer(old, object, ['Provisioned', 'Stalled']) ||
    !sameValue(grantOf(old, mount), grantOf(object, mount))
  );
}

function grantOf({ status }: Volume, { metadata }: VolumeMount): VolumeAttachment | undefined {
  return status?.attachments?.find(({ mountUID }) => mountUID === metadata.uid);
}
