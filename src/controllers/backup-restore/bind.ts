/** The beginning of a Restore: which backup, on which node, and its document, which the agent of that node reads. */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { formatTime } from '../../api/conditions.ts';
import type { Secret } from '../../api/core.ts';
import { FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import { SECRETS } from '../../api/meta.ts';
import { shortHash } from '../../api/names.ts';
import { isReason } from '../../api/reasons.ts';
import type { Restore } from '../../api/restore.ts';
import { KubeError } from '../../kube/errors.ts';
import type { ReconcileContext, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { APPLIED_TOGETHER_MS } from '../backup-binding/patience.ts';
import { isFresh, untilNotFresh } from '../support/fresh.ts';
import type { Dependencies } from './dependencies.ts';
import { placeOf } from './facts.ts';
import { LOOK_AGAIN_MS, LOOK_LATER_MS } from './pace.ts';
import { end, write } from './say.ts';
import { findSource } from './source.ts';
import type { RestoreDecisions, RestoreSaid } from './status.ts';
import { decisionsOf, failedBy } from './status.ts';
import { ownedBy } from './volumes.ts';

/** How soon a backup that is expected at any moment is looked for again, in milliseconds. */
const LOOK_SOON_MS = 1_000;

/** Finds the backup, and gives the Restore to the node that can read it. */
export async function bind(restore: Restore, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const now = context.clock.now();
  const { namespace, name, uid = '' } = restore.metadata;
  const inNamespace = <T extends Backup | BackupRepository>(store: ReadStore<T>): readonly T[] =>
    store.list().filter(({ metadata }) => metadata.namespace === namespace);
  const place = findSource(restore, {
    backups: inNamespace(deps.backups),
    repositories: inNamespace(deps.repositories),
  });
  if (!place.ok) {
    // What it names may be on its way to us still.
    if (isFresh(restore, now)) return { requeueAfterMs: Math.min(LOOK_AGAIN_MS, untilNotFresh(restore, now)) };
    const { reason, message, stalled } = place.refusal;
    const isOnItsWay = reason === 'BackupNotFound' && now - appliedAt(restore) < APPLIED_TOGETHER_MS;
    const passes =
      reason === 'RepositoryNotReady' || ((reason === 'BackupNotReady' || isOnItsWay) && replacesNothing(restore));
    if (stalled || !passes || restore.spec.cancel === true)
      return await end(restore, {}, failedBy(reason, message), deps, context);
    await write(restore, decisionsOf(restore), {}, { kind: 'working', reason, message }, deps, context);
    return { requeueAfterMs: isOnItsWay ? LOOK_SOON_MS : LOOK_LATER_MS };
  }
  const secretName = `restore-${shortHash(uid)}`;
  const secret: Secret = {
    apiVersion: 'v1',
    kind: SECRETS.kind,
    metadata: {
      name: secretName,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [LABELS.restore]: name },
      ownerReferences: [ownedBy(restore)],
    },
    type: SECRET_TYPE,
  };
  await deps.client
    .create(SECRETS, secret, { fieldManager: FIELD_MANAGERS.controller, signal: context.signal })
    .catch((thrown: unknown) => {
      if (!KubeError.from(thrown).isAlreadyExists) throw thrown;
    });
  const decisions: RestoreDecisions = {
    nodeName: place.nodeName,
    backupID: place.backupID,
    repositoryRef: { name: place.repository.metadata.name },
    startTime: restore.status?.startTime ?? formatTime(new Date(now)),
    manifestSecretRef: { name: secretName },
  };
  const message = `Backup "${place.backupID}" is being looked up in BackupRepository "${place.repository.metadata.name}".`;
  await write(restore, decisions, {}, { kind: 'working', reason: 'ReadingBackup', message }, deps, context);
  return DONE;
}

/**
 * Whoever applies a Backup and a Restore of it together wants the one after the other. What would replace something hours
 * later, when nobody thinks of it any more, is refused instead.
 */
function replacesNothing({ spec: { volumes = [], objects } }: Restore): boolean {
  return objects === undefined && volumes.length > 0 && volumes.every(({ mode }) => mode !== 'InPlace');
}

/** Milliseconds since the epoch; long ago where the server does not say. */
function appliedAt({ metadata }: Restore): number {
  const at = Date.parse(metadata.creationTimestamp ?? '');
  return Number.isNaN(at) ? Number.NEGATIVE_INFINITY : at;
}

const SECRET_TYPE = 'storage.clawbernetes.io/restore';

/** The agent of the repository's node has not read the document, or could not. */
export async function awaitRecord(restore: Restore, deps: Dependencies, context: ReconcileContext): Promise<Result> {
  const { nodeName = '', record, backupID } = restore.status ?? {};
  if (record?.failure !== undefined) {
    const { reason, message, isFinal } = record.failure;
    const word = isReason(reason) ? reason : 'RestoreFailed';
    if (isFinal) return await end(restore, {}, failedBy(word, `${message} Nothing was changed.`), deps, context);
    await write(restore, decisionsOf(restore), {}, { kind: 'working', reason: word, message }, deps, context);
    return DONE;
  }
  // Another node tends the repository by now, and reads as well.
  const tending = placeOf(restore, deps);
  if (tending.ok && tending.nodeName !== nodeName) {
    const message = `The document of backup "${backupID}" is being read.`;
    const decisions = { ...decisionsOf(restore), nodeName: tending.nodeName };
    await write(restore, decisions, {}, { kind: 'working', reason: 'ReadingBackup', message }, deps, context);
    return DONE;
  }
  const said: RestoreSaid = deps.isLost(nodeName)
    ? { kind: 'lost', message: `Node "${nodeName}", which is to read the backup, has not renewed its Lease.` }
    : { kind: 'working', reason: 'ReadingBackup', message: `The document of backup "${backupID}" is being read.` };
  await write(restore, decisionsOf(restore), {}, said, deps, context);
  return DONE;
}
