/** The controller of the rights of nodes, and what queues its keys. */
import type { Namespace, Role, RoleBinding } from '../../api/core.ts';
import type { ResourceDescriptor } from '../../api/meta.ts';
import {
  BACKUP_REPOSITORIES,
  BACKUPS,
  NAMESPACES,
  RESTORES,
  ROLE_BINDINGS,
  ROLES,
  SNAPSHOTS,
  VOLUME_BACKUPS,
  VOLUME_CLASSES,
  VOLUME_MOUNTS,
  VOLUME_RESTORES,
  VOLUMES,
} from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { KubeClient } from '../../kube/client.ts';
import { sameValue } from '../../kube/field-diff.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Delta } from '../../runtime/store.ts';
import type { Clock } from '../../telemetry/clock.ts';
import { BY_VOLUME, volumeOfMount } from '../support/indexes.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import { BY_RIGHTS, contribution, type NodeObject, rightsOf } from './grants.ts';
import { NODE_RIGHTS_LABELS, nodeRightsReconciler, rightsOfRole } from './reconciler.ts';

export interface NodeRightsOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly leaderOnly: boolean;
  /** Namespace with the ServiceAccounts of the nodes. */
  readonly accounts: string;
}

/** Kinds whose objects belong to nodes. */
const KINDS: readonly ResourceDescriptor[] = [
  VOLUMES,
  VOLUME_MOUNTS,
  SNAPSHOTS,
  BACKUP_REPOSITORIES,
  BACKUPS,
  VOLUME_BACKUPS,
  RESTORES,
  VOLUME_RESTORES,
];

/** Adds the controller to a manager whose API server has RBAC. */
export function addNodeRights(manager: Manager, { client, clock, leaderOnly, accounts }: NodeRightsOptions): void {
  const caches = KINDS.map((resource) => ({ plural: resource.plural, cache: manager.cache<NodeObject>(resource) }));
  const kinds = new Map(caches.map(({ plural, cache }) => [plural, cache.store]));
  const mounts = manager.cache<VolumeMount>(VOLUME_MOUNTS).store;
  const volumes = manager.cache<Volume>(VOLUMES);
  const classes = manager.cache<VolumeClass>(VOLUME_CLASSES);
  const namespaces = manager.cache<Namespace>(NAMESPACES);
  const labelSelector = Object.entries(NODE_RIGHTS_LABELS)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  const roles = manager.cache<Role>(ROLES, { labelSelector });
  const bindings = manager.cache<RoleBinding>(ROLE_BINDINGS, { labelSelector });
  for (const { cache } of caches) cache.store.addIndex(BY_RIGHTS, rightsOf);
  mounts.addIndex(BY_VOLUME, volumeOfMount);

  const all = (): string[] => [
    ...new Set([
      ...caches.flatMap(({ cache }) => cache.store.list().flatMap(rightsOf)),
      ...[...roles.store.list(), ...bindings.store.list()].map(rightsOfRole),
    ]),
  ];
  /** A volume on a server concerns the nodes that mount it too. */
  const mounters = ({ key }: Delta<Volume>): Wanted[] =>
    mounts
      .byIndex(BY_VOLUME, key)
      .flatMap(rightsOf)
      .map((one) => ({ key: one }));
  const ofRole = (delta: Delta<Role> | Delta<RoleBinding>): Wanted[] => [
    { key: rightsOfRole(delta.type === 'deleted' ? delta.old : delta.object) },
  ];

  manager.addController({
    name: 'node-rights',
    reconcile: nodeRightsReconciler({
      kinds,
      volumes: volumes.store,
      classes: classes.store,
      roles: roles.store,
      bindings: bindings.store,
      namespaces: namespaces.store,
      client,
      accounts,
    }),
    leaderOnly,
    sources: [
      ...caches.map(({ plural, cache }) => deltaSource(cache, (delta) => keysOf(plural, delta))),
      deltaSource(volumes, (delta) => (differs(VOLUMES.plural, delta) ? mounters(delta) : [])),
      deltaSource(classes, (delta) => {
        const matters = delta.type !== 'updated' || !sameValue(delta.old.spec, delta.object.spec);
        return matters ? all().map((key) => ({ key })) : [];
      }),
      deltaSource(namespaces, () => []),
      deltaSource(roles, ofRole),
      deltaSource(bindings, ofRole),
      resyncSource('node-rights-resync', clock, RESYNC_MS, all),
    ],
  });
}

function keysOf(plural: string, delta: Delta<NodeObject>): Wanted[] {
  if (!differs(plural, delta)) return [];
  const keys = new Set([
    ...(delta.type === 'added' ? [] : rightsOf(delta.old)),
    ...(delta.type === 'deleted' ? [] : rightsOf(delta.object)),
  ]);
  return [...keys].map((key) => ({ key }));
}

function differs(plural: string, delta: Delta<NodeObject>): boolean {
  return delta.type !== 'updated' || contribution(plural, delta.old) !== contribution(plural, delta.object);
}
