/**
 * The beginning of a Backup: which volumes it is of, and the manifests, as they are at one moment. They go into Secrets first:
 * from then on the choice stands, whatever becomes of the volumes. Then the parts are made.
 */
import PQueue from 'p-queue';
import type { Backup, BackupStatus } from '../../api/backup.ts';
import type { BackupRepository, RepositoryLocation } from '../../api/backup-repository.ts';
import { findCondition } from '../../api/conditions.ts';
import { BACKUPS, VOLUMES } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeDocument } from '../../backup/catalogue.ts';
import { MANIFESTS_DIRECTORY } from '../../backup/catalogue.ts';
import type { ReconcileContext } from '../../runtime/reconciler.ts';
import type { Files } from '../support/packages.ts';
import { receive, send } from '../support/transit.ts';
import { chooseVolumes } from './choose.ts';
import type { BackupBindingDependencies } from './dependencies.ts';
import { volumeDocument } from './document.ts';
import { gatherManifests } from './manifests.ts';
import { makePart, newPart } from './parts.ts';

/** Beside the manifests, while they are on their way: the volumes of the Backup. */
const VOLUMES_FILE = 'volumes.json';
const WARNINGS_FILE = 'warnings.json';
/** Parts that are made at once. */
const AT_ONCE = 16;
const MOST_WARNINGS = 10;
const MOST_WARNING_LENGTH = 1024;

export type Prepared = Required<Pick<BackupStatus, 'items' | 'manifestSecretRefs'>> & Pick<BackupStatus, 'warnings'>;

/** What a Backup is of, as it was chosen at its beginning. */
export interface Beginning {
  readonly volumes: ReadonlyMap<string, VolumeDocument>;
  /** Paths of the manifests. */
  readonly manifests: readonly string[];
}

/** @returns undefined when the Backup was prepared already, and the cache does not know it yet. */
export async function prepare(
  backup: Backup,
  repository: BackupRepository,
  deadline: number,
  deps: BackupBindingDependencies,
  { signal }: ReconcileContext,
): Promise<Prepared | undefined> {
  const { namespace, name, uid } = backup.metadata;
  const live = await deps.client.get<Backup>(BACKUPS, { namespace, name }, { signal });
  if (live.metadata.uid !== uid || live.status?.items !== undefined) return undefined;
  let sent = await receive(backup, 'manifests', deps, signal);
  if (sent === undefined) {
    const files = await gather(backup, deps, signal);
    sent = { files, refs: await send(backup, 'manifests', files, deps, signal) };
  }
  const location = locationOf(repository);
  const queue = new PQueue({ concurrency: AT_ONCE });
  const { volumes } = beginningOf(sent.files);
  await queue.addAll(
    [...volumes.values()].map((volume) => () => makePart(newPart(backup, volume, location, deadline), deps, signal)),
  );
  const warnings = [...keyWarnings(repository), ...warningsIn(sent.files)].slice(0, MOST_WARNINGS);
  return {
    items: { succeeded: 0, failed: 0, skipped: 0 },
    manifestSecretRefs: sent.refs,
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

/** Whether a file of the package is a manifest; the others are for the controller alone. */
export function isManifest(path: string): boolean {
  return path.startsWith(`${MANIFESTS_DIRECTORY}/`);
}

/** Reads what {@link prepare} has sent. */
export function beginningOf(files: Files): Beginning {
  const listed = JSON.parse(files.get(VOLUMES_FILE) ?? '[]') as readonly VolumeDocument[];
  return {
    volumes: new Map(listed.map((document) => [document.name, document])),
    manifests: [...files.keys()].filter(isManifest),
  };
}

async function gather(backup: Backup, deps: BackupBindingDependencies, signal: AbortSignal): Promise<Files> {
  const { scope } = backup.spec;
  const files = new Map<string, string>();
  if (scope !== 'Configs') {
    // From the server: one that was made a moment ago may not be in the cache yet.
    const { items } = await deps.client.list<Volume>(VOLUMES, { namespace: backup.metadata.namespace, signal });
    const { volumes } = chooseVolumes(backup, items);
    files.set(VOLUMES_FILE, JSON.stringify(volumes.map(volumeDocument)));
  }
  if (scope !== 'Volumes') {
    const classNamed = (name: string) => deps.classes.get(name);
    const manifests = await gatherManifests(backup, { client: deps.client, classNamed, signal });
    for (const [path, text] of manifests.files) files.set(path, text);
    const warnings = manifests.missing.map(
      (what) => `${what} is named by an object of the namespace and does not exist.`,
    );
    if (warnings.length > 0) files.set(WARNINGS_FILE, JSON.stringify(warnings));
  }
  return files;
}

/** All that an agent needs of the repository, as it is now. */
function locationOf({ spec }: BackupRepository): RepositoryLocation {
  const { s3, hostPath, nfs, nodeName, mountOptions, encryption, volumeClassName } = spec;
  return {
    ...(s3 === undefined ? {} : { s3 }),
    ...(hostPath === undefined ? {} : { hostPath }),
    ...(nfs === undefined ? {} : { nfs }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(mountOptions === undefined ? {} : { mountOptions }),
    encryption,
    ...(volumeClassName === undefined ? {} : { volumeClassName }),
  };
}

function keyWarnings({ metadata, status }: BackupRepository): readonly string[] {
  if (findCondition(status?.conditions, 'KeyExported')?.status !== 'False') return [];
  return [
    `The key of BackupRepository "${metadata.name}" was never exported: whoever loses this installation loses the backups. Run "clawstore repository export-key ${metadata.name}" and keep what it prints.`,
  ];
}

function warningsIn(files: Files): readonly string[] {
  const warnings = JSON.parse(files.get(WARNINGS_FILE) ?? '[]') as readonly string[];
  return warnings.map((text) => text.slice(0, MOST_WARNING_LENGTH));
}
