/**
 * Options of the commands that people give to a control plane, wherever it is. As `clawstore` they act on the machine's
 * own one, as the kubectl plugin on the cluster that kubectl would take.
 */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { NAMESPACES, STORAGE_NODES } from '../api/meta.ts';
import { isLabel } from '../api/names.ts';
import { completedBy } from './completion/completers.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { formatOption, givenOption, seconds, settingsOf, timeoutOption, withSettings } from './options.ts';
import { type OutputFormat, parseFormat, VIEW_FORMATS } from './output.ts';
import { PLUGIN_NAME } from './plugin-name.ts';
import { resolveSettings, type Settings } from './settings.ts';

/** Where a command acts. */
export interface Target {
  readonly isPlugin: boolean;
  /** Where the instance of this machine may run; undefined for the plugin. */
  readonly stateDir: string | undefined;
  /** undefined: the one that kubectl would take. */
  readonly kubeconfig: string | undefined;
  /** undefined: the present one. */
  readonly context: string | undefined;
  /** undefined: that of the context, else `default`. */
  readonly namespace: string | undefined;
  /** undefined: the node that runs on this machine; for the plugin, whichever the controller chooses. */
  readonly nodeName: string | undefined;
}

export type ClientSettings = Settings & { readonly target: Target };

/** Flags of the settings that mean something to these commands. */
const OF_CLIENTS: readonly string[] = ['state-dir', 'kubeconfig', 'node-name', 'config'];

/** Adds `-n`, `--context`, `--kubeconfig` and so on. */
export function withClientOptions(command: Command): Command {
  command
    .addOption(completedBy(new Option('-n, --namespace <namespace>', 'namespace of the objects'), NAMESPACES))
    .addOption(
      completedBy(new Option('--context <name>', 'context of the kubeconfig (default: its current one)'), contexts),
    );
  if (isPlugin(command)) {
    return command
      .addOption(completedBy(new Option('--kubeconfig <file>', 'kubeconfig (default: as kubectl)'), 'files'))
      .addOption(completedBy(new Option('--node-name <name>', 'node that is meant'), STORAGE_NODES));
  }
  const before = new Set(command.options);
  withSettings(command);
  // They are taken from scripts that give every command the same ones, but they change nothing here.
  for (const option of command.options) {
    if (!before.has(option) && !OF_CLIENTS.includes(option.name())) option.hideHelp();
  }
  return command;
}

/** Adds the options above, `-o` and `--timeout` to a command that answers something: what {@link askedOf} reads. */
export function withAnswerOptions(
  command: Command,
  timeoutHelp: string,
  formats: readonly OutputFormat[] = VIEW_FORMATS,
): Command {
  return withClientOptions(command.addOption(formatOption(formats)).addOption(timeoutOption(timeoutHelp)));
}

/** What is to be answered where, how, and within what time. */
export interface Asked {
  readonly settings: Settings | ClientSettings;
  readonly format: OutputFormat;
  readonly timeoutMs: number;
}

/** Reads the options of {@link withAnswerOptions}. @throws CliError naming the flag. */
export async function askedOf(command: Command): Promise<Asked & { readonly settings: ClientSettings }> {
  const { output, timeout } = command.opts<{ readonly output: string; readonly timeout: string }>();
  return {
    settings: await clientSettingsOf(command),
    format: parseFormat(output),
    timeoutMs: seconds('--timeout', timeout),
  };
}

/** Adds to the plugin itself what may stand before its command too: `kubectl clawstore -n team volume list`. */
export function withPluginOptions(program: Command): Command {
  return withClientOptions(program.enablePositionalOptions());
}

/** Reads them. @throws CliError naming the flag. */
export async function clientSettingsOf(command: Command): Promise<ClientSettings> {
  const text = (key: string): string | undefined => givenOption(command, key)?.value as string | undefined;
  const namespace = text('namespace');
  if (namespace !== undefined && !isLabel(namespace)) {
    throw new CliError(ExitCode.usage, `--namespace: "${namespace}" is not the name of a namespace`);
  }
  const context = text('context');
  if (isPlugin(command)) {
    const file = text('kubeconfig');
    const kubeconfig = file === undefined ? undefined : resolve(file);
    const settings = resolveSettings({});
    const nodeName = text('nodeName');
    return { ...settings, target: { isPlugin: true, stateDir: undefined, kubeconfig, context, namespace, nodeName } };
  }
  const settings = await settingsOf(command);
  const nodeName = givenOption(command, 'nodeName');
  return {
    ...settings,
    target: {
      isPlugin: false,
      stateDir: settings.stateDir,
      kubeconfig: settings.kubeconfig,
      context,
      namespace: namespace ?? settings.invokeNamespace,
      nodeName: nodeName?.source === 'cli' ? settings.nodeName : undefined,
    },
  };
}

async function contexts(target: Target): Promise<readonly string[]> {
  const { contextNames } = await import('./completion/contexts.ts');
  return contextNames(target);
}

/** Whether the command belongs to the kubectl plugin. */
export function isPlugin(command: Command): boolean {
  return command.parent === null ? command.name() === PLUGIN_NAME : isPlugin(command.parent);
}
