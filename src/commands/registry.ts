/** Every command by name: the one list that `clawstore invoke` and other callers use. */
import { backupCreate } from './backup/create.ts';
import { backupList } from './backup/list.ts';
import { backupRestore } from './backup/restore.ts';
import type { Command, CommandContext } from './command.ts';
import { CommandError } from './command-error.ts';
import { runCommand } from './run-command.ts';

export { runCommand } from './run-command.ts';

import { volumeSnapshot } from './snapshot/create.ts';
import { volumeCreate } from './volume/create.ts';
import { volumeDelete } from './volume/delete.ts';
import { volumeList } from './volume/list.ts';
import { volumeMount } from './volume/mount.ts';
import { volumeUnmount } from './volume/unmount.ts';

/** A command whose parameters are checked before it sees them. */
export type AnyCommand = Pick<Command<never, unknown>, 'name' | 'summary' | 'parameters' | 'readOnly' | 'run'>;

export const COMMANDS: readonly AnyCommand[] = [
  volumeCreate,
  volumeMount,
  volumeUnmount,
  volumeSnapshot,
  volumeList,
  volumeDelete,
  backupCreate,
  backupRestore,
  backupList,
];

/**
 * Checks the parameters and runs a command.
 * @throws CommandError, and nothing else that a caller could have caused.
 */
export async function invoke(name: string, params: unknown, context: CommandContext): Promise<unknown> {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) {
    throw new CommandError('InvalidParameter', `unknown command "${name}" (known: ${names()})`, { field: 'command' });
  }
  return runCommand(command, params, context);
}

function names(): string {
  return COMMANDS.map(({ name }) => name).join(', ');
}
