/**
 * Snapshot of a hostPath volume with many files, on a filesystem that shares blocks, beside cp by hand: the driver alone,
 * without the API. Both sides put the copy on disk before it has its name; ours looks over the tree twice besides, to say
 * whether anything was written meanwhile.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DriverSnapshot, DriverVolume, LongCall } from '../../src/drivers/driver.ts';
import { createHostPathDriver } from '../../src/drivers/hostpath/driver.ts';
import { isProjectRecord } from '../../src/drivers/hostpath/project.ts';
import { createNodeLayer } from '../../src/node/create-layer.ts';
import { Records } from '../../src/node/records.ts';
import type { Case, Context, Measurement } from '../support/case.ts';
import { run } from '../support/scope.ts';

const FOLDERS = 1_000;
const FILES_EACH = 100;
const DISK_GIB = 8;
const COPY = `
set -e
cp -a --reflink=always "$1" "$2.new"
sync -f "$2.new"
mv "$2.new" "$2"
sync "$(dirname "$2")"
`;

export const snapshotTrees: Case = {
  name: 'snapshot-trees',
  async run({ scope, options, progress }: Context): Promise<readonly Measurement[]> {
    const [file, disk] = [scope.path('disk.img'), scope.path('disk')];
    const source = join(disk, 'volume');
    mkdirSync(disk);
    await run('fallocate', ['-l', String(DISK_GIB * 2 ** 30), file]);
    await run('mkfs.xfs', ['-q', '-K', '-m', 'reflink=1', file]);
    await run('mount', ['-o', 'loop,noatime', file, disk]);
    scope.onEnd(async () => void (await run('umount', [disk])));
    makeFiles(source);
    await run('sync', ['-f', disk]);
    const node = await createNodeLayer({ stateDir: scope.path('state'), mountRoot: scope.path('mounts') }, soon());
    scope.onEnd(() => node.close());
    const { snapshots } = createHostPathDriver(node, new Records(scope.path('projects'), isProjectRecord));
    if (snapshots === undefined) throw new Error('the driver has no snapshots');
    const [ours, other]: [number[], number[]] = [[], []];
    for (let round = 0; round < options.rounds; round += 1) {
      const snapshot = snapshotOf(volumeOf(source, disk), round);
      ours.push(await timed(() => snapshots.take(snapshot, long())));
      const { facts } = await snapshots.observe(snapshot, soon());
      if (facts?.method !== 'ReflinkTree' || !facts.consistent.consistent) {
        throw new Error(`a snapshot was not taken as it should be: ${facts?.method} ${facts?.consistent.message}`);
      }
      const bare = join(disk, `bare-${round}`);
      other.push(await timed(() => run('sh', ['-c', COPY, 'sh', source, bare])));
      progress(`round ${round + 1}: ${ours.at(-1)?.toFixed(0)} ms, bare ${other.at(-1)?.toFixed(0)} ms`);
      await snapshots.delete(snapshot, soon());
      await run('rm', ['-rf', bare]);
      await run('sync', ['-f', disk]);
    }
    return [
      {
        name: 'snapshot-tree-100000',
        title: `snapshot of a hostPath with ${FOLDERS * FILES_EACH} files that shares their blocks, until it is on disk`,
        unit: 'ms',
        ours,
        other: { title: 'cp -a --reflink=always, sync -f', samples: other },
        of: 'median',
        goal: { text: '≤ 1.5 × the bare commands', limit: 1.5, on: 'ratio' },
      },
    ];
  },
};

function makeFiles(directory: string): void {
  for (let folder = 0; folder < FOLDERS; folder += 1) {
    mkdirSync(join(directory, `d${folder}`), { recursive: true });
    for (let index = 0; index < FILES_EACH; index += 1) {
      writeFileSync(join(directory, `d${folder}`, `file${index}`), `content of ${folder}, ${index}`);
    }
  }
}

function volumeOf(path: string, prefix: string): DriverVolume {
  return {
    uid: 'bench-tree',
    namespace: 'default',
    name: 'bench-tree',
    source: { type: 'hostPath', path, pathType: 'Directory', allowedPrefixes: [prefix] },
    capacityBytes: undefined,
    capacityPolicy: undefined,
    provisioning: 'Thin',
    pool: 'default',
    mountOptions: ['nosuid', 'nodev'],
    mayLoseData: false,
    wasProvisioned: true,
  };
}

function snapshotOf(volume: DriverVolume, round: number): DriverSnapshot {
  const uid = `bench-tree-${round}`;
  return { uid, name: uid, volume, consistency: 'Filesystem', freezeTimeoutMs: 10_000 };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function soon(): AbortSignal {
  return AbortSignal.timeout(600_000);
}

function long(): LongCall {
  return { signal: soon(), onProgress: () => undefined };
}
