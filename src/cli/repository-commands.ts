/** The commands `clawstore repository …` with their help. */
import type { Command } from 'commander';
import { askedOf, withAnswerOptions, withClientOptions } from './client-options.ts';
import { type Example, withExamples } from './examples.ts';
import type { ExitCode } from './exit-code.ts';
import { OUTPUT_FORMATS } from './output.ts';

interface ExportFlags {
  readonly file?: string;
}

interface AddFlags {
  readonly keyFile: string;
  readonly readOnly?: boolean;
  readonly credentials?: string;
  readonly node?: string;
}

const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  list: [['clawstore repository list']],
  'export-key': [
    ['clawstore repository export-key', 'URL and key of the only one, on the terminal'],
    ['clawstore repository export-key main --file main.key', 'the same in a new file that only its owner reads'],
  ],
  add: [['clawstore repository add found s3://backups/daily/team --key-file main.key --read-only']],
};

/** `clawstore repository …`. */
export function addRepositoryCommands(program: Command, exit: (code: ExitCode) => void): void {
  const repository = withClientOptions(program.command('repository'))
    .description('repositories that backups lie in, and their keys')
    .addHelpText(
      'after',
      `\nWithout its key nobody can read a repository. docs/backups.md tells how a machine is recovered.`,
    );

  withAnswerOptions(repository.command('list'), 'how long to wait for the answer', OUTPUT_FORMATS)
    .description('list the repositories')
    .action(async (_flags: unknown, command: Command) => {
      const { listRepositories } = await import('./repository.ts');
      exit(await listRepositories(await askedOf(command)));
    });

  withAnswerOptions(repository.command('export-key'), 'how long to wait for the answer', OUTPUT_FORMATS)
    .description('give out the full URL and the key of a repository, and note that it was done')
    .argument('[name]', 'name of the repository (default: the only one)')
    .option('--file <file>', 'write them to this new file (0600) instead of the terminal')
    .action(async (name: string | undefined, flags: ExportFlags, command: Command) => {
      const { exportKey } = await import('./repository.ts');
      exit(await exportKey(name, flags.file, await askedOf(command)));
    });

  withAnswerOptions(repository.command('add'), 'how long to wait until it is open; it goes on', OUTPUT_FORMATS)
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
      exit(await addRepository({ name, url, readOnly, credentials, node }, keyFile, await askedOf(command)));
    });

  for (const command of repository.commands) withExamples(command, ...(EXAMPLES[command.name()] ?? []));
  withExamples(repository, ...Object.values(EXAMPLES).flatMap(([first]) => (first === undefined ? [] : [first])));
}
