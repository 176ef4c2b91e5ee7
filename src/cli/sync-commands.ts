/** The command `clawstore sync status` with its help. */
import type { Command } from 'commander';
import { askedOf, withAnswerOptions, withClientOptions } from './client-options.ts';
import { type Example, withExamples } from './examples.ts';
import type { ExitCode } from './exit-code.ts';
import { OUTPUT_FORMATS } from './output.ts';

const EXAMPLES: readonly Example[] = [
  ['clawstore sync status', 'exit code 0 when everything is as the source has it'],
  ['clawstore sync status -o json'],
];

/** `clawstore sync …`. */
export function addSyncCommands(program: Command, exit: (code: ExitCode) => void): void {
  const sync = withClientOptions(program.command('sync')).description('how "clawstore up --sync" stands');
  const status = withAnswerOptions(sync.command('status'), 'how long to wait for the answer', OUTPUT_FORMATS)
    .description('which commit or content is applied, and what of it could not be')
    .action(async (_flags: unknown, command: Command) => {
      const { syncStatus } = await import('./sync-status.ts');
      exit(await syncStatus(await askedOf(command)));
    });
  for (const command of [sync, status]) withExamples(command, ...EXAMPLES);
}
