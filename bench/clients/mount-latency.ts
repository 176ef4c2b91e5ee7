/**
 * A process of its own that makes volumes, waits until they are Ready, and then mounts them one after the other: each from
 * the request until its VolumeMount is seen Ready. Prints one JSON document.
 */
import { Api, collection, isReady, readAccess, type WatchLine } from '../support/api.ts';
import { mountOf, type PairPlan, pairName, volumeOf } from '../support/objects.ts';

export interface MountLatencyRequest {
  readonly kubeconfig: string;
  readonly plan: PairPlan;
  readonly timeoutMs: number;
}

export interface MountLatencyResult {
  /** Of each mount, in milliseconds. */
  readonly latencies: readonly number[];
}

const { kubeconfig, plan, timeoutMs } = JSON.parse(process.argv[2] ?? '') as MountLatencyRequest;
const api = new Api(readAccess(kubeconfig), 2);
const stop = new AbortController();
const waiting = new Map<string, () => void>();
const deadline = setTimeout(() => {
  console.error(`not Ready after ${timeoutMs} ms: ${[...waiting.keys()].join(', ')}`);
  process.exit(1);
}, timeoutMs);

for (const plural of ['volumes', 'volumemounts'] as const) {
  await api.watch(
    collection(plural),
    (line) => {
      if (!line.includes('"type":"Ready"')) return;
      const { object } = JSON.parse(line) as WatchLine;
      if (isReady(object)) waiting.get(`${plural}/${object.metadata.name}`)?.();
    },
    stop.signal,
  );
}

function ready(plural: 'volumes' | 'volumemounts', index: number): Promise<number> {
  const key = `${plural}/${pairName(plan, index)}`;
  return new Promise((resolve) => {
    waiting.set(key, () => {
      waiting.delete(key);
      resolve(performance.now());
    });
  });
}

for (let index = 0; index < plan.count; index++) {
  const seen = ready('volumes', index);
  await api.request('POST', collection('volumes'), volumeOf(plan, index));
  await seen;
}
const latencies: number[] = [];
for (let index = 0; index < plan.count; index++) {
  const seen = ready('volumemounts', index);
  const start = performance.now();
  await api.request('POST', collection('volumemounts'), mountOf(plan, index));
  latencies.push((await seen) - start);
}
clearTimeout(deadline);
stop.abort();
await api.close();
console.log(JSON.stringify({ latencies } satisfies MountLatencyResult));
