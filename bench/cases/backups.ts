/**
 * Backups through the product beside restic by hand: the same data, each side into a repository of its own on the same disk.
 * What the product adds: objects, looks at the tree before and after, the document that makes the backup whole.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { toolPath } from '../../scripts/tools.ts';
import { changeDataSet, type DataSetSize, makeDataSet } from '../../test/support/data-set.ts';
import { type Api, collection, isReady, type ObjectShape, type Plural } from '../support/api.ts';
import type { Case, Context, Measurement } from '../support/case.ts';
import { Machine } from '../support/machine.ts';
import { memoryOf, peakDuring } from '../support/memory.ts';
import { run } from '../support/scope.ts';
import { median } from '../support/stats.ts';

const MIB = 2 ** 20;
const API_VERSION = 'storage.clawbernetes.io/v1alpha1';
const PASSWORD = 'of the measurement';
const WAIT_MS = 1_800_000;
const LOOK_MS = 20;

interface DataSet {
  readonly name: string;
  readonly title: string;
  readonly size: DataSetSize;
  /** Rounds are minutes long: no more of them than this, however many are asked for. */
  readonly mostRounds: number;
}

const BIG: DataSet = {
  name: 'big',
  title: '512 MiB in 2,000 files',
  size: { files: 2_000, bytes: 512 * MIB, isPlain: true },
  mostRounds: 5,
};
/** Each as small as it comes: 8 KiB on average. */
const MANY: DataSet = {
  name: 'many',
  title: '100,000 files of 8 KiB',
  size: { files: 100_000, bytes: 0, isPlain: true },
  mostRounds: 1,
};

type Step = 'first' | 'second' | 'restore';
const STEPS: readonly Step[] = ['first', 'second', 'restore'];
const TITLES: Readonly<Record<Step, string>> = {
  first: 'first backup of',
  second: 'backup after 1 % has changed of',
  restore: 'restore, read back and compared, of',
};
const BARE: Readonly<Record<Step, string>> = {
  first: '`restic backup --no-scan`',
  second: '`restic backup --no-scan`',
  restore: '`restic restore --verify`',
};

type Samples = Readonly<Record<Step | 'tar', number[]>>;

/** One case each: the many files take minutes a round. */
export const backups: readonly Case[] = [BIG, MANY].map((set) => ({
  name: `backups-${set.name}`,
  async run(context) {
    const restic = await toolPath('restic-0.19');
    process.env['PATH'] = `${dirname(restic)}:${process.env['PATH']}`;
    const machine = await Machine.create(context.scope);
    await machine.start();
    const api = await machine.api(2);
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'key' }, stringData: { password: PASSWORD } };
    await api.request('POST', '/api/v1/namespaces/default/secrets', JSON.stringify(secret));
    return await measure(set, { machine, api, restic }, context);
  },
}));

interface World {
  readonly machine: Machine;
  readonly api: Api;
  readonly restic: string;
}

async function measure(set: DataSet, world: World, { scope, options, progress }: Context): Promise<Measurement[]> {
  const { machine, api } = world;
  const source = join(machine.host, set.name);
  mkdirSync(source);
  makeDataSet(source, set.size);
  await make(api, 'volumes', set.name, { hostPath: { path: source } });
  const empty = (): Samples => ({ first: [], second: [], restore: [], tar: [] });
  const [ours, bare] = [empty(), empty()];
  const memories: { readonly more: number; readonly engine: number }[] = [];
  for (let round = 0; round < Math.min(options.rounds, set.mostRounds); round += 1) {
    const name = `${set.name}-${round}`;
    const sides = [await product(name, set, world), await byHand(name, source, world, scope.path(`hand-${name}`))];
    for (const step of STEPS) {
      if (step === 'second') changeDataSet(source, set.size, `round ${round}`);
      const order = round % 2 === 0 ? [0, 1] : [1, 0];
      for (const side of order) {
        const work = sides[side]?.[step];
        if (work === undefined) continue;
        // What was written before is nobody's to wait for.
        await run('sync', []);
        const start = performance.now();
        if (side === 0 && step === 'first') {
          const before = memoryOf(machine.pids);
          const peak = await peakDuring(() => machine.pids, work);
          memories.push({ more: peak.others - before.others, engine: peak.engine });
        } else await work();
        (side === 0 ? ours : bare)[step].push(performance.now() - start);
      }
      progress(`${name}, ${step}: ${ours[step].at(-1)?.toFixed(0)} ms, by hand ${bare[step].at(-1)?.toFixed(0)} ms`);
    }
    const archive = scope.path('archive.zst');
    const start = performance.now();
    await run('sh', ['-ec', 'tar -cf - -C "$0" . | zstd -q -T0 -o "$1"', source, archive]);
    bare.tar.push(performance.now() - start);
    rmSync(archive);
    for (const path of [scope.path(`hand-${name}`), join(machine.host, `back-${name}`)])
      rmSync(path, { recursive: true });
  }
  const rows = STEPS.map((step): Measurement => {
    // The product's share does not grow with the data, and is most of it where there is little.
    const limit = 1.1 + 1_000 / median(bare[step]);
    return {
      name: `backup-${set.name}-${step}`,
      title: `${TITLES[step]} ${set.title}`,
      unit: 'ms',
      ours: ours[step],
      other: { title: BARE[step], samples: bare[step] },
      of: 'median',
      goal: { text: '≤ 1.1 × the engine alone, plus 1 s', limit, on: 'ratio' },
    };
  });
  return [
    ...rows,
    {
      name: `backup-${set.name}-tar`,
      title: `first backup of ${set.title}, for orientation`,
      unit: 'ms',
      ours: ours.first,
      other: { title: '`tar | zstd`', samples: bare.tar },
      of: 'median',
    },
    {
      name: `backup-${set.name}-memory`,
      title: `first backup of ${set.title}: memory (PSS) of all but the engine, more than at rest`,
      unit: 'MiB',
      ours: memories.map(({ more }) => more),
      of: 'max',
      goal: { text: '< 50 MB', limit: 50e6 / MIB, on: 'value' },
      notes: { engineMiB: memories.map(({ engine }) => engine) },
    },
  ];
}

type Side = Readonly<Record<Step, () => Promise<unknown>>>;

async function product(name: string, set: DataSet, { machine, api }: World): Promise<Side> {
  const path = join(machine.host, `kept-${name}`);
  const spec = { hostPath: { path }, nodeName: 'bench', encryption: { secretRef: { name: 'key' } } };
  await make(api, 'backuprepositories', `kept-${name}`, spec);
  const backUp = (step: string): Promise<unknown> =>
    make(api, 'backups', `${name}-${step}`, {
      scope: 'Volumes',
      repositoryRef: { name: `kept-${name}` },
      volumeRefs: [{ name: set.name }],
    });
  return {
    first: () => backUp('first'),
    second: () => backUp('second'),
    restore: () =>
      make(api, 'volumes', `back-${name}`, {
        hostPath: { path: join(machine.host, `back-${name}`), type: 'DirectoryOrCreate' },
        dataSource: { backupRef: { name: `${name}-second`, volumeName: set.name } },
      }),
  };
}

async function byHand(name: string, source: string, { restic }: World, directory: string): Promise<Side> {
  mkdirSync(directory);
  const call = (command: string, ...args: readonly string[]): Promise<string> => {
    const settings = [`RESTIC_PASSWORD=${PASSWORD}`, `RESTIC_CACHE_DIR=${directory}/cache`];
    return run('env', [...settings, restic, '-r', `${directory}/repository`, command, '--quiet', ...args]);
  };
  await call('init');
  const backUp = (): Promise<string> => call('backup', '--read-concurrency=4', '--no-scan', `--host=${name}`, source);
  const target = join(directory, 'back');
  return {
    first: backUp,
    second: backUp,
    restore: () => call('restore', 'latest', `--target=${target}`, '--sparse', '--verify'),
  };
}

const KINDS: Partial<Record<Plural, string>> = {
  volumes: 'Volume',
  backups: 'Backup',
  backuprepositories: 'BackupRepository',
};

/** Makes an object and waits until it is Ready. @throws Error with its status when it never will be. */
async function make(api: Api, plural: Plural, name: string, spec: object): Promise<void> {
  const object = { apiVersion: API_VERSION, kind: KINDS[plural], metadata: { name }, spec };
  await api.request('POST', collection(plural), JSON.stringify(object));
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const found = JSON.parse(await api.request('GET', `${collection(plural)}/${name}`)) as ObjectShape;
    if (isReady(found)) return;
    const isStalled = found.status?.conditions?.some(({ type, status }) => type === 'Stalled' && status === 'True');
    if (isStalled === true || performance.now() > deadline) {
      throw new Error(`${plural} ${name} is not Ready: ${JSON.stringify(found.status)}`);
    }
    await delay(LOOK_MS);
  }
}
