/** What the options of a queue are. */
export interface KeyQueueOptions {
  /** Works on one key. What it throws is told, and the other keys are worked on all the same. */
  readonly work: (key: string) => void;
  readonly onError: (error: Error) => void;
}

/** Keys that are worked on a little later, each once however often it was added, a bounded part at a time: requests are answered between. */
export class KeyQueue {
  readonly #options: KeyQueueOptions;
  readonly #keys = new Set<string>();
  #isScheduled = false;
  #isClosed = false;

  constructor(options: KeyQueueOptions) {
    this.#options = options;
  }

  add(key: string): void {
    this.#keys.add(key);
    this.#schedule();
  }

  /** What waits is not worked on any more. */
  close(): void {
    this.#isClosed = true;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isClosed) return;
    this.#isScheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#isScheduled = false;
    if (this.#isClosed) return;
    let left = AT_ONCE;
    for (const key of this.#keys) {
      this.#keys.delete(key);
      try {
        this.#options.work(key);
      } catch (error) {
        this.#options.onError(error as Error);
      }
      left -= 1;
      if (left === 0) break;
    }
    if (this.#keys.size > 0) this.#schedule();
  }
}

const AT_ONCE = 100;
