/**
 * Writes `docs/cli.md` from the program itself: `node scripts/cli-docs.ts`. A test fails when the file is not what this
 * makes.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command, Option } from 'commander';
import { withClientOptions } from '../src/cli/client-options.ts';
import { examplesOf } from '../src/cli/examples.ts';
import { withSettings } from '../src/cli/options.ts';
import { makeProgram } from '../src/cli/program.ts';

/** Where the page is. */
export const CLI_DOCS_FILE = join(import.meta.dirname, '../docs/cli.md');

const INTRODUCTION = `# Commands

Made by \`node scripts/cli-docs.ts\` from the program; \`clawstore COMMAND --help\` shows the same.

**Answers.** \`-o table\` is for people, \`-o wide\` has more columns, \`-o name\` prints what kubectl takes
(\`volume.storage.clawbernetes.io/data\`), \`-o json\` and \`-o yaml\` are for programs: there an error is
\`{"error": {code, field, reason, message, conditions}}\` on standard output. \`--watch\` goes on and prints what changes (with
\`-o json\` one line each) until Ctrl-C. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not done in time (it goes on), 4 somebody
must act first, 5 no control plane.

**Waiting.** A command answers when what it asked for is so: mounted, unmounted, gone. On a terminal a line shows what it waits
for. After \`--timeout\` seconds, or Ctrl-C, it says how things stand; what it began goes on, and the same command again waits for
that.

**As a plugin of kubectl.** npm also installs it as \`kubectl-clawstore\`: \`kubectl clawstore volume list\` acts on the cluster
that kubectl would take: \`--kubeconfig\`, else \`KUBECONFIG\`, else \`~/.kube/config\`; \`--context\`; \`-n\`, else the namespace of the
context. kubectl gives a plugin only what stands after its name: \`kubectl clawstore -n team volume list\`. Volumes are placed by
the controller unless \`--node-name\` says where. The commands that run on a machine (\`up\`, \`agent\` …) are not part of the plugin.

**Completion.** \`clawstore completion bash|zsh|fish\` prints what the shell reads; commands, flags, values and names of objects are
completed. kubectl (1.26 and newer) completes the plugin by \`kubectl_complete-clawstore\`, which npm installs too. A server has
one second to say the names, or \`CLAWSTORE_COMPLETION_SECONDS\`.
`;

/** Returns the whole page. */
export async function renderCliDocs(): Promise<string> {
  const program = await makeProgram(() => undefined);
  const settings = flagsOf(withSettings(program.createCommand('settings')));
  const client = flagsOf(withClientOptions(program.createCommand('client')));
  const shared = new Set([...settings, ...client].map(({ flags }) => flags));
  return [
    INTRODUCTION,
    ...program.commands.flatMap((command) => section(command, shared)),
    '## Settings',
    '',
    'Every command takes these that concern it, from the flag, the variable, or the config file (keys as the flags, in camel case).',
    '',
    table(settings.map((option) => [code(option.flags), code(option.envVar ?? ''), option.description])),
    '',
    'Commands that talk to a control plane also take:',
    '',
    table(
      client
        .filter(({ flags }) => !settings.some((one) => one.flags === flags))
        .map((option) => [code(option.flags), '', option.description]),
    ),
    '',
  ].join('\n');
}

function section(command: Command, shared: ReadonlySet<string>): readonly string[] {
  const own = flagsOf(command).filter(({ flags }) => !shared.has(flags));
  const hasShared = flagsOf(command).length > own.length;
  const rows = [
    ...command.registeredArguments.map((argument) => [code(argument.name()), argument.description]),
    ...own.map((option) => [code(option.flags), describe(option)]),
  ];
  const depth = command.parent?.parent === null ? '##' : '###';
  return [
    `${depth} ${pathOf(command)}`,
    '',
    `\`${pathOf(command)} ${command.usage()}\`: ${command.description()}.${hasShared && rows.length > 0 ? ' Besides the settings:' : ''}`,
    '',
    ...(rows.length === 0 ? [] : [table(rows), '']),
    '```',
    ...examplesOf(command).map(([line, comment]) => (comment === undefined ? line : `${line}  # ${comment}`)),
    '```',
    '',
    ...command.commands.flatMap((one) => section(one, shared)),
  ];
}

function flagsOf(command: Command): readonly Option[] {
  return command.options.filter(({ hidden }) => !hidden);
}

function describe({ description, argChoices, defaultValue }: Option): string {
  const choices = argChoices === undefined ? '' : `: ${argChoices.map(code).join(', ')}`;
  const usual = typeof defaultValue === 'string' ? ` (default: ${defaultValue})` : '';
  return `${description}${choices}${usual}`;
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function table(rows: readonly (readonly string[])[]): string {
  const width = rows[0]?.length ?? 0;
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const cells = rows.map((row) => line(row.map((cell) => cell.replaceAll('|', '\\|'))));
  return [
    line(Array.from({ length: width }, () => '')),
    line(Array.from({ length: width }, () => '---')),
    ...cells,
  ].join('\n');
}

function code(text: string): string {
  return text === '' ? '' : `\`${text}\``;
}

if (import.meta.main) writeFileSync(CLI_DOCS_FILE, await renderCliDocs());
