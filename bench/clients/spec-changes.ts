/**
 * A process of its own that changes the spec of each volume once, one after the other, and watches until the status says
 * that it was seen. Prints one JSON document.
 */
import { Api, collection, isReady, readAccess, type WatchLine } from '../support/api.ts';

export interface SpecChangeRequest {
  readonly kubeconfig: string;
  readonly prefix: string;
  readonly count: number;
}

export interface SpecChangeResult {
  /** From sending the change until its status was seen, in milliseconds. */
  readonly latencies: readonly number[];
}

const { kubeconfig, prefix, count } = JSON.parse(process.argv[2] ?? '') as SpecChangeRequest;
const api = new Api(readAccess(kubeconfig), 1);
const path = collection('volumes');
const stop = new AbortController();
let wanted: { readonly name: string; readonly seen: () => void } | undefined;
await api.watch(
  path,
  (line) => {
    if (wanted === undefined || !line.includes(`"name":"${wanted.name}"`)) return;
    const { object } = JSON.parse(line) as WatchLine;
    if (object.metadata.name === wanted.name && (object.metadata.generation ?? 0) > 1 && isReady(object)) wanted.seen();
  },
  stop.signal,
);
const latencies: number[] = [];
for (let index = 0; index < count; index++) {
  const name = `${prefix}-${index}`;
  const seen = new Promise<void>((resolve) => {
    wanted = { name, seen: resolve };
  });
  const start = performance.now();
  const body = JSON.stringify({ spec: { capacity: '20Gi' } });
  await api.request('PATCH', `${path}/${name}`, body, 'application/merge-patch+json');
  await seen;
  latencies.push(performance.now() - start);
}
stop.abort();
await api.close();
const result: SpecChangeResult = { latencies };
console.log(JSON.stringify(result));
