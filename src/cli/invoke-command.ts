/** The command `clawstore invoke` with its help. */
import { Argument, type Command } from 'commander';
import { completedBy } from './completion/completers.ts';
import { withExamples } from './examples.ts';
import type { ExitCode } from './exit-code.ts';
import { formatOption, seconds, settingsOf, timeoutOption, withSettings } from './options.ts';
import { parseFormat } from './output.ts';

/** `clawstore invoke COMMAND JSON`. */
export function addInvokeCommand(program: Command, exit: (code: ExitCode) => void): void {
  const invoke = withSettings(program.command('invoke'))
    .description('run one of the node commands, e.g. volume.create')
    .addArgument(completedBy(new Argument('<command>', 'its name; "list" lists them with their parameters'), invokable))
    .argument('[json]', 'its parameters as a JSON object; "-" reads standard input', '{}')
    .addOption(formatOption().default('json'))
    .addOption(timeoutOption('how long to wait for the answer'))
    .option(
      '--request-id <text>',
      'your own name for the request: the same again is answered, and begins nothing twice',
    )
    .action(async (name: string, json: string, options: InvokeFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { invokeCommand } = await import('./invoke.ts');
      const format = parseFormat(options.output);
      const { requestId } = options;
      exit(await invokeCommand(settings, name, json, format, seconds('--timeout', options.timeout), requestId));
    });
  withExamples(
    invoke,
    ['clawstore invoke list -o table', 'the commands and their parameters'],
    ['clawstore invoke volume.create \'{"name":"scratch","sizeGb":1}\''],
    ['clawstore invoke volume.mount \'{"volumeId":"scratch","workloadId":"job-1","mountPath":"/scratch"}\''],
    ['clawstore invoke volume.list'],
  );
}

async function invokable(): Promise<readonly string[]> {
  const { COMMANDS } = await import('../commands/registry.ts');
  return ['list', ...COMMANDS.map(({ name }) => name)];
}

interface InvokeFlags {
  readonly requestId?: string;
  readonly output: string;
  readonly timeout: string;
}
