/** Asks the servers of nfs volumes, and notes which of them do not answer. */
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer } from '../../node/layer.ts';
import { DriverError, type DriverVolume } from '../driver.ts';
import { DeadServers } from './dead-servers.ts';
import { nfsFailure, unreachable } from './failure.ts';
import { nfsOptions } from './mount-options.ts';
import { sourceNameOf, sourceOf } from './volume.ts';

/** Longest that a server may take to answer a look, in milliseconds. */
export const PROBE_MS = 5_000;

export class NfsServers {
  readonly #node: Pick<NodeLayer, 'call'>;
  readonly #dead: DeadServers;

  /** @param now Milliseconds of a clock that only goes forward. */
  constructor(node: Pick<NodeLayer, 'call'>, now: () => number) {
    this.#node = node;
    this.#dead = new DeadServers(now);
  }

  /**
   * Runs something that asks the server, unless it is known not to answer, and remembers whether it did.
   *
   * @throws DriverError `ServerUnreachable` when it does not; `otherwise` for what has no reason of its own.
   */
  async ask<T>(volume: DriverVolume, question: () => Promise<T>, otherwise: Reason = Reason.MountFailed): Promise<T> {
    const server = serverOf(volume);
    if (this.#dead.isDead(server)) throw unreachable(sourceNameOf(volume));
    try {
      const answer = await question();
      this.#dead.answered(server);
      return answer;
    } catch (thrown) {
      const failure = nfsFailure(thrown, sourceNameOf(volume), otherwise);
      if (failure.reason === Reason.ServerUnreachable) this.#dead.died(server);
      throw failure;
    }
  }

  /** The space of the filesystem at a path of the export. */
  statfs(volume: DriverVolume, path: string, signal: AbortSignal, otherwise?: Reason) {
    return this.ask(volume, () => this.#node.call('statfs', { path }, { signal, deadlineMs: PROBE_MS }), otherwise);
  }

  /** Asks the server for a path of the export; undefined when it answers as it should. */
  async trouble(volume: DriverVolume, path: string, signal: AbortSignal): Promise<DriverError | undefined> {
    try {
      await this.statfs(volume, path, signal, Reason.DataMissing);
      return undefined;
    } catch (thrown) {
      if (signal.aborted || !(thrown instanceof DriverError)) throw thrown;
      return thrown;
    }
  }
}

/** Volumes with other options (a port, a version) may well be answered where these are not. */
function serverOf(volume: DriverVolume): string {
  return [sourceOf(volume).server, ...nfsOptions(volume.mountOptions).client].join(' ');
}
