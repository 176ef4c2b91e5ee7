import { DriverError } from '../driver.ts';
import { asDriver } from '../failure.ts';

/** What goes wrong with snapshots, and with what is made from them. */
export type SnapshotWorkFailure = 'SnapshotFailed' | 'CloneFailed' | 'DeleteFailed' | 'RevertFailed';

/** What is worked on by UID, of a volume or of a snapshot: one thing at a time. */
export class OneAtATime {
  readonly #busy = new Set<string>();

  has(uid: string): boolean {
    return this.#busy.has(uid);
  }

  /** @throws DriverError `Busy` when something is done with it already; what the work throws, as a DriverError. */
  async run<T>(uid: string, otherwise: SnapshotWorkFailure, work: () => Promise<T>): Promise<T> {
    if (this.#busy.has(uid)) throw new DriverError('Busy', `something is done with ${uid} already`);
    this.#busy.add(uid);
    try {
      return await asDriver(otherwise, work);
    } finally {
      this.#busy.delete(uid);
    }
  }
}
