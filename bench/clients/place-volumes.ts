/**
 * A process of its own that makes volumes without mounts and without a wish for a node, and watches until all of them have
 * one. Prints one JSON document.
 */
import { Api, collection, readAccess, type WatchLine } from '../support/api.ts';
import { type PairPlan, pairName, volumeOf } from '../support/objects.ts';

export interface PlaceRequest {
  readonly kubeconfig: string;
  readonly connections: number;
  readonly plan: PairPlan;
  readonly timeoutMs: number;
}

export interface PlaceResult {
  /** From the first request until the last was answered, in milliseconds. */
  readonly createdMs: number;
  /** From the first request until the last volume was seen to have a node, in milliseconds. */
  readonly placedMs: number;
}

const { kubeconfig, connections, plan, timeoutMs } = JSON.parse(process.argv[2] ?? '') as PlaceRequest;
const api = new Api(readAccess(kubeconfig), connections);
const stop = new AbortController();
const waiting = new Set(Array.from({ length: plan.count }, (_, index) => pairName(plan, index)));
const allPlaced = Promise.withResolvers<number>();
let start = 0;
await api.watch(
  collection('volumes'),
  (line) => {
    if (!line.includes('"nodeName"')) return;
    const { metadata, status } = (JSON.parse(line) as WatchLine).object;
    if (status?.nodeName === undefined || !waiting.delete(metadata.name)) return;
    if (waiting.size === 0) allPlaced.resolve(performance.now() - start);
  },
  stop.signal,
);
start = performance.now();
let next = 0;
const worker = async (): Promise<void> => {
  for (let index = next++; index < plan.count; index = next++) {
    await api.request('POST', collection('volumes'), volumeOf(plan, index));
  }
};
await Promise.all(Array.from({ length: connections }, worker));
const createdMs = performance.now() - start;
const deadline = setTimeout(() => {
  console.error(`${waiting.size} volumes have no node after ${timeoutMs} ms: ${[...waiting].slice(0, 5).join(', ')}`);
  process.exit(1);
}, timeoutMs);
const placedMs = await allPlaced.promise;
clearTimeout(deadline);
stop.abort();
await api.close();
const result: PlaceResult = { createdMs, placedMs };
console.log(JSON.stringify(result));
