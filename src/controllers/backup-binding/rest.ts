/** A Backup that has ended, until it is deleted: by itself when its ttl has passed. */
import type { Backup } from '../../api/backup.ts';
import { BACKUPS, keyOf } from '../../api/meta.ts';
import type { ReconcileContext, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import { isPaused } from '../support/annotations.ts';
import type { BackupBindingDependencies } from './dependencies.ts';
import { repositoryOf } from './dependencies.ts';
import { writeStatus } from './end.ts';
import { endedStatus } from './status.ts';

/** A timer is set for no longer than this, in milliseconds; then it is looked at again. */
const LONGEST_WAIT_MS = 86_400_000;

/** Keeps up what may change of it: when it expires, and who could delete its data. */
export async function restOf(
  backup: Backup,
  deps: BackupBindingDependencies,
  context: ReconcileContext,
): Promise<void> {
  const nodeName = repositoryOf(backup, deps)?.status?.nodeName;
  await writeStatus(backup, endedStatus(backup, nodeName, [], new Date(context.clock.now())), deps, context);
}

/** Deletes it when its completion is longer ago than its ttl, by a clock that can be believed. */
export async function expire(
  backup: Backup,
  { client, events, expiry }: BackupBindingDependencies,
  { clock, signal }: ReconcileContext,
): Promise<Result> {
  const { ttl } = backup.spec;
  const { completionTime } = backup.status ?? {};
  const { expirationTime } = endedStatus(backup, undefined, [], new Date(clock.now()));
  if (ttl === undefined || completionTime === undefined || expirationTime === undefined) return DONE;
  if (isPaused(backup)) return DONE;
  const remainingMs = Date.parse(expirationTime) - clock.now();
  if (remainingMs > 0) return { requeueAfterMs: Math.min(remainingMs, LONGEST_WAIT_MS) };
  const held = await expiry.held(Date.parse(expirationTime), signal);
  if (held !== undefined) {
    events.record(backup, 'Warning', 'ExpiryHeld', `Its ttl of ${ttl} has passed, but ${held.because}.`);
    return { requeueAfterMs: held.lookAgainMs };
  }
  const { namespace, name, uid, resourceVersion } = backup.metadata;
  await client.delete(BACKUPS, { namespace, name }, { preconditions: { uid, resourceVersion }, signal });
  events.record(backup, 'Normal', 'Expired', `Backup ${keyOf(backup)} is older than its ttl of ${ttl}.`);
  return DONE;
}
