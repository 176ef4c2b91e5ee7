/**
 * Gauges that say what objects say: of schedules, of the newest backups, of nodes. They are derived from the caches at each
 * scrape, so that they are right after a restart, of every replica of the controller, and gone with their objects.
 */
import type { Backup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import { isTrue } from '../../api/conditions.ts';
import { LABELS } from '../../api/group.ts';
import type { KubeObjectBase } from '../../api/meta.ts';
import { keyOf } from '../../api/meta.ts';
import type { Schedule } from '../../api/schedule.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { ReadStore } from '../../runtime/store.ts';
import type { Clock } from '../../telemetry/clock.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { RunKind } from '../schedule/runs.ts';
import { BY_SCHEDULE, runOf } from '../schedule/runs.ts';
import { timeOf, unfinished } from '../schedule/status.ts';
import { timetableOf } from '../schedule/timetable.ts';

/** One kind of schedule with its runs, which are indexed by {@link BY_SCHEDULE}. */
export interface ScheduleSource<Child extends KubeObjectBase> {
  readonly kind: RunKind<Child>;
  readonly schedules: ReadStore<Schedule<unknown>>;
  readonly runs: ReadStore<Child>;
}

export interface GaugeSources {
  readonly schedules: readonly ScheduleGauges[];
  readonly backups: ReadStore<Backup>;
  readonly nodes: ReadStore<StorageNode>;
}

/** Sets the gauges of all schedules of one kind. */
export type ScheduleGauges = (metrics: Metrics, now: number) => void;

/** Derives the gauges before each scrape. */
export function addObjectGauges(metrics: Metrics, sources: GaugeSources, clock: Clock): void {
  metrics.beforeObjects.add(() => {
    const { nodeReady, backupLastSuccess } = metrics;
    for (const gauge of [nodeReady, backupLastSuccess, ...gaugesOfSchedules(metrics)]) gauge.reset();
    for (const { metadata, status } of sources.nodes.list()) {
      nodeReady.set({ node: metadata.name }, isTrue(status?.conditions, 'Ready') ? 1 : 0);
    }
    for (const set of sources.schedules) set(metrics, clock.now());
    for (const [namespace, seconds] of lastByHand(sources.backups.list())) {
      backupLastSuccess.set({ namespace, schedule: '' }, seconds);
    }
  });
}

export function gaugesOf<Child extends KubeObjectBase>(source: ScheduleSource<Child>): ScheduleGauges {
  return (metrics, now) => {
    for (const schedule of source.schedules.list()) setGauges(schedule, source, metrics, now);
  };
}

function gaugesOfSchedules(metrics: Metrics) {
  const { scheduleReady, scheduleSuspended, scheduleCreated, scheduleInterval } = metrics;
  const { scheduleLastSuccess, scheduleLastMissed, scheduleLastRunFailed, scheduleActive } = metrics;
  const ofSpec = [scheduleReady, scheduleSuspended, scheduleCreated, scheduleInterval];
  return [...ofSpec, scheduleLastSuccess, scheduleLastMissed, scheduleLastRunFailed, scheduleActive];
}

function setGauges<Child extends KubeObjectBase>(
  schedule: Schedule<unknown>,
  { kind, runs }: ScheduleSource<Child>,
  metrics: Metrics,
  now: number,
): void {
  const { metadata, spec, status } = schedule;
  const namespace = metadata.namespace ?? '';
  const labels = { kind: kind.schedules.kind, namespace, schedule: metadata.name };
  metrics.scheduleReady.set(labels, isTrue(status?.conditions, 'Ready') ? 1 : 0);
  metrics.scheduleSuspended.set(labels, spec.suspend === true ? 1 : 0);
  metrics.scheduleCreated.set(labels, (timeOf(metadata.creationTimestamp) ?? now) / 1000);
  const intervalMs = intervalOf(spec.schedule, spec.timeZone ?? 'UTC', now);
  if (intervalMs !== undefined) metrics.scheduleInterval.set(labels, intervalMs / 1000);
  const missed = timeOf(status?.lastMissedTime);
  if (missed !== undefined) metrics.scheduleLastMissed.set(labels, missed / 1000);
  const success = timeOf(status?.lastSuccessfulTime);
  if (success !== undefined) {
    metrics.scheduleLastSuccess.set(labels, success / 1000);
    if (kind.runs.kind === 'Backup') {
      metrics.backupLastSuccess.set({ namespace, schedule: metadata.name }, success / 1000);
    }
  }
  const made = runs
    .byIndex(BY_SCHEDULE, keyOf(schedule))
    .map((object) => runOf(kind, schedule, object))
    .filter((run) => run !== undefined)
    .sort((a, b) => a.scheduledAt - b.scheduledAt);
  metrics.scheduleActive.set(labels, unfinished(made).length);
  const last = made.findLast(({ outcome }) => outcome.state === 'succeeded' || outcome.state === 'failed');
  metrics.scheduleLastRunFailed.set(labels, last?.outcome.state === 'failed' ? 1 : 0);
}

/** Runs that are looked at: enough for every day of a week, and for months of different lengths. */
const RUNS_AHEAD = 10;
const intervals = new Map<string, number | undefined>();
/** Schedules are few; this only bounds what somebody makes and deletes for years. */
const MOST_INTERVALS = 10_000;

/** The longest time between two of the next runs in milliseconds; undefined when there are none, or it is not valid. */
function intervalOf(schedule: string, timeZone: string, now: number): number | undefined {
  const key = `${timeZone} ${schedule}`;
  if (intervals.has(key)) return intervals.get(key);
  if (intervals.size >= MOST_INTERVALS) intervals.clear();
  const longest = longestGap(schedule, timeZone, now);
  intervals.set(key, longest);
  return longest;
}

function longestGap(schedule: string, timeZone: string, now: number): number | undefined {
  try {
    const timetable = timetableOf(schedule, timeZone, now);
    let longest: number | undefined;
    let from = timetable.next(now);
    for (let count = 1; count < RUNS_AHEAD && from !== undefined; count++) {
      const next = timetable.next(from);
      if (next !== undefined) longest = Math.max(longest ?? 0, next - from);
      from = next;
    }
    return longest;
  } catch {
    return undefined;
  }
}

/** When the newest backup that no schedule made ended well, by namespace, in seconds. */
function lastByHand(backups: readonly Backup[]): ReadonlyMap<string, number> {
  const newest = new Map<string, number>();
  for (const backup of backups) {
    const { metadata, spec, status } = backup;
    if (spec.imported !== undefined || metadata.labels?.[LABELS.schedule] !== undefined) continue;
    if (!hasEnded(backup) || !isTrue(status?.conditions, 'Ready')) continue;
    const seconds = (timeOf(status?.completionTime) ?? 0) / 1000;
    const namespace = metadata.namespace ?? '';
    if (seconds > (newest.get(namespace) ?? 0)) newest.set(namespace, seconds);
  }
  return newest;
}
