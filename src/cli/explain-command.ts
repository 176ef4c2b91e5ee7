/** `clawstore explain REASON`: what docs/troubleshooting.md says of it, at the terminal. */
import { Argument, type Command } from 'commander';
import { completedBy } from './completion/completers.ts';
import { withExamples } from './examples.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { formatOption } from './options.ts';
import { parseFormat, render } from './output.ts';

export function addExplainCommand(program: Command): void {
  const explain = program
    .command('explain')
    .description('say what a reason of a condition or an event means, and what to do')
    .addArgument(completedBy(new Argument('<reason>', 'e.g. NodeLost'), reasons))
    .addOption(formatOption())
    .action(async (word: string, options: { readonly output: string }) => {
      const format = parseFormat(options.output);
      const known = await explanationOf(word);
      process.stdout.write(format === 'table' ? textOf(known) : await render(known, format));
    });
  withExamples(explain, ['clawstore explain NodeLost'], ['clawstore explain NodeLost -o json']);
}

interface Explanation {
  readonly reason: string;
  readonly meaning: string;
  readonly affected?: string;
  readonly action?: string;
}

/** @throws CliError for what is no reason, with those that are like it. */
async function explanationOf(word: string): Promise<Explanation> {
  const { REASONS, isReason } = await import('../api/reasons.ts');
  const { remedyFor } = await import('../api/remedies/index.ts');
  const plain = word.toLowerCase();
  const names = await reasons();
  const reason = names.find((name) => name.toLowerCase() === plain);
  if (reason !== undefined && isReason(reason)) return { reason, meaning: REASONS[reason], ...remedyFor(reason) };
  const like = names.filter((name) => plain.length > 2 && name.toLowerCase().includes(plain));
  const advice = like.length === 0 ? 'docs/troubleshooting.md has all of them' : `there is ${like.join(', ')}`;
  throw new CliError(ExitCode.usage, `"${word}" is no reason; ${advice}`);
}

function textOf({ reason, meaning, affected, action }: Explanation): string {
  const lines = [`${reason}: ${meaning}`];
  if (affected === undefined) lines.push('Nothing is to be done about it.');
  else lines.push('', `Affected:    ${affected}`, `What to do:  ${action}`);
  return `${lines.join('\n')}\n`;
}

async function reasons(): Promise<readonly string[]> {
  const { REASONS } = await import('../api/reasons.ts');
  return Object.keys(REASONS);
}
