import { findCondition } from '../../api/conditions.ts';
import { compareText } from '../../api/order.ts';
import type { Command } from '../command.ts';
import { type Listing, rowsOf } from '../listing.ts';
import type { AnySchedule, ScheduleKind } from './kinds.ts';
import { KINDS } from './kinds.ts';

export interface ListedSchedule {
  readonly name: string;
  readonly kind: ScheduleKind;
  readonly schedule: string;
  readonly timeZone: string;
  /** The destination of backups, or the volume. */
  readonly of: string;
  readonly suspended: boolean;
  /** Only in what a watch shows. */
  readonly deleted?: true;
  /** Runs that have not finished. */
  readonly active: number;
  readonly last_success?: string;
  readonly next?: string;
  /** What a person should know: what it waits for, how the last run ended, what is wrong with it. */
  readonly message?: string;
}

type Result = { readonly schedules: readonly ListedSchedule[] };
type ScheduleListing = Listing<Record<string, never>, AnySchedule, ListedSchedule, Result>;

const LISTINGS: readonly [ScheduleListing, ScheduleListing] = [listingOf('backup'), listingOf('snapshot')];

function listingOf(kind: ScheduleKind): ScheduleListing {
  return {
    resource: KINDS[kind],
    select: () => ({}),
    compare: (a, b) => compareText(a.metadata.name, b.metadata.name),
    rowOf: (schedule, isGone) => listed(kind, schedule, isGone),
    resultOf: (schedules) => ({ schedules }),
  };
}

/** The schedules of both kinds. */
export async function scheduleListings(): Promise<readonly ScheduleListing[]> {
  return LISTINGS;
}

/** `clawstore schedule list`: the schedules of both kinds in the namespace. */
export const scheduleList: Command<Record<string, never>, Result> = {
  name: 'schedule list',
  summary: 'List the schedules of backups and of snapshots.',
  parameters: { required: [], properties: {} },
  readOnly: true,
  async run(params, context) {
    const rows = await Promise.all(LISTINGS.map((listing) => rowsOf(listing, params, context)));
    return LISTINGS[0].resultOf(rows.flat());
  },
};

function listed(kind: ScheduleKind, { metadata, spec, status }: AnySchedule, isGone = false): ListedSchedule {
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
    ...(isGone ? { deleted: true } : {}),
    ...(lastSuccessfulTime === undefined ? {} : { last_success: lastSuccessfulTime }),
    ...(nextScheduleTime === undefined ? {} : { next: nextScheduleTime }),
    ...(message === '' ? {} : { message }),
  };
}
