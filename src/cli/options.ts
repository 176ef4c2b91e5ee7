/** Options that several commands share, and what they are read to. */
import { existsSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { CliError, ExitCode } from './exit-code.ts';
import { OUTPUT_FORMATS, type OutputFormat, parseFormat } from './output.ts';
import {
  DEFAULT_CONFIG_FILE,
  type RawSettings,
  readConfigFile,
  resolveSettings,
  SETTING_FLAGS,
  type Settings,
} from './settings.ts';

export function timeoutOption(help: string): Option {
  return new Option('--timeout <seconds>', help).default('60', '60');
}

export function formatOption(): Option {
  return new Option('-o, --output <format>', OUTPUT_FORMATS.join('|')).default('table');
}

/** Reads an option that may be given several times. */
export function listOf(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

export function withSettings(command: Command): Command {
  for (const { flags, env, help, fallback } of SETTING_FLAGS) {
    command.addOption(new Option(flags, `${help} (default: ${fallback})`).env(env));
  }
  return command.addOption(
    new Option('--config <file>', `config file (default: ${DEFAULT_CONFIG_FILE}, if it is there)`).env(
      'CLAWSTORE_CONFIG',
    ),
  );
}

export async function settingsOf(command: Command): Promise<Settings> {
  // A command below another shares its flags: either of the two may be given them.
  const flags = command.optsWithGlobals<RawSettings & { readonly config?: string }>();
  const file = flags.config ?? (existsSync(DEFAULT_CONFIG_FILE) ? DEFAULT_CONFIG_FILE : undefined);
  const configured = file === undefined ? {} : await readConfigFile(file);
  const given = Object.fromEntries(
    SETTING_FLAGS.flatMap(({ key }) => (flags[key] === undefined ? [] : [[key, flags[key]]])),
  );
  return resolveSettings({ ...configured, ...given });
}

export function seconds(flag: string, value: string): number {
  const number = Number(value);
  if (!Number.isFinite(number) || number <= 0 || number > 86_400) {
    throw new CliError(ExitCode.usage, `${flag}: "${value}" is not a number of seconds between 0 and 86400`);
  }
  return number * 1000;
}

/** How a command that answers once is to do that. */
export interface Answer {
  readonly settings: Settings;
  readonly format: OutputFormat;
  readonly timeoutMs: number;
}

/** What {@link withAnswer} adds. */
export interface AnswerFlags {
  readonly output: string;
  readonly timeout: string;
}

export function withAnswer(command: Command, timeoutHelp: string): Command {
  return withSettings(command).addOption(formatOption()).addOption(timeoutOption(timeoutHelp));
}

export async function answerOf({ output, timeout }: AnswerFlags, command: Command): Promise<Answer> {
  const settings = await settingsOf(command);
  return { settings, format: parseFormat(output), timeoutMs: seconds('--timeout', timeout) };
}
