/** Durations as the schemas of our kinds accept them: one whole number with one unit. */

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Returns milliseconds. @throws RangeError for what the schema would have refused. */
export function durationMs(text: string): number {
  const [, number = '', unit = ''] = /^([0-9]+)(ms|s|m|h)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  if (factor === undefined) throw new RangeError(`"${text}" is not a duration such as 500ms, 10s, 90m or 72h`);
  return Number(number) * factor;
}
