/**
 * What is done in the repository when a Backup is deleted. `Delete` removes all that this cluster has made under its ID, the
 * document first: what is left when it is killed is restored by nobody. `Retain` marks the document, so that this cluster does not
 * list it again; parts without a document are good for nothing, and go.
 *
 * Each run of the engine opens the repository and has it alone meanwhile, so that a thousand deletions one by one would take an
 * hour and be in each other's way: what comes while a run goes on is done together by the next ones.
 */
import { hash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { Backup } from '../../api/backup.ts';
import { backupTags, dismissedTag, readTags } from '../../backup/catalogue.ts';
import type { BackupEngine, RepositoryAccess, SnapshotRecord } from '../../backup/engine.ts';
import { abortReason } from '../../telemetry/clock.ts';

export interface ForgetWork {
  readonly backup: Backup;
  /** This cluster. */
  readonly clusterID: string;
  readonly access: RepositoryAccess;
}

export type Forgotten = 'deleted' | 'retained';

type ForgettingEngine = Pick<BackupEngine, 'snapshots' | 'forget' | 'tag'>;

/** Backups that are done together at most: nobody else gets at the repository meanwhile. */
const MOST_TOGETHER = 500;

interface Waiting {
  readonly work: ForgetWork;
  readonly signal: AbortSignal;
  readonly resolve: (forgotten: Forgotten) => void;
  readonly reject: (error: unknown) => void;
}

/** Does the deletions of each repository in turn, those that wait together. */
export class Forgetter {
  readonly #engine: ForgettingEngine;
  /** By repository and cluster; those that are being worked on. */
  readonly #queues = new Map<string, Waiting[]>();

  constructor(engine: ForgettingEngine) {
    this.#engine = engine;
  }

  /** Safe to repeat: what is gone or marked already is success. @throws BackupError, or the signal's reason. */
  forget(work: ForgetWork, signal: AbortSignal): Promise<Forgotten> {
    const key = hash('sha256', JSON.stringify([work.access, work.clusterID]));
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { work, signal, resolve, reject };
      signal.addEventListener('abort', () => reject(abortReason(signal)), { once: true });
      const queue = this.#queues.get(key);
      if (queue !== undefined) return void queue.push(waiting);
      this.#queues.set(key, [waiting]);
      void this.#work(key);
    });
  }

  async #work(key: string): Promise<void> {
    const queue = this.#queues.get(key) ?? [];
    while (queue.length > 0) {
      // What comes in the same moment goes along.
      await turn();
      const batch = queue.splice(0, MOST_TOGETHER).filter(({ signal }) => !signal.aborted);
      if (batch.length > 0) await this.#together(batch);
    }
    this.#queues.delete(key);
  }

  async #together(batch: readonly Waiting[]): Promise<void> {
    const isUnwanted = new AbortController();
    const look = (): void => {
      if (batch.every(({ signal }) => signal.aborted)) isUnwanted.abort();
    };
    for (const { signal } of batch) signal.addEventListener('abort', look, { once: true });
    try {
      const works = batch.map(({ work }) => work);
      const forgotten = await forgetBackups(works, this.#engine, isUnwanted.signal);
      for (const [index, { resolve }] of batch.entries()) resolve(forgotten[index] ?? 'retained');
    } catch (thrown) {
      for (const { reject } of batch) reject(thrown);
    } finally {
      for (const { signal } of batch) signal.removeEventListener('abort', look);
    }
  }
}

/** Of one repository and cluster. */
async function forgetBackups(
  works: readonly ForgetWork[],
  engine: ForgettingEngine,
  signal: AbortSignal,
): Promise<readonly Forgotten[]> {
  const [first] = works;
  if (first === undefined) return [];
  const { access, clusterID } = first;
  const tags = works.length === 1 ? backupTags(backupIDOf(first.backup)) : {};
  const found = Map.groupBy(await engine.snapshots(access, { tags }, signal), (record) => record.tags['id'] ?? '');
  const plans = works.map(({ backup }) => planOf(backup, found.get(backupIDOf(backup)) ?? [], clusterID));
  for (const ids of [plans.flatMap((plan) => plan.documents), plans.flatMap((plan) => plan.parts)]) {
    if (ids.length > 0) await engine.forget(access, ids, signal);
  }
  const marked = plans.flatMap((plan) => plan.marked);
  if (marked.length > 0) await engine.tag(access, marked, { add: dismissedTag(clusterID), remove: [] }, signal);
  return plans.map(({ outcome }) => outcome);
}

/** IDs of the engine's snapshots. */
interface Plan {
  /** Removed before the parts. */
  readonly documents: readonly string[];
  readonly parts: readonly string[];
  /** Documents that this cluster is not to list again. */
  readonly marked: readonly string[];
  readonly outcome: Forgotten;
}

function planOf({ spec }: Backup, found: readonly SnapshotRecord[], clusterID: string): Plan {
  const read = found.flatMap(({ id, tags }) => {
    const own = readTags(tags);
    return own === undefined ? [] : [{ id, tags: own }];
  });
  const isDelete = spec.deletionPolicy === 'Delete';
  const isOurs = ({ tags }: (typeof read)[number]): boolean =>
    spec.imported === undefined && tags.clusterID === clusterID;
  const documents = read.filter(({ tags }) => tags.kind === 'backup');
  const isRemoved = isDelete || !documents.some(isOurs);
  const idsOf = (list: typeof read): readonly string[] => list.map(({ id }) => id);
  const ours = isRemoved ? read.filter(isOurs) : [];
  const removed = {
    documents: idsOf(ours.filter(({ tags }) => tags.kind === 'backup')),
    parts: idsOf(ours.filter(({ tags }) => tags.kind === 'volume')),
  };
  // Of an imported one, or of a cluster that had this ID before us, there is a document that is not ours.
  if (isDelete && spec.imported === undefined) return { ...removed, marked: [], outcome: 'deleted' };
  const marked = documents.filter(
    (document) =>
      !(isDelete && isOurs(document)) &&
      document.tags.kind === 'backup' &&
      !document.tags.dismissedBy.includes(clusterID),
  );
  return { ...removed, marked: idsOf(marked), outcome: 'retained' };
}

function backupIDOf({ spec, status }: Backup): string {
  return spec.imported?.backupID ?? status?.backupID ?? '';
}
