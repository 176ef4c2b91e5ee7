/**
 * What is written into a repository besides the data, and how it is read again: the tags of the engine's snapshots, and the
 * document that makes a backup whole. Whoever has the repository and its key needs nothing else.
 *
 * A backup is made of one snapshot of the engine per volume (`kind=volume`), and in the end one with the document and the
 * manifests (`kind=backup`). Parts without that document are of a backup that did not end: they are restored by nobody, and
 * may be removed by the cluster that made them. The tags of the document say all that a list of backups needs, so that
 * listing reads no documents.
 */
import type { BackupScope } from '../api/backup.ts';
import type { VolumeSpec } from '../api/volume.ts';
import type { Tags } from './engine.ts';

/** Below `SOURCE_ROOT/NAMESPACE/VOLUME`: the content of the volume. */
export const DATA_DIRECTORY = 'data';
/** Beside it: what is needed to make the volume anew, a {@link VolumeDocument}. */
export const VOLUME_FILE = 'volume.json';
/** Below `SOURCE_ROOT/NAMESPACE`: a {@link BackupDocument}. */
export const BACKUP_FILE = 'backup.json';
/** Beside it: all manifests as one `List`, which `kubectl apply -f` takes, and one call of the engine reads. */
export const MANIFESTS_FILE = 'manifests.json';
/** Where a manifest is, on its way between controller and agent: `manifests/KIND.NAME.json`. */
export const MANIFESTS_DIRECTORY = 'manifests';

/** A `v1.List`. */
export interface ManifestList {
  readonly apiVersion: 'v1';
  readonly kind: 'List';
  readonly items: readonly { readonly kind: string; readonly metadata: { readonly name: string } }[];
}

/** What a {@link BackupDocument} calls a manifest: `KIND.NAME.json`. */
export function manifestName({ kind, metadata }: ManifestList['items'][number]): string {
  return `${kind}.${metadata.name}.json`;
}

/** Marks everything that is ours: a tag whose value is the version of this catalogue. */
const OUR_TAG = 'clawstore';
const CATALOGUE_VERSION = '1';

/** What the tags of one snapshot of the engine say. */
export type CatalogueTags =
  | {
      readonly kind: 'volume';
      readonly backupID: string;
      readonly clusterID: string;
      readonly namespace: string;
      readonly scope: BackupScope;
      readonly nodeName: string;
      readonly volumeName: string;
    }
  | {
      readonly kind: 'backup';
      readonly backupID: string;
      readonly clusterID: string;
      readonly namespace: string;
      readonly scope: BackupScope;
      readonly nodeName: string;
      /** Name of the Backup that made it. */
      readonly backupName: string;
      /** Of the schedule that made it; absent when made by hand. */
      readonly scheduleName?: string;
      /** False: allowed to lack something (`onPartial: Allow`), and does. */
      readonly isComplete: boolean;
      readonly volumes: number;
      readonly objects: number;
      readonly bytes: number;
      /** Clusters whose Backup object was deleted with `Retain`: they do not list it again. */
      readonly dismissedBy: readonly string[];
    };

/** `SOURCE_ROOT/NAMESPACE/VOLUME/volume.json`. */
export interface VolumeDocument {
  readonly apiVersion: string;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly spec: VolumeSpec;
  /** Resolved capacity, a quantity. */
  readonly capacity?: string;
}

/** One volume in a {@link BackupDocument}. */
export interface VolumeEntry {
  readonly name: string;
  readonly uid: string;
  /** What the engine calls it. */
  readonly snapshotID: string;
  readonly files: number;
  readonly bytes: number;
  readonly isComplete: boolean;
  readonly isConsistent: boolean;
  readonly document: VolumeDocument;
}

/** `SOURCE_ROOT/NAMESPACE/backup.json`. */
export interface BackupDocument {
  readonly apiVersion: string;
  readonly backupID: string;
  readonly backupName: string;
  readonly clusterID: string;
  readonly namespace: string;
  readonly scope: BackupScope;
  /** RFC 3339. */
  readonly startTime: string;
  readonly completionTime: string;
  readonly volumes: readonly VolumeEntry[];
  /** {@link manifestName} of each of {@link MANIFESTS_FILE}. */
  readonly manifests: readonly string[];
}

/** Writes tags. Values are names and IDs of Kubernetes, which have no comma. */
export function tagsOf(tags: CatalogueTags): Tags {
  const common = {
    [OUR_TAG]: CATALOGUE_VERSION,
    kind: tags.kind,
    id: tags.backupID,
    cluster: tags.clusterID,
    ns: tags.namespace,
    scope: tags.scope,
    node: tags.nodeName,
  };
  if (tags.kind === 'volume') return { ...common, volume: tags.volumeName };
  return {
    ...common,
    name: tags.backupName,
    ...(tags.scheduleName === undefined ? {} : { schedule: tags.scheduleName }),
    complete: String(tags.isComplete),
    volumes: String(tags.volumes),
    objects: String(tags.objects),
    bytes: String(tags.bytes),
    ...Object.assign({}, ...tags.dismissedBy.map(dismissedTag)),
  };
}

/** The tag that keeps a cluster from listing a backup again. */
export function dismissedTag(clusterID: string): Tags {
  return { [`${DISMISSED}${clusterID}`]: 'true' };
}

/** The tags that all parts of one backup have, and nothing else. */
export function backupTags(backupID: string): Tags {
  return { [OUR_TAG]: CATALOGUE_VERSION, id: backupID };
}

const DISMISSED = 'dismissed.';

/** Reads tags; undefined when they are not ours, or lack what must be there. */
export function readTags(tags: Tags): CatalogueTags | undefined {
  if (tags[OUR_TAG] !== CATALOGUE_VERSION) return undefined;
  const { id: backupID, cluster: clusterID, ns: namespace } = tags;
  const scope = scopeOf(tags['scope']);
  if (backupID === undefined || clusterID === undefined || namespace === undefined || scope === undefined) {
    return undefined;
  }
  const common = { backupID, clusterID, namespace, scope, nodeName: tags['node'] ?? '' };
  const { volume: volumeName, name: backupName, schedule: scheduleName } = tags;
  if (tags['kind'] === 'volume') {
    return volumeName === undefined ? undefined : { kind: 'volume', ...common, volumeName };
  }
  if (tags['kind'] !== 'backup' || backupName === undefined) return undefined;
  return {
    kind: 'backup',
    ...common,
    backupName,
    ...(scheduleName === undefined ? {} : { scheduleName }),
    isComplete: tags['complete'] === 'true',
    volumes: numberOf(tags['volumes']),
    objects: numberOf(tags['objects']),
    bytes: numberOf(tags['bytes']),
    dismissedBy: Object.keys(tags)
      .filter((key) => key.startsWith(DISMISSED))
      .map((key) => key.slice(DISMISSED.length)),
  };
}

function scopeOf(value: string | undefined): BackupScope | undefined {
  return value === 'Full' || value === 'Volumes' || value === 'Configs' ? value : undefined;
}

function numberOf(value: string | undefined): number {
  const number = Number(value ?? 0);
  return Number.isSafeInteger(number) && number >= 0 ? number : 0;
}
