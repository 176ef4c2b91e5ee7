/** What all reconcilers of one agent share: its node, its caches, its writers. */

import type { Namespace } from '../../api/core.ts';
import type { Restore } from '../../api/restore.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Volume, VolumeType } from '../../api/volume.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import type { Driver } from '../../drivers/driver.ts';
import type { EventSink } from '../../kube/events.ts';
import type { NodeLayer } from '../../node/layer.ts';
import type { ReadStore } from '../../runtime/store.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { contentOf } from '../policy/data-source.ts';
import type { NamedData, PolicyFacts } from '../policy/facts.ts';
import { wantedHostPath } from '../policy/resolve-target.ts';
import { wasProvisioned } from '../policy/resolve-volume.ts';
import {
  BY_DATA_SOURCE,
  BY_SOURCE_UID,
  BY_TARGET,
  BY_UID,
  BY_VOLUME,
  BY_VOLUME_UID,
  dataSourceOf,
  sourceUidOf,
  uidOf,
  volumeOfMount,
  volumeOfSnapshot,
  volumeUidOf,
  volumeUidOfVolumeRestore,
} from './indexes.ts';
import type { KeyedLock } from './keyed-lock.ts';
import type { Live } from './live.ts';
import type { BackupTools } from './repository-access.ts';
import type { Uses } from './uses.ts';
import type { Writer } from './writes.ts';

/** The caches of an agent. Volumes, mounts, snapshots, restores and volume restores are filtered by the server to those of this node. */
export interface AgentStores {
  readonly volumes: ReadStore<Volume>;
  readonly mounts: ReadStore<VolumeMount>;
  readonly snapshots: ReadStore<Snapshot>;
  readonly restores: ReadStore<Restore>;
  readonly volumeRestores: ReadStore<VolumeRestore>;
  readonly classes: ReadStore<VolumeClass>;
  readonly namespaces: ReadStore<Namespace>;
}

/** The part of the node layer that reconcilers use beside the drivers. */
export type NodeMounts = Pick<NodeLayer, 'mountRoot' | 'table' | 'unmount'>;

export interface AgentDependencies {
  readonly nodeName: string;
  /** Prefixes that this node allows for host paths. */
  readonly hostPathAllow: readonly string[];
  readonly stores: AgentStores;
  readonly drivers: ReadonlyMap<VolumeType, Driver>;
  readonly node: NodeMounts;
  readonly writer: Writer;
  /** For the moment before what cannot be undone. */
  readonly live: Live;
  readonly events: EventSink;
  /** By volume UID: one action at a time on one volume's storage. */
  readonly locks: KeyedLock;
  /** What is being read by work that goes on outside of the queue. */
  readonly uses: Uses;
  /** The Secrets and ConfigMaps that volumes name; none without it. */
  readonly named?: NamedData | undefined;
  readonly metrics?: Metrics | undefined;
  /** What backups are made with; none without it. */
  readonly backups?: BackupTools | undefined;
}

/** Adds the indexes that the agent's reconcilers need. */
export function addAgentIndexes(stores: AgentStores, mountRoot: string): void {
  stores.volumes.addIndex(BY_UID, uidOf);
  stores.volumes.addIndex(BY_DATA_SOURCE, dataSourceOf);
  stores.snapshots.addIndex(BY_UID, uidOf);
  stores.snapshots.addIndex(BY_VOLUME, volumeOfSnapshot);
  stores.snapshots.addIndex(BY_SOURCE_UID, sourceUidOf);
  stores.restores.addIndex(BY_VOLUME_UID, volumeUidOf);
  stores.volumeRestores.addIndex(BY_VOLUME_UID, volumeUidOfVolumeRestore);
  stores.mounts.addIndex(BY_VOLUME, volumeOfMount);
  stores.mounts.addIndex(BY_TARGET, (mount) => [wantedHostPath(mount, mountRoot)]);
}

/** The facts that judge a volume on this node. */
export function policyFacts(
  { stores, hostPathAllow }: Pick<AgentDependencies, 'stores' | 'hostPathAllow'>,
  volume: Volume,
): PolicyFacts {
  return {
    volume,
    classNamed: (name) => stores.classes.get(name),
    namespaceLabels: stores.namespaces.get(volume.metadata.namespace ?? '')?.metadata.labels,
    node: { hostPathAllow },
    content: wasProvisioned(volume.status) ? undefined : contentOf(volume, stores),
  };
}
