/** The embedded API server beside etcd and kube-apiserver, in one run, both with real fsync. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ApiLoadResult, Operation } from '../clients/api-load.ts';
import type { FanOutResult } from '../clients/fan-out.ts';
import { Api, readAccess } from '../support/api.ts';
import type { Case, Context, Measurement } from '../support/case.ts';
import { runClient } from '../support/client.ts';
import { startKubernetes } from '../support/kubernetes.ts';
import { Scope } from '../support/scope.ts';
import { median } from '../support/stats.ts';

const CLAWSTORE = join(import.meta.dirname, '../../bin/clawstore');
const PEER = 'etcd and kube-apiserver';
const GROUP = '/apis/storage.clawbernetes.io/v1alpha1';
const READY_MS = 60_000;
/** Until garbage of the work before is collected, on both sides. */
const SETTLE_MS = 10_000;
const MANY = 10_000;
const WATCHERS = 100;
const CLIENTS = [1, 32] as const;

const TITLES: Readonly<Record<Operation, string>> = {
  create: 'create',
  get: 'get',
  statusPatch: 'status patch',
  apply: 'server-side apply',
  list: 'list of 1,000',
};

const OPERATIONS = Object.keys(TITLES) as readonly Operation[];

/** One of the two, while it runs. */
interface Side {
  readonly kubeconfig: string;
  readonly pids: readonly number[];
  readonly readyMs: number;
}

async function startOurs(scope: Scope): Promise<Side> {
  const kubeconfig = scope.path('api', 'kubeconfig');
  const start = performance.now();
  const server = scope.start('apiserver', CLAWSTORE, ['apiserver', '--state-dir', scope.path('api')]);
  const deadline = start + READY_MS;
  const check = async (): Promise<void> => {
    server.assertRunning();
    if (performance.now() > deadline) throw new Error('the API server is not ready in time');
    await delay(10);
  };
  while (!existsSync(kubeconfig)) await check();
  const api = new Api(readAccess(kubeconfig), 1);
  const answers = (): Promise<boolean> =>
    api.request('GET', '/readyz').then(
      () => true,
      () => false,
    );
  while (!(await answers())) await check();
  const readyMs = performance.now() - start;
  await api.close();
  return { kubeconfig, pids: [server.pid], readyMs };
}

/** Resident memory of processes, in MiB. */
function memoryOf(pids: readonly number[]): number {
  const kilobytes = pids.map((pid) =>
    Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]),
  );
  return kilobytes.reduce((sum, one) => sum + one, 0) / 1024;
}

async function fill(side: Side, namespace: string, count: number): Promise<void> {
  const api = new Api(readAccess(side.kubeconfig), 32);
  await api.request('POST', '/api/v1/namespaces', JSON.stringify({ metadata: { name: namespace } }));
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const body = {
        apiVersion: 'storage.clawbernetes.io/v1alpha1',
        kind: 'Volume',
        metadata: { name: `v-${index}` },
        spec: { hostPath: { path: `/srv/${namespace}/${index}` }, capacity: '20Gi' },
      };
      await api.request('POST', `${GROUP}/namespaces/${namespace}/volumes`, JSON.stringify(body));
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  await api.close();
}

type Samples = { readonly ours: number[]; readonly other: number[] };
const samples = (): Samples => ({ ours: [], other: [] });

function row(name: string, title: string, unit: Measurement['unit'], { ours, other }: Samples): Measurement {
  const isMemory = unit === 'MiB';
  const isRate = unit === '/s';
  return {
    name: `api-${name}`,
    title: `API server, ${title}`,
    unit,
    ours,
    other: { title: PEER, samples: other },
    of: 'median',
    goal: {
      text: isMemory ? 'under a third' : isRate ? 'more' : 'less',
      limit: isMemory ? 1 / 3 : 1,
      on: 'ratio',
      ...(isRate ? { above: true } : {}),
    },
  };
}

async function starts({ scope, options, progress }: Context): Promise<Measurement> {
  const times = samples();
  for (let round = 0; round < options.rounds; round++) {
    const own = new Scope(scope.directory, 'start');
    try {
      times.ours.push((await startOurs(own)).readyMs);
      times.other.push((await startKubernetes(own, { withCrds: false })).readyMs);
    } finally {
      await own.end();
    }
    progress(`start ${round + 1}: ${times.ours.at(-1)?.toFixed(0)} ms (${times.other.at(-1)?.toFixed(0)})`);
  }
  return row('start', 'start on an empty state directory to ready', 'ms', times);
}

async function loads({ options, progress }: Context, ours: Side, other: Side): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (const connections of CLIENTS) {
    const results = { ours: [] as ApiLoadResult[], other: [] as ApiLoadResult[] };
    for (let round = 0; round < options.rounds; round++) {
      for (const [side, { kubeconfig }] of [
        ['ours', ours],
        ['other', other],
      ] as const) {
        const request = {
          kubeconfig,
          connections,
          prefix: `c${connections}-r${round}`,
          namespace: 'default',
          count: connections === 1 ? 300 : 1500,
          lists: connections === 1 ? 20 : 64,
          listed: 'listed',
        };
        results[side].push(await runClient<ApiLoadResult>('api-load', request));
      }
      const shown = OPERATIONS.map((operation) => {
        const [mine, theirs] = [results.ours.at(-1)?.[operation], results.other.at(-1)?.[operation]];
        return `${operation} ${mine?.perSecond.toFixed(0)} (${theirs?.perSecond.toFixed(0)})`;
      });
      progress(`${connections} clients, round ${round + 1}, per second: ${shown.join(', ')}`);
    }
    for (const operation of OPERATIONS) {
      const title = `${TITLES[operation]}, ${connections} client${connections === 1 ? '' : 's'}`;
      for (const [field, what, unit] of [
        ['p50', 'p50', 'ms'],
        ['perSecond', 'throughput', '/s'],
      ] as const) {
        const values: Samples = {
          ours: results.ours.map((one) => one[operation][field]),
          other: results.other.map((one) => one[operation][field]),
        };
        measurements.push(row(`${operation}-${connections}-${what}`, `${title}: ${what}`, unit, values));
      }
    }
  }
  return measurements;
}

async function fanOut({ options, progress }: Context, ours: Side, other: Side): Promise<Measurement> {
  const times = samples();
  for (let round = 0; round < options.rounds; round++) {
    for (const [side, { kubeconfig }] of [
      ['ours', ours],
      ['other', other],
    ] as const) {
      const request = { kubeconfig, namespace: 'default', watchers: WATCHERS, changes: 50 };
      times[side].push(median((await runClient<FanOutResult>('fan-out', request)).latencies));
    }
    progress(`fan-out ${round + 1}: ${times.ours.at(-1)?.toFixed(1)} ms (${times.other.at(-1)?.toFixed(1)})`);
  }
  return row('fan-out', `a change until ${WATCHERS} watchers have seen it: p50`, 'ms', times);
}

export const api: Case = {
  name: 'api',
  async run(context) {
    const { scope, progress } = context;
    const start = await starts(context);
    const ours = await startOurs(scope);
    const other = await startKubernetes(scope);
    await delay(SETTLE_MS);
    const empty: Samples = { ours: [memoryOf(ours.pids)], other: [memoryOf(other.pids)] };
    progress(`memory empty: ${empty.ours[0]?.toFixed(0)} MiB (${empty.other[0]?.toFixed(0)})`);
    for (const side of [ours, other]) await fill(side, 'listed', 1000);
    const measured = await loads(context, ours, other);
    const seen = await fanOut(context, ours, other);
    for (const side of [ours, other]) await fill(side, 'many', MANY);
    await delay(SETTLE_MS);
    const full: Samples = { ours: [memoryOf(ours.pids)], other: [memoryOf(other.pids)] };
    progress(`memory with ${MANY} objects: ${full.ours[0]?.toFixed(0)} MiB (${full.other[0]?.toFixed(0)})`);
    return [
      ...measured,
      seen,
      start,
      row('memory-empty', 'resident memory, empty', 'MiB', empty),
      row('memory-10000', 'resident memory with 10,000 objects more, after all of the above', 'MiB', full),
    ];
  },
};
