/**
 * Schedules: starts the run that is due, and deletes what is no longer to be kept. The same for every kind of run.
 *
 * A run is an object whose name follows from its scheduled time, and which says that time: whoever makes it, before or
 * after a crash, there is one. It is made before the status tells of it. Runs are no dependents of the schedule: they stay
 * when it goes (label and annotations, no ownerReferences).
 */
import PQueue from 'p-queue';
import { formatTime } from '../../api/conditions.ts';
import { FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import type { KubeObjectBase } from '../../api/meta.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Schedule } from '../../api/schedule.ts';
import { DEFAULT_CONCURRENCY_POLICY, DEFAULT_FAILED_HISTORY_LIMIT } from '../../api/schedule.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { EventSink } from '../../kube/events.ts';
import { forCache } from '../../kube/ownership.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { isPaused } from '../support/annotations.ts';
import { recordConditionEvents } from '../support/condition-events.ts';
import type { Live } from '../support/live.ts';
import type { Writer } from '../support/writes.ts';
import { tolerateChange } from '../support/writes.ts';
import type { Decision } from './decide.ts';
import { decide, MOST_COUNTED } from './decide.ts';
import { datedBy, expired } from './retention.ts';
import type { Run, RunKind } from './runs.ts';
import { BY_SCHEDULE, delayOf, runName, runObject, runOf } from './runs.ts';
import type { ScheduleOutcome } from './status.ts';
import { deriveScheduleStatus, isBelievable, latestOf, timeOf, unfinished } from './status.ts';
import type { Timetable } from './timetable.ts';
import { TimetableError, timetableOf } from './timetable.ts';

export interface ScheduleDependencies<Template, Child extends KubeObjectBase> {
  readonly kind: RunKind<Child>;
  readonly schedules: ReadStore<Schedule<Template>>;
  /** Indexed by {@link BY_SCHEDULE}. */
  readonly runs: ReadStore<Child>;
  readonly client: Pick<KubeClient, 'create' | 'delete' | 'get' | 'patch'>;
  /** Right before runs are deleted with their data. */
  readonly live: Live;
  readonly writer: Writer;
  readonly events: EventSink;
}

/** The clock on the wall may be set, and stands still for none of our timers: no wait is longer. Milliseconds. */
const LONGEST_WAIT_MS = 300_000;
const SOON_MS = 10;
/** Deletions that are asked for side by side. */
const DELETIONS_AT_ONCE = 64;
/** Deletions of one reconcile, so that it ends: there may be thousands when a retention is set or made shorter. */
const MOST_DELETIONS = 500;

export function scheduleReconciler<Template, Child extends KubeObjectBase>(
  dependencies: ScheduleDependencies<Template, Child>,
): Reconciler {
  return (key, context) => tolerateChange(() => reconcile(key, dependencies, context));
}

async function reconcile<Template, Child extends KubeObjectBase>(
  key: string,
  deps: ScheduleDependencies<Template, Child>,
  context: ReconcileContext,
): Promise<Result> {
  const schedule = deps.schedules.get(key);
  if (schedule === undefined || isDeleting(schedule)) return DONE;
  const runs = await observe(schedule, key, deps, context.signal);
  const reading = isPaused(schedule) ? 'paused' : read(schedule, context.clock.now());
  if (reading === 'paused' || typeof reading === 'string') {
    const outcome: ScheduleOutcome = reading === 'paused' ? { kind: 'paused' } : { kind: 'invalid', message: reading };
    await report(schedule, outcome, runs, deps, context);
    return DONE;
  }
  const decision = judge(schedule, reading, runs, context.clock.now());
  const started = decision.start === undefined ? [] : await start(schedule, decision.start, runs, deps, context.signal);
  const all = [...runs.filter(({ name }) => !started.some((run) => run.name === name)), ...started];
  const hasMore = await prune(schedule, all, deps, context);
  await report(schedule, { kind: 'kept', decision }, all, deps, context, decision.start);
  if (hasMore) return { requeueAfterMs: SOON_MS };
  if (decision.lookAgainAt === undefined) return DONE;
  return { requeueAfterMs: Math.min(LONGEST_WAIT_MS, Math.max(1, decision.lookAgainAt - context.clock.now())) };
}

/** The runs of this schedule in the order of their times, from the cache, and from the server those that it lacks yet. */
async function observe<Template, Child extends KubeObjectBase>(
  schedule: Schedule<Template>,
  key: string,
  { kind, runs, client }: ScheduleDependencies<Template, Child>,
  signal: AbortSignal,
): Promise<readonly Run<Child>[]> {
  const objects = [...runs.byIndex(BY_SCHEDULE, key)];
  const { namespace } = schedule.metadata;
  for (const { name, uid } of schedule.status?.active ?? []) {
    if (objects.some(({ metadata }) => metadata.name === name)) continue;
    try {
      const object = forCache(await client.get<Child>(kind.runs, { namespace, name }, { signal }), kind.runs);
      if (object.metadata.uid === uid) objects.push(object);
    } catch (thrown) {
      if (!KubeError.from(thrown).isNotFound) throw thrown;
    }
  }
  return objects
    .map((object) => runOf(kind, schedule, object))
    .filter((run) => run !== undefined)
    .sort((a, b) => a.scheduledAt - b.scheduledAt);
}

/** The times of the schedule, or what is wrong with it. */
function read(schedule: Schedule<unknown>, now: number): Timetable | string {
  const { schedule: when, timeZone = 'UTC' } = schedule.spec;
  try {
    return timetableOf(when, timeZone, now);
  } catch (thrown) {
    if (thrown instanceof TimetableError) return thrown.message;
    throw thrown;
  }
}

function judge(
  { metadata, spec, status }: Schedule<unknown>,
  timetable: Timetable,
  runs: readonly Run<KubeObjectBase>[],
  now: number,
): Decision {
  const { startingDeadlineSeconds } = spec;
  const delayMs = delayOf({ metadata, spec } as Schedule<unknown>);
  const createdAt = timeOf(metadata.creationTimestamp) ?? now;
  return decide({
    timetable,
    now,
    createdAt: isBelievable(createdAt, now) ? createdAt : beforeLatest(timetable, now - delayMs),
    lastScheduled: latestOf([timeOf(status?.lastScheduleTime), ...runs.map(({ scheduledAt }) => scheduledAt)], now),
    lastMissed: latestOf([timeOf(status?.lastMissedTime)], now),
    delayMs,
    startingDeadlineMs: startingDeadlineSeconds === undefined ? undefined : startingDeadlineSeconds * 1000,
    concurrencyPolicy: spec.concurrencyPolicy ?? DEFAULT_CONCURRENCY_POLICY,
    suspended: spec.suspend === true,
    isRunning: unfinished(runs).length > 0,
  });
}

/** Of a schedule that nobody knows the age of, the latest time is run, and no other is missed. */
function beforeLatest(timetable: Timetable, now: number): number {
  return (timetable.latest(now) ?? now) - 1;
}

/** Makes the run of a time, if it is not there; returns it, or nothing when something else has its name. */
async function start<Template, Child extends KubeObjectBase>(
  schedule: Schedule<Template>,
  scheduledAt: number,
  runs: readonly Run<Child>[],
  deps: ScheduleDependencies<Template, Child>,
  signal: AbortSignal,
): Promise<readonly Run<Child>[]> {
  const { kind, client, events } = deps;
  if (schedule.spec.concurrencyPolicy === 'Replace') {
    for (const run of unfinished(runs)) await remove(run, deps, signal);
  }
  const time = formatTime(new Date(scheduledAt));
  const { namespace } = schedule.metadata;
  const name = runName(schedule, scheduledAt);
  let object: KubeObjectBase;
  try {
    const options = { fieldManager: FIELD_MANAGERS.controller, signal };
    object = await client.create<KubeObjectBase>(kind.runs, runObject(kind.runs, schedule, scheduledAt), options);
    events.record(schedule, 'Normal', 'RunStarted', `Made ${kind.runs.kind} "${name}" for ${time}.`);
  } catch (thrown) {
    const error = KubeError.from(thrown);
    if (!error.isAlreadyExists) {
      const why = `${kind.runs.kind} "${name}" for ${time} could not be made: ${error.message}`;
      if (!error.isAborted) events.record(schedule, 'Warning', 'RunFailed', why);
      throw error;
    }
    object = await client.get<Child>(kind.runs, { namespace, name }, { signal });
  }
  const run = runOf(kind, schedule, forCache(object as Child, kind.runs));
  if (run !== undefined) return [run];
  const why = `${kind.runs.kind} "${name}" for ${time} could not be made: another one of that name is there.`;
  events.record(schedule, 'Warning', 'RunFailed', why);
  return [];
}

/** Deletes what the retention no longer keeps, and the failed runs that are too many. @returns whether there are more. */
async function prune<Template, Child extends KubeObjectBase>(
  schedule: Schedule<Template>,
  runs: readonly Run<Child>[],
  deps: ScheduleDependencies<Template, Child>,
  { clock, signal }: ReconcileContext,
): Promise<boolean> {
  const { failedHistoryLimit = DEFAULT_FAILED_HISTORY_LIMIT } = schedule.spec;
  const alive = runs.filter(({ object }) => !isDeleting(object));
  const failed = alive.filter(({ outcome }) => outcome.state === 'failed').reverse();
  const likely = unkept(schedule, runs, clock.now());
  const old = likely.length === 0 ? [] : await surelyUnkept(schedule, likely, deps, clock.now(), signal);
  // What has failed has nothing to lose, and may have failed because nobody can reach where it was to be kept.
  const deletions = [
    ...old.map((run) => ({ run, begin: () => expire(run, deps, signal) })),
    ...failed.slice(failedHistoryLimit).map((run) => ({ run, begin: () => remove(run, deps, signal) })),
  ];
  const queue = new PQueue({ concurrency: DELETIONS_AT_ONCE });
  const ends = await Promise.allSettled(
    deletions.slice(0, MOST_DELETIONS).map(({ run, begin }) =>
      queue.add(async () => {
        if (!(await begin())) return;
        deps.events.record(schedule, 'Normal', 'Pruned', `${deps.kind.runs.kind} "${run.name}" is no longer kept.`);
      }),
    ),
  );
  const failure = ends.find((end) => end.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  return deletions.length > MOST_DELETIONS;
}

/** The runs that the retention no longer keeps. */
function unkept<Child extends KubeObjectBase>(
  { spec: { retention, timeZone = 'UTC' } }: Schedule<unknown>,
  runs: readonly Run<Child>[],
  now: number,
): readonly Run<Child>[] {
  if (retention === undefined) return [];
  const ready = runs.flatMap((run) =>
    run.outcome.state === 'succeeded' && !isDeleting(run.object) ? [{ ...run, at: run.outcome.at }] : [],
  );
  return expired(datedBy(ready, now), retention, timeZone);
}

/**
 * Those of them that the API server says the same of, as schedule and runs are now. One that the cache still shows, and that
 * is gone or has lost its data, would be counted in the place of one that is to be kept.
 */
async function surelyUnkept<Template, Child extends KubeObjectBase>(
  schedule: Schedule<Template>,
  likely: readonly Run<Child>[],
  { kind, live }: ScheduleDependencies<Template, Child>,
  at: number,
  signal: AbortSignal,
): Promise<readonly Run<Child>[]> {
  const { namespace, name, uid } = schedule.metadata;
  const now = await live.get<Schedule<Template>>(kind.schedules, { namespace, name }, signal);
  if (now === undefined || now.metadata.uid !== uid || isDeleting(now) || isPaused(now)) return [];
  const objects = await live.list<Child>(kind.runs, { namespace, labelSelector: `${LABELS.schedule}=${name}` }, signal);
  const runs = objects.map((object) => runOf(kind, now, object)).filter((run) => run !== undefined);
  const inOrder = runs.sort((a, b) => a.scheduledAt - b.scheduledAt);
  const gone = new Set(unkept(now, inOrder, at).map(({ object }) => object.metadata.uid));
  return likely.filter(({ object }) => gone.has(object.metadata.uid));
}

/** Deletes a run with its data; false when it is gone. */
async function expire<Template, Child extends KubeObjectBase>(
  run: Run<Child>,
  deps: ScheduleDependencies<Template, Child>,
  signal: AbortSignal,
): Promise<boolean> {
  const { kind, client } = deps;
  const spec = kind.expiry?.(run.object);
  if (spec === undefined) return remove(run, deps, signal);
  const { namespace, name, uid, resourceVersion } = run.object.metadata;
  const body = { metadata: { uid, resourceVersion }, spec };
  const options = { type: 'merge', fieldManager: FIELD_MANAGERS.controller, signal } as const;
  try {
    const object = await client.patch<Child>(kind.runs, { namespace, name }, body, options);
    return remove({ ...run, object }, deps, signal);
  } catch (thrown) {
    if (!KubeError.from(thrown).isNotFound) throw thrown;
    return false;
  }
}

/** Asks for the deletion of exactly the object that was judged; false when it is gone. */
async function remove<Template, Child extends KubeObjectBase>(
  { object }: Run<Child>,
  { kind, client }: ScheduleDependencies<Template, Child>,
  signal: AbortSignal,
): Promise<boolean> {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  try {
    await client.delete(kind.runs, { namespace, name }, { preconditions: { uid, resourceVersion }, signal });
    return true;
  } catch (thrown) {
    if (!KubeError.from(thrown).isNotFound) throw thrown;
    return false;
  }
}

/** Writes the status, and tells of what is new in it. */
async function report<Template, Child extends KubeObjectBase>(
  schedule: Schedule<Template>,
  outcome: ScheduleOutcome,
  runs: readonly Run<Child>[],
  { kind, writer, events }: ScheduleDependencies<Template, Child>,
  { clock, signal }: ReconcileContext,
  startedAt?: number,
): Promise<void> {
  const before = schedule.status;
  const times = [timeOf(before?.lastScheduleTime), startedAt, ...runs.map(({ scheduledAt }) => scheduledAt)];
  const now = new Date(clock.now());
  const status = deriveScheduleStatus({ schedule, outcome, runs, lastScheduled: latestOf(times, clock.now()), now });
  if (!(await writer.status(kind.schedules, schedule, status, { signal }))) return;
  recordConditionEvents(events, schedule, before?.conditions, status.conditions);
  const missed = outcome.kind === 'kept' ? outcome.decision.missed : undefined;
  if (missed !== undefined) events.record(schedule, 'Warning', 'RunsMissed', missedMessage(missed));
  const lastSeen = timeOf(before?.lastScheduleTime) ?? Number.NEGATIVE_INFINITY;
  for (const { name, scheduledAt, outcome: end } of runs) {
    const isNews = scheduledAt > lastSeen || before?.active?.some((run) => run.name === name) === true;
    if (end.state !== 'failed' || !isNews) continue;
    events.record(schedule, 'Warning', 'RunFailed', `${kind.runs.kind} "${name}" failed: ${end.message}`);
  }
}

function missedMessage({ latest, count }: { readonly latest: number; readonly count: number }): string {
  const time = formatTime(new Date(latest));
  if (count > MOST_COUNTED) {
    return `More than ${MOST_COUNTED} runs were missed, the latest at ${time}: were the clocks set, or the controller stopped for long?`;
  }
  return count === 1 ? `The run of ${time} was missed.` : `${count} runs were missed, the latest at ${time}.`;
}
