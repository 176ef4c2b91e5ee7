/**
 * Reads the backup that a Restore is of, on the node of its repository: the document and the manifests go into the Secret
 * that the controller made for them, and the status says that they are there. Begun again after a restart.
 */

import type { BackupRepository } from '../../api/backup-repository.ts';
import type { Secret } from '../../api/core.ts';
import { FIELD_MANAGERS } from '../../api/group.ts';
import { isDeleting, RESTORES, SECRETS } from '../../api/meta.ts';
import type { Restore, RestoreRecord } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import { findBackup, type ReadingEngine, readManifests } from '../../backup/find-backup.ts';
import { DriverError } from '../../drivers/driver.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { CONTENT_KEY, packContent } from '../backup-restore/content.ts';
import { restoresObjects } from '../backup-restore/manifests.ts';
import { locationOf } from '../policy/backup-source.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { isPaused } from '../support/annotations.ts';
import type { Failure } from '../support/failure.ts';
import { failureOf, retryOf } from '../support/failure.ts';
import type { Jobs } from '../support/jobs.ts';
import { SHORT_WAIT_MS } from '../support/jobs.ts';
import { tolerateChange } from '../support/writes.ts';
import type { AccessOf } from '../volume-restore/access.ts';

export interface RestoreReadingDependencies extends AgentDependencies {
  readonly repositories: ReadStore<BackupRepository>;
  readonly engine: ReadingEngine;
  readonly accessOf: AccessOf;
  readonly client: Pick<KubeClient, 'patch'>;
  readonly jobs: Jobs;
}

/** How soon something is looked at again that nobody will tell us about, in milliseconds. */
const LOOK_AGAIN_MS = 10_000;

interface Dependencies extends RestoreReadingDependencies {
  /** What was read, by the UID of the Restore, until it has been said. */
  readonly records: Map<string, RestoreRecord>;
}

export function restoreReadingReconciler(dependencies: RestoreReadingDependencies): Reconciler {
  const deps = { ...dependencies, records: new Map<string, RestoreRecord>() };
  return (key, context) => tolerateChange(() => reconcile(key, deps, context));
}

/** Whether an agent has something to read for it. */
export function awaitsReading({ status, spec }: Restore, nodeName: string): boolean {
  const isOurs =
    status?.nodeName === nodeName && status.backupID !== undefined && spec.source.snapshotRef === undefined;
  return isOurs && status.record?.snapshotID === undefined && status.record?.failure?.isFinal !== true;
}

async function reconcile(key: string, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const { signal } = context;
  const restore = deps.stores.restores.get(key);
  const isOver = restore === undefined || isDeleting(restore) || isFinished(restore) || restore.spec.cancel === true;
  if (!(await deps.jobs.end(key, signal, isOver ? undefined : restore.metadata.uid)))
    return { requeueAfterMs: LOOK_AGAIN_MS };
  if (isOver || !awaitsReading(restore, deps.nodeName) || isPaused(restore)) return DONE;
  const repositoryName = restore.status?.repositoryRef?.name ?? '';
  let failure: Failure;
  try {
    const refusal = deps.jobs.has(key) ? undefined : begin(key, restore, repositoryName, deps);
    const state = refusal === undefined ? await deps.jobs.settle(key, SHORT_WAIT_MS, signal) : undefined;
    if (state?.state === 'failed') throw state.error;
    if (refusal === undefined) {
      const record = deps.records.get(restore.metadata.uid ?? '');
      if (state?.state === 'done' && record !== undefined) await report(restore, record, deps, signal);
      return DONE;
    }
    failure = refusal;
  } catch (thrown) {
    failure = failureOf(thrown, 'RestoreFailed', signal);
  }
  const { reason, message, stalled } = failure;
  await report(restore, { repositoryName, failure: { reason, message, isFinal: stalled } }, deps, signal);
  if (stalled) return DONE;
  if (failure.cause === undefined) return { requeueAfterMs: LOOK_AGAIN_MS };
  throw retryOf(failure);
}

/** @returns why it cannot be begun. */
function begin(key: string, restore: Restore, repositoryName: string, deps: Dependencies): Failure | undefined {
  const { namespace = '', uid = '', name } = restore.metadata;
  const repository = deps.repositories.get(`${namespace}/${repositoryName}`);
  if (repository === undefined) {
    const message = `BackupRepository "${repositoryName}" is not known on this node.`;
    return { reason: 'RepositoryNotReady', message, stalled: false };
  }
  const readOnly = repository.spec.accessMode === 'ReadOnly';
  const resolution = deps.accessOf({ namespace, location: locationOf(repository), readOnly });
  if (!resolution.ok) return resolution.refusal;
  const { access } = resolution;
  const { engine, client, records } = deps;
  deps.jobs.start(key, {
    uid,
    queue: 'read',
    reads: [],
    what: `restore "${name}"`,
    async work({ signal }) {
      const found = await findBackup(engine, access, restore.status?.backupID ?? '', signal);
      const manifests = restoresObjects(restore) ? await readManifests(engine, access, found, signal) : new Map();
      const content = await packed({ document: found.document, manifests: Object.fromEntries(manifests) });
      const body = { data: { [CONTENT_KEY]: content } };
      const secret = { namespace, name: restore.status?.manifestSecretRef?.name ?? '' };
      await client.patch<Secret>(SECRETS, secret, body, { type: 'merge', fieldManager: FIELD_MANAGERS.agent, signal });
      records.set(uid, { repositoryName, snapshotID: found.snapshotId, objects: manifests.size });
    },
  });
  return undefined;
}

async function packed(content: Parameters<typeof packContent>[0]): Promise<string> {
  try {
    return await packContent(content);
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    const message = `${thrown.message}. Restore chosen volumes (spec.volumes), and its objects with restic.`;
    throw new DriverError('RestoreFailed', message, { terminal: true, cause: thrown });
  }
}

async function report(restore: Restore, record: RestoreRecord, deps: Dependencies, signal: AbortSignal): Promise<void> {
  await deps.writer.status(RESTORES, restore, { record }, { signal });
  deps.records.delete(restore.metadata.uid ?? '');
}
