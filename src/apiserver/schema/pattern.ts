import { RE2JS } from 're2js';

const CACHE_LIMIT = 1000;
const cache = new Map<string, RE2JS>();

/**
 * Compiles a regular expression in RE2 syntax, the dialect of Kubernetes. It runs in time linear in its input whatever the
 * pattern, so patterns from users are safe. Throws when the syntax is wrong.
 */
export function compilePattern(pattern: string): (text: string) => boolean {
  const compiled = re2(pattern);
  return (text) => compiled.test(text);
}

/** The compiled pattern, from a bounded cache: CEL rules may compute patterns on every evaluation. */
export function re2(pattern: string): RE2JS {
  const known = cache.get(pattern);
  if (known !== undefined) return known;
  const compiled = RE2JS.compile(pattern);
  if (cache.size >= CACHE_LIMIT) cache.clear();
  cache.set(pattern, compiled);
  return compiled;
}
