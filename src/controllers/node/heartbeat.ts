/**
 * The sign of life of an agent: a Lease, as kubelets renew theirs. Leases are small and cheap for the API server, so the
 * big StorageNode need not be written for it.
 */

import type { Lease, Namespace } from '../../api/core.ts';
import { nodeLeaseName, SYSTEM_NAMESPACE } from '../../api/group.ts';
import { apiVersionOf, LEASES, NAMESPACES } from '../../api/meta.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Runnable } from '../../runtime/manager.ts';
import type { Clock } from '../../telemetry/clock.ts';
import { sleep } from '../../telemetry/clock.ts';
import type { Logger } from '../../telemetry/log.ts';
import { isOurs, NodeTakenError, nodeTaken, readNodeLease } from './claim.ts';

/** How often the Lease is renewed, in milliseconds. */
export const RENEW_MS = 10_000;
/** How long a Lease holds, in seconds: three renewals may fail. */
export const LEASE_SECONDS = 40;
/** Time to the next attempt after a failure, in milliseconds. */
const RETRY_MS = 2000;
/** An attempt that takes longer is given up, in milliseconds. */
const ATTEMPT_MS = 8000;

export interface HeartbeatOptions {
  readonly client: KubeClient;
  readonly nodeName: string;
  /** Who holds the Lease; see `claim.ts`. */
  readonly identity: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told when the API server answers again, and for how long it had not, in milliseconds. */
  readonly onReturn?: ((awayMs: number) => void) | undefined;
}

/**
 * Renews the node's Lease until it is stopped. The Lease then runs out by itself: nobody speaks for the node. Ends with
 * NodeTakenError when another agent has taken the name over meanwhile (this one was away for longer than the Lease holds).
 */
export function heartbeat({ client, nodeName, identity, clock, log, onReturn }: HeartbeatOptions): Runnable {
  return {
    name: 'heartbeat',
    async run(signal) {
      let last: Lease | undefined;
      let renewedAt: number | undefined;
      let isAway = false;
      while (!signal.aborted) {
        let delay = RENEW_MS;
        try {
          last = await renew(client, nodeName, identity, new Date(clock.now()), signal, last);
          const now = clock.monotonic();
          if (isAway && renewedAt !== undefined) onReturn?.(now - renewedAt);
          isAway = false;
          renewedAt = now;
        } catch (thrown) {
          last = undefined;
          if (signal.aborted) return;
          if (thrown instanceof NodeTakenError) throw thrown;
          const { isUnreachable, isTimeout } = KubeError.from(thrown);
          isAway ||= isUnreachable || isTimeout;
          delay = RETRY_MS;
          log.warn({ err: thrown }, 'The Lease of this node could not be renewed');
        }
        // The only way out of the sleep besides its end is the stop.
        await sleep(clock, delay, signal).catch(() => undefined);
      }
    },
  };
}

/**
 * Renews the Lease once, and makes it (and its namespace) where it is not there. Returns it as it is then, for the next
 * time: it need not be read again unless somebody else has written it.
 */
export async function renew(
  client: KubeClient,
  nodeName: string,
  identity: string,
  now: Date,
  signal: AbortSignal,
  last?: Lease,
): Promise<Lease> {
  const name = nodeLeaseName(nodeName);
  const namespace = SYSTEM_NAMESPACE;
  const spec = {
    holderIdentity: identity,
    leaseDurationSeconds: LEASE_SECONDS,
    renewTime: now.toISOString().replace('Z', '000Z'),
  };
  const options = { signal, timeoutMs: ATTEMPT_MS };
  // Not over the write of another agent that we have not read.
  const extend = ({ metadata: { resourceVersion } }: Lease): Promise<Lease> =>
    client.patch<Lease>(
      LEASES,
      { namespace, name },
      { metadata: { resourceVersion }, spec },
      { ...options, type: 'merge' },
    );
  if (last !== undefined) {
    try {
      return await extend(last);
    } catch (thrown) {
      const error = KubeError.from(thrown);
      if (!error.isConflict && !error.isNotFound) throw thrown;
    }
  }
  const present = await readNodeLease(client, nodeName, signal);
  if (present !== undefined) {
    const until = Date.parse(present.spec?.renewTime ?? '') + (present.spec?.leaseDurationSeconds ?? 0) * 1000;
    if (!isOurs(present, identity) && until > now.getTime()) throw nodeTaken(nodeName, present);
    return extend(present);
  }
  const lease: Lease = { apiVersion: apiVersionOf(LEASES), kind: LEASES.kind, metadata: { namespace, name }, spec };
  try {
    return await client.create(LEASES, lease, options);
  } catch (thrown) {
    if (!KubeError.from(thrown).isNotFound) throw thrown;
  }
  const system = { apiVersion: apiVersionOf(NAMESPACES), kind: NAMESPACES.kind, metadata: { name: namespace } };
  try {
    await client.create(NAMESPACES, system as Namespace, options);
  } catch (thrown) {
    // The other half of `clawstore up` may be making it too.
    if (!KubeError.from(thrown).isAlreadyExists) throw thrown;
  }
  return client.create(LEASES, lease, options);
}
