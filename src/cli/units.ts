/** Sizes and times as people read them. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
const STEP = 1024;
const PARTS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const;
/** From here on the smaller unit says nothing more: 9m30s, but 12m. */
const ENOUGH = 10;

/** `1536` → `1.5 KiB`. */
export function humanBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= STEP && unit < UNITS.length - 1) {
    value /= STEP;
    unit += 1;
  }
  const isWhole = unit === 0 || value >= 100 || Number.isInteger(value);
  return `${isWhole ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** `90_500` (milliseconds) → `1m30s`; days, hours, minutes, seconds: two of them at most. */
export function humanDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const first = PARTS.findIndex(([, size]) => seconds >= size);
  if (first === -1) return '0s';
  const [unit, size] = PARTS[first] as (typeof PARTS)[number];
  const count = Math.floor(seconds / size);
  const next = PARTS[first + 1];
  const rest = next === undefined || count >= ENOUGH ? 0 : Math.floor((seconds % size) / next[1]);
  return rest === 0 || next === undefined ? `${count}${unit}` : `${count}${unit}${rest}${next[0]}`;
}

/** How long ago a time (RFC 3339) was; empty where there is none. */
export function age(time: string | undefined, now = Date.now()): string {
  const then = Date.parse(time ?? '');
  return Number.isNaN(then) ? '' : humanDuration(now - then);
}
