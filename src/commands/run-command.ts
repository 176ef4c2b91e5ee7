import { KubeError } from '../kube/errors.ts';
import type { CommandContext } from './command.ts';
import { CommandError } from './command-error.ts';
import { checkParameters } from './parameters.ts';
import type { AnyCommand } from './registry.ts';

/**
 * Checks the parameters and runs a command.
 * @throws CommandError, and nothing else that a caller could have caused.
 */
export async function runCommand(command: AnyCommand, params: unknown, context: CommandContext): Promise<unknown> {
  // The schema is what makes the parameters the command's own type.
  const checked = checkParameters(command.name, command.parameters, params) as never;
  try {
    return await command.run(checked, context);
  } catch (thrown) {
    throw withField(command, thrown);
  }
}

/** Where a parameter stands in a spec under another name than its own. */
const IN_SPEC: Readonly<Record<string, string>> = {
  accessModes: 'accessMode',
  capacity: 'sizeGb',
  credentialsSecretRef: 'credentialsSecret',
  volumeClassName: 'storageClass',
  volumeRef: 'volumeId',
};

/** What the API server objects to in an object that was made of the parameters: which of them it is. */
function withField({ parameters }: AnyCommand, thrown: unknown): unknown {
  if (!(thrown instanceof CommandError) || thrown.code !== 'InvalidParameter' || thrown.field !== undefined)
    return thrown;
  const { message, reason, cause } = thrown;
  if (!(cause instanceof KubeError)) return thrown;
  const path = cause.causes.map(({ field = '' }) => field).find((one) => one !== '') ?? '';
  const names = path.split('.').map((name) => IN_SPEC[name] ?? name);
  const field = names.find((name) => Object.hasOwn(parameters.properties, name));
  return field === undefined ? thrown : new CommandError('InvalidParameter', message, { field, reason, cause });
}
