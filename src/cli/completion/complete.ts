/**
 * What a shell offers after a TAB: `clawstore __complete WORDS…`. It prints one candidate a line, with a description
 * after a tabulator, and at last a directive as cobra has them, which kubectl reads from its plugins' completions.
 * Source: kubectl's `plugin_completion.go` and cobra's shell completions.
 */
import type { Argument, Command, Option } from 'commander';
import type { ResourceDescriptor } from '../../api/meta.ts';
import { clientSettingsOf, type Target } from '../client-options.ts';
import { completerOf } from './completers.ts';
import { optionsOf, type Position, positionOf } from './position.ts';

/** What the shell does besides offering the candidates. */
export const Directive = {
  /** Complete file names when there is no candidate. */
  files: 0,
  /** Nothing else. */
  noFiles: 4,
  /** Complete names of directories. */
  directories: 16,
} as const;
export type Directive = (typeof Directive)[keyof typeof Directive];

export interface Completion {
  readonly candidates: readonly Candidate[];
  readonly directive: Directive;
}

export interface Candidate {
  readonly value: string;
  readonly description?: string | undefined;
}

/** Somebody waits with a finger on the key. For servers that are far away: CLAWSTORE_COMPLETION_SECONDS. */
const DEFAULT_SECONDS = 1;
const MOST_SECONDS = 60;
/** More than anybody reads. */
const MAX_NAMES = 500;
const NOTHING: Completion = { candidates: [], directive: Directive.noFiles };

/** Finds the candidates; never throws, because nobody wants an error on a prompt, and never takes long. */
export async function complete(program: Command, words: readonly string[]): Promise<Completion> {
  const late = new Promise<Completion>((resolve) => {
    setTimeout(() => resolve(NOTHING), deadlineMs()).unref();
  });
  return Promise.race([candidatesOf(program, words).catch(() => NOTHING), late]);
}

/** As `__complete` prints it. */
export function renderCompletion({ candidates, directive }: Completion): string {
  const lines = candidates.map(({ value, description }) =>
    description === undefined ? value : `${value}\t${description.replaceAll(/\s+/g, ' ')}`,
  );
  return [...lines, `:${directive}`, ''].join('\n');
}

async function candidatesOf(program: Command, words: readonly string[]): Promise<Completion> {
  const position = positionOf(program, words);
  const { command, expected, typed } = position;
  switch (expected.kind) {
    case 'command':
      return only(typed, subcommandsOf(command));
    case 'flag':
      return only(typed, flagsOf(position));
    case 'value': {
      const { candidates, directive } = await valuesOf(expected.of, position);
      const fitting = candidates.filter(({ value }) => value.startsWith(typed));
      return { directive, candidates: fitting.map((one) => ({ ...one, value: `${expected.prefix}${one.value}` })) };
    }
    case 'nothing':
      return NOTHING;
  }
}

function only(typed: string, candidates: readonly Candidate[]): Completion {
  return { candidates: candidates.filter(({ value }) => value.startsWith(typed)), directive: Directive.noFiles };
}

function subcommandsOf(command: Command): readonly Candidate[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((one) => ({ value: one.name(), description: one.description() }));
}

function flagsOf({ command, given }: Position): readonly Candidate[] {
  const help = { value: '--help', description: 'display help for command' };
  const options = optionsOf(command).filter((option) => !option.hidden && !given.has(option));
  const unique = new Map(options.flatMap((option) => (option.long === undefined ? [] : [[option.long, option]])));
  return [...unique].map(([value, { description }]) => ({ value, description })).concat(help);
}

async function valuesOf(of: Option | Argument, position: Position): Promise<Completion> {
  if (of.argChoices !== undefined) {
    return { candidates: of.argChoices.map((value) => ({ value })), directive: Directive.noFiles };
  }
  const completer = completerOf(of);
  if (completer === undefined) return NOTHING;
  if (completer === 'files') return { candidates: [], directive: Directive.files };
  if (completer === 'directories') return { candidates: [], directive: Directive.directories };
  const target = await targetOf(position);
  const names = typeof completer === 'function' ? await completer(target) : await namesOf([completer].flat(), target);
  return { candidates: names.map((value) => ({ value })), directive: Directive.noFiles };
}

/** Where the command would act if it were sent off as it stands. */
async function targetOf({ command, given }: Position): Promise<Target> {
  for (let one: Command | null = command; one !== null; one = one.parent) {
    for (const option of one.options) {
      const value = given.get(option);
      const fromEnvironment = option.envVar === undefined ? undefined : process.env[option.envVar];
      if (value !== undefined) one.setOptionValueWithSource(option.attributeName(), value, 'cli');
      else if (fromEnvironment !== undefined) {
        one.setOptionValueWithSource(option.attributeName(), fromEnvironment, 'env');
      }
    }
  }
  return (await clientSettingsOf(command)).target;
}

async function namesOf(resources: readonly ResourceDescriptor[], target: Target): Promise<readonly string[]> {
  const { connectToTarget } = await import('../connect.ts');
  const { client, namespace } = await connectToTarget(target);
  const lists = await Promise.all(
    resources.map((resource) =>
      client.list(resource, {
        namespace: resource.namespaced ? namespace : undefined,
        limit: MAX_NAMES,
        timeoutMs: deadlineMs(),
      }),
    ),
  );
  return [...new Set(lists.flatMap(({ items }) => items.map(({ metadata }) => metadata.name)))];
}

function deadlineMs(): number {
  const given = Number(process.env['CLAWSTORE_COMPLETION_SECONDS'] ?? DEFAULT_SECONDS);
  return 1000 * (given > 0 && given <= MOST_SECONDS ? given : DEFAULT_SECONDS);
}
