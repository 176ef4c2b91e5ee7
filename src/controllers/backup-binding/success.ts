/** When the newest backup of a namespace and schedule ended well: for the metric of that, which a restart must not forget. */
import type { Backup } from '../../api/backup.ts';
import { isTrue } from '../../api/conditions.ts';
import { LABELS } from '../../api/group.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

export class LastSuccess {
  readonly #metrics: Metrics;
  readonly #newest = new Map<string, number>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** Takes a Backup into account; once more is harmless. */
  note({ metadata, spec, status }: Backup): void {
    if (spec.imported !== undefined || status?.completionTime === undefined || !isTrue(status.conditions, 'Ready'))
      return;
    const labels = { namespace: metadata.namespace ?? '', schedule: metadata.labels?.[LABELS.schedule] ?? '' };
    const key = `${labels.namespace}/${labels.schedule}`;
    const seconds = Date.parse(status.completionTime) / 1000;
    if (seconds <= (this.#newest.get(key) ?? 0)) return;
    this.#newest.set(key, seconds);
    this.#metrics.backupLastSuccess.set(labels, seconds);
  }
}
