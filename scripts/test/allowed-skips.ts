import type { Outcome } from './results.ts';

/** A skip that CI accepts: `SUITE | TITLE | REASON`, one a line; `#` begins a comment. */
export interface AllowedSkip {
  readonly suite: string;
  readonly title: string;
  readonly reason: string;
}

/** @throws Error for a line that does not have three parts. */
export function parseAllowedSkips(text: string): readonly AllowedSkip[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '' || line.startsWith('#')) return [];
    const [suite, title, reason, ...rest] = line.split(' | ').map((part) => part.trim());
    if (suite === undefined || title === undefined || reason === undefined || rest.length > 0 || reason === '') {
      throw new Error(`allowed skips, line ${index + 1}: must be SUITE | TITLE | REASON`);
    }
    return [{ suite, title, reason }];
  });
}

const matches = (
  allowed: AllowedSkip,
  suite: string,
  skip: { readonly title: string; readonly reason: string },
): boolean => allowed.suite === suite && allowed.title === skip.title && allowed.reason === skip.reason;

/** The same outcomes, with every skip that is not on the list turned into a failure. */
export function failUnlistedSkips(outcomes: readonly Outcome[], allowed: readonly AllowedSkip[]): readonly Outcome[] {
  return outcomes.map((outcome) => {
    const unlisted = outcome.skips.filter((skip) => !allowed.some((entry) => matches(entry, outcome.suite, skip)));
    return {
      ...outcome,
      skips: outcome.skips.filter((skip) => !unlisted.includes(skip)),
      failures: [
        ...outcome.failures,
        ...unlisted.map(({ title, reason }) => ({
          title,
          error: `skipped (${reason}), and test/allowed-skips.txt does not list: ${outcome.suite} | ${title} | ${reason}`,
        })),
      ],
    };
  });
}

/** Entries for a suite that ran, which no skip of it matched: they are out of date. */
export function staleEntries(outcomes: readonly Outcome[], allowed: readonly AllowedSkip[]): readonly AllowedSkip[] {
  return allowed.filter((entry) => {
    const outcome = outcomes.find(({ suite }) => suite === entry.suite);
    return outcome !== undefined && !outcome.skips.some((skip) => matches(entry, outcome.suite, skip));
  });
}
