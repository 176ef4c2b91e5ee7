/** All parts have ended: has the Backup failed, does its document go into the repository, or is it there already? */
import type { Backup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import { findCondition, formatTime } from '../../api/conditions.ts';
import { BACKUP_REPOSITORIES } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import { BACKUP_FILE, MANIFESTS_DIRECTORY } from '../../backup/catalogue.ts';
import type { ReconcileContext } from '../../runtime/reconciler.ts';
import { receive, send, transitName } from '../support/transit.ts';
import { missingVolumes } from './choose.ts';
import type { BackupBindingDependencies } from './dependencies.ts';
import { repositoryOf } from './dependencies.ts';
import { backupDocument } from './document.ts';
import { fail, succeed, writeStatus } from './end.ts';
import { liveParts } from './parts.ts';
import { beginningOf } from './prepare.ts';
import type { Outcome } from './status.ts';
import { carriedOf, deriveStatus } from './status.ts';
import { sumsOf } from './sums.ts';
import { dataConditions, verdictOf } from './verdict.ts';

/** What became of it: `again` when not all is known yet. */
export type Conclusion = 'ended' | 'recording' | 'again';

export async function conclude(
  backup: Backup,
  deps: BackupBindingDependencies,
  context: ReconcileContext,
): Promise<Conclusion> {
  if (backup.status?.record !== undefined) {
    await succeed(backup, deps, context);
    return 'ended';
  }
  const { signal } = context;
  const now = new Date(context.clock.now());
  const sent = await receive(backup, 'manifests', deps, signal);
  const parts = await liveParts(backup, deps.live, signal);
  if (!parts.every(hasEnded)) return 'again';
  if (sent === undefined) {
    const message = 'The Secrets that say what the backup is of are gone.';
    await fail(backup, { reason: 'BackupFailed', message }, {}, deps, context);
    return 'ended';
  }
  const { volumes, manifests } = beginningOf(sent.files);
  const names = new Set(parts.map(({ spec }) => spec.volumeRef.name));
  // A part that somebody has deleted is lacking too.
  const missing = [
    ...new Set([...missingVolumes(backup, [...names]), ...[...volumes.keys()].filter((name) => !names.has(name))]),
  ];
  // The repository alone is nothing that anybody wants to have again.
  const wanted = manifests.filter((path) => !path.includes(`/${BACKUP_REPOSITORIES.kind}.`));
  const gone = goneOf(backup);
  if (gone !== undefined) {
    await fail(backup, gone, { carried: { ...carriedOf(backup), ...sumsOf(parts, missing) } }, deps, context);
    return 'ended';
  }
  const verdict = verdictOf({ backup, parts, missing, manifests: wanted.length });
  const carried = { ...carriedOf(backup), ...sumsOf(parts, missing), ...moved(backup, deps) };
  const data = dataConditions(parts, missing);
  if (!verdict.ok) {
    await fail(backup, verdict, { carried, data }, deps, context);
    return 'ended';
  }
  const refs = [...(backup.status?.manifestSecretRefs ?? [])];
  if (!refs.some(({ name }) => name === transitName(backup, 'document', 0))) {
    const below = `${MANIFESTS_DIRECTORY}/`;
    const document = backupDocument({
      backup,
      parts,
      volumes,
      manifests: manifests.map((path) => path.slice(below.length)),
      completionTime: formatTime(now),
    });
    refs.push(...(await send(backup, 'document', new Map([[BACKUP_FILE, JSON.stringify(document)]]), deps, signal)));
  }
  const status = deriveStatus(backup, { ...carried, manifestSecretRefs: refs }, recordingOf(backup), data, now);
  await writeStatus(backup, status, deps, context);
  return 'recording';
}

/** What the agent that writes it down says, if anything. */
function recordingOf({ status }: Backup): Outcome {
  const said = findCondition(status?.conditions, 'Recorded');
  if (said?.status === 'False' && isReason(said.reason)) {
    const reason: Reason = said.reason;
    return { kind: 'waiting', reason, message: `The backup could not be written down as a whole yet: ${said.message}` };
  }
  const message = 'All of it is in the repository; it is being written down as a whole.';
  return { kind: 'waiting', reason: 'Recording', message };
}

/** What was read may have been removed from the repository before it was written down as a whole. */
function goneOf({ status }: Backup): { readonly reason: Reason; readonly message: string } | undefined {
  const said = findCondition(status?.conditions, 'Recorded');
  return said?.reason === 'BackupMissing' ? { reason: 'BackupMissing', message: said.message } : undefined;
}

/** The repository may have got another node meanwhile. */
function moved(backup: Backup, deps: BackupBindingDependencies): { readonly nodeName?: string } {
  const nodeName = repositoryOf(backup, deps)?.status?.nodeName;
  return nodeName === undefined ? {} : { nodeName };
}
