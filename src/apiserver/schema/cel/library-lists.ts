import type { Environment } from '@marcbachmann/cel-js';
import { Duration } from '@marcbachmann/cel-js/evaluator';
import { CelError } from './errors.ts';

/** The receiver of `sets.contains(a, b)` and its sisters. */
class CelSets {
  readonly name = 'sets';
}

/**
 * The list functions of CEL in Kubernetes (apiserver: pkg/cel/library/lists.go) and the set functions (cel-go: ext/sets.go).
 */
export function registerLists(env: Environment): void {
  env.registerFunction('list.isSorted(): bool', (list: Iterable<unknown>) => isSorted([...list]));
  env.registerFunction('list.sum(): dyn', (list: Iterable<unknown>) => sum([...list]));
  env.registerFunction('list.min(): dyn', (list: Iterable<unknown>) => extreme([...list], 'min', -1));
  env.registerFunction('list.max(): dyn', (list: Iterable<unknown>) => extreme([...list], 'max', 1));
  env.registerFunction('list.indexOf__k8s(dyn): int', (list: Iterable<unknown>, item: unknown) =>
    BigInt([...list].findIndex((other) => sameValue(item, other))),
  );
  env.registerFunction('list.lastIndexOf__k8s(dyn): int', (list: Iterable<unknown>, item: unknown) =>
    BigInt([...list].findLastIndex((other) => sameValue(item, other))),
  );

  env.registerType('CelSets', CelSets);
  env.registerConstant('sets', 'CelSets', new CelSets());
  env.registerFunction('CelSets.contains(list, list): bool', (_: unknown, a: Iterable<unknown>, b: Iterable<unknown>) =>
    contains([...a], [...b]),
  );
  env.registerFunction(
    'CelSets.equivalent(list, list): bool',
    (_: unknown, a: Iterable<unknown>, b: Iterable<unknown>) => {
      const [left, right] = [[...a], [...b]];
      return contains(left, right) && contains(right, left);
    },
  );
  env.registerFunction(
    'CelSets.intersects(list, list): bool',
    (_: unknown, a: Iterable<unknown>, b: Iterable<unknown>) => {
      const left = [...a];
      return [...b].some((item) => left.some((other) => sameValue(item, other)));
    },
  );
}

function contains(list: readonly unknown[], wanted: readonly unknown[]): boolean {
  return wanted.every((item) => list.some((other) => sameValue(item, other)));
}

/** Equality of CEL values: numbers compare across types, lists and maps by their content. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a === 'bigint' || typeof a === 'number') {
    const mixed = (typeof b === 'bigint' || typeof b === 'number') && typeof a !== typeof b;
    return mixed && Number(a) === Number(b);
  }
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => sameValue(item, b[index]));
  }
  if (a instanceof Map && b instanceof Map) {
    return a.size === b.size && [...a].every(([key, item]) => b.has(key) && sameValue(item, b.get(key)));
  }
  if (hasEquals(a)) return a.equals(b);
  return false;
}

function hasEquals(value: unknown): value is { equals(other: unknown): boolean } {
  return typeof value === 'object' && value !== null && 'equals' in value && typeof value.equals === 'function';
}

/** Compares two values that CEL can order; throws for others. */
function order(a: unknown, b: unknown): number {
  const [x, y] = [primitive(a), primitive(b)];
  if (typeof x === 'string' || typeof y === 'string' || typeof x === 'boolean' || typeof y === 'boolean') {
    if (typeof x !== typeof y) throw new CelError('no such overload');
  }
  return x < y ? -1 : x > y ? 1 : 0;
}

function primitive(value: unknown): string | number | bigint | boolean {
  if (typeof value === 'object' && value !== null) {
    const inner: unknown = value.valueOf();
    if (typeof inner === 'number' || typeof inner === 'bigint') return inner;
  }
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return value;
  throw new CelError('no such overload');
}

function isSorted(list: readonly unknown[]): boolean {
  return list.every((item, index) => index === 0 || order(list[index - 1], item) <= 0);
}

function sum(list: readonly unknown[]): unknown {
  if (list.every((item) => typeof item === 'bigint')) {
    const total = list.reduce<bigint>((a, b) => a + b, 0n);
    if (BigInt.asIntN(64, total) !== total) throw new CelError('integer overflow');
    return total;
  }
  if (list.every((item) => typeof item === 'number')) return list.reduce<number>((a, b) => a + b, 0);
  if (list.every((item) => item instanceof Duration)) return list.reduce((a, b) => a.addDuration(b));
  throw new CelError('no such overload');
}

function extreme(list: readonly unknown[], name: string, sign: number): unknown {
  if (list.length === 0) throw new CelError(`${name} called on empty list`);
  return list.reduce((best, item) => (order(item, best) * sign > 0 ? item : best));
}
