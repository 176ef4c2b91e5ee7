/**
 * One agent per node name. Two that both believe to be the node would each see half of its mounts, and one would answer
 * for storage that lies with the other. The node's Lease says which installation the name belongs to: an identity that
 * is kept in the state directory, so that a restart is the same one.
 */
import type { Lease } from '../../api/core.ts';
import { nodeLeaseName, SYSTEM_NAMESPACE } from '../../api/group.ts';
import { LEASES } from '../../api/meta.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { getIfPresent } from '../../kube/get-if-present.ts';
import type { Clock } from '../../telemetry/clock.ts';
import { sleep } from '../../telemetry/clock.ts';
import type { Logger } from '../../telemetry/log.ts';

/** Time between two looks at a Lease that somebody else holds, or while the API server is away, in milliseconds. */
const LOOK_MS = 2000;
const ATTEMPT_MS = 8000;
/** For Leases that do not say how long they hold, in seconds. */
const DEFAULT_SECONDS = 40;

/** Another agent works under this node's name. */
export class NodeTakenError extends Error {
  override readonly name = 'NodeTakenError';
}

export interface ClaimOptions {
  readonly client: KubeClient;
  readonly nodeName: string;
  /** Who we are; stays the same over restarts. */
  readonly identity: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Returns the node's Lease, or undefined when there is none. */
export function readNodeLease(client: KubeClient, nodeName: string, signal: AbortSignal): Promise<Lease | undefined> {
  const ref = { namespace: SYSTEM_NAMESPACE, name: nodeLeaseName(nodeName) };
  return getIfPresent(client, LEASES, ref, { signal, timeoutMs: ATTEMPT_MS });
}

/** Says whether the name is free for `identity`: nobody's, ours, or given up. */
export function isOurs(lease: Lease | undefined, identity: string): boolean {
  const holder = lease?.spec?.holderIdentity;
  return holder === undefined || holder === '' || holder === identity;
}

export function nodeTaken(nodeName: string, lease: Lease | undefined): NodeTakenError {
  return new NodeTakenError(
    `node name "${nodeName}" belongs to another agent that is alive (${lease?.spec?.holderIdentity}); give this one a name of its own with --node-name, or stop the other`,
  );
}

/**
 * Waits until the node's name is ours to use. The Lease of another agent is watched by our own clock for as long as it
 * holds: when it was not renewed by then, that agent is gone and its name is free.
 *
 * @throws NodeTakenError when it was renewed.
 */
export async function claimNode(
  { client, nodeName, identity, clock, log }: ClaimOptions,
  signal: AbortSignal,
): Promise<void> {
  let seen: { readonly renewTime: string | undefined; readonly since: number } | undefined;
  while (!signal.aborted) {
    const lease = await readNodeLease(client, nodeName, signal).catch((thrown: unknown) => {
      if (signal.aborted || !KubeError.from(thrown).isRetryable) throw thrown;
      return 'away' as const;
    });
    if (lease !== 'away') {
      if (isOurs(lease, identity)) return;
      const { renewTime, leaseDurationSeconds = DEFAULT_SECONDS, holderIdentity } = lease?.spec ?? {};
      if (seen === undefined) {
        seen = { renewTime, since: clock.monotonic() };
        log.warn(
          { holder: holderIdentity },
          'the name of this node belongs to another agent; waiting to see if it lives',
        );
      }
      if (seen.renewTime !== renewTime) throw nodeTaken(nodeName, lease);
      if (clock.monotonic() - seen.since > leaseDurationSeconds * 1000) return;
    }
    await sleep(clock, LOOK_MS, signal).catch(() => undefined);
  }
}
