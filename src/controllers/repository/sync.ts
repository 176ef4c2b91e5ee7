/**
 * The Backup objects of a repository and what is stored in it, brought together: what is whole there and has no object gets
 * one, what has an object and is not there any more says so. Safe to repeat: everything is asked of the server again.
 */
import type { Backup, BackupStatus } from '../../api/backup.ts';
import { MAX_BACKUP_NAME } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { findCondition } from '../../api/conditions.ts';
import { API_VERSION, FINALIZERS, LABELS } from '../../api/group.ts';
import { BACKUPS } from '../../api/meta.ts';
import { isSubdomain, shortHash } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { EventSink } from '../../kube/events.ts';
import { getIfPresent } from '../../kube/get-if-present.ts';
import type { Writer } from '../support/writes.ts';
import { backupStatus, idOf, isRecorded, saysLost } from './backup-status.ts';
import type { Catalogue, FoundBackup } from './catalogue.ts';

export interface SyncDependencies {
  readonly client: Pick<KubeClient, 'create' | 'get'>;
  /** As the field manager `repository`. */
  readonly writer: Writer;
  readonly events: EventSink;
  readonly nodeName: string;
}

export interface SyncFacts {
  readonly repository: BackupRepository;
  /** Backups of the repository as they were known *before* the repository was listed. */
  readonly before: readonly Backup[];
  /** The same now. */
  readonly backups: readonly Backup[];
  readonly catalogue: Catalogue;
  readonly clusterID: string;
  /** What the engine calls what a check found damaged; undefined when none has looked. */
  readonly damaged: ReadonlySet<string> | undefined;
  readonly now: number;
}

/** Writes that go on at once: many backups may be found together. */
const AT_ONCE = 16;

export async function syncBackups(facts: SyncFacts, deps: SyncDependencies, signal: AbortSignal): Promise<void> {
  await forEach(missingObjects(facts), (found) => importBackup(found, facts, deps, signal));
  await forEach(expected(facts), (backup) => tell(backup, facts, deps, signal));
}

/**
 * Says what was seen of those that were found and have a node by now.
 * @returns whether there are more.
 */
export async function tellOfFound(facts: SyncFacts, deps: SyncDependencies, signal: AbortSignal): Promise<boolean> {
  const silent = facts.backups.filter(
    (backup) =>
      backup.spec.imported !== undefined &&
      backup.status?.nodeName === deps.nodeName &&
      findCondition(backup.status.conditions, 'Ready') === undefined &&
      facts.catalogue.backups.has(idOf(backup) ?? ''),
  );
  await forEach(silent.slice(0, MOST_TOLD), (backup) => tell(backup, facts, deps, signal));
  return silent.length > MOST_TOLD;
}

/** Backups told of at once, so that a reconcile does not take long. */
const MOST_TOLD = 500;

/** What must be in the repository: written down before it was listed, and still there as an object. Pure. */
export function expected({ before, backups }: Pick<SyncFacts, 'before' | 'backups'>): readonly Backup[] {
  const recorded = new Set(before.filter(isRecorded).map(({ metadata }) => metadata.uid));
  return backups.filter(({ metadata }) => recorded.has(metadata.uid));
}

/** Whole backups that have no object and that this cluster has not let go of. Pure. */
export function missingObjects({ catalogue, backups, before, clusterID }: SyncFacts): readonly FoundBackup[] {
  const known = new Set([...before, ...backups].map(idOf));
  return [...catalogue.backups.values()].filter(
    ({ backupID, dismissedBy }) => !known.has(backupID) && !dismissedBy.includes(clusterID),
  );
}

/** The object of a backup that was found. */
export function importedBackup(found: FoundBackup, repository: BackupRepository, name: string): Backup {
  const repositoryName = repository.metadata.name;
  return {
    apiVersion: API_VERSION,
    kind: BACKUPS.kind,
    metadata: {
      name,
      namespace: repository.metadata.namespace ?? '',
      labels: { [LABELS.repository]: repositoryName },
      // Its deletion says in the repository that this cluster does not list it any more.
      finalizers: [FINALIZERS.backup],
    },
    spec: {
      scope: found.scope,
      repositoryRef: { name: repositoryName },
      deletionPolicy: 'Retain',
      imported: { backupID: found.backupID },
    },
  };
}

/** Under the name that it had, or its ID where that is taken. */
async function importBackup(
  found: FoundBackup,
  { repository }: SyncFacts,
  { client, events }: SyncDependencies,
  signal: AbortSignal,
): Promise<void> {
  const namespace = repository.metadata.namespace ?? '';
  for (const name of namesFor(found)) {
    try {
      const object = await client.create(BACKUPS, importedBackup(found, repository, name), { signal });
      const message = `Found in the repository as ${found.backupID}, made by cluster ${found.clusterID}.`;
      events.record(object, 'Normal', 'BackupImported', message);
      return;
    } catch (thrown) {
      const error = KubeError.from(thrown);
      // The namespace is being deleted, or somebody decided that this may not be.
      if (error.isForbidden) return;
      if (!error.isAlreadyExists) throw error;
    }
    if (await stands(name, namespace, found.backupID, client, signal)) return;
  }
}

/** Names to try: the one that it had, its ID, and what is always a name and no other's. */
export function namesFor({ name, backupID }: Pick<FoundBackup, 'name' | 'backupID'>): readonly string[] {
  const fits = (text: string): boolean => isSubdomain(text) && text.length <= MAX_BACKUP_NAME;
  const hash = shortHash(backupID);
  const last = `${backupID.slice(0, MAX_BACKUP_NAME - hash.length - 1)}-${hash}`;
  return [...new Set([name, backupID, last].filter(fits))];
}

/** Whether the object of that name, which may not be in any cache of ours, stands for this backup. */
async function stands(
  name: string,
  namespace: string,
  backupID: string,
  client: SyncDependencies['client'],
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const object = await getIfPresent<Backup>(client, BACKUPS, { namespace, name }, { signal });
    return object !== undefined && idOf(object) === backupID;
  } catch (thrown) {
    const error = KubeError.from(thrown);
    if (error.isForbidden) return false;
    throw error;
  }
}

/** Says of a Backup what was seen of its data. */
async function tell(backup: Backup, facts: SyncFacts, deps: SyncDependencies, signal: AbortSignal): Promise<void> {
  const { catalogue, damaged, now } = facts;
  const isDeleting = backup.metadata.deletionTimestamp !== undefined;
  // Only its node may write it, and the controller says which that is.
  if (!isRecorded(backup) || isDeleting || backup.status?.nodeName !== deps.nodeName) return;
  const found = catalogue.backups.get(idOf(backup) ?? '');
  const isDamaged = damaged === undefined ? undefined : found?.snapshotIDs.some((id) => damaged.has(id));
  const status = backupStatus(backup, { found, isDamaged }, new Date(now));
  if (status === undefined || isSaid(backup, status)) return;
  try {
    const written = await deps.writer.status(BACKUPS, backup, status, { signal });
    const lost = { ...backup, status };
    if (!written || saysLost(backup) || !saysLost(lost)) return;
    const ready = status.conditions?.[0];
    deps.events.record(backup, 'Warning', ready?.reason ?? '', ready?.message ?? '');
  } catch (thrown) {
    const error = KubeError.from(thrown);
    // It changed or went meanwhile: the next look sees it as it is then.
    if (!error.isConflict && !error.isNotFound) throw error;
  }
}

/** Whether its status says this already: of ten thousand it is asked at each look. */
function isSaid({ status }: Backup, wanted: BackupStatus): boolean {
  return (
    status?.conditions === wanted.conditions &&
    status?.observedGeneration === wanted.observedGeneration &&
    status?.record?.snapshotID === wanted.record?.snapshotID
  );
}

/** Several at a time. Others get their turn in between, also where nothing has to be written. */
async function forEach<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  let done = 0;
  const next = async (): Promise<void> => {
    for (const item of left) {
      await work(item);
      done += 1;
      if (done % TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, next));
}

const TURN = 50;
