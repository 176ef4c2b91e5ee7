/**
 * Every command of the binary, with its help. What a command does is loaded only when it runs: `clawstore version` must
 * not pay for the API server.
 */
import { resolve } from 'node:path';
import { Command, CommanderError } from 'commander';
import { addBackupCommands } from './backup-commands.ts';
import { CliError, ExitCode } from './exit-code.ts';
import type { UnitOptions } from './install/install.ts';
import { formatOption, seconds, settingsOf, timeoutOption, withSettings } from './options.ts';
import { parseFormat, render } from './output.ts';
import { addRepositoryCommands } from './repository-commands.ts';
import { addScheduleCommands } from './schedule-commands.ts';
import { DEFAULT_CONFIG_FILE, SETTING_FLAGS } from './settings.ts';
import { addSnapshotCommands } from './snapshot-commands.ts';
import { productVersion } from './version.ts';

/** Node's own limit. */
const LONGEST_TIMER_MS = 2_147_483_647;

/**
 * Runs the binary.
 * @param argv arguments without node and program.
 * @returns the exit code.
 */
export async function runProgram(argv: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = ExitCode.ok;
  const program = makeProgram((code) => {
    exitCode = code;
  });
  // Node ends a process that waits on nothing but timers that keep nobody alive, as ours are: a controller whose API
  // server is gone would silently be over.
  const alive = setInterval(() => undefined, LONGEST_TIMER_MS);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    return report(thrown);
  } finally {
    clearInterval(alive);
  }
}

function report(thrown: unknown): ExitCode {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  process.stderr.write(`clawstore: ${message}\n`);
  // Anything that is not meant for a person is a defect of ours: the stack helps whoever reports it.
  if (!(thrown instanceof CliError) && thrown instanceof Error && process.env['CLAWSTORE_DEBUG'] !== undefined) {
    process.stderr.write(`${thrown.stack}\n`);
  }
  return thrown instanceof CliError ? thrown.exitCode : ExitCode.failed;
}

function makeProgram(exit: (code: ExitCode) => void): Command {
  const program = new Command('clawstore')
    .description('Declarative storage for nodes: declare volumes, see them really mounted.')
    .version(`clawstore ${productVersion()}`, '--version', 'print the version')
    .exitOverride()
    .showHelpAfterError('(try --help)')
    .addHelpText(
      'after',
      `
Start here, on one machine:
  clawstore up                           everything for this machine, in the foreground
  export KUBECONFIG=/var/lib/clawstore/kubeconfig
  kubectl get volumes,volumemounts       what is there
  clawstore invoke volume.create '{"name":"scratch","sizeGb":1}'

Settings come from flags, CLAWSTORE_… variables, a config file (--config, default ${DEFAULT_CONFIG_FILE}), defaults.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not done in time, 4 somebody must act first, 5 no control plane.`,
    );

  withSettings(program.command('up'))
    .description('run everything for one machine: control plane, controllers and node agent')
    .option('--apply <dir>', 'apply the manifests of this directory once the control plane is ready')
    .option('--live', 'show the volumes and mounts instead of logs')
    .option('--until-ready', 'end when everything applied is Ready: exit code 0, or 1 naming what is not')
    .addOption(timeoutOption('how long --until-ready waits'))
    .action(async (options: UpFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { up } = await import('./up.ts');
      exit(
        await up(settings, {
          applyDir: options.apply,
          live: options.live === true,
          untilReadyMs: options.untilReady === true ? seconds('--timeout', options.timeout) : undefined,
        }),
      );
    });

  const apiserver = withSettings(program.command('apiserver'))
    .description('run the embedded control plane alone, or look after its database and who may use it')
    .action(async (_options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { runDaemon } = await import('./daemon.ts');
      exit(await runDaemon(['apiserver'], settings));
    });

  withSettings(apiserver.command('backup'))
    .description('copy the database of the control plane to a new file, while it runs or not')
    .argument('<file>', 'the copy; it holds every Secret, and is for its owner alone (0600)')
    .action(async (file: string, _options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { backupApiServer } = await import('./backup-apiserver.ts');
      exit(backupApiServer(settings, file));
    });

  withSettings(apiserver.command('restore'))
    .description('put a backup in the place of the database; nothing may run on the state directory')
    .argument('<file>', 'made by clawstore apiserver backup')
    .action(async (file: string, _options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { restoreApiServer } = await import('./backup-apiserver.ts');
      exit(restoreApiServer(settings, file));
    });

  withSettings(apiserver.command('credential'))
    .description('print a kubeconfig for somebody else: a new token, or a client certificate')
    .requiredOption('--role <role>', 'admin, viewer (reads all but Secrets), node (its agent) or controller')
    .requiredOption('--name <name>', "the user's name; for the role node the node's")
    .option('--client-certificate', 'a certificate, good for a year, which cannot be taken back, instead of a token')
    .option('--server <url>', "where the holder reaches the server (default: as in the administrator's kubeconfig)")
    .option('--revoke', 'take the tokens of this name back')
    .action(async (options: CredentialFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { credential } = await import('./credential.ts');
      const { role, name, server } = options;
      const clientCertificate = options.clientCertificate === true;
      exit(await credential(settings, { role, name, server, clientCertificate, revoke: options.revoke === true }));
    });

  withSettings(program.command('controller'))
    .description('run the cluster-wide controllers: placement, grants, lost nodes')
    .action(async (_options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { runDaemon } = await import('./daemon.ts');
      exit(await runDaemon(['controller'], settings));
    });

  withSettings(program.command('agent'))
    .description('run the node agent, which does every mount on its node; one per node')
    .action(async (_options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { runDaemon } = await import('./daemon.ts');
      exit(await runDaemon(['agent'], settings));
    });

  withSettings(program.command('mount-holder'))
    .description('start the processes of s3 mounts for an agent with --mount-holder on, and outlive its pod')
    .action(async (_options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { mountHolder } = await import('./mount-holder.ts');
      exit(await mountHolder(settings));
    });

  withSettings(program.command('down'))
    .description('stop what runs on this state directory and unmount everything; data stays')
    .option('--purge', 'also delete the state directory with all volumes made in it')
    .option('--yes', 'do not ask before --purge')
    .option('--drop-unsent', 'lose what was written to s3 volumes and has not reached the server')
    .addOption(timeoutOption('how long to wait for unmounts and uploads'))
    .action(async (options: DownFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { down } = await import('./down.ts');
      exit(
        await down(settings, {
          purge: options.purge === true,
          yes: options.yes === true,
          dropUnsent: options.dropUnsent === true,
          timeoutMs: seconds('--timeout', options.timeout),
        }),
      );
    });

  withUnit(
    withSettings(program.command('install'))
      .description('write a systemd unit that starts the product at boot, with the settings given here')
      .argument('[part]', 'up, agent, controller or apiserver', 'up')
      .option('--now', 'also start it, or restart it when the unit has changed'),
  ).action(async (part: string, options: UnitFlags, command: Command) => {
    const settings = await settingsOf(command);
    const { install } = await import('./install/install.ts');
    exit(await install(settings, { ...unitOptions(options), role: part, args: givenSettings(command) }));
  });

  withUnit(
    program
      .command('uninstall')
      .description('disable and remove the systemd unit; mounts and data stay')
      .option('--now', 'also stop what it started'),
  ).action(async (options: UnitFlags) => {
    const { uninstall } = await import('./install/install.ts');
    exit(await uninstall(unitOptions(options)));
  });

  withSettings(program.command('doctor'))
    .description('what this host lacks, and what that turns off')
    .addOption(formatOption())
    .action(async (options: { readonly output: string }, command: Command) => {
      const settings = await settingsOf(command);
      const { doctor } = await import('./doctor.ts');
      exit(await doctor(settings, parseFormat(options.output)));
    });

  withSettings(program.command('invoke'))
    .description('run one of the node commands, e.g. volume.create')
    .argument('<command>', 'name of the command; "list" lists them with their parameters')
    .argument('[json]', 'its parameters as a JSON object; "-" reads standard input', '{}')
    .addOption(formatOption().default('json'))
    .addOption(timeoutOption('how long to wait for the answer'))
    .option(
      '--request-id <text>',
      'your own name for the request: the same again is answered, and begins nothing twice',
    )
    .action(async (name: string, json: string, options: InvokeFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { invokeCommand } = await import('./invoke.ts');
      const format = parseFormat(options.output);
      const { requestId } = options;
      exit(await invokeCommand(settings, name, json, format, seconds('--timeout', options.timeout), requestId));
    });

  addSnapshotCommands(program, exit);
  addBackupCommands(program, exit);
  addRepositoryCommands(program, exit);
  addScheduleCommands(program, exit);

  program
    .command('version')
    .description('print the version')
    .addOption(formatOption())
    .action(async (options: { readonly output: string }) => {
      const format = parseFormat(options.output);
      const info = {
        version: productVersion(),
        node: process.version,
        platform: `${process.platform}/${process.arch}`,
      };
      process.stdout.write(format === 'table' ? `clawstore ${info.version}\n` : await render(info, format));
    });

  return program;
}

interface UpFlags {
  readonly apply?: string;
  readonly live?: boolean;
  readonly untilReady?: boolean;
  readonly timeout: string;
}

interface CredentialFlags {
  readonly role: string;
  readonly name: string;
  readonly clientCertificate?: boolean;
  readonly server?: string;
  readonly revoke?: boolean;
}

interface DownFlags {
  readonly dropUnsent?: boolean;
  readonly purge?: boolean;
  readonly yes?: boolean;
  readonly timeout: string;
}

interface UnitFlags {
  readonly unit: string;
  readonly unitDir: string;
  readonly now?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly timeout: string;
}

interface InvokeFlags {
  readonly requestId?: string;
  readonly output: string;
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
