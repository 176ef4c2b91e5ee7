/** Decisions that are ordered lists of named, pure checks. */

/** In this order; the first that speaks decides. A check is undefined when it has nothing to say. */
export type Checks<Facts extends readonly unknown[], Said> = readonly ((...facts: Facts) => Said | undefined)[];

/** What the first check says that has something to say; undefined when none has. */
export function firstToSpeak<Facts extends readonly unknown[], Said>(
  checks: Checks<Facts, Said>,
  ...facts: Facts
): Said | undefined {
  for (const check of checks) {
    const said = check(...facts);
    if (said !== undefined) return said;
  }
  return undefined;
}
