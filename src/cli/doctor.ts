/** `clawstore doctor`: what this host lacks, and what that turns off. */
import { accessSync, constants, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createResticEngine } from '../backup/restic/engine.ts';
import { engineFeature } from '../controllers/node/status.ts';
import { isProjectRecord } from '../drivers/hostpath/project.ts';
import { DirectoryQuota } from '../drivers/hostpath/quota.ts';
import { S3Driver } from '../drivers/s3/driver.ts';
import { createNodeLayer } from '../node/create-layer.ts';
import { forkHelper } from '../node/fork-helper.ts';
import { NodeError } from '../node/node-error.ts';
import { Records } from '../node/records.ts';
import { ExitCode } from './exit-code.ts';
import { type OutputFormat, render, renderTable } from './output.ts';
import { mayResizeMounted } from './preflight.ts';
import type { Settings } from './settings.ts';

const DEADLINE_MS = 20_000;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

type Status = 'ok' | 'missing' | 'limited';

interface Check {
  readonly check: string;
  readonly status: Status;
  /** What it means, and what to do. */
  readonly message: string;
  /** Without it nothing works. */
  readonly required: boolean;
}

/** Program, Debian package, what is off without it. */
const PROGRAMS: readonly (readonly [string, string, string])[] = [
  ['mkfs.xfs', 'xfsprogs', 'emptyDir volumes of 300Mi and more, and pools'],
  ['xfs_growfs', 'xfsprogs', 'growing volumes and pools'],
  ['mkfs.ext4', 'e2fsprogs', 'emptyDir volumes below 300Mi'],
  ['resize2fs', 'e2fsprogs', 'growing emptyDir volumes below 300Mi'],
  ['fsfreeze', 'util-linux', 'snapshots of emptyDir volumes that are in use'],
  ['mount.nfs', 'nfs-common', 'volumes on an NFS server'],
  ['git', 'git', 'clawstore up --sync of a Git repository'],
  ['setpriv', 'util-linux', 'ending programs together with the helper that started them'],
];

/** Prints every check. @returns failed when something is missing without which nothing works. */
export async function doctor(settings: Settings, format: OutputFormat): Promise<ExitCode> {
  const checks = [...privileges(), ...programs(), ...devices(), ...(await kernel(settings))];
  const rows = checks.map(({ check, status, message }) => [check, status, message]);
  process.stdout.write(
    format === 'table' ? renderTable(['check', 'status', 'message'], rows) : await render({ checks }, format),
  );
  return checks.some(({ required, status }) => required && status === 'missing') ? ExitCode.failed : ExitCode.ok;
}

function privileges(): readonly Check[] {
  const isRoot = process.getuid?.() === 0;
  return [
    {
      check: 'root',
      status: isRoot ? 'ok' : 'missing',
      message: isRoot ? '' : 'nothing can be mounted: run clawstore with sudo',
      required: true,
    },
    {
      check: 'CAP_SYS_RESOURCE',
      status: mayResizeMounted() ? 'ok' : 'missing',
      message: mayResizeMounted() ? '' : 'off without it: growing emptyDir volumes below 300Mi while they are mounted',
      required: false,
    },
  ];
}

function programs(): readonly Check[] {
  return PROGRAMS.map(([name, pkg, use]) => {
    const found = PATH.split(':').some((folder) => isExecutable(join(folder, name)));
    return {
      check: name,
      status: found ? 'ok' : 'missing',
      message: found ? '' : `off without it: ${use}; apt-get install ${pkg}`,
      required: false,
    };
  });
}

function devices(): readonly Check[] {
  return (
    [
      ['/dev/loop-control', 'emptyDir volumes with a size'],
      ['/dev/fuse', 'volumes that are mounted through FUSE'],
    ] as const
  ).map(([path, use]) => ({
    check: path,
    status: existsSync(path) ? 'ok' : 'missing',
    message: existsSync(path) ? '' : `off without it: ${use}`,
    required: false,
  }));
}

/** Tries system calls in a helper of its own; the pool check needs the state directory's filesystem, not the directory. */
async function kernel(settings: Settings): Promise<readonly Check[]> {
  if (process.getuid?.() !== 0) return [];
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'clawstore-doctor-'));
  const probe = mkdtempSync(join(nearestExisting(settings.stateDir), '.clawstore-doctor-'));
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const options = { stateDir: join(folder, 'state'), mountRoot: join(folder, 'mounts'), helper: forkHelper() };
  const node = await createNodeLayer(options, signal);
  try {
    const features = node.features.map(
      ({ name, available, message }): Check => ({
        check: name,
        status: available ? 'ok' : 'missing',
        message,
        required: name === 'BindMounts',
      }),
    );
    const { kernel: hasNfs } = await node.call('probeNfs', null, { signal });
    const nfs: Check = {
      check: 'NFS client',
      status: hasNfs ? 'ok' : 'missing',
      message: hasNfs ? '' : 'this kernel has no module nfs; off without it: volumes on an NFS server',
      required: false,
    };
    const quota = new DirectoryQuota(node, new Records(join(folder, 'projects'), isProjectRecord)).feature();
    const restic = engineFeature(await createResticEngine(node).probe(signal));
    const s3 = await new S3Driver(node).capabilities(signal);
    return [
      ...features,
      nfs,
      {
        check: 'XFS project quota',
        status: quota.available ? 'ok' : 'missing',
        message: quota.available ? quota.message : `off: size limits of hostPath volumes: ${quota.message}`,
        required: false,
      },
      await cloneCheck(() => node.call('probeClone', { directory: probe }, { signal })),
      {
        check: 's3',
        status: s3.supported ? 'ok' : 'missing',
        message: s3.supported ? '' : `off: s3 volumes: ${s3.message}`,
        required: false,
      },
      {
        check: restic.name,
        status: restic.available ? 'ok' : 'missing',
        message: restic.available ? (restic.message ?? '') : `off: backups: ${restic.message}; apt-get install restic`,
        required: false,
      },
    ];
  } finally {
    await node.close();
    for (const path of [folder, probe]) rmSync(path, { recursive: true, force: true });
  }
}

async function cloneCheck(
  probe: () => Promise<{ readonly cloneable: boolean; readonly message: string }>,
): Promise<Check> {
  try {
    const { cloneable } = await probe();
    return {
      check: 'pool',
      status: cloneable ? 'ok' : 'limited',
      message: cloneable
        ? 'the state directory can clone files: images lie on it directly'
        : 'the state directory cannot clone files: images lie in an XFS pool file, which makes small synced writes two to three times slower; a disk with XFS or btrfs for the state directory avoids that',
      required: false,
    };
  } catch (thrown) {
    return { check: 'pool', status: 'missing', message: NodeError.from(thrown).message, required: false };
  }
}

function nearestExisting(path: string): string {
  return existsSync(path) ? path : nearestExisting(dirname(path));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
