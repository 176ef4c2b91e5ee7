/**
 * The order of two texts by their UTF-16 code units, as `toSorted` wants it. Names, identifiers and times are ASCII:
 * `localeCompare` would read the alphabets of the world first, 8 ms of each command that sorts a list.
 */
export function compareText(a: string, b: string): -1 | 0 | 1 {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
