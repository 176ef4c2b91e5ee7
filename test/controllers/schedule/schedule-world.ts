/** A server and the controller of one schedule, for the tests of every kind of run. */
import { findCondition, lintStatus } from '../../../src/api/conditions.ts';
import { API_VERSION } from '../../../src/api/group.ts';
import type { KubeObject, KubeObjectBase, ObjectMeta } from '../../../src/api/meta.ts';
import type { Schedule, ScheduleSpec } from '../../../src/api/schedule.ts';
import { scheduleReconciler } from '../../../src/controllers/schedule/reconciler.ts';
import type { RunKind } from '../../../src/controllers/schedule/runs.ts';
import { BY_SCHEDULE, scheduleOf } from '../../../src/controllers/schedule/runs.ts';
import type { Live } from '../../../src/controllers/support/live.ts';
import type { Writer } from '../../../src/controllers/support/writes.ts';
import type { KubeClient, ObjectRef } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { Store } from '../../../src/runtime/store.ts';
import { silentLogger } from '../../../src/telemetry/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const START = Date.parse('2026-01-01T00:30:00Z');
/** A server with one schedule, `team/nightly`, hourly unless said otherwise, and the controller's caches of it. */
export class ScheduleWorld<Template, Child extends KubeObject> {
  readonly clock = new FakeClock(START);
  readonly schedules = new Store<Schedule<Template>>();
  /** What the controller's cache shows; `live` is what the server has. */
  readonly cached = new Store<Child>();
  readonly live = new Map<string, Child>();
  readonly writes: string[] = [];
  readonly events: string[] = [];
  readonly messages: string[] = [];
  /** The schedule as the server has it, where the cache does not show that yet. */
  ahead: Schedule<Template> | undefined;
  /** The controller's watch of the runs stands still. */
  lags = false;
  /** The next create fails like this. */
  failure: KubeError | undefined;
  /** The next delete fails like this. */
  deleteFailure: KubeError | undefined;
  readonly #kind: RunKind<Child>;
  #version = 0;
  readonly #reconcile;

  constructor(
    kind: RunKind<Child>,
    spec: Partial<ScheduleSpec<Template>> & Pick<ScheduleSpec<Template>, 'template'>,
    metadata: Partial<ObjectMeta> = {},
  ) {
    this.#kind = kind;
    this.cached.addIndex(BY_SCHEDULE, scheduleOf);
    this.edit({ schedule: '0 * * * *', ...spec }, metadata);
    this.#reconcile = scheduleReconciler({
      kind,
      schedules: this.schedules,
      runs: this.cached,
      client: this.#client(),
      live: this.#live(),
      writer: { status: this.#status } as Writer,
      events: {
        record: (object, type, reason, message) => {
          this.events.push(`${type} ${reason} ${object.kind}/${object.metadata.name}`);
          this.messages.push(message);
        },
      },
    });
  }

  get schedule(): Schedule<Template> {
    const schedule = this.schedules.get('team/nightly');
    if (schedule === undefined) throw new Error('the schedule is gone');
    return schedule;
  }

  get names(): readonly string[] {
    return [...this.live.keys()].sort();
  }

  get ready(): string {
    const { status, reason, message } = findCondition(this.schedule.status?.conditions, 'Ready') ?? {};
    return `${status} ${reason} ${message}`.trim();
  }

  edit(spec: Partial<ScheduleSpec<Template>>, metadata: Partial<ObjectMeta> = {}): void {
    const before = this.schedules.get('team/nightly');
    const generation = (before?.metadata.generation ?? 0) + 1;
    this.schedules.set({
      apiVersion: API_VERSION,
      kind: this.#kind.schedules.kind,
      metadata: {
        namespace: 'team',
        name: 'nightly',
        uid: 'uid-nightly',
        creationTimestamp: '2026-01-01T00:30:00Z',
        ...before?.metadata,
        ...metadata,
        generation,
        resourceVersion: String(++this.#version),
      },
      spec: { ...before?.spec, ...spec } as ScheduleSpec<Template>,
      status: before?.status ?? { observedGeneration: -1 },
    });
  }

  /** Puts a run on the server, and into the cache unless that lags. */
  put(run: Child): void {
    const metadata = { ...run.metadata, resourceVersion: String(++this.#version) };
    this.live.set(metadata.name, { ...run, metadata });
    if (!this.lags) this.catchUp();
  }

  catchUp(): void {
    for (const run of this.live.values()) this.cached.set(run);
    for (const { metadata } of this.cached.list()) {
      if (!this.live.has(metadata.name)) this.cached.delete(`team/${metadata.name}`);
    }
  }

  /** What an agent would write. */
  async report(name: string, status: Child['status']): Promise<void> {
    const run = this.live.get(name);
    if (run === undefined) throw new Error(`${name} is not there`);
    this.put({ ...run, status });
  }

  /** One reconcile; when the next is asked for, in milliseconds. */
  async run(): Promise<number | undefined> {
    const { clock } = this;
    const context = { signal: new AbortController().signal, log: silentLogger, reconcileId: 'test', retries: 0, clock };
    return (await this.#reconcile('team/nightly', context)).requeueAfterMs;
  }

  /** Runs until nothing is written, as the loop would. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 10; turn++) {
      const before = this.writes.length;
      await this.run();
      if (this.writes.length === before) return;
    }
    throw new Error(`does not come to rest: ${this.writes.slice(-4).join(', ')}`);
  }

  /** Moves the clock to a `DDThh:mm:ss` of January 2026, and settles. */
  async to(time: string): Promise<void> {
    await this.clock.advance(Date.parse(`2026-01-${time}Z`) - this.clock.now());
    await this.settle();
  }

  readonly #status: Writer['status'] = async (_resource, object, status) => {
    const live = this.schedule;
    if (JSON.stringify(status) === JSON.stringify(live.status)) return false;
    const problems = lintStatus({ ...live, status });
    if (problems.length > 0) throw new Error(problems.join('; '));
    this.writes.push(`status ${object.metadata.name}`);
    const metadata = { ...live.metadata, resourceVersion: String(++this.#version) };
    this.schedules.set({ ...live, metadata, status });
    return true;
  };

  #live(): Live {
    return {
      get: <T extends KubeObjectBase>(_resource: unknown, { name }: ObjectRef) => {
        const isSchedule = name === 'nightly';
        return Promise.resolve((isSchedule ? (this.ahead ?? this.schedule) : this.live.get(name)) as T | undefined);
      },
      list: <T extends KubeObjectBase>() => Promise.resolve([...this.live.values()] as unknown as readonly T[]),
    };
  }

  #client(): Pick<KubeClient, 'create' | 'delete' | 'get' | 'patch'> {
    const answer = <T>(object: unknown): Promise<T> => Promise.resolve(object as T);
    return {
      create: async <T extends KubeObjectBase>(_resource: unknown, object: T) => {
        const { name } = object.metadata;
        if (this.failure !== undefined) {
          const { failure } = this;
          this.failure = undefined;
          throw failure;
        }
        if (this.live.has(name))
          throw new KubeError({ reason: 'AlreadyExists', status: 409, message: 'already exists' });
        this.writes.push(`create ${name}`);
        const uid = `uid-${name}`;
        const creationTimestamp = new Date(this.clock.now()).toISOString();
        this.put({ ...object, metadata: { ...object.metadata, uid, creationTimestamp } } as unknown as Child);
        return answer<T>(this.live.get(name));
      },
      get: <T extends KubeObjectBase>(_resource: unknown, ref: { readonly name: string }) => {
        const found = this.live.get(ref.name);
        if (found === undefined) throw new KubeError({ reason: 'NotFound', status: 404, message: 'not found' });
        return answer<T>(found);
      },
      patch: async <T extends KubeObjectBase>(_resource: unknown, { name }: ObjectRef, body: unknown) => {
        const found = this.live.get(name);
        if (found === undefined) throw new KubeError({ reason: 'NotFound', status: 404, message: 'not found' });
        const { metadata, spec } = body as { readonly metadata: ObjectMeta; readonly spec: object };
        if (metadata.uid !== found.metadata.uid || metadata.resourceVersion !== found.metadata.resourceVersion) {
          throw new KubeError({ reason: 'Conflict', status: 409, message: 'preconditions' });
        }
        this.writes.push(`patch ${name} ${JSON.stringify(spec)}`);
        this.put({ ...found, spec: { ...(found.spec as object), ...spec } });
        return answer<T>(this.live.get(name));
      },
      delete: async (_resource, { name }, options) => {
        const found = this.live.get(name);
        if (found === undefined) throw new KubeError({ reason: 'NotFound', status: 404, message: 'not found' });
        const { uid, resourceVersion } = options?.preconditions ?? {};
        if (uid !== found.metadata.uid || resourceVersion !== found.metadata.resourceVersion) {
          throw new KubeError({ reason: 'Conflict', status: 409, message: 'preconditions' });
        }
        if (this.deleteFailure !== undefined) {
          const { deleteFailure } = this;
          this.deleteFailure = undefined;
          throw deleteFailure;
        }
        this.writes.push(`delete ${name}`);
        this.live.delete(name);
        if (!this.lags) this.catchUp();
      },
    };
  }
}
