/** The commands `clawstore snapshot …` with their help. */
import { type Command, Option } from 'commander';
import { SNAPSHOTS, VOLUMES } from '../api/meta.ts';
import { askedOf, withAnswerOptions, withClientOptions } from './client-options.ts';
import { completedBy, nameArgument } from './completion/completers.ts';
import { withExamples } from './examples.ts';
import type { ExitCode } from './exit-code.ts';
import { given, watchOption } from './options.ts';

interface CreateFlags {
  readonly name?: string;
  readonly ttl?: string;
  readonly consistency?: string;
}

/** Flags of `snapshot revert`. */
interface RevertFlags {
  readonly safetySnapshot: boolean;
  readonly remount?: true;
}

interface ListFlags {
  readonly volume?: string;
  readonly watch?: boolean;
}

/** `clawstore snapshot …`. */
export function addSnapshotCommands(program: Command, exit: (code: ExitCode) => void): void {
  const snapshot = withClientOptions(program.command('snapshot'))
    .description('take, list and delete snapshots of volumes, and go back to them')
    .addHelpText(
      'after',
      `
A volume that starts from one: kubectl apply with spec.dataSource.snapshotRef.name (docs/snapshots.md).`,
    );
  withExamples(
    snapshot,
    ['clawstore snapshot create data', 'a snapshot of volume "data", named after the time'],
    ['clawstore snapshot list --volume data'],
    ['clawstore snapshot revert before-upgrade'],
  );

  const create = snapshot
    .command('create')
    .description('take a snapshot of a volume and wait until it is ready to use')
    .addArgument(nameArgument('<volume>', 'name of the volume', VOLUMES))
    .option('--name <name>', 'name of the snapshot (default: the name of the volume and the time)')
    .option('--ttl <duration>', 'delete it when it is older, e.g. 90m or 72h (default: it stays)')
    .addOption(
      new Option('--consistency <what>', 'what is demanded (default: the best that the volume can)').choices([
        'Crash',
        'Filesystem',
      ]),
    )
    .action(async (volumeId: string, { name, ttl, consistency }: CreateFlags, self: Command) => {
      const [{ answerCommand }, { snapshotCreate }, { TAKEN_SNAPSHOT }] = await Promise.all([
        import('./answer-command.ts'),
        import('../commands/snapshot/create.ts'),
        import('./snapshot.ts'),
      ]);
      const params = given({ volumeId, name, ttl, consistency });
      exit(await answerCommand(await askedOf(self), snapshotCreate, params, TAKEN_SNAPSHOT));
    });
  withExamples(
    withAnswerOptions(create, 'how long to wait; what takes longer goes on'),
    ['clawstore snapshot create data'],
    ['clawstore snapshot create data --name before-upgrade --ttl 72h'],
    ['clawstore snapshot create data --consistency Filesystem', 'all writes whole, or an error'],
  );

  const list = snapshot
    .command('list')
    .description('list the snapshots, the newest last')
    .addOption(completedBy(new Option('--volume <volume>', 'of this volume only'), VOLUMES))
    .addOption(watchOption())
    .action(async ({ volume, watch }: ListFlags, self: Command) => {
      const [listing, { snapshotListing }, { SNAPSHOT_LIST }] = await Promise.all([
        import('./list.ts'),
        import('../commands/snapshot/list.ts'),
        import('./snapshot.ts'),
      ]);
      const params = volume === undefined ? {} : { volumeId: volume };
      const options = { params, watch: watch === true };
      exit(await listing.list(await askedOf(self), snapshotListing, SNAPSHOT_LIST, options));
    });
  withExamples(
    withAnswerOptions(list, 'how long to wait for the answer'),
    ['clawstore snapshot list'],
    ['clawstore snapshot list --volume data -o json'],
    ['clawstore snapshot list --watch'],
  );

  const revert = snapshot
    .command('revert')
    .description('take a volume back to a snapshot of it; it must be mounted nowhere, unless --remount is given')
    .addArgument(nameArgument('<name>', 'name of the snapshot', SNAPSHOTS))
    .option('--no-safety-snapshot', 'do not keep what the volume has now as a snapshot first')
    .option('--remount', 'take its mounts down first, and make them again afterwards')
    .action(async (snapshotId: string, flags: RevertFlags, self: Command) => {
      const [{ answerCommand }, { snapshotRevert }, { REVERTED_VOLUME }] = await Promise.all([
        import('./answer-command.ts'),
        import('../commands/snapshot/revert.ts'),
        import('./snapshot.ts'),
      ]);
      const { safetySnapshot, remount } = flags;
      const params = { snapshotId, safetySnapshot, ...(remount === true ? { whenAttached: 'Remount' as const } : {}) };
      exit(await answerCommand(await askedOf(self), snapshotRevert, params, REVERTED_VOLUME));
    });
  withExamples(
    withAnswerOptions(revert, 'how long to wait; what takes longer goes on'),
    ['clawstore snapshot revert before-upgrade', 'the volume has that content again; it must be unmounted'],
    ['clawstore snapshot revert before-upgrade --remount', 'the same while it is mounted, if nobody is busy in it'],
    ['clawstore snapshot revert before-upgrade --no-safety-snapshot'],
  );

  const remove = snapshot
    .command('delete')
    .description('delete a snapshot and wait until it is gone')
    .addArgument(nameArgument('<name>', 'name of the snapshot', SNAPSHOTS))
    .action(async (snapshotId: string, _flags: unknown, self: Command) => {
      const [{ answerCommand }, { snapshotDelete }, { DELETED_SNAPSHOT }] = await Promise.all([
        import('./answer-command.ts'),
        import('../commands/snapshot/delete.ts'),
        import('./snapshot.ts'),
      ]);
      exit(await answerCommand(await askedOf(self), snapshotDelete, { snapshotId }, DELETED_SNAPSHOT));
    });
  withExamples(withAnswerOptions(remove, 'how long to wait; the deletion goes on'), [
    'clawstore snapshot delete before-upgrade',
  ]);
}
