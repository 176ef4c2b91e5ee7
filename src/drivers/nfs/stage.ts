/**
 * The mount of an export by the kernel's client, once per volume and node: made, made anew when the server does not know its
 * handle any more, and taken down without losing what is in memory.
 */
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer, UnmountOutcome } from '../../node/layer.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import type { NfsMounted } from '../../node/network/operations.ts';
import { DriverError, type DriverVolume } from '../driver.ts';
import { inUse, stageMountOf, stageTarget, unmountStage } from '../stage.ts';
import { nfsFailure } from './failure.ts';
import { nfsOptions } from './mount-options.ts';
import type { NfsServers } from './servers.ts';
import { isExport, sourceNameOf, sourceOf } from './volume.ts';

/** Longest that one mount may take, resolving the name included, in milliseconds. */
const MOUNT_MS = 8_000;
/** Longest that one attempt to write out what is in memory may take before an unmount, in milliseconds. */
const SYNC_MS = 20_000;
/** A call's own deadline ends after what it runs. */
const MARGIN_MS = 4_000;

/** What the stage needs of the node layer. */
export type StageNode = Pick<NodeLayer, 'mountRoot' | 'table' | 'unmount' | 'call'>;

export class NfsStage {
  readonly #node: StageNode;
  readonly #servers: NfsServers;

  constructor(node: StageNode, servers: NfsServers) {
    this.#node = node;
    this.#servers = servers;
  }

  /** The mount of the stage step, made if it is not there. Nothing is ever mounted over something else. */
  async mount(volume: DriverVolume, signal: AbortSignal): Promise<MountEntry> {
    const present = stageMountOf(this.#node, volume.uid);
    if (present !== undefined && isExport(present, volume)) return present;
    return (await this.mountNew(volume, signal)).entry;
  }

  async mountNew(volume: DriverVolume, signal: AbortSignal): Promise<NfsMounted> {
    const { server, path } = sourceOf(volume);
    const { client } = nfsOptions(volume.mountOptions);
    const target = stageTarget(this.#node, volume.uid);
    const request = { server, path, target, options: client, timeoutMs: MOUNT_MS };
    return await this.#servers.ask(volume, () => {
      return this.#node.call('mountNfs', request, { signal, deadlineMs: MOUNT_MS + MARGIN_MS });
    });
  }

  /** A stage whose handle the server does not know any more gives way to a new one, once nothing uses it. */
  async renew(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const entry = await this.mount(volume, signal);
    const trouble = await this.#servers.trouble(volume, entry.target, signal);
    if (trouble === undefined) return;
    if (trouble.reason !== Reason.StaleHandle) throw trouble;
    const outcome = await this.unstage(volume, signal);
    if (outcome.outcome !== 'done') {
      const message = `${trouble.message}; it is mounted anew when nothing uses the old mount (${inUse(outcome)})`;
      throw new DriverError(Reason.StaleHandle, message);
    }
    await this.mount(volume, signal);
  }

  /** Takes the mount down; only the last mount of the export has something to write out. */
  async unstage(volume: DriverVolume, signal: AbortSignal): Promise<UnmountOutcome> {
    const entry = stageMountOf(this.#node, volume.uid);
    if (entry !== undefined && !isExport(entry, volume)) {
      throw new DriverError(Reason.MountCovered, `${entry.source} is mounted over the storage of the volume`);
    }
    const isLast = !this.#node.table.current().some(({ id, device }) => device === entry?.device && id !== entry.id);
    // The last unmount of a filesystem waits for what is still in memory, however long that takes, and a kill would
    // lose it. So it is written out first, by a call that may fail.
    if (entry !== undefined && isLast) {
      const isDead = await this.#sync(volume, entry, signal);
      if (isDead) return await unmounted(volume, () => this.#cutOff(volume, entry, signal));
    }
    return await unmounted(volume, () => unmountStage(this.#node, volume.uid, signal));
  }

  /**
   * Writes out what is in memory. @returns true when the server is dead and a person permits to lose it.
   * @throws DriverError `ServerUnreachable` when nobody does.
   */
  async #sync(volume: DriverVolume, { target }: MountEntry, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#servers.ask(volume, () => {
        return this.#node.call('syncFilesystem', { path: target }, { signal, deadlineMs: SYNC_MS });
      });
      return false;
    } catch (thrown) {
      if (signal.aborted || !(thrown instanceof DriverError)) throw thrown;
      // A server that does not know the handle takes nothing any more: there is nothing to wait for.
      if (thrown.reason === Reason.StaleHandle) return false;
      if (thrown.reason === Reason.ServerUnreachable && volume.mayLoseData) return true;
      throw thrown;
    }
  }

  /** Takes the last mount down without its server; what is in memory is lost, as a person has permitted. */
  #cutOff({ uid }: DriverVolume, { id }: MountEntry, signal: AbortSignal): Promise<UnmountOutcome> {
    return this.#node.unmount(
      { target: stageTarget(this.#node, uid), mountId: id, scope: 'device', force: true },
      signal,
    );
  }
}

/** Says what went wrong with an unmount. */
export async function unmounted(volume: DriverVolume, unmount: () => Promise<UnmountOutcome>): Promise<UnmountOutcome> {
  try {
    return await unmount();
  } catch (thrown) {
    throw nfsFailure(thrown, sourceNameOf(volume), Reason.UnmountFailed);
  }
}
