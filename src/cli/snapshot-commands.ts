/** The commands `clawstore snapshot …` with their help. */
import type { Command } from 'commander';
import type { ExitCode } from './exit-code.ts';
import { formatOption, seconds, settingsOf, timeoutOption, withSettings } from './options.ts';
import { parseFormat } from './output.ts';

interface SnapshotFlags {
  readonly name?: string;
  readonly ttl?: string;
  readonly consistency?: string;
  readonly volume?: string;
  readonly safetySnapshot?: boolean;
  readonly output: string;
  readonly timeout: string;
}

/** `clawstore snapshot …`. */
export function addSnapshotCommands(program: Command, exit: (code: ExitCode) => void): void {
  const snapshot = withSettings(program.command('snapshot'))
    .description('take, list and delete snapshots of volumes, and go back to them')
    .addHelpText(
      'after',
      `
Examples:
  clawstore snapshot create data                          a snapshot of volume "data", named after the time
  clawstore snapshot create data --name before-upgrade --ttl 72h
  clawstore snapshot create data --consistency Filesystem all writes whole, or an error
  clawstore snapshot list --volume data -o json
  clawstore snapshot revert before-upgrade                the volume has that content again; it must be unmounted
  clawstore snapshot delete before-upgrade
A volume that starts from one: kubectl apply with spec.dataSource.snapshotRef.name (docs/snapshots.md).`,
    );

  withSettings(snapshot.command('create'))
    .description('take a snapshot of a volume and wait until it is ready to use')
    .argument('<volume>', 'name of the volume, in the namespace of --invoke-namespace')
    .option('--name <name>', 'name of the snapshot (default: the name of the volume and the time)')
    .option('--ttl <duration>', 'delete it when it is older, e.g. 90m or 72h (default: it stays)')
    .option('--consistency <what>', 'Filesystem or Crash: what is demanded (default: the best that the volume can)')
    .addOption(formatOption())
    .addOption(timeoutOption('how long to wait; what takes longer goes on'))
    .action(async (volume: string, options: SnapshotFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { createSnapshot } = await import('./snapshot.ts');
      const { name, ttl, consistency } = options;
      const wanted = { name, ttl, consistency };
      const timeoutMs = seconds('--timeout', options.timeout);
      exit(await createSnapshot(settings, volume, wanted, parseFormat(options.output), timeoutMs));
    });

  withSettings(snapshot.command('list'))
    .description('list the snapshots, the newest last')
    .option('--volume <volume>', 'of this volume only')
    .addOption(formatOption())
    .addOption(timeoutOption('how long to wait for the answer'))
    .action(async (options: SnapshotFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { listSnapshots } = await import('./snapshot.ts');
      const timeoutMs = seconds('--timeout', options.timeout);
      exit(await listSnapshots(settings, options.volume, parseFormat(options.output), timeoutMs));
    });

  withSettings(snapshot.command('revert'))
    .description('take a volume that is mounted nowhere back to a snapshot of it')
    .argument('<name>', 'name of the snapshot')
    .option('--no-safety-snapshot', 'do not keep what the volume has now as a snapshot first')
    .addOption(formatOption())
    .addOption(timeoutOption('how long to wait; what takes longer goes on'))
    .action(async (name: string, options: SnapshotFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { revertToSnapshot } = await import('./snapshot.ts');
      const { output, timeout, safetySnapshot = true } = options;
      exit(await revertToSnapshot(settings, name, safetySnapshot, parseFormat(output), seconds('--timeout', timeout)));
    });

  withSettings(snapshot.command('delete'))
    .description('delete a snapshot and wait until it is gone')
    .argument('<name>', 'name of the snapshot')
    .addOption(formatOption())
    .addOption(timeoutOption('how long to wait; the deletion goes on'))
    .action(async (name: string, options: SnapshotFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { deleteSnapshot } = await import('./snapshot.ts');
      exit(await deleteSnapshot(settings, name, parseFormat(options.output), seconds('--timeout', options.timeout)));
    });
}
