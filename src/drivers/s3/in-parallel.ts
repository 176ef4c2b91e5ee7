/** Requests under way at once. */
const PARALLEL = 8;

/** A few at a time; the first failure ends the others. */
export async function inParallel<T>(
  items: readonly T[],
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const all = AbortSignal.any([signal, stop.signal]);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) {
      all.throwIfAborted();
      await work(item, all);
    }
  };
  const workers = Array.from({ length: Math.min(PARALLEL, items.length) }, worker);
  try {
    await Promise.all(workers);
  } finally {
    stop.abort();
    await Promise.allSettled(workers);
  }
}
