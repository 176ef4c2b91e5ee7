/** The commands `clawstore volume …` with their help: the volume commands of `clawstore invoke`, for people. */
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { VOLUME_CLASSES, VOLUMES } from '../api/meta.ts';
import { askedOf, withAnswerOptions, withClientOptions } from './client-options.ts';
import { completedBy, nameArgument } from './completion/completers.ts';
import { withExamples } from './examples.ts';
import type { ExitCode } from './exit-code.ts';
import { given, watchOption } from './options.ts';
import { OUTPUT_FORMATS } from './output.ts';

const GOES_ON = 'how long to wait; what takes longer goes on';

/** `clawstore volume …`. */
export function addVolumeCommands(program: Command, exit: (code: ExitCode) => void): void {
  const volume = withExamples(
    withClientOptions(program.command('volume')).description('make, mount, list, grow and delete volumes'),
    ['clawstore volume create scratch --size-gb 1'],
    ['clawstore volume mount scratch --workload-id trainer --mount-path /scratch'],
    ['clawstore volume list --watch'],
  );
  addCreate(volume, exit);
  addMount(volume, exit);
  addUnmount(volume, exit);
  addList(volume, exit);
  addDescribe(volume, exit);
  addGrow(volume, exit);
  addDelete(volume, exit);
}

function addCreate(volume: Command, exit: (code: ExitCode) => void): void {
  const command = volume
    .command('create')
    .description('make a volume and wait until it is ready; the same again is answered, another of that name refused')
    .addArgument(new Argument('<name>', 'its name: lower case letters, digits and "-"'))
    .addOption(new Option('--type <type>', 'what it is made of').choices(['emptydir', 'hostpath', 'nfs', 's3']))
    .addOption(sizeOption('size in GiB (default: 10)'))
    .addOption(
      new Option('--access-mode <mode>', 'who may mount it (default: ReadWriteOnce)').choices([
        'ReadWriteOnce',
        'ReadOnlyMany',
        'ReadWriteMany',
      ]),
    )
    .addOption(completedBy(new Option('--storage-class <name>', 'a VolumeClass'), VOLUME_CLASSES))
    .addOption(
      completedBy(
        new Option('--path <path>', 'hostpath: directory of the node, made if missing; nfs: exported directory'),
        'directories',
      ),
    )
    .option('--server <host>', 'nfs: name or address of the server')
    .option('--bucket <name>', 's3: bucket, which must exist')
    .option('--prefix <path>', 's3: path in the bucket (default: the whole bucket)')
    .option('--endpoint <url>', 's3: address of the server')
    .option('--region <name>', 's3: region of the bucket')
    .option('--credentials-secret <name>', 's3: Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY')
    .action(async (name: string, flags: CreateFlags, self: Command) => {
      const [{ answerCommand }, { volumeCreate }, { CREATED_VOLUME }] = await Promise.all([
        import('./answer-command.ts'),
        import('../commands/volume/create.ts'),
        import('./volume.ts'),
      ]);
      const { type, sizeGb, accessMode, storageClass, path, server, bucket, prefix, endpoint, region } = flags;
      const { credentialsSecret } = flags;
      const of = { type, sizeGb, accessMode, storageClass, path, server };
      const params = { name, ...of, bucket, prefix, endpoint, region, credentialsSecret };
      exit(await answerCommand(await askedOf(self), volumeCreate, given(params), CREATED_VOLUME));
    });
  withExamples(
    withAnswerOptions(command, GOES_ON),
    ['clawstore volume create scratch --size-gb 50', 'an emptydir of 50 GiB on this node'],
    ['clawstore volume create checkpoints --type hostpath --path /data/checkpoints'],
    [
      'clawstore volume create training --type nfs --server nfs.internal --path /exports/training --access-mode ReadOnlyMany',
    ],
    ['clawstore volume create models --type s3 --bucket models --prefix llama --credentials-secret s3-keys'],
  );
}

function addMount(volume: Command, exit: (code: ExitCode) => void): void {
  const command = volume
    .command('mount')
    .description('mount a volume for a workload and say at which path of the host')
    .addArgument(nameArgument('<volume>', 'name of the volume', VOLUMES))
    .requiredOption('--workload-id <id>', 'who uses it, e.g. a container ID')
    .requiredOption('--mount-path <path>', 'where the workload sees it; never touched on the host')
    .option('--read-only', 'the workload may not write (default: only on a ReadOnlyMany volume)')
    .option('--no-read-only', 'it may; refused on a ReadOnlyMany volume')
    .action(async (volumeId: string, flags: MountFlags, self: Command) => {
      const [{ answerCommand }, { volumeMount }, { MOUNTED_VOLUME }] = await Promise.all([
        import('./answer-command.ts'),
        import('../commands/volume/mount.ts'),
        import('./volume.ts'),
      ]);
      const { workloadId, mountPath, readOnly } = flags;
      const params = given({ volumeId, workloadId, mountPath, readOnly });
      exit(await answerCommand(await askedOf(self), volumeMount, params, MOUNTED_VOLUME));
    });
  withExamples(
    withAnswerOptions(command, GOES_ON),
    ['clawstore volume mount training --workload-id trainer-1 --mount-path /data'],
    ['clawstore volume mount models --workload-id web --mount-path /models --read-only'],
    ['clawstore volume mount training --workload-id trainer-1 --mount-path /data -o json', 'hostPath is what to bind'],
  );
}

function addUnmount(volume: Command, exit: (code: ExitCode) => void): void {
  const command = volume
    .command('unmount')
    .description("take a workload's mount of a volume down and wait until it is really gone")
    .addArgument(nameArgument('<volume>', 'name of the volume', VOLUMES))
    .option('--workload-id <id>', 'whose mount; required when there are several')
    .action(async (volumeId: string, { workloadId }: Partial<MountFlags>, self: Command) => {
      const [{ answerCommand }, { volumeUnmount }, { UNMOUNTED_VOLUME }] = await Promise.all([
        import('./answer-command.ts'),
        import('../commands/volume/unmount.ts'),
        import('./volume.ts'),
      ]);
      const params = given({ volumeId, workloadId });
      exit(await answerCommand(await askedOf(self), volumeUnmount, params, UNMOUNTED_VOLUME));
    });
  withExamples(
    withAnswerOptions(command, GOES_ON),
    ['clawstore volume unmount training', 'its only mount'],
    ['clawstore volume unmount training --workload-id trainer-1'],
  );
}

function addList(volume: Command, exit: (code: ExitCode) => void): void {
  const command = volume
    .command('list')
    .description('list the volumes')
    .addOption(watchOption())
    .action(async ({ watch }: { readonly watch?: boolean }, self: Command) => {
      const [{ list }, { volumeListing }, { VOLUME_LIST }] = await Promise.all([
        import('./list.ts'),
        import('../commands/volume/list.ts'),
        import('./volume.ts'),
      ]);
      exit(await list(await askedOf(self), volumeListing, VOLUME_LIST, { params: {}, watch: watch === true }));
    });
  withExamples(
    withAnswerOptions(command, 'how long to wait for the answer'),
    ['clawstore volume list'],
    ['clawstore volume list -o wide', 'also where they are and what is wrong'],
    ['clawstore volume list -n team --watch'],
    ['clawstore volume list -o json', 'with counts by phase, in bytes'],
  );
}

function addDescribe(volume: Command, exit: (code: ExitCode) => void): void {
  const command = volume
    .command('describe')
    .description('say what is known of a volume: conditions, mounts, snapshots')
    .addArgument(nameArgument('<volume>', 'name of the volume', VOLUMES))
    .action(async (volumeId: string, _flags: unknown, self: Command) => {
      const [{ answerCommand }, { volumeDescribe }] = await Promise.all([
        import('./answer-command.ts'),
        import('../commands/volume/describe.ts'),
      ]);
      exit(await answerCommand(await askedOf(self), volumeDescribe, { volumeId }));
    });
  withExamples(
    withAnswerOptions(command, 'how long to wait for the answer', OUTPUT_FORMATS),
    ['clawstore volume describe training'],
    ['clawstore volume describe training -o yaml'],
  );
}

function addGrow(volume: Command, exit: (code: ExitCode) => void): void {
  const command = volume
    .command('grow')
    .description('make a volume larger, used or not, and wait until it is; volumes never shrink')
    .addArgument(nameArgument('<volume>', 'name of the volume', VOLUMES))
    .addOption(sizeOption('its new size in GiB').makeOptionMandatory())
    .action(async (volumeId: string, { sizeGb }: { readonly sizeGb: number }, self: Command) => {
      const [{ answerCommand }, { volumeGrow }, { GROWN_VOLUME }] = await Promise.all([
        import('./answer-command.ts'),
        import('../commands/volume/grow.ts'),
        import('./volume.ts'),
      ]);
      exit(await answerCommand(await askedOf(self), volumeGrow, { volumeId, sizeGb }, GROWN_VOLUME));
    });
  withExamples(withAnswerOptions(command, GOES_ON), ['clawstore volume grow scratch --size-gb 100']);
}

function addDelete(volume: Command, exit: (code: ExitCode) => void): void {
  const command = volume
    .command('delete')
    .description('delete a volume that nobody mounts and wait until it is gone')
    .addArgument(nameArgument('<volume>', 'name of the volume', VOLUMES))
    .action(async (volumeId: string, _flags: unknown, self: Command) => {
      const [{ answerCommand }, { volumeDelete }, { DELETED_VOLUME }] = await Promise.all([
        import('./answer-command.ts'),
        import('../commands/volume/delete.ts'),
        import('./volume.ts'),
      ]);
      exit(await answerCommand(await askedOf(self), volumeDelete, { volumeId }, DELETED_VOLUME));
    });
  withExamples(withAnswerOptions(command, 'how long to wait; the deletion goes on'), [
    'clawstore volume delete scratch',
  ]);
}

interface CreateFlags {
  readonly type?: string;
  readonly sizeGb?: number;
  readonly accessMode?: string;
  readonly storageClass?: string;
  readonly path?: string;
  readonly server?: string;
  readonly bucket?: string;
  readonly prefix?: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly credentialsSecret?: string;
}

interface MountFlags {
  readonly workloadId: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

function sizeOption(help: string): Option {
  return new Option('--size-gb <number>', help).argParser((text) => {
    const number = Number(text);
    if (text.trim() === '' || !Number.isFinite(number)) throw new InvalidArgumentError('It must be a number.');
    return number;
  });
}
