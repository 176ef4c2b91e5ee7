/** Which commands the node offers: what its operator turned on, whatever a gateway asks for. */
import { type AnyCommand, COMMANDS } from '../commands/registry.ts';

/** Every command of the product. */
export const ALL_COMMANDS = 'all';
/** Those that change nothing. */
export const READ_ONLY_COMMANDS = 'read-only';

/**
 * Reads `--openclaw-commands`: `all`, `read-only` or names of commands.
 * @throws RangeError that says what is wrong and what there is.
 */
export function exposedCommands(
  words: readonly string[],
  commands: readonly AnyCommand[] = COMMANDS,
): readonly AnyCommand[] {
  const wanted = new Set(words);
  if (wanted.size === 0) throw new RangeError('no command is named');
  const known = [ALL_COMMANDS, READ_ONLY_COMMANDS, ...commands.map(({ name }) => name)];
  const unknown = words.find((word) => !known.includes(word));
  if (unknown !== undefined) throw new RangeError(`unknown command "${unknown}" (known: ${known.join(', ')})`);
  if (wanted.has(READ_ONLY_COMMANDS) && wanted.size > 1) {
    throw new RangeError(`"${READ_ONLY_COMMANDS}" stands alone: with other names beside it, it would not be that`);
  }
  if (wanted.has(ALL_COMMANDS)) return commands;
  return commands.filter(({ name, readOnly }) =>
    wanted.has(READ_ONLY_COMMANDS) ? readOnly === true : wanted.has(name),
  );
}
