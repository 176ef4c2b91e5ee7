/** The agent's controller of VolumeMounts, and what queues their keys. */
import { FINALIZERS } from '../../api/group.ts';
import { keyOf } from '../../api/meta.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { Manager } from '../../runtime/manager.ts';
import { timerSource } from '../../runtime/source.ts';
import type { Delta } from '../../runtime/store.ts';
import { restoreToMountKeys } from '../restore/keys.ts';
import type { AgentDependencies, AgentStores } from '../support/agent.ts';
import type { AgentWiring } from '../support/agent-wiring.ts';
import type { DriftWatch } from '../support/drift.ts';
import { BY_VOLUME, volumeKeyOf } from '../support/indexes.ts';
import { keysNamingObjects } from '../support/named-data.ts';
import { mustBeProbed, PROBE_MS } from '../support/probing.ts';
import { concernsAgent, policyDiffers } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import type { StorageChanges } from '../support/storage-changes.ts';
import { wantedBack } from '../support/take-back.ts';
import { volumeRestoreToMountKeys } from '../volume-restore/keys.ts';
import { rivalKeys, volumeToMountKeys } from './keys.ts';
import { mountReconciler } from './reconciler.ts';

export interface MountWiring extends AgentWiring {
  readonly drift: DriftWatch;
  readonly storage: StorageChanges;
}

export function addMounts(manager: Manager, wiring: MountWiring): void {
  const { dependencies, caches, named, clock, concurrency, drift, storage } = wiring;
  const { mounts, volumes, restores, volumeRestores, classes } = caches;
  const { stores, drivers, node } = dependencies;
  const all = (): Wanted[] => stores.mounts.keys().map((key) => ({ key }));
  manager.addController({
    name: 'mount',
    concurrency,
    reconcile: mountReconciler({
      ...dependencies,
      quietly: (key, target, work) => drift.quietly(key, target, work),
    }),
    sources: [
      deltaSource(mounts, (delta) => [...mountKeys(delta), ...rivalKeys(delta, stores, node.mountRoot)]),
      deltaSource(volumes, (delta) => volumeToMountKeys(delta, stores)),
      deltaSource(restores, (delta) => restoreToMountKeys(delta, stores)),
      deltaSource(volumeRestores, (delta) => volumeRestoreToMountKeys(delta, stores)),
      deltaSource(classes, (delta) => (policyDiffers(delta) ? all() : [])),
      drift.mounts,
      storage.mounts,
      named.source('named-data-of-mounts', () => mountsNamingObjects(stores)),
      timerSource('probe', clock, PROBE_MS, () => mountsToProbe(stores, drivers)),
      resyncSource('mount-resync', clock, RESYNC_MS, () => stores.mounts.keys()),
    ],
  });
}

function mountKeys(delta: Delta<VolumeMount>): Wanted[] {
  return concernsAgent(delta, FINALIZERS.mount) ? [wantedBack(delta)] : [];
}

/** Mounts of volumes that name a Secret or ConfigMap: of one that another node owns, only they are worked on here. */
function mountsNamingObjects({ volumes, mounts }: AgentStores): string[] {
  return keysNamingObjects(volumes.list()).flatMap((key) => mounts.byIndex(BY_VOLUME, key).map(keyOf));
}

/** Mounts of storage that is not on this node, where the driver does not tell by itself that one has died. */
function mountsToProbe({ mounts, volumes }: AgentStores, drivers: AgentDependencies['drivers']): string[] {
  return mounts
    .list()
    .filter((mount) => {
      const volume = volumes.get(volumeKeyOf(mount));
      return volume !== undefined && mustBeProbed(volume, drivers);
    })
    .map(keyOf);
}
