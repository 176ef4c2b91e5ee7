/**
 * A process of its own that watches one collection many times over, each on a connection of its own, and changes an object:
 * how long until all have seen it? Prints one JSON document.
 */
import { Api, readAccess } from '../support/api.ts';

export interface FanOutRequest {
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly watchers: number;
  readonly changes: number;
}

export interface FanOutResult {
  /** From sending a change until the last watcher has its event, in milliseconds. */
  readonly latencies: readonly number[];
}

const { kubeconfig, namespace, watchers, changes } = JSON.parse(process.argv[2] ?? '') as FanOutRequest;
const api = new Api(readAccess(kubeconfig), 1);
const path = `/apis/storage.clawbernetes.io/v1alpha1/namespaces/${namespace}/volumes`;
const name = 'fan-out';
await api.request(
  'POST',
  path,
  JSON.stringify({
    apiVersion: 'storage.clawbernetes.io/v1alpha1',
    kind: 'Volume',
    metadata: { name },
    spec: { hostPath: { path: '/srv/fan-out' } },
  }),
);
const stop = new AbortController();
let waiting = 0;
let seen: () => void = () => undefined;
for (let index = 0; index < watchers; index++) {
  await api.watch(
    path,
    () => {
      waiting -= 1;
      if (waiting === 0) seen();
    },
    stop.signal,
  );
}
const latencies: number[] = [];
for (let change = 0; change < changes; change++) {
  waiting = watchers;
  const all = new Promise<void>((resolve) => {
    seen = resolve;
  });
  const body = JSON.stringify({ metadata: { annotations: { change: String(change) } } });
  const start = performance.now();
  await api.request('PATCH', `${path}/${name}`, body, 'application/merge-patch+json');
  await all;
  latencies.push(performance.now() - start);
}
stop.abort();
await api.request('DELETE', `${path}/${name}`);
await api.close();
const result: FanOutResult = { latencies };
console.log(JSON.stringify(result));
