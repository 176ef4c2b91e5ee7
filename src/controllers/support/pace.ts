/** How fast bytes come of late. */
import type { BackupProgress as StatusProgress } from '../../api/backup.ts';
import type { BackupProgress } from '../../backup/engine.ts';
import type { Clock } from '../../telemetry/clock.ts';

/** What is older counts no more, in milliseconds. */
const WINDOW_MS = 15_000;

export class Pace {
  readonly #clock: Clock;
  #seen: { readonly at: number; readonly bytes: bigint }[] = [];
  #progress: StatusProgress | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What was told last. */
  get progress(): StatusProgress | undefined {
    return this.#progress;
  }

  add(progress: BackupProgress): void {
    const now = { at: this.#clock.now(), bytes: progress.bytesDone };
    const first = this.#seen.find(({ at }) => at >= now.at - WINDOW_MS) ?? now;
    this.#seen = [...this.#seen.filter(({ at }) => at >= first.at), now];
    const seconds = (now.at - first.at) / 1000;
    const rate = seconds > 0 ? Number(now.bytes - first.bytes) / seconds : 0;
    this.#progress = progressOf(progress, rate);
  }
}

/** What the engine says while it works, with how fast that was of late. */
export function progressOf(
  { bytesDone, bytesTotal, filesDone, filesTotal }: BackupProgress,
  bytesPerSecond: number,
): StatusProgress {
  return {
    bytesDone: Number(bytesDone),
    bytesTotal: Number(bytesTotal),
    filesDone,
    filesTotal,
    bytesPerSecond: Math.max(0, Math.round(bytesPerSecond)),
  };
}
