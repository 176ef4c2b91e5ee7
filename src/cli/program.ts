/**
 * Every command of the binary, with its help. What a command does is loaded only when it runs: `clawstore version` must
 * not pay for the API server.
 */
import { Command, CommanderError } from 'commander';
import { type CommandGroup, groupsFor } from './command-groups.ts';
import { COMPLETE } from './completion/word.ts';
import { withExamples } from './examples.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { leaveWithoutReader } from './no-reader.ts';
import { PLUGIN_NAME } from './plugin-name.ts';
import { DEFAULT_CONFIG_FILE } from './settings.ts';
import { productVersion } from './version.ts';

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
  const program = await makeProgram(
    (code) => {
      exitCode = code;
    },
    isPlugin,
    groupsFor(argv, isPlugin),
  );
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
  const program = await makeProgram(() => undefined, isPlugin, groupsFor(words.slice(0, -1), isPlugin));
  const completion = await complete(program, words);
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
 * @param groups only these commands.
 */
export async function makeProgram(
  exit: (code: ExitCode) => void,
  isPlugin = false,
  groups: readonly CommandGroup[] = groupsFor([], isPlugin),
): Promise<Command> {
  const program = new Command(isPlugin ? PLUGIN_NAME : 'clawstore')
    .description('Declarative storage for nodes: declare volumes, see them really mounted.')
    .version(`clawstore ${productVersion()}`, '--version', 'print the version')
    .exitOverride()
    .showHelpAfterError('(try --help)');
  if (isPlugin) {
    const { withPluginOptions } = await import('./client-options.ts');
    withExamples(withPluginOptions(program), ['clawstore volume list'], ['clawstore -n team snapshot create data']);
  } else {
    program.addHelpText('after', START_HERE);
  }
  for (const add of await Promise.all(groups.map((group) => group.load()))) add(program, exit);
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
