/**
 * How large a pool file is and when it grows: pure arithmetic, all in bytes.
 *
 * The pool file is always allocated, so that a full host can never make a write inside the pool fail. It is grown before
 * it is needed, and leaves the host a reserve.
 */

const MIB = 1024n * 1024n;
const GIB = 1024n * MIB;
/** mkfs.xfs refuses less than 300 MiB; below this a pool would be mostly its own log. */
export const SMALLEST_POOL = 320n * MIB;
const LARGEST_STEP = 4n * GIB;
const SMALLEST_STEP = 128n * MIB;
const LARGEST_RESERVE = 1n * GIB;
const LARGEST_CRITICAL = 256n * MIB;

export interface Space {
  readonly totalBytes: bigint;
  readonly freeBytes: bigint;
}

/** What the host must keep free: a tenth of it, at most 1 GiB. */
export function hostReserve(host: Space): bigint {
  return min(host.totalBytes / 10n, LARGEST_RESERVE);
}

/** Bytes by which the pool file can still grow. */
export function growable(host: Space): bigint {
  return max(0n, host.freeBytes - hostReserve(host));
}

/** Size of a new pool file; undefined when the host has no room for one. */
export function initialPoolBytes(host: Space): bigint | undefined {
  const room = growable(host);
  if (room < SMALLEST_POOL) return undefined;
  return roundDown(min(LARGEST_STEP, max(SMALLEST_POOL, host.freeBytes / 8n), room));
}

/** Free space below which a pool is grown: a quarter of it, between 128 MiB and 4 GiB. */
export function lowWater(pool: Space): bigint {
  return min(LARGEST_STEP, max(SMALLEST_STEP, pool.totalBytes / 4n));
}

/** Free space below which writers of Thin volumes are held: a sixteenth, at most 256 MiB. */
export function criticalWater(pool: Space): bigint {
  return min(LARGEST_CRITICAL, pool.totalBytes / 16n);
}

/**
 * By how much to grow a pool now so that `wanted` bytes are free above the low-water mark; 0 when that is so, or when the
 * host has no room for a step worth taking.
 */
export function growthBytes(pool: Space, host: Space, wanted = 0n): bigint {
  const missing = lowWater(pool) + wanted - pool.freeBytes;
  if (missing <= 0n) return 0n;
  const step = min(max(missing, SMALLEST_STEP), growable(host));
  return step < min(SMALLEST_STEP, missing) ? 0n : roundDown(step);
}

function roundDown(bytes: bigint): bigint {
  return (bytes / MIB) * MIB;
}

function min(first: bigint, ...others: readonly bigint[]): bigint {
  return others.reduce((least, other) => (other < least ? other : least), first);
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
