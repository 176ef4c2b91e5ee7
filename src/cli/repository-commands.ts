/** The commands `clawstore repository …` with their help. */
import type { Command } from 'commander';
import type { ExitCode } from './exit-code.ts';
import { type AnswerFlags, answerOf, withAnswer, withSettings } from './options.ts';

interface ExportFlags extends AnswerFlags {
  readonly file?: string;
}

interface AddFlags extends AnswerFlags {
  readonly keyFile: string;
  readonly readOnly?: boolean;
  readonly credentials?: string;
  readonly node?: string;
}

/** `clawstore repository …`. */
export function addRepositoryCommands(program: Command, exit: (code: ExitCode) => void): void {
  const repository = withSettings(program.command('repository'))
    .description('repositories that backups lie in, and their keys')
    .addHelpText(
      'after',
      `
Examples:
  clawstore repository list
  clawstore repository export-key                         URL and key of the only one, on the terminal
  clawstore repository export-key main --file main.key    the same in a new file that only its owner reads
  clawstore repository add found s3://backups/daily/team --key-file main.key --read-only
                                                          on a new machine: its backups are listed and can be restored
Without its key nobody can read a repository. docs/backups.md tells how a machine is recovered.`,
    );

  withAnswer(repository.command('list'), 'how long to wait for the answer')
    .description('list the repositories')
    .action(async (flags: AnswerFlags, command: Command) => {
      const { listRepositories } = await import('./repository.ts');
      exit(await listRepositories(await answerOf(flags, command)));
    });

  withAnswer(repository.command('export-key'), 'how long to wait for the answer')
    .description('give out the full URL and the key of a repository, and note that it was done')
    .argument('[name]', 'name of the repository (default: the only one)')
    .option('--file <file>', 'write them to this new file (0600) instead of the terminal')
    .action(async (name: string | undefined, flags: ExportFlags, command: Command) => {
      const { exportKey } = await import('./repository.ts');
      exit(await exportKey(name, flags.file, await answerOf(flags, command)));
    });

  withAnswer(repository.command('add'), 'how long to wait until it is open; it goes on')
    .description('open a repository by its URL and key, and list the backups in it')
    .argument('<name>', 'name for it here')
    .argument('<url>', 'the URL that export-key gave out')
    .requiredOption('--key-file <file>', 'what export-key wrote, or the key alone; "-" reads standard input')
    .option('--read-only', 'write nothing to it, not even a lock')
    .option('--credentials <secret>', 'Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the S3 server')
    .option('--node <node>', 'node that has the directory, or is to tend the repository (default: this one)')
    .action(async (name: string, url: string, flags: AddFlags, command: Command) => {
      const { addRepository } = await import('./repository.ts');
      const { keyFile, readOnly, credentials, node } = flags;
      exit(await addRepository({ name, url, readOnly, credentials, node }, keyFile, await answerOf(flags, command)));
    });
}
