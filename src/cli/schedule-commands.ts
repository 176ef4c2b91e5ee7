/** The commands `clawstore schedule …` with their help. */
import { Argument, type Command, Option } from 'commander';
import { BACKUP_REPOSITORIES, BACKUP_SCHEDULES, SNAPSHOT_SCHEDULES, VOLUMES } from '../api/meta.ts';
import { SCOPES } from '../commands/backup/state.ts';
import { KINDS } from '../commands/schedule/kinds.ts';
import { askedOf, withAnswerOptions, withClientOptions } from './client-options.ts';
import { completedBy } from './completion/completers.ts';
import { type Example, withExamples } from './examples.ts';
import type { ExitCode } from './exit-code.ts';
import { listOf, watchOption } from './options.ts';

interface CreateFlags {
  readonly timeZone?: string;
  readonly snapshotsOf?: string;
  readonly backupTo?: string;
  readonly repository?: string;
  readonly scope?: string;
  readonly volume?: readonly string[];
  readonly keep?: readonly string[];
}

interface KindFlags {
  readonly kind?: string;
}

const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  create: [
    ["clawstore schedule create daily '0 2 * * *' --backup-to s3://backups/daily --keep daily=7 --keep weekly=4"],
    ['clawstore schedule create nightly @daily --snapshots-of data --keep last=3 --time-zone Europe/Berlin'],
  ],
  list: [['clawstore schedule list'], ['clawstore schedule list --watch']],
  suspend: [['clawstore schedule suspend daily']],
  resume: [['clawstore schedule resume daily', 'the latest run that was missed is made up for']],
  delete: [['clawstore schedule delete daily', 'what it has made stays']],
};

/** `clawstore schedule …`. */
export function addScheduleCommands(program: Command, exit: (code: ExitCode) => void): void {
  const schedule = withClientOptions(program.command('schedule'))
    .description('schedules of backups and of snapshots')
    .addHelpText('after', `\nWhat --keep no longer keeps is deleted with its data (docs/schedules.md).`);

  withAnswerOptions(schedule.command('create'), 'how long to wait for the answer')
    .description('make a schedule, and say when it runs first')
    .argument('<name>', 'name of the schedule')
    .argument('<when>', "as in crontab, e.g. '0 2 * * *', or @hourly, @daily, @weekly, @monthly, @yearly")
    .option('--time-zone <zone>', 'e.g. Europe/Berlin (default: UTC)')
    .addOption(completedBy(new Option('--snapshots-of <volume>', 'take snapshots of this volume'), VOLUMES))
    .option('--backup-to <destination>', 'back up to s3://BUCKET/PREFIX, file:///PATH, nfs://SERVER/PATH or a path')
    .addOption(
      completedBy(new Option('--repository <name>', 'back up into this BackupRepository'), BACKUP_REPOSITORIES),
    )
    .addOption(new Option('--scope <what>', 'what is backed up (default: full)').choices(Object.keys(SCOPES)))
    .addOption(
      completedBy(
        new Option('--volume <volume>', 'back up this volume; several times for several (default: all)').argParser(
          listOf,
        ),
        VOLUMES,
      ),
    )
    .option(
      '--keep <rule=number>',
      'last, hourly, daily, weekly, monthly, yearly; several times (default: all)',
      listOf,
    )
    .action(async (name: string, when: string, flags: CreateFlags, command: Command) => {
      const { createSchedule } = await import('./schedule.ts');
      const { timeZone, snapshotsOf, backupTo, repository, scope, volume: volumes, keep } = flags;
      const what = { volume: snapshotsOf, destination: backupTo, repository, scope, volumes };
      exit(await createSchedule({ name, schedule: when, timeZone, ...what, keep }, await askedOf(command)));
    });

  withAnswerOptions(schedule.command('list'), 'how long to wait for the answer')
    .description('list the schedules of both kinds')
    .addOption(watchOption())
    .action(async ({ watch }: { readonly watch?: boolean }, command: Command) => {
      const [{ list }, { scheduleListings }, { SCHEDULE_LIST }] = await Promise.all([
        import('./list.ts'),
        import('../commands/schedule/list.ts'),
        import('./schedule.ts'),
      ]);
      exit(await list(await askedOf(command), scheduleListings, SCHEDULE_LIST, { params: {}, watch: watch === true }));
    });

  const changes = {
    suspend: 'start no more runs; one that goes on is not stopped',
    resume: 'start runs again; of those that were missed the latest is made up for',
    delete: 'delete a schedule; what it has made stays',
  } as const;
  for (const [verb, help] of Object.entries(changes) as [keyof typeof changes, string][]) {
    withAnswerOptions(schedule.command(verb), 'how long to wait for the answer')
      .description(help)
      .addArgument(completedBy(new Argument('<name>', 'name of the schedule'), [BACKUP_SCHEDULES, SNAPSHOT_SCHEDULES]))
      .addOption(new Option('--kind <kind>', 'where both have the name').choices(Object.keys(KINDS)))
      .action(async (name: string, flags: KindFlags, command: Command) => {
        const { changeSchedule } = await import('./schedule.ts');
        exit(await changeSchedule(verb, { name, kind: flags.kind }, await askedOf(command)));
      });
  }

  for (const command of schedule.commands) withExamples(command, ...(EXAMPLES[command.name()] ?? []));
  withExamples(schedule, ...Object.values(EXAMPLES).flatMap(([first]) => (first === undefined ? [] : [first])));
}
