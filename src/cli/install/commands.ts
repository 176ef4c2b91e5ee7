/** The commands that make the product a service of the machine, with their help. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { withExamples } from '../examples.ts';
import type { ExitCode } from '../exit-code.ts';
import { seconds, settingsOf, timeoutOption, withSettings } from '../options.ts';
import { SETTING_FLAGS } from '../settings.ts';
import type { UnitOptions } from './install.ts';

/** `clawstore install` and `uninstall`. */
export function addInstallCommands(program: Command, exit: (code: ExitCode) => void): void {
  const install = withUnit(
    withSettings(program.command('install'))
      .description('write a systemd unit that starts the product at boot, with the settings given here')
      .argument('[part]', 'up, agent, controller or apiserver', 'up')
      .option('--now', 'also start it, or restart it when the unit has changed'),
  ).action(async (part: string, options: UnitFlags, command: Command) => {
    const settings = await settingsOf(command);
    const { install } = await import('./install.ts');
    exit(await install(settings, { ...unitOptions(options), role: part, args: givenSettings(command) }));
  });
  withExamples(
    install,
    ['clawstore install --now'],
    ['clawstore install agent --kubeconfig /etc/clawstore/node.kubeconfig --dry-run'],
  );

  const uninstall = withUnit(
    program
      .command('uninstall')
      .description('disable and remove the systemd unit; mounts and data stay')
      .option('--now', 'also stop what it started'),
  ).action(async (options: UnitFlags) => {
    const { uninstall } = await import('./install.ts');
    exit(await uninstall(unitOptions(options)));
  });
  withExamples(uninstall, ['clawstore uninstall --now']);
}

interface UnitFlags {
  readonly unit: string;
  readonly unitDir: string;
  readonly now?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly timeout: string;
}

function withUnit(command: Command): Command {
  return command
    .option('--unit <name>', 'name of the unit, where there are several', 'clawstore')
    .option('--unit-dir <dir>', 'where units are', '/etc/systemd/system')
    .option('--dry-run', 'change nothing, and show what would be done')
    .option('--force', 'also when the unit was edited, or the package lies where it may not stay')
    .addOption(timeoutOption('how long to wait for systemd'));
}

function unitOptions({ unit, unitDir, now, dryRun, force, timeout }: UnitFlags): UnitOptions {
  const timeoutMs = seconds('--timeout', timeout);
  return { unit, unitDir, now: now === true, dryRun: dryRun === true, force: force === true, timeoutMs };
}

/** The settings that a command was given, by flag or variable, as the arguments that say the same at every boot. */
function givenSettings(command: Command): readonly string[] {
  const given = (key: string): boolean => ['cli', 'env'].includes(command.getOptionValueSource(key) ?? '');
  const args = SETTING_FLAGS.filter(({ key }) => given(key)).flatMap(({ flags, key }) => [
    flags.split(' ')[0] ?? '',
    String(command.getOptionValue(key)),
  ]);
  return given('config') ? [...args, '--config', resolve(String(command.getOptionValue('config')))] : args;
}
