/** Examples in help pages: kept beside the command, so that a test can parse them all and the reference can show them. */
import type { Command } from 'commander';

/** A line to type, and what it does where that is not plain. */
export type Example = readonly [line: string, comment?: string];

const EXAMPLES = new WeakMap<Command, readonly Example[]>();
/** Comments stand beside lines that are no longer than this. */
const LINE_WIDTH = 62;

/** Adds examples to the help of a command. Each begins with `clawstore`; the kubectl plugin shows its own name instead. */
export function withExamples(command: Command, ...examples: readonly Example[]): Command {
  EXAMPLES.set(command, examples);
  return command.addHelpText('after', () => `\n${renderExamples(command)}`);
}

/** The examples of a command; none where nobody gave any. */
export function examplesOf(command: Command): readonly Example[] {
  return EXAMPLES.get(command) ?? [];
}

function renderExamples(command: Command): string {
  const program = rootOf(command).name();
  const lines = examplesOf(command).map(([line, comment]) => {
    const typed = line.replaceAll(/(^|[|;(] ?)clawstore /g, `$1${program} `);
    if (comment === undefined) return `  ${typed}`;
    return typed.length > LINE_WIDTH ? `  # ${comment}\n  ${typed}` : `  ${typed.padEnd(LINE_WIDTH)}  # ${comment}`;
  });
  return `Examples:\n${lines.join('\n')}`;
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}
