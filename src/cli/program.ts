/**
 * Every command of the binary, with its help. What a command does is loaded only when it runs: `clawstore version` must
 * not pay for the API server.
 */
import { Argument, Command, CommanderError } from 'commander';
import { addApiServerCommands } from './apiserver-commands.ts';
import { addBackupCommands } from './backup-commands.ts';
import { PLUGIN_NAME, withPluginOptions } from './client-options.ts';
import { addCompletionCommand, COMPLETE } from './completion/commands.ts';
import { completedBy } from './completion/completers.ts';
import { withExamples } from './examples.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { addExplainCommand } from './explain-command.ts';
import { addInstallCommands } from './install/commands.ts';
import { addMachineCommands } from './machine-commands.ts';
import { leaveWithoutReader } from './no-reader.ts';
import { formatOption, seconds, settingsOf, timeoutOption, withSettings } from './options.ts';
import { parseFormat, render } from './output.ts';
import { addRepositoryCommands } from './repository-commands.ts';
import { addScheduleCommands } from './schedule-commands.ts';
import { DEFAULT_CONFIG_FILE } from './settings.ts';
import { addSnapshotCommands } from './snapshot-commands.ts';
import { addSyncCommands } from './sync-commands.ts';
import { productVersion } from './version.ts';
import { addVolumeCommands } from './volume-commands.ts';

/** Node's own limit. */
const LONGEST_TIMER_MS = 2_147_483_647;

/** Names that the binary is installed under besides its own: kubectl looks for them. */
const KUBECTL_PLUGIN = 'kubectl-clawstore';
const KUBECTL_COMPLETION = 'kubectl_complete-clawstore';

/**
 * Runs the binary.
 * @param argv arguments without node and program.
 * @param calledAs the name that it was started under, without its folder.
 * @returns the exit code.
 */
export async function runProgram(argv: readonly string[], calledAs = 'clawstore'): Promise<ExitCode> {
  leaveWithoutReader();
  const isPlugin = calledAs === KUBECTL_PLUGIN || calledAs === KUBECTL_COMPLETION;
  if (calledAs === KUBECTL_COMPLETION) return completeFor(isPlugin, argv);
  if (argv[0] === COMPLETE) return completeFor(isPlugin, argv.slice(1));
  let exitCode: ExitCode = ExitCode.ok;
  const program = makeProgram((code) => {
    exitCode = code;
  }, isPlugin);
  // Node ends a process that waits on nothing but timers that keep nobody alive, as ours are: a controller whose API
  // server is gone would silently be over.
  const alive = setInterval(() => undefined, LONGEST_TIMER_MS);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    return report(thrown);
  } finally {
    clearInterval(alive);
  }
}

/** Ends the process: a server that does not answer must not keep a prompt waiting. */
async function completeFor(isPlugin: boolean, words: readonly string[]): Promise<never> {
  const { complete, renderCompletion } = await import('./completion/complete.ts');
  const completion = await complete(
    makeProgram(() => undefined, isPlugin),
    words,
  );
  process.stdout.write(renderCompletion(completion));
  process.exit(ExitCode.ok);
}

function report(thrown: unknown): ExitCode {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  process.stderr.write(`clawstore: ${message}\n`);
  // Anything that is not meant for a person is a defect of ours: the stack helps whoever reports it.
  if (!(thrown instanceof CliError) && thrown instanceof Error && process.env['CLAWSTORE_DEBUG'] !== undefined) {
    process.stderr.write(`${thrown.stack}\n`);
  }
  return thrown instanceof CliError ? thrown.exitCode : ExitCode.failed;
}

/**
 * Makes the program: all of it, or what of it is for kubectl.
 * @param exit is told the exit code of the command that has run.
 */
export function makeProgram(exit: (code: ExitCode) => void, isPlugin = false): Command {
  const program = new Command(isPlugin ? PLUGIN_NAME : 'clawstore')
    .description('Declarative storage for nodes: declare volumes, see them really mounted.')
    .version(`clawstore ${productVersion()}`, '--version', 'print the version')
    .exitOverride()
    .showHelpAfterError('(try --help)');
  if (isPlugin) {
    withExamples(withPluginOptions(program), ['clawstore volume list'], ['clawstore -n team snapshot create data']);
  } else {
    program.addHelpText('after', START_HERE);
    addMachineCommands(program, exit);
    addApiServerCommands(program, exit);
    addInstallCommands(program, exit);
    addInvokeCommand(program, exit);
    addSyncCommands(program, exit);
  }
  addVolumeCommands(program, exit);
  addSnapshotCommands(program, exit);
  addBackupCommands(program, exit);
  addRepositoryCommands(program, exit);
  addScheduleCommands(program, exit);
  addExplainCommand(program);
  addCompletionCommand(program, isPlugin);
  addVersionCommand(program);
  return program;
}

const START_HERE = `
Start here, on one machine:
  clawstore up                           everything for this machine, in the foreground
  clawstore volume create scratch --size-gb 1
  clawstore volume list
  export KUBECONFIG=/var/lib/clawstore/kubeconfig
  kubectl get volumes,volumemounts       the same objects, as Kubernetes has them

Settings come from flags, CLAWSTORE_… variables, a config file (--config, default ${DEFAULT_CONFIG_FILE}), defaults.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not done in time, 4 somebody must act first, 5 no control plane.`;

function addInvokeCommand(program: Command, exit: (code: ExitCode) => void): void {
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

function addVersionCommand(program: Command): void {
  const version = program
    .command('version')
    .description('print the version')
    .addOption(formatOption())
    .action(async (options: { readonly output: string }) => {
      const format = parseFormat(options.output);
      const info = {
        version: productVersion(),
        node: process.version,
        platform: `${process.platform}/${process.arch}`,
      };
      process.stdout.write(format === 'table' ? `clawstore ${info.version}\n` : await render(info, format));
    });
  withExamples(version, ['clawstore version'], ['clawstore version -o json']);
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
