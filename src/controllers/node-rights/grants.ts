/**
 * What the agent of a node may read in a namespace besides objects of our kinds, as rules of a Role: the Secrets and
 * ConfigMaps that the objects of its node name, by their names. Pure.
 */
import type { BackupRepository } from '../../api/backup-repository.ts';
import type { PolicyRule } from '../../api/core.ts';
import { GROUP, TEND_VERB } from '../../api/group.ts';
import type { KubeObjectBase } from '../../api/meta.ts';
import { BACKUP_REPOSITORIES, RESTORES, VOLUME_MOUNTS, VOLUMES } from '../../api/meta.ts';
import { type NamedResource, namesFor } from '../../api/references.ts';
import type { Restore } from '../../api/restore.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { volumeKeyOf } from '../support/indexes.ts';

/** An object of a kind that belongs to a node. */
export type NodeObject = KubeObjectBase & {
  readonly spec?: unknown;
  readonly status?: { readonly nodeName?: string };
};

/** Objects that belong to nodes, by {@link rightsOf}. */
export const BY_RIGHTS = 'rights';

/** Key of the rights that an object bears on, `NAMESPACE/NODE`. */
export function rightsOf({ metadata, status }: NodeObject): readonly string[] {
  const { nodeName } = status ?? {};
  return nodeName === undefined || nodeName === '' ? [] : [`${metadata.namespace}/${nodeName}`];
}

export interface GrantStores {
  /** By plural: every namespaced kind of ours that belongs to a node. */
  readonly kinds: ReadonlyMap<string, ReadStore<NodeObject>>;
  readonly volumes: ReadStore<Volume>;
  readonly classes: ReadStore<VolumeClass>;
}

/** The rules for one key; none when the node has nothing there that names anything. */
export function rulesFor(key: string, stores: GrantStores): readonly PolicyRule[] {
  const classNamed = (name: string): unknown => stores.classes.get(name)?.spec;
  const own = <T>(plural: string): readonly T[] =>
    (stores.kinds.get(plural)?.byIndex(BY_RIGHTS, key) ?? []) as unknown as readonly T[];
  const named = (resource: NamedResource): readonly string[] => {
    const names = new Set<string>();
    const add = (plural: string, object: NodeObject): void => {
      for (const name of namesFor(plural, object, resource, classNamed)) names.add(name);
    };
    for (const plural of stores.kinds.keys()) for (const object of own<NodeObject>(plural)) add(plural, object);
    // A volume on a server may be another node's, and is mounted here all the same.
    for (const mount of own<VolumeMount>(VOLUME_MOUNTS.plural)) {
      const volume = stores.volumes.get(volumeKeyOf(mount));
      if (volume !== undefined) add(VOLUMES.plural, volume);
    }
    return [...names].toSorted();
  };
  const filled = own<Restore>(RESTORES.plural)
    .map(({ status }) => status?.manifestSecretRef?.name)
    .filter((name) => name !== undefined);
  const tended = own<BackupRepository>(BACKUP_REPOSITORIES.plural).map(({ metadata }) => metadata.name);
  return [
    rule('', 'secrets', READ, named('secrets')),
    rule('', 'secrets', ['patch'], filled.toSorted()),
    rule('', 'configmaps', READ, named('configmaps')),
    rule(GROUP, BACKUP_REPOSITORIES.plural, [TEND_VERB], tended.toSorted()),
  ].filter(({ resourceNames = [] }) => resourceNames.length > 0);
}

/** What an object contributes to its node's rights, to see whether a change matters. */
export function contribution(plural: string, object: NodeObject): string {
  const classes: string[] = [];
  // The name of the class stands for what it names: a change of the class itself concerns everybody.
  const classNamed = (name: string): undefined => void classes.push(name);
  const names = (['secrets', 'configmaps'] as const).map((resource) => [
    ...namesFor(plural, object, resource, classNamed),
  ]);
  const volumeRef = plural === VOLUME_MOUNTS.plural ? (object as VolumeMount).spec.volumeRef.name : '';
  return JSON.stringify([rightsOf(object), names, classes, volumeRef]);
}

const READ = ['get', 'list', 'watch'];

function rule(group: string, resource: string, verbs: readonly string[], names: readonly string[]): PolicyRule {
  return { apiGroups: [group], resources: [resource], verbs, resourceNames: names };
}
