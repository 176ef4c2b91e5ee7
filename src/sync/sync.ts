/**
 * Keeps the control plane equal to a source, round by round: read the source, list what was applied before, apply what
 * differs, delete what left. A round goes by nothing but what it finds in the source and at the API server, so a kill at
 * any point costs nothing but the rest of the round.
 */

import { compareText } from '../api/order.ts';
import { Backoff } from '../kube/backoff.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import type { EventSink } from '../kube/events.ts';
import type { Clock } from '../telemetry/clock.ts';
import { sleep, systemClock } from '../telemetry/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { applyObjects, type Problem } from './apply.ts';
import { nameOfObject, type ReadYaml, readObjects, type SourceObjects } from './documents.ts';
import { dueNow, planPrune } from './plan.ts';
import { listApplied, pruneObjects } from './prune.ts';
import { type Reading, type Source, SourceError } from './source.ts';
import { problemText, type RoundResult, SyncReporter } from './status.ts';

export interface SyncOptions {
  readonly source: Source;
  readonly client: KubeClient;
  readonly readYaml: ReadYaml;
  readonly events: EventSink;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock?: Clock | undefined;
  /** Time between rounds, in milliseconds; a source that can tell of a change is not waited for. */
  readonly intervalMs: number;
  /** Whether a source without any object may mean that all are to go. */
  readonly allowEmpty: boolean;
}

/** The first wait for what is being deleted or could not be reached, in milliseconds. */
const SOON_MS = 250;

export class Sync {
  readonly name = 'sync';
  readonly #options: SyncOptions;
  readonly #clock: Clock;
  readonly #reporter: SyncReporter;
  #rounds = 0;
  /** What was made of the files of a revision: reading them again takes a second for half a megabyte. */
  #content: (SourceObjects & { readonly revision: string }) | undefined;
  /** Set when the source told of a change since the last round began. */
  #changed = false;
  #wake: (() => void) | undefined;
  #lastLogged: string | undefined;

  constructor(options: SyncOptions) {
    const { client, events, metrics, source } = options;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#reporter = new SyncReporter({ client, events, metrics, clock: this.#clock, source: source.text });
  }

  /** Whether a round has ended since the start. */
  get hasRun(): boolean {
    return this.#rounds > 0;
  }

  /** Goes on until the signal aborts; whatever fails is reported and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    const { source, intervalMs } = this.#options;
    source.watch(() => {
      this.#changed = true;
      this.#wake?.();
    }, signal);
    const backoff = new Backoff({ initialMs: SOON_MS, maxMs: intervalMs });
    while (!signal.aborted) {
      this.#changed = false;
      const result = await this.#round(signal);
      if (result === undefined) return;
      this.#log(result);
      await this.#report(result, signal);
      this.#rounds += 1;
      if (!result.soon || result.hasMoved || this.#changed) backoff.reset();
      await this.#wait(result.soon ? backoff.next() : intervalMs, signal);
    }
  }

  /** @returns undefined when it was stopped. */
  async #round(signal: AbortSignal): Promise<RoundResult | undefined> {
    try {
      return await this.#sync(await this.#options.source.read(signal), signal);
    } catch (thrown) {
      if (signal.aborted) return undefined;
      const nothing = { ready: false, soon: true, hasMoved: false, problems: [], kept: [] } as const;
      if (thrown instanceof SourceError) return { ...nothing, reason: thrown.reason, message: thrown.message };
      if (!(thrown instanceof KubeError)) this.#options.log.error({ err: thrown }, 'the sync failed');
      return { ...nothing, reason: 'SyncFailed', message: KubeError.from(thrown).message };
    }
  }

  async #sync({ revision, files }: Reading, signal: AbortSignal): Promise<RoundResult> {
    const { client, source, readYaml, allowEmpty, events, metrics } = this.#options;
    if (this.#content?.revision !== revision) this.#content = { revision, ...(await readObjects(files, readYaml)) };
    const content = this.#content;
    const { objects, broken } = content;
    const live = await listApplied(client, signal);
    const applied = await applyObjects(client, objects, live, source.id, signal);
    const plan = planPrune({ source: content, live, id: source.id, allowEmpty });
    const pruned = await pruneObjects(client, dueNow(plan.prune), events, signal);
    metrics.syncPruned.inc({ source: source.text }, pruned.deleted);
    const problems: readonly Problem[] = [
      ...broken.map(({ file, line, message }) => ({ file, ...(line === undefined ? {} : { line }), message })),
      ...applied.problems,
      ...pruned.problems,
    ].toSorted((a, b) => compareText(problemText(a), problemText(b)));
    const kept = plan.kept.map(({ live: { resource, ref }, why }) => `${nameOfObject(resource, ref)}: ${why}`);
    const leaving = plan.prune.map(({ resource, ref }) => nameOfObject(resource, ref));
    const remade = applied.deleting.map(({ resource, ref }) => nameOfObject(resource, ref));
    const hasMoved = pruned.deleted > 0;
    const soon = leaving.length + remade.length > 0;
    const common = { revision, objects: objects.length, problems, kept: kept.toSorted(compareText), soon, hasMoved };
    if (plan.refusal !== undefined) {
      return { ...common, ready: false, reason: 'PruneRefused', message: plan.refusal };
    }
    if (problems.length > 0) {
      const message = `${problems.length} of the files or objects could not be read, applied or deleted`;
      return { ...common, ready: false, reason: 'SyncIncomplete', message };
    }
    if (soon) return { ...common, ready: false, reason: 'Pruning', message: pruningText(leaving, remade) };
    const message = `${objects.length} objects are as ${short(revision)} has them`;
    return { ...common, ready: true, reason: 'Synced', message };
  }

  async #report(result: RoundResult, signal: AbortSignal): Promise<void> {
    try {
      await this.#reporter.report(result, signal);
    } catch (thrown) {
      if (!signal.aborted) this.#options.log.warn({ err: thrown }, 'the status of the sync could not be written');
    }
  }

  /** A line when something is new. */
  #log({ ready, reason, message, problems }: RoundResult): void {
    const text = JSON.stringify([reason, message, problems]);
    if (text === this.#lastLogged) return;
    this.#lastLogged = text;
    const { log, source } = this.#options;
    const fields = { source: source.text, reason, problems: problems.slice(0, 10).map(problemText) };
    if (ready) log.info(fields, message);
    else log.warn(fields, message);
  }

  /** Until the time is over or the source has changed. */
  async #wait(delayMs: number, signal: AbortSignal): Promise<void> {
    if (this.#changed) return;
    const stop = new AbortController();
    const end = (): void => stop.abort();
    signal.addEventListener('abort', end, { once: true });
    this.#wake = end;
    try {
      if (!signal.aborted) await sleep(this.#clock, delayMs, stop.signal);
    } catch {
      // Woken: by a change or the stop.
    } finally {
      this.#wake = undefined;
      signal.removeEventListener('abort', end);
    }
  }
}

/** Commits by their first twelve digits, as people know them. */
function short(revision: string): string {
  return revision.startsWith('sha256:') ? revision.slice(0, 19) : revision.slice(0, 12);
}

function pruningText(leaving: readonly string[], remade: readonly string[]): string {
  const some = (names: readonly string[]): string =>
    names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
  const parts = [
    ...(leaving.length === 0 ? [] : [`left the source and are being deleted: ${some(leaving)}`]),
    ...(remade.length === 0 ? [] : [`are made again when they are gone: ${some(remade)}`]),
  ];
  return parts.join('; ');
}
