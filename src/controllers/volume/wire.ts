/** The agent's controller of Volumes, and what queues their keys. */
import { isTrue } from '../../api/conditions.ts';
import { FINALIZERS } from '../../api/group.ts';
import { isDeleting, keyOf } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { Manager } from '../../runtime/manager.ts';
import { timerSource } from '../../runtime/source.ts';
import type { Delta } from '../../runtime/store.ts';
import { restoreToVolumeKeys } from '../restore/keys.ts';
import { snapshotToVolumeKeys, volumeToCloneKeys } from '../snapshot/keys.ts';
import type { AgentDependencies, AgentStores } from '../support/agent.ts';
import type { AgentWiring } from '../support/agent-wiring.ts';
import type { DriftWatch } from '../support/drift.ts';
import { BY_VOLUME, volumeKeyOf } from '../support/indexes.ts';
import { Jobs } from '../support/jobs.ts';
import { keysNamingObjects } from '../support/named-data.ts';
import { mustBeProbed, PROBE_MS } from '../support/probing.ts';
import { concernsAgent, grantsDiffer, policyDiffers } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, LOOK_MS, RESYNC_MS, resyncSource } from '../support/sources.ts';
import type { StorageChanges } from '../support/storage-changes.ts';
import { wantedBack } from '../support/take-back.ts';
import { volumeRestoreToVolumeKeys } from '../volume-restore/keys.ts';
import { volumeReconciler } from './reconciler.ts';

export interface VolumeWiring extends AgentWiring {
  readonly drift: DriftWatch;
  readonly storage: StorageChanges;
}

export function addVolumes(manager: Manager, wiring: VolumeWiring): void {
  const { dependencies, caches, named, clock, concurrency, drift, storage } = wiring;
  const { volumes, mounts, snapshots, restores, volumeRestores, classes, namespaces } = caches;
  const { stores, drivers } = dependencies;
  const jobs = new Jobs({ ...wiring.jobs, name: 'fill' });
  const all = (): Wanted[] => stores.volumes.keys().map((key) => ({ key }));
  manager.addController({
    name: 'volume',
    concurrency,
    reconcile: volumeReconciler({ ...dependencies, jobs }),
    sources: [
      deltaSource(volumes, (delta) => [...volumeKeys(delta), ...volumeToCloneKeys(delta, stores)]),
      deltaSource(snapshots, (delta) => snapshotToVolumeKeys(delta, stores)),
      deltaSource(mounts, mountToVolumeKeys),
      deltaSource(restores, (delta) => restoreToVolumeKeys(delta, stores)),
      deltaSource(volumeRestores, (delta) => volumeRestoreToVolumeKeys(delta, stores)),
      deltaSource(classes, (delta) => (policyDiffers(delta) ? all() : [])),
      deltaSource(namespaces, (delta) => (policyDiffers(delta) ? all() : [])),
      drift.volumes,
      storage.volumes,
      jobs.source,
      named.source('named-data', () => keysNamingObjects(stores.volumes.list())),
      timerSource('usage', clock, LOOK_MS, () => limitedVolumes(stores)),
      timerSource('probe', clock, PROBE_MS, () => remoteVolumes(stores, drivers)),
      resyncSource('volume-resync', clock, RESYNC_MS, () => stores.volumes.keys()),
    ],
  });
  manager.addRunnable(jobs.closer('fills'));
}

function volumeKeys(delta: Delta<Volume>): Wanted[] {
  if (concernsAgent(delta, FINALIZERS.volume)) return [wantedBack(delta)];
  // The last grant that goes lets a deletion go on; otherwise they are of its mounts.
  const goesOn = delta.type === 'updated' && isDeleting(delta.object) && grantsDiffer(delta.old, delta.object);
  return goesOn ? [wantedBack(delta)] : [];
}

/** A mount that goes may let its volume be unstaged or deleted. */
function mountToVolumeKeys(delta: Delta<VolumeMount>): Wanted[] {
  if (delta.type === 'added') return [];
  if (delta.type === 'updated' && delta.old.metadata.deletionTimestamp === delta.object.metadata.deletionTimestamp) {
    return [];
  }
  return [{ key: volumeKeyOf(delta.old) }];
}

/** Volumes whose use of space is worth watching. */
function limitedVolumes({ volumes }: AgentStores): string[] {
  return volumes
    .list()
    .filter(({ status }) => isTrue(status?.conditions, 'CapacityEnforced'))
    .map(keyOf);
}

/** Those on a server that are mounted here, and those whose server was not as it should be: it makes no event when it is back. */
function remoteVolumes({ mounts, volumes }: AgentStores, drivers: AgentDependencies['drivers']): string[] {
  return volumes
    .list()
    .filter((volume) => mustBeProbed(volume, drivers) && !isTrue(volume.status?.conditions, 'Stalled'))
    .filter(
      (volume) => mounts.byIndex(BY_VOLUME, keyOf(volume)).length > 0 || !isTrue(volume.status?.conditions, 'Ready'),
    )
    .map(keyOf);
}
