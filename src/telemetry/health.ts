/** Named checks behind `/healthz` and `/readyz`, in the form kube-apiserver prints them. */

/** Resolves when all is well; throws with the reason when not. Must be quick. */
export type HealthCheck = (signal: AbortSignal) => void | Promise<void>;

export interface HealthReport {
  readonly ok: boolean;
  /** One line per check as `/readyz?verbose` prints it: `[+]name ok` or `[-]name failed: reason`. */
  readonly lines: readonly string[];
}

/** How long all checks together may take, in milliseconds. */
const CHECK_DEADLINE_MS = 2000;

/** A set of named checks. Add and run in any order at any time. */
export class HealthChecks {
  readonly #checks = new Map<string, HealthCheck>();

  /** Adds a check, or replaces the one of that name; returns what removes it again. */
  add(name: string, check: HealthCheck): () => void {
    this.#checks.set(name, check);
    return () => {
      if (this.#checks.get(name) === check) this.#checks.delete(name);
    };
  }

  /** Runs every check but the excluded ones at once; one that does not answer in two seconds has failed. */
  async run(exclude: ReadonlySet<string> = new Set()): Promise<HealthReport> {
    const controller = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const overdue = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        controller.abort();
        reject(new Error(`no answer in ${CHECK_DEADLINE_MS} ms`));
      }, CHECK_DEADLINE_MS);
    });
    overdue.catch(() => undefined);
    try {
      const lines = await Promise.all(
        [...this.#checks].map(async ([name, check]) => {
          if (exclude.has(name)) return `[+]${name} excluded: ok`;
          try {
            await Promise.race([Promise.resolve().then(() => check(controller.signal)), overdue]);
            return `[+]${name} ok`;
          } catch (thrown) {
            return `[-]${name} failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
          }
        }),
      );
      return { ok: lines.every((line) => line.startsWith('[+]')), lines };
    } finally {
      clearTimeout(timer);
    }
  }
}
