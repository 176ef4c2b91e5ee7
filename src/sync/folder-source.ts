/** A folder of this machine: read whole, watched, and believed only when it stands still. */
import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import type { Clock } from '../telemetry/clock.ts';
import { sleep, systemClock } from '../telemetry/clock.ts';
import { readFolder } from './read-folder.ts';
import { type Reading, type Source, SourceError, type SourceFile } from './source.ts';
import { type FolderSpec, sourceId, sourceText } from './source-spec.ts';

export interface FolderSourceOptions {
  readonly spec: FolderSpec;
  readonly clock?: Clock | undefined;
  /** A change counts when nothing has changed for this long, in milliseconds; default 300. */
  readonly settleMs?: number | undefined;
  /** How long one look may take, in milliseconds; default 30,000. */
  readonly deadlineMs?: number | undefined;
}

interface Look {
  readonly reading: Reading;
  /** Whether everything that was looked at was watched before it. */
  readonly isSure: boolean;
}

const SETTLE_MS = 300;
const DEADLINE_MS = 30_000;
/** Looks at a folder that does not come to rest, before the next round tries again. */
const MAX_LOOKS = 20;
/** Folders watched at most; changes in others are seen at the next interval. */
const MAX_WATCHED = 500;

export class FolderSource implements Source {
  readonly text: string;
  readonly id: string;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #settleMs: number;
  readonly #deadlineMs: number;
  readonly #watchers = new Map<string, FSWatcher>();
  #onChange: (() => void) | undefined;
  #last: string | undefined;
  /** A look that hangs in a dead filesystem: no second one is begun beside it. */
  #looking: Promise<unknown> | undefined;

  constructor({ spec, clock, settleMs, deadlineMs }: FolderSourceOptions) {
    this.text = sourceText(spec);
    this.id = sourceId(spec);
    this.#path = spec.path;
    this.#clock = clock ?? systemClock;
    this.#settleMs = settleMs ?? SETTLE_MS;
    this.#deadlineMs = deadlineMs ?? DEADLINE_MS;
  }

  async read(signal: AbortSignal): Promise<Reading> {
    let { reading, isSure } = await this.#look(signal);
    // Whoever copies or checks files out takes them away for a moment: that is no order to delete anything.
    // And what changed before a folder was watched is seen by another look alone.
    for (let looks = 1; reading.revision !== this.#last || !isSure; looks += 1) {
      if (looks >= MAX_LOOKS) throw new SourceError('SourceUnreachable', `${this.text} does not stop changing`);
      this.#last = reading.revision;
      await sleep(this.#clock, this.#settleMs, signal);
      ({ reading, isSure } = await this.#look(signal));
    }
    return reading;
  }

  watch(onChange: () => void, signal: AbortSignal): void {
    this.#onChange = onChange;
    const end = (): void => {
      this.#onChange = undefined;
      this.#watchOnly([]);
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  }

  async #look(signal: AbortSignal): Promise<Look> {
    if (this.#looking !== undefined) {
      throw new SourceError('SourceUnreachable', `${this.text} does not answer`);
    }
    const looking = readFolder(this.#path);
    this.#looking = looking;
    const settled = looking.finally(() => {
      this.#looking = undefined;
    });
    settled.catch(() => undefined);
    const { files, folders } = await this.#within(settled, signal);
    const isSure = !this.#watchOnly(folders);
    return { reading: { revision: revisionOf(files), files }, isSure };
  }

  #within<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = new AbortController();
      const onAbort = (): void => stop.abort();
      signal.addEventListener('abort', onAbort, { once: true });
      sleep(this.#clock, this.#deadlineMs, stop.signal).then(
        () => reject(new SourceError('SourceUnreachable', `${this.text} was not read in ${this.#deadlineMs / 1000} s`)),
        () => {
          if (signal.aborted) reject(signal.reason as Error);
        },
      );
      const done = (): void => {
        signal.removeEventListener('abort', onAbort);
        stop.abort();
      };
      if (signal.aborted) onAbort();
      work.then(resolve, reject).finally(done);
    });
  }

  /**
   * Watches names and contents in these folders, and in no others.
   * @returns whether one of them was not watched before.
   */
  #watchOnly(folders: readonly string[]): boolean {
    const wanted = new Set(this.#onChange === undefined ? [] : folders.slice(0, MAX_WATCHED));
    let watchesMore = false;
    for (const [folder, watcher] of this.#watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of wanted) {
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, (event) => {
          // The folder itself may have been moved, and another may be in its place.
          if (event === 'rename') this.#forget(folder, watcher);
          this.#onChange?.();
        });
        watcher.on('error', () => this.#forget(folder, watcher));
        this.#watchers.set(folder, watcher);
        watchesMore = true;
      } catch {
        // It is gone again, or there are too many watches: the interval sees what this would have told.
      }
    }
    return watchesMore;
  }

  #forget(folder: string, watcher: FSWatcher): void {
    watcher.close();
    if (this.#watchers.get(folder) === watcher) this.#watchers.delete(folder);
  }
}

/** A hash of what was seen: the same files have the same. */
export function revisionOf(files: readonly SourceFile[]): string {
  const hash = createHash('sha256');
  for (const file of files) {
    const content = 'text' in file ? `text ${file.text}` : `problem ${file.problem}`;
    hash.update(`${file.path}\0${content.length}\0${content}\0`);
  }
  return `sha256:${hash.digest('hex')}`;
}
