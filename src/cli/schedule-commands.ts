/** The commands `clawstore schedule …` with their help. */
import type { Command } from 'commander';
import { askedOf, withAnswerOptions, withClientOptions } from './client-options.ts';
import { type Example, withExamples } from './examples.ts';
import type { ExitCode } from './exit-code.ts';
import { listOf } from './options.ts';
import { OUTPUT_FORMATS } from './output.ts';

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
  list: [['clawstore schedule list']],
  suspend: [['clawstore schedule suspend daily']],
  resume: [['clawstore schedule resume daily', 'the latest run that was missed is made up for']],
  delete: [['clawstore schedule delete daily', 'what it has made stays']],
};

/** `clawstore schedule …`. */
export function addScheduleCommands(program: Command, exit: (code: ExitCode) => void): void {
  const schedule = withClientOptions(program.command('schedule'))
    .description('schedules of backups and of snapshots')
    .addHelpText('after', `\nWhat --keep no longer keeps is deleted with its data (docs/schedules.md).`);

  withAnswerOptions(schedule.command('create'), 'how long to wait for the answer', OUTPUT_FORMATS)
    .description('make a schedule, and say when it runs first')
    .argument('<name>', 'name of the schedule')
    .argument('<when>', "as in crontab, e.g. '0 2 * * *', or @hourly, @daily, @weekly, @monthly, @yearly")
    .option('--time-zone <zone>', 'e.g. Europe/Berlin (default: UTC)')
    .option('--snapshots-of <volume>', 'take snapshots of this volume')
    .option('--backup-to <destination>', 'back up to s3://BUCKET/PREFIX, file:///PATH, nfs://SERVER/PATH or a path')
    .option('--repository <name>', 'back up into this BackupRepository')
    .option('--scope <what>', 'back up full, volumes or configs (default: full)')
    .option('--volume <volume>', 'back up this volume; several times for several (default: all)', listOf)
    .option(
      '--keep <rule=number>',
      'last, hourly, daily, weekly, monthly, yearly; several times (default: all)',
      listOf,
    )
    .action(async (name: string, when: string, flags: CreateFlags, command: Command) => {
      const { runSchedule } = await import('./schedule.ts');
      const { timeZone, snapshotsOf, backupTo, repository, scope, volume: volumes, keep } = flags;
      const what = { volume: snapshotsOf, destination: backupTo, repository, scope, volumes };
      exit(await runSchedule('create', { name, schedule: when, timeZone, ...what, keep }, await askedOf(command)));
    });

  withAnswerOptions(schedule.command('list'), 'how long to wait for the answer', OUTPUT_FORMATS)
    .description('list the schedules of both kinds')
    .action(async (_flags: unknown, command: Command) => {
      const { runSchedule } = await import('./schedule.ts');
      exit(await runSchedule('list', {}, await askedOf(command)));
    });

  const changes = {
    suspend: 'start no more runs; one that goes on is not stopped',
    resume: 'start runs again; of those that were missed the latest is made up for',
    delete: 'delete a schedule; what it has made stays',
  } as const;
  for (const [verb, help] of Object.entries(changes) as [keyof typeof changes, string][]) {
    withAnswerOptions(schedule.command(verb), 'how long to wait for the answer', OUTPUT_FORMATS)
      .description(help)
      .argument('<name>', 'name of the schedule')
      .option('--kind <kind>', 'backup or snapshot, where both have the name')
      .action(async (name: string, flags: KindFlags, command: Command) => {
        const { runSchedule } = await import('./schedule.ts');
        exit(await runSchedule(verb, { name, kind: flags.kind }, await askedOf(command)));
      });
  }

  for (const command of schedule.commands) withExamples(command, ...(EXAMPLES[command.name()] ?? []));
  withExamples(schedule, ...Object.values(EXAMPLES).flatMap(([first]) => (first === undefined ? [] : [first])));
}
