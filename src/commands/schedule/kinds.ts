/** The two kinds of schedule, as callers name them. */
import { BACKUP_SCHEDULES, type ResourceDescriptor, SNAPSHOT_SCHEDULES } from '../../api/meta.ts';
import type { BackupSchedule, SnapshotSchedule } from '../../api/schedule.ts';
import { KubeError } from '../../kube/errors.ts';
import type { CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import type { ParameterProperty } from '../parameters.ts';
import { fromKube } from '../wait.ts';

export type ScheduleKind = 'backup' | 'snapshot';
export type AnySchedule = BackupSchedule | SnapshotSchedule;

export const KINDS: Readonly<Record<ScheduleKind, ResourceDescriptor>> = {
  backup: BACKUP_SCHEDULES,
  snapshot: SNAPSHOT_SCHEDULES,
};

export const NAME_PARAMETER: ParameterProperty = {
  type: 'string',
  description: 'Name of the schedule.',
  minLength: 1,
};
export const KIND_PARAMETER: ParameterProperty = {
  type: 'string',
  description: 'Of backups or of snapshots; needed where both have the name.',
  enum: ['backup', 'snapshot'],
};

/** What the name stands for. @throws CommandError `NotFound`, or `InvalidParameter` when it stands for two. */
export async function findSchedule(
  command: string,
  name: string,
  kind: ScheduleKind | undefined,
  { client, namespace, signal }: CommandContext,
): Promise<{ readonly kind: ScheduleKind; readonly schedule: AnySchedule }> {
  const kinds: readonly ScheduleKind[] = kind === undefined ? ['backup', 'snapshot'] : [kind];
  const found: { readonly kind: ScheduleKind; readonly schedule: AnySchedule }[] = [];
  for (const one of kinds) {
    try {
      const schedule = await client.get<AnySchedule>(KINDS[one], { namespace, name }, { signal });
      found.push({ kind: one, schedule });
    } catch (thrown) {
      if (!KubeError.from(thrown).isNotFound) throw fromKube(thrown);
    }
  }
  const [first, second] = found;
  if (first === undefined) {
    const what = kind === undefined ? 'schedule' : `schedule of ${kind}s`;
    const message = `${command}: there is no ${what} "${name}" in namespace ${namespace}`;
    throw new CommandError('NotFound', message, { field: 'name' });
  }
  if (second === undefined) return first;
  const message = `${command}: there are a schedule of backups and one of snapshots "${name}": parameter "kind" is required`;
  throw new CommandError('InvalidParameter', message, { field: 'kind' });
}
