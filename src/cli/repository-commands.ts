/** The commands `clawstore repository …` with their help. */
import { type Command, Option } from 'commander';
import { BACKUP_REPOSITORIES, STORAGE_NODES } from '../api/meta.ts';
import { askedOf, withAnswerOptions, withClientOptions } from './client-options.ts';
import { completedBy, nameArgument } from './completion/completers.ts';
import { type Example, withExamples } from './examples.ts';
import type { ExitCode } from './exit-code.ts';
import { watchOption } from './options.ts';
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
  list: [['clawstore repository list'], ['clawstore repository list -o wide', 'also when they were checked']],
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

  withAnswerOptions(repository.command('list'), 'how long to wait for the answer')
    .description('list the repositories')
    .addOption(watchOption())
    .action(async ({ watch }: { readonly watch?: boolean }, command: Command) => {
      const [{ list }, { repositoryListing }, { REPOSITORY_LIST }] = await Promise.all([
        import('./list.ts'),
        import('../commands/repository/list.ts'),
        import('./repository.ts'),
      ]);
      const options = { params: {}, watch: watch === true };
      exit(await list(await askedOf(command), repositoryListing, REPOSITORY_LIST, options));
    });

  withAnswerOptions(repository.command('export-key'), 'how long to wait for the answer', OUTPUT_FORMATS)
    .description('give out the full URL and the key of a repository, and note that it was done')
    .addArgument(nameArgument('[name]', 'name of the repository (default: the only one)', BACKUP_REPOSITORIES))
    .addOption(
      completedBy(new Option('--file <file>', 'write them to this new file (0600) instead of the terminal'), 'files'),
    )
    .action(async (name: string | undefined, flags: ExportFlags, command: Command) => {
      const { exportKey } = await import('./repository.ts');
      exit(await exportKey(name, flags.file, await askedOf(command)));
    });

  withAnswerOptions(repository.command('add'), 'how long to wait until it is open; it goes on')
    .description('open a repository by its URL and key, and list the backups in it')
    .argument('<name>', 'name for it here')
    .argument('<url>', 'the URL that export-key gave out')
    .addOption(
      completedBy(
        new Option('--key-file <file>', 'what export-key wrote, or the key alone; "-" reads standard input'),
        'files',
      ).makeOptionMandatory(),
    )
    .option('--read-only', 'write nothing to it, not even a lock')
    .option('--credentials <secret>', 'Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the S3 server')
    .addOption(
      completedBy(
        new Option('--node <node>', 'node that has the directory, or is to tend the repository (default: this one)'),
        STORAGE_NODES,
      ),
    )
    .action(async (name: string, url: string, flags: AddFlags, command: Command) => {
      const { addRepository } = await import('./repository.ts');
      const { keyFile, readOnly, credentials, node } = flags;
      exit(await addRepository({ name, url, readOnly, credentials, node }, keyFile, await askedOf(command)));
    });

  for (const command of repository.commands) withExamples(command, ...(EXAMPLES[command.name()] ?? []));
  withExamples(repository, ...Object.values(EXAMPLES).flatMap(([first]) => (first === undefined ? [] : [first])));
}
