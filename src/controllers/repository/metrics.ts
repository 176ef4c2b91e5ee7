/** What is measured of repositories, by the agents that tend them. */
import type { BackupRepositoryStatus } from '../../api/backup-repository.ts';
import { findCondition } from '../../api/conditions.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

const CONDITIONS = {
  Ready: 'repositoryReady',
  KeyExported: 'repositoryKeyExported',
  Verified: 'repositoryVerified',
} as const;

/** @param key Of the repository. */
export function setMetrics(key: string, status: BackupRepositoryStatus, metrics: Metrics | undefined): void {
  if (metrics === undefined) return;
  const labels = labelsOf(key);
  for (const type of Object.keys(CONDITIONS) as (keyof typeof CONDITIONS)[]) {
    const gauge = metrics[CONDITIONS[type]];
    const said = findCondition(status.conditions, type)?.status ?? 'Unknown';
    if (said === 'Unknown') gauge.remove(labels);
    else gauge.set(labels, said === 'True' ? 1 : 0);
  }
  const { sizeBytes, backupCount, lastCheckTime } = status;
  if (sizeBytes !== undefined) metrics.repositorySize.set(labels, sizeBytes);
  if (backupCount !== undefined) metrics.repositoryBackups.set(labels, backupCount);
  if (lastCheckTime !== undefined) metrics.repositoryLastCheck.set(labels, Date.parse(lastCheckTime) / 1000);
}

/** Of one that another node tends now, or that is gone. */
export function forgetMetrics(key: string, metrics: Metrics | undefined): void {
  if (metrics === undefined) return;
  const conditions = Object.values(CONDITIONS).map((name) => metrics[name]);
  const { repositorySize, repositoryBackups, repositoryLastCheck } = metrics;
  for (const gauge of [...conditions, repositorySize, repositoryBackups, repositoryLastCheck]) {
    gauge.remove(labelsOf(key));
  }
}

function labelsOf(key: string): { readonly namespace: string; readonly name: string } {
  const [namespace = '', name = ''] = key.split('/');
  return { namespace, name };
}
