/** The commands `clawstore backup …` with their help. */
import { type Command, Option } from 'commander';
import { BACKUP_REPOSITORIES, BACKUP_SCHEDULES, BACKUPS, VOLUMES } from '../api/meta.ts';
import { BACKUP_STATES, type BackupState, SCOPES } from '../commands/backup/state.ts';
import { askedOf, withAnswerOptions, withClientOptions } from './client-options.ts';
import { completedBy, nameArgument } from './completion/completers.ts';
import { type Example, withExamples } from './examples.ts';
import type { ExitCode } from './exit-code.ts';
import { given, listOf, watchOption } from './options.ts';

interface CreateFlags {
  readonly repository?: string;
  readonly scope?: string;
  readonly name?: string;
  readonly volume?: readonly string[];
  readonly ttl?: string;
  readonly deleteData?: boolean;
  readonly allowPartial?: boolean;
  readonly bandwidth?: string;
}

interface ListFlags {
  readonly schedule?: string;
  readonly state?: BackupState;
  readonly watch?: boolean;
}

interface RestoreFlags {
  readonly repository?: string;
  readonly volume?: readonly string[];
  readonly inPlace?: boolean;
  readonly path?: readonly string[];
  readonly existingFiles?: string;
  readonly objects?: string;
  readonly safetySnapshot?: boolean;
  readonly dryRun?: boolean;
}

interface DeleteFlags {
  readonly data?: string;
}

const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  create: [
    ['clawstore backup create s3://backups/daily', 'all volumes of the namespace, and the manifests of its objects'],
    ['clawstore backup create /mnt/disk/backups --scope volumes --volume data --volume models'],
    ['clawstore backup create --repository main --name before-upgrade --ttl 720h'],
  ],
  list: [
    ['clawstore backup list -o wide', 'also their names, schedules, and when they began'],
    ['clawstore backup list --state succeeded -o json'],
    ['clawstore backup list --watch'],
  ],
  restore: [
    [
      'clawstore backup restore daily-202601010200-1f2e3d4c',
      'all of it: missing volumes are made, unused ones are replaced',
    ],
    ['clawstore backup restore before-upgrade --volume data=data-then --path models/v3'],
    ['clawstore backup restore before-upgrade --dry-run', 'what would be done'],
  ],
  cancel: [['clawstore backup cancel before-upgrade']],
  delete: [['clawstore backup delete before-upgrade --data delete', 'its data too']],
};

/** `clawstore backup …`. */
export function addBackupCommands(program: Command, exit: (code: ExitCode) => void): void {
  const backup = withClientOptions(program.command('backup'))
    .description('back volumes and objects up, list backups, restore them')
    .addHelpText(
      'after',
      `\nAt set times: clawstore schedule create (docs/schedules.md). The key of a repository: clawstore repository export-key.`,
    );

  withAnswerOptions(backup.command('create'), 'how long to wait; what takes longer goes on')
    .description('back up, and wait until that has ended; the same again while it goes on waits for that one')
    .argument('[destination]', 's3://BUCKET/PREFIX, file:///PATH, nfs://SERVER/PATH or an absolute path')
    .addOption(
      completedBy(
        new Option('--repository <name>', 'a BackupRepository, in the place of a destination'),
        BACKUP_REPOSITORIES,
      ),
    )
    .addOption(
      new Option('--scope <what>', 'volumes: data; configs: manifests (default: full)').choices(Object.keys(SCOPES)),
    )
    .option('--name <name>', 'name of the backup (default: one with the date)')
    .addOption(volumeOption('--volume <volume>', 'this volume; several times for several (default: all)'))
    .option('--ttl <duration>', 'delete it when it is older, e.g. 720h (default: it stays)')
    .option('--delete-data', 'the data goes when the Backup object is deleted (default: it stays)')
    .option('--allow-partial', 'a success although files are lacking, which are counted and named')
    .option('--bandwidth <bytes>', 'bytes a second that each node uploads at most, e.g. 10Mi')
    .action(async (destination: string | undefined, flags: CreateFlags, command: Command) => {
      const { createBackup } = await import('./backup.ts');
      const { repository, scope, name, volume: volumes, ttl, bandwidth } = flags;
      const deletionPolicy = flags.deleteData === true ? 'Delete' : undefined;
      const onPartial = flags.allowPartial === true ? 'Allow' : undefined;
      const asked = { destination, repository, scope, name, volumes, ttl, bandwidth, deletionPolicy, onPartial };
      exit(await createBackup(asked, await askedOf(command)));
    });

  withAnswerOptions(backup.command('list'), 'how long to wait for the answer')
    .description('list the backups, the newest last')
    .addOption(completedBy(new Option('--schedule <name>', 'made by this schedule only'), BACKUP_SCHEDULES))
    .addOption(new Option('--state <state>', 'in this state only').choices(BACKUP_STATES))
    .addOption(watchOption())
    .action(async ({ schedule, state, watch }: ListFlags, command: Command) => {
      const [{ list }, { backupListings }, { BACKUP_LIST }] = await Promise.all([
        import('./list.ts'),
        import('../commands/backup/list.ts'),
        import('./backup.ts'),
      ]);
      const params = given({ schedule, state });
      exit(await list(await askedOf(command), backupListings, BACKUP_LIST, { params, watch: watch === true }));
    });

  withAnswerOptions(backup.command('restore'), 'how long to wait; what takes longer goes on')
    .description('restore everything in a backup, or what is chosen')
    .addArgument(nameArgument('<backup>', 'ID or name of the backup', BACKUPS))
    .addOption(
      completedBy(
        new Option('--repository <name>', 'the BackupRepository that it is in, if backup list does not show it'),
        BACKUP_REPOSITORIES,
      ),
    )
    .addOption(
      volumeOption('--volume <from[=to]>', 'this volume, under another name; several times for several (default: all)'),
    )
    .option('--in-place', 'the chosen volumes are there, and used by nobody (default: they are made)')
    .option('--path <path>', 'this path in each volume; several times for several (default: everything)', listOf)
    .addOption(
      new Option(
        '--existing-files <what>',
        'files that are there; Mirror: also remove what is not in the backup',
      ).choices(['Skip', 'Overwrite', 'Mirror']),
    )
    .addOption(new Option('--objects <what>', 'objects that are there').choices(['Skip', 'Update', 'Fail']))
    .option('--no-safety-snapshot', 'do not keep what the volumes have now as snapshots first')
    .option('--dry-run', 'change nothing, and say what would be done')
    .action(async (backupId: string, flags: RestoreFlags, command: Command) => {
      const { restoreBackup } = await import('./backup.ts');
      const { repository, volume: volumes, inPlace, path: paths, existingFiles, objects, dryRun } = flags;
      const safetySnapshot = flags.safetySnapshot === false ? false : undefined;
      const asked = { backupId, repository, volumes, inPlace, paths, existingFiles, objects, safetySnapshot, dryRun };
      exit(await restoreBackup(asked, await askedOf(command)));
    });

  withAnswerOptions(backup.command('cancel'), 'how long to wait until it has stopped')
    .description('stop a backup that goes on; what was read is found again by the next')
    .addArgument(nameArgument('<backup>', 'ID or name of the backup', BACKUPS))
    .action(async (backupId: string, _flags: unknown, command: Command) => {
      const { cancelBackup } = await import('./backup.ts');
      exit(await cancelBackup({ backupId }, await askedOf(command)));
    });

  withAnswerOptions(backup.command('delete'), 'how long to wait; the deletion goes on')
    .description('delete a backup and wait until it is gone')
    .addArgument(nameArgument('<backup>', 'ID or name of the backup', BACKUPS))
    .addOption(
      new Option('--data <what>', 'its data (default: as its deletionPolicy says, which mostly is to keep)').choices([
        'delete',
        'keep',
      ]),
    )
    .action(async (backupId: string, flags: DeleteFlags, command: Command) => {
      const { deleteBackup } = await import('./backup.ts');
      exit(await deleteBackup({ backupId, data: flags.data }, await askedOf(command)));
    });

  for (const command of backup.commands) withExamples(command, ...(EXAMPLES[command.name()] ?? []));
  withExamples(backup, ...Object.values(EXAMPLES).flatMap(([first]) => (first === undefined ? [] : [first])));
}

function volumeOption(flags: string, help: string): Option {
  return completedBy(new Option(flags, help).argParser(listOf), VOLUMES);
}
