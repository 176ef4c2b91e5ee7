/** Runs work for somebody at a shell: connects, waits with a line of progress, prints the answer or what went wrong. */
import type { CommandContext } from '../commands/command.ts';
import { CommandError, type CommandErrorCode } from '../commands/command-error.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Asked, ClientSettings, Target } from './client-options.ts';
import { connectToTarget } from './connect.ts';
import { ExitCode } from './exit-code.ts';
import { interruptible } from './interruptible.ts';
import { isForPrograms, type OutputFormat, render } from './output.ts';
import { ProgressLine } from './progress-line.ts';
import { type Settings, UP_HOST_PATH_ALLOW } from './settings.ts';
import type { Instance } from './state-dir.ts';

const EXIT_CODES: Readonly<Record<CommandErrorCode, ExitCode>> = {
  InvalidParameter: ExitCode.usage,
  NotFound: ExitCode.failed,
  AlreadyExists: ExitCode.failed,
  Refused: ExitCode.refused,
  Stalled: ExitCode.refused,
  Timeout: ExitCode.timeout,
  Unavailable: ExitCode.unavailable,
};

/** The command ends by itself; this is for when it does not. */
const GRACE_MS = 5000;

/**
 * Runs what prints something, and prints it on standard output. An error goes there too as
 * `{"error":{code,field,reason,message,conditions}}` in the formats that programs read.
 */
export async function answer(
  { settings, format, timeoutMs }: Asked,
  run: (context: CommandContext) => Promise<string>,
): Promise<ExitCode> {
  return interruptible((interrupted) =>
    reportErrors(format, async () => {
      const progress = new ProgressLine(process.stderr);
      let client: KubeClient | undefined;
      try {
        const target = targetOf(settings);
        const { namespace, instance, ...connection } = await connectToTarget(target);
        ({ client } = connection);
        const text = await run({
          client,
          namespace,
          ...placeOf(settings, target, instance),
          signal: AbortSignal.any([interrupted, AbortSignal.timeout(timeoutMs + GRACE_MS)]),
          timeoutMs,
          onObject: (object) => progress.show(object),
        });
        progress.end();
        process.stdout.write(text);
        return ExitCode.ok;
      } finally {
        progress.end();
        await client?.close();
      }
    }),
  );
}

/** Prints a command's error as the format has it. @throws whatever is none. */
export async function reportErrors(format: OutputFormat, work: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof CommandError)) throw thrown;
    const { code, field, reason, message, conditions } = thrown;
    if (isForPrograms(format)) {
      process.stdout.write(await render({ error: { code, field, reason, message, conditions } }, format));
    } else process.stderr.write(`clawstore: ${message}\n`);
    return EXIT_CODES[code];
  }
}

/** Whom a command talks to when it was told no more than the settings. */
export function targetOf(settings: Settings | ClientSettings): Target {
  if ('target' in settings) return settings.target;
  const { kubeconfig, stateDir, invokeNamespace: namespace } = settings;
  return { isPlugin: false, stateDir, kubeconfig, context: undefined, namespace, nodeName: undefined };
}

/** The node on which it acts, and what that node allows. */
function placeOf(
  { nodeName, hostPathAllow }: Settings,
  target: Target,
  instance: Instance | undefined,
): Pick<CommandContext, 'nodeName' | 'hostPathAllow'> {
  if (target.isPlugin) return { nodeName: target.nodeName, hostPathAllow: [] };
  // On the machine of a running instance its own name and allow-list count, whatever this shell's host name is.
  return {
    nodeName: target.nodeName ?? instance?.nodeName ?? nodeName,
    hostPathAllow: hostPathAllow ?? instance?.hostPathAllow ?? UP_HOST_PATH_ALLOW,
  };
}
