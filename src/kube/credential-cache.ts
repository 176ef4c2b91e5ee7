/** Credentials that somebody else replaces while we run. */

/** The kubelet replaces projected tokens about once an hour; a read a minute is enough and cheap. */
export const TOKEN_AGE_MS = 60_000;

/** Calls `read` at most once per `ageMs` milliseconds; a failed read is not remembered. */
export function cached(ageMs: number, read: () => Promise<string | undefined>): () => Promise<string | undefined> {
  let value: Promise<string | undefined> | undefined;
  let readAt = 0;
  return () => {
    const now = performance.now();
    if (value === undefined || now - readAt > ageMs) {
      readAt = now;
      const attempt = read();
      attempt.catch(() => {
        if (value === attempt) value = undefined;
      });
      value = attempt;
    }
    return value;
  };
}
