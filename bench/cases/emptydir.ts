/** emptyDirs with an enforced size, beside the bare commands at the same concurrency and with the same syncs. */
import { mkdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { writesBetween } from '../support/api.ts';
import type { Case } from '../support/case.ts';
import { createPairs } from '../support/client.ts';
import { list, Machine } from '../support/machine.ts';
import { run, runToEnd, type Scope } from '../support/scope.ts';

const COUNT = 200;
const CAPACITY = '1Gi';
/** What an empty image takes of the pool: its log of 64 MiB and a little more. */
const IMAGE_BYTES = 80 * 2 ** 20;
/** As many images as the product makes at once. */
const CONCURRENCY = 4;

export const emptyDirs: Case = {
  name: 'emptydir-200',
  async run({ scope, options, progress }) {
    const machine = await Machine.create(scope);
    await machine.start();
    const api = await machine.api();
    // The pool is made with the first volume; that is no part of what is compared.
    await createPairs({
      kubeconfig: machine.kubeconfig,
      connections: 1,
      plan: { prefix: 'first', count: 1, source: { type: 'emptyDir', capacity: CAPACITY } },
      timeoutMs: 120_000,
    });
    const [ours, other]: [number[], number[]] = [[], []];
    const count = fittingCount(scope);
    const pool = await makePool(scope, count);
    const writes: Readonly<Record<string, number>>[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const before = await api.writes();
      const result = await createPairs({
        kubeconfig: machine.kubeconfig,
        connections: 16,
        plan: { prefix: `r${round}`, count, source: { type: 'emptyDir', capacity: CAPACITY } },
        timeoutMs: 300_000,
      });
      ours.push(result.readyMs);
      writes.push(writesBetween(before, await api.writes()));
      await machine.deleteAll(api);
      other.push(await bareCommands(scope, pool, round, count));
      progress(`round ${round + 1}: ${result.readyMs.toFixed(0)} ms, bare ${other.at(-1)?.toFixed(0)} ms`);
    }
    if ((await list(api, 'volumes')).length > 0) throw new Error('volumes are left');
    return [
      {
        name: 'emptydir-200',
        title: `${count} emptyDirs of ${CAPACITY} with enforced size, one mount each, Ready`,
        unit: 'ms',
        ours,
        other: {
          title: `truncate, mkfs.xfs, fsync, mount -o loop, mount --bind; ${CONCURRENCY} at a time`,
          samples: other,
        },
        of: 'median',
        goal: { text: '≤ 1.3 × the bare commands', limit: 1.3, on: 'ratio' },
        notes: { writesOfLastRound: writes.at(-1) },
      },
    ];
  },
};

/** A pool like the product's for the bare commands: an allocated file with XFS in it, on the same filesystem. */
async function makePool(scope: Scope, count: number): Promise<string> {
  const [file, pool] = [scope.path('bare-pool.img'), scope.path('bare-pool')];
  mkdirSync(pool);
  await run('fallocate', ['-l', String(count * IMAGE_BYTES + 2 ** 30), file]);
  await run('mkfs.xfs', ['-q', '-K', '-s', 'size=4096', '-m', 'reflink=1', file]);
  await run('mount', ['-o', 'loop', file, pool]);
  return pool;
}

/** Two hundred, or as many as the disk has room for on both sides with a third of it left. */
function fittingCount(scope: Scope): number {
  const { bavail, bsize } = statfsSync(scope.directory);
  return Math.min(COUNT, Math.floor((bavail * bsize) / 3 / IMAGE_BYTES));
}

const ONE = `
set -e
truncate -s ${CAPACITY.replace('Gi', 'G')} "$1.new"
mkfs.xfs -q -K -f -s size=4096 -m reflink=1 "$1.new"
sync "$1.new"
mv "$1.new" "$1"
sync "$(dirname "$1")"
mkdir -p "$2" "$3"
mount -o loop,discard,noatime "$1" "$2"
mkdir "$2/data"
mount --bind "$2/data" "$3"
`;

async function bareCommands(scope: Scope, pool: string, round: number, count: number): Promise<number> {
  const names = Array.from({ length: count }, (_, index) => {
    const name = `${round}-${index}`;
    return [join(pool, `${name}.img`), scope.path('bare', name, 'stage'), scope.path('bare', name, 'data')] as const;
  });
  const start = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let one = names[next++]; one !== undefined; one = names[next++]) await run('sh', ['-c', ONE, 'sh', ...one]);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  const ms = performance.now() - start;
  await runToEnd(
    'umount',
    names.flatMap(([, stage, data]) => [data, stage]),
  );
  await runToEnd('rm', ['-f', '--', ...names.map(([image]) => image)]);
  return ms;
}
