/** Files through the S3 mount of the product, beside rclone alone with the same flags: what the bind and the agent cost. */
import { randomFillSync } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, Context, Measurement } from '../support/case.ts';
import { createPairs } from '../support/client.ts';
import { list, Machine } from '../support/machine.ts';
import { Engine, S3, SECRET, until } from '../support/s3.ts';
import { run } from '../support/scope.ts';

const MIB = 2 ** 20;
const BIG_BYTES = 128 * MIB;
const SMALL_COUNT = 200;
const SMALL_BYTES = 4096;
/** A mount asks for a directory anew after this time, in milliseconds. */
const DIRECTORY_CACHE_MS = 1000;

interface Side {
  readonly prefix: string;
  readonly target: string;
}

interface Work {
  readonly name: string;
  readonly title: string;
  readonly run: (side: Side, s3: S3, round: number) => Promise<number>;
}

export const s3Throughput: Case = {
  name: 's3-throughput',
  async run(context) {
    const { scope } = context;
    const s3 = await S3.start(scope);
    const machine = await Machine.create(scope);
    await machine.start();
    const api = await machine.api(2);
    await s3.createSecret(api);
    const source = { type: 's3', bucket: s3.bucket, endpoint: s3.endpoint, secret: SECRET } as const;
    const plan = { prefix: 'v', count: 1, source };
    await createPairs({ kubeconfig: machine.kubeconfig, connections: 1, plan, timeoutMs: 60_000 });
    const [volume] = await list(api, 'volumes', 1);
    const byHand = new Engine(scope.path('state'), volume?.metadata.uid ?? '').startByHand(scope, s3, 'hand');
    await until('rclone to mount', () => byHand.mounted());
    const ours = { prefix: 'v-0', target: join(machine.mountRoot, 'default/v-0/data') };
    const measurements: Measurement[] = [];
    for (const work of WORKS) {
      measurements.push(await measure(work, [ours, { prefix: 'hand', target: byHand.target }], s3, context));
    }
    await run('umount', [byHand.target]);
    return measurements;
  },
};

async function measure(
  work: Work,
  [ours, hand]: readonly [Side, Side],
  s3: S3,
  { options, progress }: Context,
): Promise<Measurement> {
  const [samples, others]: [number[], number[]] = [[], []];
  for (let round = 0; round < options.rounds; round++) {
    // Taking turns at going first: what the page cache and the disk are busy with then evens out.
    const sides = [
      [ours, samples],
      [hand, others],
    ] as const;
    for (const [side, into] of round % 2 === 0 ? sides : sides.toReversed()) into.push(await work.run(side, s3, round));
    progress(
      `${work.name}, round ${round + 1}: ${samples.at(-1)?.toFixed(0)} ms, rclone ${others.at(-1)?.toFixed(0)} ms`,
    );
  }
  return {
    name: `s3-${work.name}`,
    title: `through an S3 mount: ${work.title}`,
    unit: 'ms',
    ours: samples,
    other: { title: 'rclone alone, same flags', samples: others },
    of: 'median',
    goal: { text: '≤ 1.1 × the engine alone', limit: 1.1, on: 'ratio' },
  };
}

const content = randomFillSync(new Uint8Array(BIG_BYTES));

const WORKS: readonly Work[] = [
  {
    name: 'write-big',
    title: `${BIG_BYTES / MIB} MiB written until the server has them`,
    async run({ prefix, target }, s3, round) {
      const start = performance.now();
      await run('dd', [
        'if=/dev/zero',
        `of=${target}/big-${round}`,
        'bs=1M',
        `count=${BIG_BYTES / MIB}`,
        'status=none',
      ]);
      await until('the upload', () => s3.has(`${prefix}/big-${round}`, BIG_BYTES));
      return performance.now() - start;
    },
  },
  {
    name: 'read-big',
    title: `${BIG_BYTES / MIB} MiB read that were never here`,
    async run({ prefix, target }, s3, round) {
      const name = `theirs-${round}`;
      await s3.put(`${prefix}/${name}`, content);
      await settled();
      const start = performance.now();
      await run('dd', [`if=${target}/${name}`, 'of=/dev/null', 'bs=1M', 'status=none']);
      return performance.now() - start;
    },
  },
  {
    name: 'write-small',
    title: `${SMALL_COUNT} files of ${SMALL_BYTES / 1024} KiB written until the server has them`,
    async run({ prefix, target }, s3, round) {
      const folder = `many-${round}`;
      mkdirSync(join(target, folder));
      const script = `i=0; while [ $i -lt ${SMALL_COUNT} ]; do head -c ${SMALL_BYTES} /dev/zero >"$0/$i"; i=$((i+1)); done`;
      const start = performance.now();
      await run('sh', ['-ec', script, join(target, folder)]);
      for (let index = 0; index < SMALL_COUNT; index++) {
        await until('the uploads', () => s3.has(`${prefix}/${folder}/${index}`, SMALL_BYTES));
      }
      return performance.now() - start;
    },
  },
  {
    name: 'read-small',
    title: `${SMALL_COUNT} files of ${SMALL_BYTES / 1024} KiB read that were never here`,
    async run({ prefix, target }, s3, round) {
      const folder = `their-many-${round}`;
      for (let index = 0; index < SMALL_COUNT; index++) {
        await s3.put(`${prefix}/${folder}/${index}`, content.subarray(0, SMALL_BYTES));
      }
      await settled();
      const start = performance.now();
      await run('sh', ['-ec', 'cat "$0"/* >/dev/null', join(target, folder)]);
      return performance.now() - start;
    },
  },
];

/** Until no mount believes any more what it knew of its directories. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, DIRECTORY_CACHE_MS + 200));
}
