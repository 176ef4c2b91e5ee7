/**
 * Snapshots and clones of volume images, beside the bare commands: the driver alone, without the API. Both sides put the
 * clone on disk before it has its name; an image of ours and one of theirs are of the same size, content and fragmentation.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { DriverSnapshot, DriverVolume, LongCall } from '../../src/drivers/driver.ts';
import { EmptyDirDriver } from '../../src/drivers/emptydir/emptydir-driver.ts';
import { createNodeLayer, type RunningNodeLayer } from '../../src/node/create-layer.ts';
import { DEFAULT_POOL, Pools } from '../../src/node/pools/pools.ts';
import type { Case, Context, Measurement } from '../support/case.ts';
import { run, runToEnd, type Scope } from '../support/scope.ts';

const GIB = 2 ** 30;
const MANY_EXTENTS = 4000;
const AT_ONCE = 80;
/** The file in which holes are punched, and the distance between two of them. */
const FRAGMENTED = { bytes: 256 * 2 ** 20, strideBytes: 64 * 2 ** 10 };
/** Mounts an image by hand with the loop device that the product uses; it goes with the mount. */
function attach(options: string, image: string, target: string): string {
  return `loop=$(losetup --direct-io=on --sector-size 4096 --find --show "${image}")
mount -o ${options} "$loop" "${target}"
losetup -d "$loop"`;
}

const SNAPSHOT = `
set -e
sync -f "$1"
fsfreeze -f "$1"
cp --reflink=always "$2" "$3.new" || bad=1
fsfreeze -u "$1"
[ -z "$bad" ]
sync "$3.new"
mv "$3.new" "$3"
sync "$(dirname "$3")"
`;
const CLONE = `
set -e
cp --reflink=always "$1" "$2.new"
sync "$2.new"
mv "$2.new" "$2"
sync "$(dirname "$2")"
mkdir -p "$3"
${attach('discard,noatime,nouuid', '$2', '$3')}
`;

export const snapshots: Case = {
  name: 'snapshots',
  async run(context) {
    const bench = await Bench.create(context.scope);
    const sizes = [
      { gib: 1, isFragmented: false },
      { gib: 1, isFragmented: true },
      { gib: 20, isFragmented: false },
      { gib: 20, isFragmented: true },
    ];
    const measured: Measurement[] = [];
    for (const size of sizes) measured.push(...(await oneVolume(bench, size, context)));
    measured.push(await manyAtOnce(bench, context));
    return measured;
  },
};

/** An image on each side, in use by a writer that measures how long it waits. */
interface Pair {
  readonly volume: DriverVolume;
  readonly bareImage: string;
  readonly bareMount: string;
}

class Bench {
  readonly node: RunningNodeLayer;
  readonly driver: EmptyDirDriver;
  readonly pool: string;
  readonly barePool: string;
  readonly #scope: Scope;
  #count = 0;

  private constructor(node: RunningNodeLayer, driver: EmptyDirDriver, pool: string, barePool: string, scope: Scope) {
    this.node = node;
    this.driver = driver;
    this.pool = pool;
    this.barePool = barePool;
    this.#scope = scope;
  }

  static async create(scope: Scope): Promise<Bench> {
    const signal = AbortSignal.timeout(120_000);
    const node = await createNodeLayer({ stateDir: scope.path('state'), mountRoot: scope.path('mounts') }, signal);
    scope.onEnd(() => node.close());
    await node.prepareMountRoot(signal);
    const pools = new Pools({ node, directory: join(node.stateDir, 'pools') });
    const pool = await pools.open(DEFAULT_POOL, signal);
    const [file, barePool] = [scope.path('bare-pool.img'), scope.path('bare-pool')];
    mkdirSync(barePool);
    await run('fallocate', ['-l', String(12 * GIB), file]);
    await run('mkfs.xfs', ['-q', '-K', '-s', 'size=4096', '-m', 'reflink=1', file]);
    await run('sh', ['-ec', attach('noatime', file, barePool)]);
    return new Bench(node, new EmptyDirDriver({ node, pools }), pool.directory, barePool, scope);
  }

  async pair(gib: number): Promise<Pair> {
    this.#count += 1;
    const volume = volumeOf(`v${this.#count}`, gib);
    await this.driver.provision(volume, long().signal);
    await this.driver.stage(volume, long().signal);
    const bareImage = join(this.barePool, `${this.#count}.img`);
    const bareMount = this.#scope.path('bare', String(this.#count));
    mkdirSync(bareMount, { recursive: true });
    await run('truncate', ['-s', `${gib}G`, bareImage]);
    await run('mkfs.xfs', ['-q', '-K', '-f', '-s', 'size=4096', '-m', 'reflink=1', bareImage]);
    await run('sh', ['-ec', attach('discard,noatime', bareImage, bareMount)]);
    mkdirSync(join(bareMount, 'data'));
    return { volume, bareImage, bareMount };
  }

  dataOf({ uid }: DriverVolume): string {
    return join(this.node.mountRoot, '.volumes', uid, 'data');
  }

  imageOf({ uid }: DriverVolume): string {
    return join(this.pool, `${uid}.thin.xfs.img`);
  }

  async extentsOf(file: string): Promise<number> {
    return (await this.node.call('blockUse', { file, most: 1_000_000 }, long()))?.extents ?? 0;
  }

  async remove(volume: DriverVolume): Promise<void> {
    await this.driver.unstage(volume, long().signal);
    await this.driver.delete(volume, long().signal);
  }
}

async function oneVolume(
  bench: Bench,
  { gib, isFragmented }: { readonly gib: number; readonly isFragmented: boolean },
  { options, progress }: Context,
): Promise<readonly Measurement[]> {
  const pair = await bench.pair(gib);
  const bareData = join(pair.bareMount, 'data');
  if (isFragmented) for (const data of [bench.dataOf(pair.volume), bareData]) await fragment(data);
  const extents = [await bench.extentsOf(bench.imageOf(pair.volume)), await bench.extentsOf(pair.bareImage)];
  if (isFragmented && extents.some((count) => count < MANY_EXTENTS)) throw new Error(`only ${extents} extents`);
  const writers = [new Writer(bench.dataOf(pair.volume)), new Writer(bareData)] as const;
  const [ours, other, stalls, otherStalls]: [number[], number[], number[], number[]] = [[], [], [], []];
  const [clones, otherClones]: [number[], number[]] = [[], []];
  for (let round = 0; round < options.rounds; round += 1) {
    const snapshot = snapshotOf(pair.volume, round);
    await writers[0].longest();
    ours.push(await timed(() => bench.driver.snapshots.take(snapshot, long())));
    stalls.push(await writers[0].longest());
    const bare = `${pair.bareImage}.${round}`;
    await writers[1].longest();
    other.push(await timed(() => run('sh', ['-c', SNAPSHOT, 'sh', pair.bareMount, pair.bareImage, bare])));
    otherStalls.push(await writers[1].longest());
    if (!isFragmented) {
      clones.push(await timed(() => cloneOurs(bench, snapshot)));
      const mount = `${pair.bareMount}-clone`;
      otherClones.push(await timed(() => run('sh', ['-c', CLONE, 'sh', bare, `${bare}.clone`, mount])));
      await bench.remove(cloneOf(snapshot));
      await run('umount', [mount]);
      await run('rm', ['-f', `${bare}.clone`]);
    }
    const { facts } = await bench.driver.snapshots.observe(snapshot, long().signal);
    if (facts?.consistent.consistent !== true) throw new Error('a snapshot was not taken as it should be');
    await bench.driver.snapshots.delete(snapshot, long().signal);
    await run('rm', ['-f', bare]);
  }
  for (const writer of writers) await writer.end();
  await bench.remove(pair.volume);
  await run('umount', [pair.bareMount]);
  await run('rm', ['-f', pair.bareImage]);
  const what = `${gib} GiB (sparse), ${isFragmented ? extents.join(' and ') : 'few'} extents`;
  const name = `snapshot-${gib}g${isFragmented ? '-fragmented' : ''}`;
  progress(
    `${what}: ${ours.map((ms) => ms.toFixed(0)).join(' ')} ms, bare ${other.map((ms) => ms.toFixed(0)).join(' ')} ms`,
  );
  const measured: Measurement[] = [
    {
      name,
      title: `snapshot of an image of ${what}, in use, until it is on disk`,
      unit: 'ms',
      ours,
      other: { title: 'sync -f, fsfreeze -f, cp --reflink, fsfreeze -u, sync', samples: other },
      of: 'median',
      goal: { text: '≤ 1.5 × the bare commands', limit: 1.5, on: 'ratio' },
      notes: { extents, under150: Math.max(...ours) < 150 },
    },
    {
      name: `${name}-stall`,
      title: `longest write of a workload during a snapshot of ${what}`,
      unit: 'ms',
      ours: stalls,
      other: { title: 'the same under the bare commands', samples: otherStalls },
      of: 'median',
    },
  ];
  if (clones.length === 0) return measured;
  return [
    ...measured,
    {
      name: `clone-${gib}g`,
      title: `a volume of ${gib} GiB (sparse) made from a snapshot, and mounted`,
      unit: 'ms',
      ours: clones,
      other: { title: 'cp --reflink, sync, losetup, mount -o nouuid', samples: otherClones },
      of: 'median',
      goal: { text: '< 0.3 s', limit: 300, on: 'value' },
    },
  ];
}

async function manyAtOnce(bench: Bench, { options, progress }: Context): Promise<Measurement> {
  const pairs: Pair[] = [];
  for (let index = 0; index < AT_ONCE; index += 1) pairs.push(await bench.pair(1));
  const [ours, other]: [number[], number[]] = [[], []];
  for (let round = 0; round < options.rounds; round += 1) {
    const wanted = pairs.map(({ volume }) => snapshotOf(volume, round));
    ours.push(await timed(() => Promise.all(wanted.map((snapshot) => bench.driver.snapshots.take(snapshot, long())))));
    other.push(
      await timed(() =>
        Promise.all(
          pairs.map(({ bareImage, bareMount }) =>
            run('sh', ['-c', SNAPSHOT, 'sh', bareMount, bareImage, `${bareImage}.${round}`]),
          ),
        ),
      ),
    );
    for (const snapshot of wanted) await bench.driver.snapshots.delete(snapshot, long().signal);
    await runToEnd('rm', ['-f', ...pairs.map(({ bareImage }) => `${bareImage}.${round}`)]);
    progress(`${AT_ONCE} at once: ${ours.at(-1)?.toFixed(0)} ms, bare ${other.at(-1)?.toFixed(0)} ms`);
  }
  for (const { volume } of pairs) await bench.remove(volume);
  await run(
    'umount',
    pairs.map(({ bareMount }) => bareMount),
  );
  return {
    name: 'snapshots-80',
    title: `${AT_ONCE} snapshots at once, of ${AT_ONCE} images in use, until all are on disk`,
    unit: 'ms',
    ours,
    other: { title: 'the bare commands, all at once', samples: other },
    of: 'max',
    goal: { text: '< 3 s', limit: 3000, on: 'value' },
  };
}

/** Holes in a file become holes in the image, by discard. */
async function fragment(directory: string): Promise<void> {
  const file = join(directory, 'fragmented');
  const { bytes, strideBytes } = FRAGMENTED;
  await run('dd', ['if=/dev/zero', `of=${file}`, 'bs=1M', `count=${bytes / 2 ** 20}`, 'conv=fsync', 'status=none']);
  const punches: string[] = [];
  for (let at = 0; at < bytes; at += strideBytes) punches.push('-c', `fpunch ${at} ${strideBytes / 2}`);
  await run('xfs_io', [...punches, '-c', 'fsync', file]);
  await run('sync', ['-f', directory]);
}

/** A workload in a process of its own. */
class Writer {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  constructor(directory: string) {
    const program = join(import.meta.dirname, '../clients/stalls.ts');
    const args = ['--disable-warning=ExperimentalWarning', program, join(directory, 'written')];
    this.#child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error('the writer has no output');
    this.#lines = createInterface({ input: stdout });
  }

  /** The longest write since the last call, in milliseconds. */
  longest(): Promise<number> {
    const line = new Promise<number>((resolve) => this.#lines.once('line', (text) => resolve(Number(text))));
    this.#child.stdin?.write('\n');
    return line;
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin?.end();
    await ended;
  }
}

async function cloneOurs(bench: Bench, snapshot: DriverSnapshot): Promise<void> {
  const volume = cloneOf(snapshot);
  await bench.driver.fill(volume, long());
  await bench.driver.stage(volume, long().signal);
  if (!existsSync(bench.dataOf(volume))) throw new Error('the clone has not what it should have');
}

function cloneOf(snapshot: DriverSnapshot): DriverVolume {
  const name = `clone-${snapshot.uid}`;
  return { ...snapshot.volume, uid: name, name, content: { from: 'snapshot', snapshot } };
}

function volumeOf(name: string, gib: number): DriverVolume {
  return {
    uid: `bench-${name}`,
    namespace: 'default',
    name,
    source: { type: 'emptyDir', medium: '' },
    capacityBytes: BigInt(gib * GIB),
    capacityPolicy: undefined,
    provisioning: 'Thin',
    pool: DEFAULT_POOL,
    mountOptions: ['nosuid', 'nodev'],
    mayLoseData: false,
    wasProvisioned: false,
  };
}

function snapshotOf(volume: DriverVolume, round: number): DriverSnapshot {
  const uid = `${volume.uid}-snap-${round}`;
  return { uid, name: uid, volume, consistency: 'Filesystem', freezeTimeoutMs: 10_000 };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function long(): LongCall {
  return { signal: AbortSignal.timeout(120_000), onProgress: () => undefined };
}
