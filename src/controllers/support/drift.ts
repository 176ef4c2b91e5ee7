/**
 * Changes of the node's mount table, as keys: a mount that vanishes is looked at within milliseconds, not at the next
 * resync. What a reconcile does to its own target is kept quiet, unless somebody else was faster.
 */

import { keyOf } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import { stagedUid } from '../../drivers/stage.ts';
import type { MountTable, MountTableChange } from '../../node/layer.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import { isAtOrBelow } from '../../node/mount-entry.ts';
import { mountsDiffer } from '../../node/mount-table.ts';
import type { Runnable } from '../../runtime/manager.ts';
import type { ChannelSource } from '../../runtime/source.ts';
import { channelSource } from '../../runtime/source.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { untilAborted } from '../../telemetry/clock.ts';
import { BY_TARGET, BY_UID, BY_VOLUME } from './indexes.ts';

/** Drift goes before everything else: a workload is looking at a bare directory. */
export const DRIFT = { priority: 100 } as const;

export interface DriftStores {
  /** Indexed by {@link BY_TARGET} and {@link BY_VOLUME}. */
  readonly mounts: ReadStore<VolumeMount>;
  /** Indexed by {@link BY_UID}. */
  readonly volumes: ReadStore<Volume>;
}

export interface DriftNode {
  readonly mountRoot: string;
  readonly table: MountTable;
}

/** Follows the mount table of one agent. */
export class DriftWatch {
  /** Keys of VolumeMounts whose target changed. */
  readonly mounts: ChannelSource = channelSource('mount-table');
  /** Keys of Volumes whose staged storage changed. */
  readonly volumes: ChannelSource = channelSource('stage-table');
  readonly #store: ReadStore<VolumeMount>;
  readonly #volumeStore: ReadStore<Volume>;
  readonly #node: DriftNode;
  readonly #table: MountTable;
  /** Keys that are being worked on, with whether their targets changed meanwhile. */
  readonly #quiet = new Map<string, { changed: boolean }>();

  constructor({ mounts, volumes }: DriftStores, node: DriftNode) {
    this.#store = mounts;
    this.#volumeStore = volumes;
    this.#node = node;
    this.#table = node.table;
  }

  /** Listens until the signal aborts. */
  run(signal: AbortSignal): void {
    const stop = this.#table.onChange((change) => this.#onChange(change));
    signal.addEventListener('abort', stop, { once: true });
  }

  /** Listens until the stop. */
  runnable(): Runnable {
    return {
      name: 'drift',
      run: (signal) => {
        this.run(signal);
        return untilAborted(signal);
      },
    };
  }

  /**
   * Runs the work on one mount, during which changes at its target are taken for its own as long as the target is in the
   * end as the work saw it last. Work that ends without having looked has made no change: who did is looked after.
   */
  async quietly<T>(
    key: string,
    target: string,
    work: (settled: (entry: MountEntry | undefined) => void) => Promise<T>,
  ): Promise<T> {
    let seen: { readonly entry: MountEntry | undefined } | undefined;
    const quiet = { changed: false };
    this.#quiet.set(key, quiet);
    try {
      return await work((entry) => {
        seen = { entry };
      });
    } finally {
      this.#quiet.delete(key);
      const isMissed = seen === undefined ? quiet.changed : !isSame(seen.entry, this.#table.at(target));
      if (isMissed) this.mounts.send(key, DRIFT);
    }
  }

  #onChange({ added, removed, changed, suspect }: MountTableChange): void {
    const targets = new Set<string>();
    for (const { target } of added) targets.add(target);
    for (const { target } of removed) targets.add(target);
    for (const { before, after } of changed) targets.add(before.target).add(after.target);
    for (const { target } of suspect) targets.add(target);
    for (const target of targets) {
      const uid = stagedUid(this.#node, target);
      if (uid !== undefined) {
        const isMade = added.some((entry) => entry.target === target) && this.#table.stackAt(target).length === 1;
        if (!isMade) this.#tellVolume(uid);
        continue;
      }
      const mounts = this.#store.byIndex(BY_TARGET, target);
      const isSuspect = suspect.some((entry) => entry.target === target);
      for (const mount of mounts) {
        if (isSuspect) this.mounts.send(keyOf(mount), DRIFT);
        else this.#tell(keyOf(mount));
      }
      if (mounts.length === 0) this.#tellBelow(target);
    }
  }

  /** The storage of a volume, and with it what its mounts show. Its first making is looked at by whoever makes it. */
  #tellVolume(uid: string): void {
    for (const volume of this.#volumeStore.byIndex(BY_UID, uid)) {
      const key = keyOf(volume);
      this.volumes.send(key, DRIFT);
      for (const mount of this.#store.byIndex(BY_VOLUME, key)) this.mounts.send(keyOf(mount), DRIFT);
    }
  }

  /**
   * A mount over a directory above our targets hides them all. Rare, and looked for only where targets can be. It is no work
   * of ours, and shows at no target: who is looking just now may have looked before.
   */
  #tellBelow(target: string): void {
    for (const mount of this.#store.list()) {
      const { hostPath } = mount.status ?? {};
      if (hostPath !== undefined && isAtOrBelow(hostPath, target)) this.mounts.send(keyOf(mount), DRIFT);
    }
  }

  #tell(key: string): void {
    const quiet = this.#quiet.get(key);
    if (quiet === undefined) this.mounts.send(key, DRIFT);
    else quiet.changed = true;
  }
}

function isSame(a: MountEntry | undefined, b: MountEntry | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.id === b.id && !mountsDiffer(a, b);
}
