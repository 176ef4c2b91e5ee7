import type { CommandContext } from './command.ts';
import { checkParameters } from './parameters.ts';
import type { AnyCommand } from './registry.ts';

/**
 * Checks the parameters and runs a command.
 * @throws CommandError, and nothing else that a caller could have caused.
 */
export async function runCommand(command: AnyCommand, params: unknown, context: CommandContext): Promise<unknown> {
  // The schema is what makes the parameters the command's own type.
  return command.run(checkParameters(command.name, command.parameters, params) as never, context);
}
