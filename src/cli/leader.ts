import { randomUUID } from 'node:crypto';
import { CONTROLLER_LEASE, SYSTEM_NAMESPACE } from '../api/group.ts';
import type { KubeClient } from '../kube/client.ts';
import { LeaderElector } from '../kube/leader-election.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/**
 * Leader election of `clawstore controller`. `clawstore up` needs none: its lock on the state directory keeps a second
 * one away, and a Lease that a killed one held would only delay the next start.
 */
export function leaderElector(options: {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nodeName: string;
}): LeaderElector {
  const { client, log, metrics, nodeName } = options;
  const identity = `${nodeName}_${randomUUID()}`;
  return new LeaderElector({ client, log, metrics, identity, namespace: SYSTEM_NAMESPACE, name: CONTROLLER_LEASE });
}
