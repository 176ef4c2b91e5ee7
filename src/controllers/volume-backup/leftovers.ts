/**
 * What readings leave when they are killed: mounts, moments of volumes, processes. The records tell of all of them. They are
 * removed at the start of the agent, before anything is read, and again now and then where that failed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { VolumeType } from '../../api/volume.ts';
import type { Driver } from '../../drivers/driver.ts';
import type { Runnable } from '../../runtime/manager.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { ReadingRecords } from './records.ts';

const SWEEP_MS = 60_000;
const CLOSE_MS = 60_000;

export interface LeftoversOptions {
  readonly drivers: ReadonlyMap<VolumeType, Driver>;
  readonly records: ReadingRecords;
  /** Whether something reads under this UID now, or whether what was read is not told yet. */
  readonly isWanted: (uid: string) => 'running' | 'untold' | 'no';
  readonly log: Logger;
}

export class Leftovers {
  readonly #options: LeftoversOptions;
  #isSwept = false;

  constructor(options: LeftoversOptions) {
    this.#options = options;
  }

  /** Everything that an earlier process has left was looked at; nothing is read before. */
  get isSwept(): boolean {
    return this.#isSwept;
  }

  /** Removes what one reading has left, and forgets it. */
  async remove(uid: string, signal: AbortSignal): Promise<void> {
    const { records, drivers } = this.#options;
    const record = records.readings.read(uid);
    if (record === undefined) return;
    await drivers.get(record.type)?.reading?.close(uid, signal);
    records.readings.remove(uid);
  }

  runnable(isKnown: (signal: AbortSignal) => Promise<void>, onSwept: () => void): Runnable {
    return {
      name: 'backup-leftovers',
      run: async (signal) => {
        await isKnown(signal).catch(() => undefined);
        while (!signal.aborted) {
          await this.#sweep(signal);
          if (!this.#isSwept) {
            this.#isSwept = true;
            onSwept();
          }
          await sleep(SWEEP_MS, undefined, { signal }).catch(() => undefined);
        }
      },
    };
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const { records, drivers, isWanted, log } = this.#options;
    for (const [uid, { type }] of records.readings.all()) {
      const wanted = isWanted(uid);
      if (wanted === 'running') continue;
      const limit = AbortSignal.any([signal, AbortSignal.timeout(CLOSE_MS)]);
      try {
        if (wanted === 'no') await this.remove(uid, limit);
        // Later a reading may begin at any time, and it removes what was there by itself.
        else if (!this.#isSwept) await drivers.get(type)?.reading?.close(uid, limit);
      } catch (err) {
        log.warn({ err, uid }, 'what the reading of a volume has left could not be removed');
      }
    }
  }
}
