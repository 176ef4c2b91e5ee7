/** `clawstore invoke COMMAND JSON`: one of the node commands, from a shell. */
import { readFileSync } from 'node:fs';
import type { CommandContext } from '../commands/command.ts';
import { CommandError, type CommandErrorCode } from '../commands/command-error.ts';
import { type AnyCommand, COMMANDS, invoke, runCommand } from '../commands/registry.ts';
import type { KubeClient } from '../kube/client.ts';
import { connectTo } from './connect.ts';
import { ExitCode } from './exit-code.ts';
import { type OutputFormat, render } from './output.ts';
import type { Settings } from './settings.ts';
import { UP_HOST_PATH_ALLOW } from './settings.ts';
import { readInstance } from './state-dir.ts';

const EXIT_CODES: Readonly<Record<CommandErrorCode, ExitCode>> = {
  InvalidParameter: ExitCode.usage,
  NotFound: ExitCode.failed,
  AlreadyExists: ExitCode.failed,
  Refused: ExitCode.refused,
  Stalled: ExitCode.refused,
  Timeout: ExitCode.timeout,
  Unavailable: ExitCode.unavailable,
};

/**
 * Prints the command's result on standard output; an error goes there too as `{"error":{code,field,reason,message}}` in the
 * JSON and YAML formats, because programs read it.
 */
export async function invokeCommand(
  settings: Settings,
  name: string,
  json: string,
  format: OutputFormat,
  timeoutMs: number,
  requestId?: string,
): Promise<ExitCode> {
  if (name === 'list') {
    process.stdout.write(await render(describeCommands(), format));
    return ExitCode.ok;
  }
  const read = (): unknown => parseParams(json === '-' ? readFileSync(0, 'utf8') : json);
  return answer(settings, format, timeoutMs, read, (params, context) => {
    return invoke(name, params, { ...context, requestId });
  });
}

/** The same for a command that people call in words of its own. One without a result has said itself what there is to say. */
export function answerCommand(
  settings: Settings,
  command: AnyCommand,
  params: unknown,
  format: OutputFormat,
  timeoutMs: number,
): Promise<ExitCode> {
  const run = (given: unknown, context: CommandContext) => runCommand(command, given, context);
  return answer(settings, format, timeoutMs, () => params, run);
}

async function answer(
  settings: Settings,
  format: OutputFormat,
  timeoutMs: number,
  read: () => unknown,
  run: (params: unknown, context: CommandContext) => Promise<unknown>,
): Promise<ExitCode> {
  let client: KubeClient | undefined;
  try {
    const params = read();
    const instance = readInstance(settings.stateDir);
    client = await connectTo(settings.kubeconfig);
    const result = await run(params, {
      client,
      namespace: settings.invokeNamespace,
      // On the machine of a running instance its own name and allow-list count, whatever this shell's host name is.
      nodeName: instance?.nodeName ?? settings.nodeName,
      hostPathAllow: settings.hostPathAllow ?? instance?.hostPathAllow ?? UP_HOST_PATH_ALLOW,
      signal: AbortSignal.timeout(timeoutMs + 5000),
      timeoutMs,
    });
    if (result !== undefined) process.stdout.write(await render(result, format));
    return ExitCode.ok;
  } catch (thrown) {
    if (!(thrown instanceof CommandError)) throw thrown;
    const { code, field, reason, message } = thrown;
    if (format === 'table') process.stderr.write(`clawstore: ${message}\n`);
    else process.stdout.write(await render({ error: { code, field, reason, message } }, format));
    return EXIT_CODES[code];
  } finally {
    await client?.close();
  }
}

function parseParams(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CommandError('InvalidParameter', `the parameters are not JSON: ${why}`, { cause });
  }
}

function describeCommands(): unknown {
  return {
    commands: COMMANDS.map(({ name, summary, parameters }) => ({
      name,
      summary,
      parameters: Object.entries(parameters.properties)
        .map(([key, { type }]) => `${key}${parameters.required.includes(key) ? '' : '?'}: ${type}`)
        .join(', '),
    })),
  };
}
