/** Where in the program a half-typed command line is. */
import type { Argument, Command, Option } from 'commander';

/** What the word that is being typed may be. */
export type Expected =
  | { readonly kind: 'command' }
  | { readonly kind: 'flag' }
  | { readonly kind: 'value'; readonly of: Option | Argument; readonly prefix: string }
  | { readonly kind: 'nothing' };

export interface Position {
  readonly command: Command;
  readonly expected: Expected;
  /** The word as far as it is there; of a value without the flag before it. */
  readonly typed: string;
  /** Options that have been given, with their values. */
  readonly given: ReadonlyMap<Option, string>;
}

/** @param words what was typed after the program's name; the last one is being typed, and may be empty. */
export function positionOf(program: Command, words: readonly string[]): Position {
  let command = program;
  let pending: Option | undefined;
  let isOnlyOperands = false;
  let operands = 0;
  const given = new Map<Option, string>();
  const typed = words.at(-1) ?? '';
  for (const word of words.slice(0, -1)) {
    if (pending !== undefined) {
      given.set(pending, word);
      pending = undefined;
    } else if (isOnlyOperands || !word.startsWith('-') || word === '-') {
      const next = operands === 0 && !isOnlyOperands ? subcommand(command, word) : undefined;
      if (next === undefined) operands += 1;
      else command = next;
    } else if (word === '--') {
      isOnlyOperands = true;
    } else {
      const { option, value } = flagOf(command, word);
      if (option === undefined) continue;
      if (value !== undefined) given.set(option, value);
      else if (option.required) pending = option;
      else given.set(option, '');
    }
  }
  const at = (expected: Expected, text = typed): Position => ({ command, expected, typed: text, given });
  if (pending !== undefined) return at({ kind: 'value', of: pending, prefix: '' });
  if (!isOnlyOperands && typed.startsWith('--') && typed.includes('=')) {
    const { option, value = '' } = flagOf(command, typed);
    if (option === undefined) return at({ kind: 'nothing' });
    return at({ kind: 'value', of: option, prefix: typed.slice(0, typed.length - value.length) }, value);
  }
  if (!isOnlyOperands && typed.startsWith('-')) return at({ kind: 'flag' });
  if (operands === 0 && command.commands.length > 0) return at({ kind: 'command' });
  const { registeredArguments } = command;
  const last = registeredArguments.at(-1);
  const argument = registeredArguments[operands] ?? (last?.variadic === true ? last : undefined);
  return at(argument === undefined ? { kind: 'nothing' } : { kind: 'value', of: argument, prefix: '' });
}

/** Every option that a command understands, its own first. */
export function optionsOf(command: Command): readonly Option[] {
  return command.parent === null ? command.options : [...command.options, ...optionsOf(command.parent)];
}

function subcommand(command: Command, word: string): Command | undefined {
  return command.commands.find((one) => one.name() === word || one.aliases().includes(word));
}

/** The option that a word names, and its value where the word has it: `--type=nfs`, `-nteam`. */
function flagOf(command: Command, word: string): { readonly option?: Option; readonly value?: string } {
  const options = optionsOf(command);
  if (word.startsWith('--')) {
    const [name = '', ...rest] = word.split('=');
    const option = options.find(({ long }) => long === name);
    return { ...(option === undefined ? {} : { option }), ...(rest.length === 0 ? {} : { value: rest.join('=') }) };
  }
  const option = options.find(({ short }) => short === word.slice(0, 2));
  if (option === undefined) return {};
  return option.required && word.length > 2 ? { option, value: word.slice(2) } : { option };
}
