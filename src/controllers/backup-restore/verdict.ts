/** What came of a Restore, in words. Pure. */
import type { Reason } from '../../api/reasons.ts';
import type { Restore } from '../../api/restore.ts';
import type { RestoreResults, RestoreSaid } from './status.ts';
import { failedBy } from './status.ts';
import type { VolumeState } from './volumes.ts';
import { wayBack } from './way-back.ts';

export function verdictOf(
  restore: Restore,
  states: readonly VolumeState[],
  { items }: RestoreResults,
  isCancelled: boolean,
): RestoreSaid {
  const failures = states.flatMap((state) => (state.state === 'failed' ? [state] : []));
  const [first] = failures;
  const back = wayBack(restore, restore.status?.volumes ?? [], states);
  if (isCancelled && (first !== undefined || states.length === 0)) {
    return failedBy(
      'RestoreCancelled',
      `It was cancelled; ${items?.succeeded ?? 0} volumes and objects were restored.${back}`,
    );
  }
  if (first !== undefined || (items?.failed ?? 0) > 0) {
    const reason: Reason =
      failures.length === 1 && items?.failed === 1 && first !== undefined ? first.reason : 'RestoreIncomplete';
    const said = first === undefined ? 'Objects could not be restored; status.skipped names them.' : first.message;
    return failedBy(
      reason,
      `${items?.failed ?? 0} of ${total(items)} volumes and objects were not restored. ${said}${back}`,
    );
  }
  if (restore.spec.dryRun === true) {
    const message = `Nothing was changed. ${items?.succeeded ?? 0} volumes and objects would be restored, ${items?.skipped ?? 0} left as they are; see status.volumes, status.skipped and the VolumeRestores.`;
    return { kind: 'succeeded', reason: 'RestorePlanned', message };
  }
  const skipped = (items?.skipped ?? 0) === 0 ? '' : ` ${items?.skipped} objects were left as they are.`;
  const message = `${items?.succeeded ?? 0} volumes and objects of backup "${restore.status?.backupID}" were restored; what was written was read back and compared.${skipped}`;
  return { kind: 'succeeded', reason: 'Restored', message };
}

function total(items: RestoreResults['items']): number {
  return items === undefined ? 0 : items.succeeded + items.failed + items.skipped;
}
