/** `clawstore invoke COMMAND JSON`: one of the node commands, from a shell. */
import { readFileSync } from 'node:fs';
import { CommandError } from '../commands/command-error.ts';
import { COMMANDS, invoke } from '../commands/registry.ts';
import { answer, reportErrors } from './answer.ts';
import { ExitCode } from './exit-code.ts';
import { type OutputFormat, render } from './output.ts';
import type { Settings } from './settings.ts';

/** Prints the command's result, as {@link answer} does. */
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
  return reportErrors(format, async () => {
    // Before anything is connected to: what is not JSON is an error wherever it is typed.
    const params = parseParams(json === '-' ? readFileSync(0, 'utf8') : json);
    const asked = { settings, format, timeoutMs };
    return answer(asked, async (context) => render(await invoke(name, params, { ...context, requestId }), format));
  });
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
