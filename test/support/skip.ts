import type { Context } from 'mocha';

const reasons = new WeakMap<object, string>();

/**
 * Skips the running test, or from a `before` hook all tests of its block, and keeps the reason: the test runner prints
 * it and, under CI, looks for it in test/allowed-skips.txt. A skip without a reason counts as a failure.
 * @throws mocha's own Pending, always.
 */
export function skipBecause(context: Context, reason: string): never {
  const runnable = context.test;
  if (runnable !== undefined) {
    const title = runnable.title;
    const target = title.startsWith('"before all"')
      ? runnable.parent
      : title.startsWith('"before each"')
        ? context.currentTest
        : runnable;
    reasons.set(target ?? runnable, reason);
  }
  return context.skip();
}

/** The reason that {@link skipBecause} kept for a test, or for a block around it. */
export function skipReason(test: { readonly parent?: unknown }): string | undefined {
  let at: unknown = test;
  while (typeof at === 'object' && at !== null) {
    const reason = reasons.get(at);
    if (reason !== undefined) return reason;
    at = (at as { readonly parent?: unknown }).parent;
  }
  return undefined;
}
