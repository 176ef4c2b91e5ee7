import { findCondition } from '../../api/conditions.ts';
import type { Command } from '../command.ts';
import { fromKube } from '../wait.ts';
import type { AnySchedule, ScheduleKind } from './kinds.ts';
import { KINDS } from './kinds.ts';

interface ListedSchedule {
  readonly name: string;
  readonly kind: ScheduleKind;
  readonly schedule: string;
  readonly timeZone: string;
  /** The destination of backups, or the volume. */
  readonly of: string;
  readonly suspended: boolean;
  /** Runs that have not finished. */
  readonly active: number;
  readonly last_success?: string;
  readonly next?: string;
  /** What a person should know: what it waits for, how the last run ended, what is wrong with it. */
  readonly message?: string;
}

/** `clawstore schedule list`: the schedules of both kinds in the namespace. */
export const scheduleList: Command<Record<string, never>, { readonly schedules: readonly ListedSchedule[] }> = {
  name: 'schedule list',
  summary: 'List the schedules of backups and of snapshots.',
  parameters: { required: [], properties: {} },
  readOnly: true,
  async run(_params, { client, namespace, signal }) {
    const schedules: ListedSchedule[] = [];
    for (const kind of ['backup', 'snapshot'] as const) {
      const list = client.list<AnySchedule>(KINDS[kind], { namespace, signal });
      const { items } = await list.catch((cause: unknown) => {
        throw fromKube(cause);
      });
      schedules.push(...items.map((schedule) => listed(kind, schedule)));
    }
    return { schedules };
  },
};

function listed(kind: ScheduleKind, { metadata, spec, status }: AnySchedule): ListedSchedule {
  const { lastSuccessfulTime, nextScheduleTime, active = [] } = status ?? {};
  const message = findCondition(status?.conditions, 'Ready')?.message ?? '';
  const template = spec.template.spec;
  const of = 'volumeRef' in template ? template.volumeRef.name : (template.destination ?? template.repositoryRef?.name);
  return {
    name: metadata.name,
    kind,
    schedule: spec.schedule,
    timeZone: spec.timeZone ?? 'UTC',
    of: of ?? '',
    suspended: spec.suspend === true,
    active: active.length,
    ...(lastSuccessfulTime === undefined ? {} : { last_success: lastSuccessfulTime }),
    ...(nextScheduleTime === undefined ? {} : { next: nextScheduleTime }),
    ...(message === '' ? {} : { message }),
  };
}
