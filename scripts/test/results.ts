import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** One line of a suite's result file; lines are appended as they happen, so that a suite that dies leaves what it did. */
export type Line =
  | { readonly type: 'pass'; readonly title: string; readonly ms: number }
  | { readonly type: 'fail'; readonly title: string; readonly error: string }
  | { readonly type: 'skip'; readonly title: string; readonly reason: string | null }
  /** A part of the suite came to its own end; with what the suite has computed by then, where that is known. */
  | { readonly type: 'end'; readonly part: Part; readonly cpuSeconds?: number };

/** What must come to an end for a suite to be complete: its tests, and the look for leaks after them. */
export type Part = 'tests' | 'leaks';

export interface Skip {
  readonly title: string;
  readonly reason: string;
}
export interface Failure {
  readonly title: string;
  readonly error: string;
}

/** What became of one suite. */
export interface Outcome {
  readonly suite: string;
  readonly passed: number;
  readonly failures: readonly Failure[];
  readonly skips: readonly Skip[];
  readonly seconds: number;
  /** What it has computed; undefined where nobody has counted. */
  readonly cpuSeconds?: number | undefined;
}

/** How the suite's process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  readonly seconds: number;
}

export function appendLine(file: string, line: Line): void {
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

/** Reads a result file; a last line that was cut off by a kill is ignored. */
export function readLines(file: string): readonly Line[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((text) => {
      try {
        return text === '' ? [] : [JSON.parse(text) as Line];
      } catch {
        return [];
      }
    });
}

/**
 * Sums a suite up. Beyond its own failures it has failed when it was killed, ended before every part had reported, ran
 * no test, skipped without a reason, or exited with an error that no test accounts for.
 */
export function summarize(suite: string, lines: readonly Line[], exit: Exit, parts: readonly Part[]): Outcome {
  const failures: Failure[] = [];
  const skips: Skip[] = [];
  let passed = 0;
  let cpuSeconds: number | undefined;
  const ended = new Set<Part>();
  for (const line of lines) {
    if (line.type === 'pass') passed += 1;
    else if (line.type === 'fail') failures.push({ title: line.title, error: line.error });
    else if (line.type === 'end') {
      ended.add(line.part);
      cpuSeconds ??= line.cpuSeconds;
    } else if (line.reason === null) failures.push({ title: line.title, error: 'skipped without a reason' });
    else skips.push({ title: line.title, reason: line.reason });
  }
  const how = exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
  const unfinished = parts.filter((part) => !ended.has(part));
  if (exit.timedOut) {
    failures.push({ title: '(suite)', error: `killed at its deadline after ${Math.round(exit.seconds)} s` });
  } else if (unfinished.length > 0) {
    failures.push({ title: '(suite)', error: `died before reporting its ${unfinished.join(' and ')} (${how})` });
  } else if (exit.code !== 0 && failures.length === 0) {
    failures.push({ title: '(suite)', error: `ended with ${how} although no test failed` });
  } else if (passed + failures.length + skips.length === 0) {
    failures.push({ title: '(suite)', error: 'ran no test' });
  }
  return { suite, passed, failures, skips, seconds: exit.seconds, cpuSeconds };
}
