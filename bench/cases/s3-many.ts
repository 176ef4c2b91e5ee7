/** A node with two hundred mounted S3 volumes: memory of each, what the agent computes at rest, and a server that is silent. */
import { setTimeout as delay } from 'node:timers/promises';
import { writesBetween } from '../support/api.ts';
import type { Case, Context, Measurement } from '../support/case.ts';
import { createPairs } from '../support/client.ts';
import { list, Machine } from '../support/machine.ts';
import { Engine, pssOf, S3, SECRET, ticksOf } from '../support/s3.ts';

const COUNT = 200;
const SETTLE_MS = 15_000;
const TICKS_PER_SECOND = 100;
/** By then every volume was asked for and no server has answered. */
const OUTAGE_MS = 20_000;

export const s3Many: Case = {
  name: 's3-200',
  async run(context) {
    const { scope, progress } = context;
    const s3 = await S3.start(scope);
    const machine = await Machine.create(scope);
    machine.makeSources(COUNT);
    await machine.start();
    const api = await machine.api(2);
    await s3.createSecret(api);
    const source = { type: 's3', bucket: s3.bucket, endpoint: s3.endpoint, secret: SECRET } as const;
    const plan = { prefix: 'v', count: COUNT, source };
    const { readyMs } = await createPairs({
      kubeconfig: machine.kubeconfig,
      connections: 16,
      plan,
      timeoutMs: 600_000,
    });
    progress(`${COUNT} volumes are Ready after ${readyMs.toFixed(0)} ms`);
    const volumes = await list(api, 'volumes');
    const engines = volumes.map(({ metadata }) => new Engine(scope.path('state'), metadata.uid ?? '').pid);
    await delay(SETTLE_MS);
    return [memory(engines, readyMs), await idle(machine, engines, context), ...(await outage(machine, s3, context))];
  },
};

function memory(engines: readonly number[], readyMs: number): Measurement {
  const ours = engines.map(pssOf);
  return {
    name: 's3-200-memory',
    title: `${COUNT} mounted S3 volumes at rest: memory (PSS) of the process of each`,
    unit: 'MiB',
    ours,
    of: 'median',
    notes: { sumMiB: ours.reduce((sum, one) => sum + one, 0), allReadyMs: readyMs },
  };
}

async function idle(machine: Machine, engines: readonly number[], context: Context): Promise<Measurement> {
  const { idleSeconds } = context.options;
  const api = await machine.api(1);
  const sum = (pids: readonly number[]): number => pids.reduce((ticks, pid) => ticks + ticksOf(pid), 0);
  const share = (ticks: number, seconds: number): number => (ticks / TICKS_PER_SECOND / seconds) * 100;
  const [writes, own, theirs, start] = [await api.writes(), sum(machine.pids), sum(engines), performance.now()];
  await delay(idleSeconds * 1000);
  const seconds = (performance.now() - start) / 1000;
  const cpu = share(sum(machine.pids) - own, seconds);
  const engineCpu = share(sum(engines) - theirs, seconds);
  context.progress(`idle: ${cpu.toFixed(2)} % of a core, the engines ${engineCpu.toFixed(2)} %`);
  return {
    name: 's3-200-idle-cpu',
    title: `idle for ${idleSeconds} s with ${COUNT} mounted S3 volumes: share of a core, daemon and helper`,
    unit: '%',
    ours: [cpu],
    of: 'median',
    goal: { text: '< 1 %', limit: 1, on: 'value' },
    notes: { allEngines: engineCpu, writes: writesBetween(writes, await api.writes()) },
  };
}

/** The server hangs: every request waits for its deadline. Another volume of the node must not notice. */
async function outage(machine: Machine, s3: S3, { options, progress }: Context): Promise<readonly Measurement[]> {
  const sum = (): number => machine.pids.reduce((ticks, pid) => ticks + ticksOf(pid), 0);
  const pairs = async (prefix: string): Promise<number[]> => {
    const samples: number[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const source = { type: 'hostPath', directory: machine.host } as const;
      const plan = { prefix: `${prefix}-${round}`, count: 1, source };
      const { readyMs } = await createPairs({
        kubeconfig: machine.kubeconfig,
        connections: 1,
        plan,
        timeoutMs: 60_000,
      });
      samples.push(readyMs);
      await delay(1500);
    }
    return samples;
  };
  const before = await pairs('well');
  s3.server.child.kill('SIGSTOP');
  try {
    await delay(OUTAGE_MS);
    const [ticks, start] = [sum(), performance.now()];
    const during = await pairs('away');
    await delay(OUTAGE_MS);
    const cpu = ((sum() - ticks) / TICKS_PER_SECOND / ((performance.now() - start) / 1000)) * 100;
    progress(
      `server silent: ${cpu.toFixed(1)} % of a core, hostPath ${during.map((ms) => ms.toFixed(0)).join(', ')} ms`,
    );
    return [
      {
        name: 's3-200-outage-other',
        title: `a hostPath volume with a mount Ready while the server of ${COUNT} S3 volumes is silent`,
        unit: 'ms',
        ours: during,
        other: { title: 'while it answers', samples: before },
        of: 'max',
        goal: { text: '< 0.5 s', limit: 500, on: 'value' },
      },
      {
        name: 's3-200-outage-cpu',
        title: `the server of ${COUNT} mounted S3 volumes is silent: share of a core, daemon and helper`,
        unit: '%',
        ours: [cpu],
        of: 'median',
        goal: { text: '< 5 %', limit: 5, on: 'value' },
      },
    ];
  } finally {
    s3.server.child.kill('SIGCONT');
  }
}
