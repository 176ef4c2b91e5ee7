/** Binds the process's metrics to one controller, with every series present from the start. */
import type { Metrics, ReconcileResult } from '../telemetry/metrics.ts';
import { RECONCILE_RESULTS } from '../telemetry/metrics.ts';
import type { WorkQueueObserver } from './work-queue.ts';

interface Unfinished {
  readonly sumSeconds: number;
  readonly longestSeconds: number;
}

/** The metrics of the loop of one controller. */
export function controllerMetrics(metrics: Metrics, name: string, concurrency: number, unfinished: () => Unfinished) {
  const controller = { controller: name };
  const results = Object.fromEntries(
    RECONCILE_RESULTS.map((result) => [result, metrics.reconcileTotal.labels({ ...controller, result })]),
  ) as Record<ReconcileResult, { inc(): void }>;
  for (const result of RECONCILE_RESULTS) metrics.reconcileTotal.inc({ ...controller, result }, 0);
  for (const counter of [metrics.reconcileErrors, metrics.terminalErrors, metrics.panics, metrics.timeouts]) {
    counter.inc(controller, 0);
  }
  metrics.maxConcurrent.set(controller, concurrency);
  const active = metrics.activeWorkers.labels(controller);
  active.set(0);
  const time = metrics.reconcileTime.labels(controller);
  const queue = { name, controller: name };
  const ages = (): void => {
    const { sumSeconds, longestSeconds } = unfinished();
    metrics.unfinishedWork.set(queue, sumSeconds);
    metrics.longestRunning.set(queue, longestSeconds);
  };
  ages();
  metrics.beforeScrape.add(ages);
  return {
    active: (by: 1 | -1): void => active.inc(by),
    time: (seconds: number): void => time.observe(seconds),
    panic: (): void => metrics.panics.inc(controller),
    timeout: (): void => metrics.timeouts.inc(controller),
    result(result: ReconcileResult): void {
      results[result].inc();
      if (result === 'error' || result === 'terminal') metrics.reconcileErrors.inc(controller);
      if (result === 'terminal') metrics.terminalErrors.inc(controller);
    },
    /** Ends the binding; the last values stay. */
    remove(): void {
      ages();
      metrics.beforeScrape.delete(ages);
    },
  };
}

/** The metrics of the work queue of one controller. */
export function queueObserver(metrics: Metrics, name: string): WorkQueueObserver {
  const labels = { name, controller: name };
  const depth = metrics.queueDepth.labels(labels);
  const adds = metrics.queueAdds.labels(labels);
  const retries = metrics.queueRetries.labels(labels);
  const waited = metrics.queueDuration.labels(labels);
  const worked = metrics.workDuration.labels(labels);
  depth.set(0);
  adds.inc(0);
  retries.inc(0);
  return {
    depth: (ready) => depth.set(ready),
    added: () => adds.inc(),
    retried: () => retries.inc(),
    started: (seconds) => waited.observe(seconds),
    finished: (seconds) => worked.observe(seconds),
  };
}
