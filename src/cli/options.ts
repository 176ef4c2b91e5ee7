/** Options that several commands share, and what they are read to. */
import { existsSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { completedBy } from './completion/completers.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { OUTPUT_FORMATS, type OutputFormat } from './output.ts';
import {
  DEFAULT_CONFIG_FILE,
  type RawSettings,
  readConfigFile,
  resolveSettings,
  SETTING_FLAGS,
  type Settings,
} from './settings.ts';

/** Settings that are paths, for shells to complete. */
const PATHS: Partial<Record<keyof Settings, 'files' | 'directories'>> = {
  stateDir: 'directories',
  mountRoot: 'directories',
  kubeconfig: 'files',
  auditLog: 'files',
  sync: 'directories',
  syncCredentialsFile: 'files',
};

export function timeoutOption(help: string): Option {
  return new Option('--timeout <seconds>', help).default('60', '60');
}

export function formatOption(formats: readonly OutputFormat[] = OUTPUT_FORMATS): Option {
  return new Option('-o, --output <format>', 'how the answer is printed').choices(formats).default('table');
}

export function watchOption(): Option {
  return new Option('-w, --watch', 'go on, and print what changes, until Ctrl-C');
}

/** Reads an option that may be given several times. */
export function listOf(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

export function withSettings(command: Command): Command {
  for (const { flags, key, env, help, fallback } of SETTING_FLAGS) {
    const option = new Option(flags, `${help} (default: ${fallback})`).env(env);
    const path = PATHS[key];
    command.addOption(path === undefined ? option : completedBy(option, path));
  }
  const help = `config file (default: ${DEFAULT_CONFIG_FILE}, if it is there)`;
  return command.addOption(completedBy(new Option('--config <file>', help).env('CLAWSTORE_CONFIG'), 'files'));
}

export async function settingsOf(command: Command): Promise<Settings> {
  const config = givenOption(command, 'config')?.value as string | undefined;
  const file = config ?? (existsSync(DEFAULT_CONFIG_FILE) ? DEFAULT_CONFIG_FILE : undefined);
  const configured = file === undefined ? {} : await readConfigFile(file);
  const given: RawSettings = Object.fromEntries(
    SETTING_FLAGS.flatMap(({ key }) => {
      const option = givenOption(command, key);
      return option === undefined ? [] : [[key, option.value]];
    }),
  );
  return resolveSettings({ ...configured, ...given });
}

/**
 * What an option was given, by flag or by variable. A command below another shares its options: either of the two may
 * be given them, and a flag says more than a variable.
 */
export function givenOption(
  command: Command,
  key: string,
): { readonly value: unknown; readonly source: 'cli' | 'env' } | undefined {
  for (const source of ['cli', 'env'] as const) {
    for (let one: Command | null = command; one !== null; one = one.parent) {
      if (one.getOptionValueSource(key) === source) return { value: one.getOptionValue(key) as unknown, source };
    }
  }
  return undefined;
}

export function seconds(flag: string, value: string): number {
  const number = Number(value);
  if (!Number.isFinite(number) || number <= 0 || number > 86_400) {
    throw new CliError(ExitCode.usage, `${flag}: "${value}" is not a number of seconds between 0 and 86400`);
  }
  return number * 1000;
}

/** Parameters without those that were not given: defaults are the command's own. */
export function given(params: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined));
}
