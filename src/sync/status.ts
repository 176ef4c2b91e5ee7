/**
 * How the sync stands, for people: a ConfigMap, events about it, and metrics. The ConfigMap is written when it says something
 * new, and otherwise now and then, for the time of the last success.
 */

import type { ConfigMap } from '../api/core.ts';
import { FIELD_MANAGERS, SYNC_STATUS, SYSTEM_NAMESPACE } from '../api/group.ts';
import { CONFIG_MAPS } from '../api/meta.ts';
import type { Reason } from '../api/reasons.ts';
import type { KubeClient } from '../kube/client.ts';
import type { EventSink } from '../kube/events.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Problem } from './apply.ts';

/** What one round came to. */
export interface RoundResult {
  readonly ready: boolean;
  /** Whether the next round may come further without a change of the source: it is not waited for long. */
  readonly soon: boolean;
  /** Whether something was asked to go: what waits for it may be next. */
  readonly hasMoved: boolean;
  readonly reason: Reason;
  readonly message: string;
  /** Absent when the source could not be read. */
  readonly revision?: string | undefined;
  /** Objects in the source. */
  readonly objects?: number | undefined;
  readonly problems: readonly Problem[];
  /** Objects that left the source and stay, each with the reason. */
  readonly kept: readonly string[];
}

/** The data of the ConfigMap. Everything is text there; lists are JSON. */
export interface SyncStatusData {
  readonly source: string;
  readonly ready: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
  /** Of the last reading that succeeded. */
  readonly revision: string;
  readonly objects: string;
  /** RFC 3339; empty before the first. At most {@link REFRESH_MS} behind. */
  readonly lastSuccess: string;
  readonly problems: string;
  readonly kept: string;
}

/** How often the time alone is written, in milliseconds. */
const REFRESH_MS = 600_000;
/** Reasons that count as failures; each exists at 0 from the start. */
const FAILURES: readonly Reason[] = [
  'SourceUnreachable',
  'SourceRefused',
  'SyncIncomplete',
  'SyncFailed',
  'PruneRefused',
];
/** Problems listed at most; the message has their number. */
const MAX_LISTED = 50;

export interface SyncReporterOptions {
  readonly client: KubeClient;
  readonly events: EventSink;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Text of the source. */
  readonly source: string;
}

export class SyncReporter {
  readonly #options: SyncReporterOptions;
  #last: Omit<SyncStatusData, 'lastSuccess'> | undefined;
  #lastSuccess: number | undefined;
  #written: { readonly text: string; readonly at: number } | undefined;

  constructor(options: SyncReporterOptions) {
    this.#options = options;
    for (const reason of FAILURES) options.metrics.syncFailures.inc({ source: options.source, reason }, 0);
  }

  /** @throws KubeError when the ConfigMap cannot be written. */
  async report(result: RoundResult, signal: AbortSignal): Promise<void> {
    const { clock, source } = this.#options;
    if (result.ready) this.#lastSuccess = clock.now();
    this.#measure(result);
    const before = this.#last ?? (await this.#read(signal));
    const data = {
      source,
      ready: result.ready ? 'True' : 'False',
      reason: result.reason,
      message: result.message,
      revision: result.revision ?? before?.revision ?? '',
      objects: result.objects === undefined ? (before?.objects ?? '') : String(result.objects),
      problems: JSON.stringify(result.problems.slice(0, MAX_LISTED), null, 1),
      kept: JSON.stringify(result.kept.slice(0, MAX_LISTED), null, 1),
    } as const;
    const text = JSON.stringify(data);
    const isNew = this.#written?.text !== text;
    if (!isNew && clock.now() - (this.#written?.at ?? 0) < REFRESH_MS) return;
    const lastSuccess = this.#lastSuccess === undefined ? '' : new Date(this.#lastSuccess).toISOString();
    const written = await this.#write({ ...data, lastSuccess }, signal);
    this.#written = { text, at: clock.now() };
    this.#last = data;
    if (!isNew) return;
    const about = { apiVersion: 'v1', kind: CONFIG_MAPS.kind, metadata: written.metadata };
    if (result.ready || result.reason === 'Pruning') {
      this.#options.events.record(about, 'Normal', result.reason, result.message);
    } else {
      const [first] = result.problems;
      const named = first === undefined ? '' : `; first: ${problemText(first)}`;
      this.#options.events.record(about, 'Warning', result.reason, `${result.message}${named}`);
    }
  }

  #measure({ ready, reason, revision, objects, problems }: RoundResult): void {
    const { metrics, source, clock } = this.#options;
    metrics.syncReady.set({ source }, ready ? 1 : 0);
    if (ready) metrics.syncLastSuccess.set({ source }, clock.now() / 1000);
    else if (reason !== 'Pruning') metrics.syncFailures.inc({ source, reason });
    if (objects !== undefined) metrics.syncObjects.set({ source }, objects);
    metrics.syncProblems.set({ source }, problems.length);
    if (revision === undefined) return;
    metrics.syncRevision.reset();
    metrics.syncRevision.set({ source, revision }, 1);
  }

  /** What an earlier process wrote of the same source. */
  async #read(signal: AbortSignal): Promise<SyncStatusData | undefined> {
    const data = await readSyncStatus(this.#options.client, signal);
    if (data?.source !== this.#options.source) return undefined;
    if (this.#lastSuccess === undefined && data.lastSuccess !== '') this.#lastSuccess = Date.parse(data.lastSuccess);
    return data;
  }

  #write(data: SyncStatusData, signal: AbortSignal): Promise<ConfigMap> {
    const metadata = { namespace: SYSTEM_NAMESPACE, name: SYNC_STATUS };
    const body = { apiVersion: 'v1', kind: CONFIG_MAPS.kind, metadata, data };
    const options = { type: 'apply', fieldManager: FIELD_MANAGERS.sync, force: true } as const;
    return this.#options.client.patch<ConfigMap>(CONFIG_MAPS, metadata, body, { ...options, signal });
  }
}

/** Reads how the sync stands; undefined where there has been none. @throws KubeError */
export async function readSyncStatus(client: KubeClient, signal: AbortSignal): Promise<SyncStatusData | undefined> {
  const selection = { namespace: SYSTEM_NAMESPACE, fieldSelector: `metadata.name=${SYNC_STATUS}` };
  const { items } = await client.list<ConfigMap>(CONFIG_MAPS, { ...selection, signal });
  const data = items[0]?.data;
  if (data === undefined) return undefined;
  const text = (key: keyof SyncStatusData): string => data[key] ?? '';
  return {
    source: text('source'),
    ready: text('ready') === 'True' ? 'True' : 'False',
    reason: text('reason'),
    message: text('message'),
    revision: text('revision'),
    objects: text('objects'),
    lastSuccess: text('lastSuccess'),
    problems: text('problems'),
    kept: text('kept'),
  };
}

/** `team/volumes.yaml:12: Volume team/data: spec.capacity …`. */
export function problemText({ file, line, object, message }: Problem): string {
  const where = line === undefined ? file : `${file}:${line}`;
  return `${where}: ${object === undefined ? '' : `${object}: `}${message}`;
}
