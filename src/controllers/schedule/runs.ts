/**
 * What a schedule has made: its runs, as objects that say by whom and for when. That is read from them and from nowhere
 * else, so that a controller that was killed between two writes knows what it did.
 */
import { createHash } from 'node:crypto';
import { formatTime } from '../../api/conditions.ts';
import { durationMs } from '../../api/duration.ts';
import { LABELS, RUN_ANNOTATIONS } from '../../api/group.ts';
import type { KubeObject, KubeObjectBase, ResourceDescriptor } from '../../api/meta.ts';
import { apiVersionOf, keyOf } from '../../api/meta.ts';
import type { Schedule } from '../../api/schedule.ts';

/** How one kind of run is made and read. */
export interface RunKind<Child extends KubeObjectBase> {
  /** The kind of the schedule. */
  readonly schedules: ResourceDescriptor;
  /** The kind of what it makes. */
  readonly runs: ResourceDescriptor;
  readonly outcome: (child: Child) => Outcome;
  /**
   * A merge patch of the spec that a run gets before the retention deletes it, so that its data goes with it; undefined:
   * none. A run that is deleted for another reason never gets it.
   */
  readonly expiry?: (child: Child) => object | undefined;
}

export type Outcome =
  | { readonly state: 'unfinished' }
  /** `at`: what it keeps is of that moment; `doneAt`: when it was done. Milliseconds since the epoch. */
  | { readonly state: 'succeeded'; readonly at: number; readonly doneAt: number }
  | { readonly state: 'failed'; readonly message: string }
  /** It had succeeded, and what it kept is not there now: it may come back, so it counts for nothing and stays. */
  | { readonly state: 'lost' };

/** One run of a schedule. */
export interface Run<Child extends KubeObjectBase> {
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly scheduledAt: number;
  readonly outcome: Outcome;
  readonly object: Child;
}

/** Runs by the key of the schedule that their label names. */
export const BY_SCHEDULE = 'schedule';

export function scheduleOf({ metadata }: KubeObjectBase): readonly string[] {
  const name = metadata.labels?.[LABELS.schedule];
  return name === undefined ? [] : [keyOf({ metadata: { namespace: metadata.namespace ?? '', name } })];
}

/** Reads a run; undefined when the object is not of this schedule, but of another one of its name, or of a person. */
export function runOf<Child extends KubeObjectBase>(
  kind: RunKind<Child>,
  schedule: KubeObjectBase,
  object: Child,
): Run<Child> | undefined {
  const { name, labels, annotations } = object.metadata;
  const { uid } = schedule.metadata;
  const scheduledAt = Date.parse(annotations?.[RUN_ANNOTATIONS.scheduledAt] ?? '');
  if (uid === undefined || annotations?.[RUN_ANNOTATIONS.scheduleUID] !== uid || Number.isNaN(scheduledAt)) {
    return undefined;
  }
  if (labels?.[LABELS.schedule] !== schedule.metadata.name) return undefined;
  return { name, scheduledAt, outcome: kind.outcome(object), object };
}

/** Name of the run of a time: whoever makes it, and however often, there is one. */
export function runName(schedule: KubeObjectBase, scheduledAt: number): string {
  return `${schedule.metadata.name}-${new Date(scheduledAt).toISOString().slice(0, 16).replace(/\D/g, '')}`;
}

/** The object of the run of a time. */
export function runObject<Template>(
  runs: ResourceDescriptor,
  schedule: Schedule<Template>,
  scheduledAt: number,
): KubeObject<Template> {
  const { name, namespace, uid } = schedule.metadata;
  const { metadata, spec } = schedule.spec.template;
  return {
    apiVersion: apiVersionOf(runs),
    kind: runs.kind,
    metadata: {
      name: runName(schedule, scheduledAt),
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...metadata?.labels, [LABELS.schedule]: name },
      annotations: {
        ...metadata?.annotations,
        [RUN_ANNOTATIONS.scheduleUID]: uid ?? '',
        [RUN_ANNOTATIONS.scheduledAt]: formatTime(new Date(scheduledAt)),
      },
    },
    spec,
  };
}

/** The part of its jitter that a schedule takes: always the same, and another one for every schedule. Milliseconds. */
export function delayOf({ metadata, spec }: Schedule<unknown>): number {
  if (spec.jitter === undefined) return 0;
  const share =
    createHash('sha256')
      .update(metadata.uid ?? '')
      .digest()
      .readUInt32BE(0) /
    2 ** 32;
  return Math.floor(share * durationMs(spec.jitter));
}
