/** Writes down what is going on with a Restore, and what came of it. */

import { RESTORES, SECRETS } from '../../api/meta.ts';
import type { Restore } from '../../api/restore.ts';
import { KubeError } from '../../kube/errors.ts';
import type { ReconcileContext, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import type { Dependencies } from './dependencies.ts';
import type { RestoreDecisions, RestoreResults, RestoreSaid } from './status.ts';
import { decisionsOf, deriveRestoreStatus } from './status.ts';

export async function write(
  restore: Restore,
  decisions: RestoreDecisions,
  results: RestoreResults,
  said: RestoreSaid,
  { writer, events }: Dependencies,
  { clock, signal }: ReconcileContext,
): Promise<void> {
  const next = deriveRestoreStatus(restore, decisions, results, said, new Date(clock.now()));
  // What is decided from the Restore as it was read must not meet another one.
  if (await writer.status(RESTORES, restore, next, { requireUnchanged: true, signal })) {
    recordConditionEvents(events, restore, restore.status?.conditions, next.conditions);
  }
}

/** Writes the end down. The Restore never acts again. */
export async function end(
  restore: Restore,
  results: RestoreResults,
  said: RestoreSaid,
  deps: Dependencies,
  context: ReconcileContext,
): Promise<Result> {
  await write(restore, decisionsOf(restore), results, said, deps, context);
  const { manifestSecretRef, startTime } = restore.status ?? {};
  const { namespace, uid = '' } = restore.metadata;
  deps.memories.delete(uid);
  if (startTime !== undefined && restore.spec.dryRun !== true) {
    const seconds = (context.clock.now() - Date.parse(startTime)) / 1000;
    deps.metrics?.restoreDuration.observe(
      { result: said.kind === 'succeeded' ? 'success' : 'failure' },
      Math.max(0, seconds),
    );
  }
  if (manifestSecretRef !== undefined) {
    // Of no use any more; with the Restore it would go anyway.
    await deps.client
      .delete(SECRETS, { namespace, name: manifestSecretRef.name }, { signal: context.signal })
      .catch((thrown: unknown) => {
        if (!KubeError.from(thrown).isNotFound) throw thrown;
      });
  }
  return DONE;
}
