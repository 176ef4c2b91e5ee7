/** Faults, and how long it takes until they are healed or, where only a person can end them, reported. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { toolPath } from '../../scripts/tools.ts';
import { type MountEntry, parseMountinfo } from '../../src/node/mount-entry.ts';
import { type Api, collection, type ObjectShape, type Plural } from '../support/api.ts';
import type { Case, Context, Measurement } from '../support/case.ts';
import { Machine } from '../support/machine.ts';
import { type S3, startS3 } from '../support/s3-outages.ts';
import { quantile } from '../support/stats.ts';

const DEADLINE_MS = 60_000;
/** Between two samples: what the last one left to be reported is reported. */
const REST_MS = 100;

/** One kind of fault. `strike` makes it; `healed` says whether it is over. */
interface Fault {
  readonly name: string;
  readonly title: string;
  /** Samples per round that the options ask for. */
  readonly per: number;
  /** Gives the time from which is measured; undefined = when it returns. */
  readonly strike: () => Promise<void> | number | void;
  readonly healed: () => Promise<boolean> | boolean;
  /** Ends what only a person ends; not measured. */
  readonly mend?: () => Promise<void> | void;
  /** The same repair by hand, after `strike` was done to something else. */
  readonly byHand?: { readonly title: string; readonly repair: () => void };
}

export const healing: Case = {
  name: 'healing',
  async run(context) {
    const { scope } = context;
    const rclone = await toolPath('rclone');
    process.env['PATH'] = `${dirname(rclone)}:${process.env['PATH']}`;
    const s3 = await startS3(scope);
    const machine = await Machine.create(scope);
    machine.makeSources(1);
    await machine.start();
    const api = await machine.api(2);
    try {
      await makeVolumes(api, machine, s3);
      const measurements: Measurement[] = [];
      for (const fault of faults(api, machine, s3)) measurements.push(await measure(fault, api, context));
      return measurements;
    } finally {
      await s3.up().catch(() => undefined);
      await machine.deleteAll(api);
    }
  },
};

const VOLUMES: readonly string[] = ['host', 'xfs', 'ext4', 'bucket'];

async function makeVolumes(api: Api, machine: Machine, s3: S3): Promise<void> {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'keys' },
    stringData: { AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey },
  };
  await api.request('POST', '/api/v1/namespaces/default/secrets', JSON.stringify(secret));
  const specs: Readonly<Record<string, unknown>> = {
    host: { hostPath: { path: join(machine.host, '0') } },
    xfs: { emptyDir: {}, capacity: '320Mi' },
    ext4: { emptyDir: {}, capacity: '32Mi' },
    bucket: {
      s3: { bucket: s3.bucket, prefix: 'bench', endpoint: s3.endpoint, credentialsSecretRef: { name: 'keys' } },
    },
  };
  for (const name of VOLUMES) {
    await create(api, 'volumes', 'Volume', name, specs[name]);
    await mount(api, name);
  }
  for (const name of VOLUMES) {
    await until(() => isReady(api, name), `${name} to be Ready`);
    writeFileSync(join(targetOf(machine, name), 'file'), name);
  }
}

const create = (api: Api, plural: Plural, kind: string, name: string, spec: unknown): Promise<string> => {
  const object = { apiVersion: 'storage.clawbernetes.io/v1alpha1', kind, metadata: { name }, spec };
  return api.request('POST', collection(plural), JSON.stringify(object));
};
const mount = (api: Api, name: string): Promise<string> =>
  create(api, 'volumemounts', 'VolumeMount', name, {
    volumeRef: { name },
    workloadId: name,
    mountPath: '/data',
  });
const targetOf = (machine: Machine, name: string): string => join(machine.mountRoot, 'default', name, 'data');

function faults(api: Api, machine: Machine, s3: S3): readonly Fault[] {
  const target = (name: string): string => targetOf(machine, name);
  const isMounted = (name: string): boolean => mountsAt(target(name)).length === 1;
  const says = (plural: Plural, name: string, reason: string) => async (): Promise<boolean> =>
    (await ready(api, plural, name))?.reason === reason;
  const uid = async (name: string): Promise<string> => (await get(api, 'volumes', name)).metadata.uid ?? '';
  const stage = async (name: string): Promise<string> => join(machine.mountRoot, '.volumes', await uid(name));
  let stagePath = '';
  let before: MountEntry | undefined;
  let pid = 0;
  /** 0 between two processes. */
  const serving = async (): Promise<number> => {
    const file = machine.scope.path('state/s3', await uid('bucket'), 'process');
    return existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ')[0]) : 0;
  };
  /** In a process of its own: a mount that hangs must hang nobody else. */
  const shows = (): boolean =>
    spawnSync('cat', [join(target('bucket'), 'file')], { timeout: 2000 }).stdout.toString() === 'bucket';
  const again = async (name: string): Promise<void> => {
    await api.request('DELETE', `${collection('volumemounts')}/${name}`);
    await until(
      async () => (await api.request('GET', `${collection('volumemounts')}/${name}`).catch(() => '')) === '',
      name,
    );
    await mount(api, name);
  };
  return [
    {
      name: 'unmounted',
      title: 'target unmounted, until it is mounted again (hostPath)',
      per: 20,
      strike: () => since('umount', target('host')),
      healed: () => isMounted('host'),
      byHand: {
        title: '`mount --bind`',
        repair: () => command('mount', '--bind', join(machine.host, '0'), handPath(machine)),
      },
    },
    {
      name: 'read-only',
      title: 'mount made read-only, until it is writable again (hostPath)',
      per: 20,
      strike: () => since('mount', '-o', 'remount,bind,ro', target('host')),
      healed: () => isMounted('host') && mountsAt(target('host'))[0]?.options.includes('rw') === true,
    },
    {
      name: 'covered',
      title: 'target mounted over, until `MountCovered` is in the API',
      per: 10,
      strike: () => since('mount', '-t', 'tmpfs', 'cover', target('host')),
      healed: says('volumemounts', 'host', 'MountCovered'),
      mend: () => command('umount', target('host')),
    },
    {
      name: 'storage-detached',
      title: 'storage of an emptyDir detached, until it is at its place again',
      per: 10,
      strike: async () => {
        stagePath = await stage('xfs');
        before = mountsAt(stagePath)[0];
        command('umount', '-l', stagePath);
      },
      healed: () => mountsAt(stagePath).length === 1,
      byHand: {
        title: '`mount /dev/loopN`',
        repair: () => command('mount', before?.source ?? '', handPath(machine)),
      },
    },
    {
      name: 'xfs-shutdown',
      title: 'XFS shut down, until `FilesystemFailed` is in the API',
      per: 3,
      strike: () => since('xfs_io', '-x', '-c', 'shutdown', target('xfs')),
      healed: says('volumes', 'xfs', 'FilesystemFailed'),
      mend: () => again('xfs'),
    },
    {
      name: 'ext4-error',
      title: 'ext4 made read-only after an error, until `FilesystemFailed` is in the API',
      per: 3,
      strike: () => {
        const device = realpathSync(mountsAt(target('ext4'))[0]?.source ?? '').slice('/dev/'.length);
        writeFileSync(`/sys/fs/ext4/${device}/trigger_fs_error`, 'bench');
      },
      healed: says('volumes', 'ext4', 'FilesystemFailed'),
      mend: () => again('ext4'),
    },
    {
      name: 'rclone-killed',
      title: 'process of an s3 mount killed, until its target shows its files again',
      per: 4,
      strike: async () => {
        pid = await serving();
        process.kill(pid, 'SIGKILL');
      },
      healed: async () => ![0, pid].includes(await serving()) && shows(),
    },
    {
      name: 'rclone-stopped',
      title: 'process of an s3 mount hangs, until another shows its files',
      per: 1,
      strike: async () => {
        pid = await serving();
        process.kill(pid, 'SIGSTOP');
      },
      healed: async () => ![0, pid].includes(await serving()) && shows(),
    },
    {
      name: 'server-killed',
      title: 'S3 server killed, until `ServerUnreachable` is in the API',
      per: 1,
      strike: () => s3.down(),
      healed: says('volumes', 'bucket', 'ServerUnreachable'),
      mend: () => s3.up(),
    },
    {
      name: 'server-back',
      title: 'S3 server back after an outage that was reported, until Ready is in the API',
      per: 1,
      strike: async () => {
        await s3.down();
        await until(says('volumes', 'bucket', 'ServerUnreachable'), 'the outage to be reported');
        await s3.up();
      },
      healed: () => isReady(api, 'bucket'),
    },
    {
      name: 'helper-killed',
      title: 'helper killed and a target unmounted at once, until it is mounted again',
      per: 3,
      strike: () => {
        process.kill(helperOf(machine), 'SIGKILL');
        return since('umount', target('host'));
      },
      healed: () => isMounted('host'),
    },
    {
      name: 'agent-killed',
      title: 'target unmounted while the agent was dead, from its start until it is mounted again',
      per: 1,
      strike: async () => {
        const [main = 0] = machine.pids;
        process.kill(main, 'SIGKILL');
        await machine.stop();
        command('umount', target('host'));
        void machine.start();
      },
      healed: () => isMounted('host'),
      mend: () => until(() => isReady(api, 'host'), 'the agent to be back'),
    },
  ];
}

async function measure(fault: Fault, api: Api, { options, progress, scope }: Context): Promise<Measurement> {
  const ours: number[] = [];
  const bare: number[] = [];
  for (let index = 0; index < fault.per * options.rounds; index++) {
    const start = (await fault.strike()) ?? performance.now();
    await until(fault.healed, fault.title);
    ours.push(performance.now() - start);
    await fault.mend?.();
    for (const name of VOLUMES) await until(() => isReady(api, name), `${name} to be Ready after ${fault.name}`);
    if (fault.byHand !== undefined && index % 4 === 0) {
      mkdirSync(scope.path('by-hand'), { recursive: true });
      const at = performance.now();
      fault.byHand.repair();
      bare.push(performance.now() - at);
      command('umount', scope.path('by-hand'));
    }
    await delay(REST_MS);
  }
  progress(`${fault.name}: p50 ${quantile(ours, 0.5).toFixed(0)} ms, p99 ${quantile(ours, 0.99).toFixed(0)} ms`);
  return {
    name: `healing-${fault.name}`,
    title: fault.title,
    unit: 'ms',
    ours,
    of: 'p99',
    ...(fault.byHand === undefined ? {} : { other: { title: fault.byHand.title, samples: bare } }),
    ...goalOf(fault),
    notes: { median: quantile(ours, 0.5) },
  };
}

/** The one that the design names; the other, a mount that vanishes, is measured among a thousand by the case `thousand`. */
function goalOf({ name }: Fault): Pick<Measurement, 'goal'> {
  return name === 'rclone-killed' ? { goal: { text: 'p99 < 1 s', limit: 1000, on: 'value' } } : {};
}

const handPath = (machine: Machine): string => machine.scope.path('by-hand');

function helperOf(machine: Machine): number {
  const pid = machine.pids.find((one) =>
    /\/helper(\/main\.ts|\.js)\0/.test(readFileSync(`/proc/${one}/cmdline`, 'utf8')),
  );
  if (pid === undefined) throw new Error('there is no helper');
  return pid;
}

function mountsAt(path: string): readonly MountEntry[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).filter(({ target }) => target === path);
}

async function get(api: Api, plural: Plural, name: string): Promise<ObjectShape> {
  return JSON.parse(await api.request('GET', `${collection(plural)}/${name}`)) as ObjectShape;
}

async function ready(api: Api, plural: Plural, name: string) {
  const { status } = await get(api, plural, name);
  return status?.conditions?.find(({ type }) => type === 'Ready');
}

/** The volume and its mount. An API server that is away for a moment says nothing. */
async function isReady(api: Api, name: string): Promise<boolean> {
  try {
    const both = [await ready(api, 'volumes', name), await ready(api, 'volumemounts', name)];
    return both.every((one) => one?.status === 'True');
  } catch {
    return false;
  }
}

async function until(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`gave up waiting for ${what}`);
    await delay(1);
  }
}

/** Runs a command and gives the time of its start: what it does may be healed before it has ended. */
function since(name: string, ...args: readonly string[]): number {
  const start = performance.now();
  command(name, ...args);
  return start;
}

function command(name: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(name, args);
  if (status !== 0) throw new Error(`${name} ${args.join(' ')}: ${String(stderr)}`);
}
