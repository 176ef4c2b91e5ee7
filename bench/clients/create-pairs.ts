/**
 * A process of its own that makes volumes with one mount each, over plain keep-alive HTTP, and watches until all of them
 * are Ready. Prints one JSON document.
 */
import { Api, collection, isReady, readAccess, type WatchLine } from '../support/api.ts';
import { mountOf, type PairPlan, volumeOf } from '../support/objects.ts';

export interface CreateRequest {
  readonly kubeconfig: string;
  readonly connections: number;
  readonly plan: PairPlan;
  readonly timeoutMs: number;
}

export interface CreateResult {
  /** From the first request until the last was answered, in milliseconds. */
  readonly createdMs: number;
  /** From the first request until the last object was seen Ready, in milliseconds. */
  readonly readyMs: number;
  /** From the first request until half of the objects were seen Ready. */
  readonly halfMs: number;
}

const { kubeconfig, connections, plan, timeoutMs } = JSON.parse(process.argv[2] ?? '') as CreateRequest;
const api = new Api(readAccess(kubeconfig), connections);
const stop = new AbortController();
const waiting = new Set<string>();
for (let index = 0; index < plan.count; index++) {
  waiting.add(`volumes/${plan.prefix}-${index}`).add(`volumemounts/${plan.prefix}-${index}`);
}
const total = waiting.size;
let halfMs = 0;
let start = 0;
const allReady = Promise.withResolvers<number>();

for (const plural of ['volumes', 'volumemounts'] as const) {
  await api.watch(
    collection(plural),
    (line) => {
      // Most events are of objects that are not Ready yet: they are not worth parsing.
      if (!line.includes('"type":"Ready"')) return;
      const { object } = JSON.parse(line) as WatchLine;
      if (!isReady(object) || !waiting.delete(`${plural}/${object.metadata.name}`)) return;
      if (halfMs === 0 && waiting.size <= total / 2) halfMs = performance.now() - start;
      if (waiting.size === 0) allReady.resolve(performance.now() - start);
    },
    stop.signal,
  );
}

start = performance.now();
let next = 0;
const worker = async (): Promise<void> => {
  for (let step = next++; step < plan.count * 2; step = next++) {
    const index = step >> 1;
    if (step % 2 === 0) await api.request('POST', collection('volumes'), volumeOf(plan, index));
    else await api.request('POST', collection('volumemounts'), mountOf(plan, index));
  }
};
await Promise.all(Array.from({ length: connections }, worker));
const createdMs = performance.now() - start;
const deadline = setTimeout(() => {
  const some = [...waiting].slice(0, 5).join(', ');
  console.error(`${waiting.size} objects are not Ready after ${timeoutMs} ms: ${some}`);
  process.exit(1);
}, timeoutMs);
const readyMs = await allReady.promise;
clearTimeout(deadline);
stop.abort();
await api.close();
const result: CreateResult = { createdMs, readyMs, halfMs };
console.log(JSON.stringify(result));
