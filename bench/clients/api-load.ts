/**
 * A process of its own that does one thing to an API server as often as a number of keep-alive connections allow, then the
 * next. Prints one JSON document.
 */
import { Api, readAccess } from '../support/api.ts';

export type Operation = 'create' | 'get' | 'statusPatch' | 'apply' | 'list';

export interface ApiLoadRequest {
  readonly kubeconfig: string;
  readonly connections: number;
  /** Of the objects that are made; new in each run. */
  readonly prefix: string;
  readonly namespace: string;
  /** Requests of each kind but lists. */
  readonly count: number;
  readonly lists: number;
  /** A namespace with 1,000 volumes. */
  readonly listed: string;
}

/** How long each request took, in milliseconds, and how many ended in a second. */
export type ApiLoadResult = Readonly<Record<Operation, { readonly p50: number; readonly perSecond: number }>>;

const GROUP = '/apis/storage.clawbernetes.io/v1alpha1';
const MERGE = 'application/merge-patch+json';
const APPLY = 'application/apply-patch+yaml';

console.log(JSON.stringify(await run(JSON.parse(process.argv[2] ?? '') as ApiLoadRequest)));

async function run({
  kubeconfig,
  connections,
  prefix,
  namespace,
  count,
  lists,
  listed,
}: ApiLoadRequest): Promise<ApiLoadResult> {
  const api = new Api(readAccess(kubeconfig), connections);
  const path = `${GROUP}/namespaces/${namespace}/volumes`;
  const head = { apiVersion: 'storage.clawbernetes.io/v1alpha1', kind: 'Volume' };
  const name = (index: number): string => `${prefix}-${index}`;
  const time = new Date().toISOString().replace(/\.\d+/, '');
  const conditions = ['Ready', 'Provisioned'].map((type) => ({
    type,
    status: 'True',
    reason: 'Provisioned',
    message: '',
    lastTransitionTime: time,
    observedGeneration: 1,
  }));
  const create = (index: number): Promise<string> => {
    const body = { ...head, metadata: { name: name(index) }, spec: { hostPath: { path: `/srv/${prefix}/${index}` } } };
    return api.request('POST', path, JSON.stringify(body));
  };
  const get = (index: number): Promise<string> => api.request('GET', `${path}/${name(index)}`);
  const statusPatch = (index: number): Promise<string> => {
    const body = { status: { observedGeneration: 1, capacity: '10Gi', conditions } };
    return api.request('PATCH', `${path}/${name(index)}/status`, JSON.stringify(body), MERGE);
  };
  const apply = (index: number): Promise<string> => {
    const metadata = { name: name(index), labels: { applied: 'yes' } };
    const body = { ...head, metadata, spec: { capacity: '20Gi', capacityPolicy: 'Advisory' } };
    return api.request('PATCH', `${path}/${name(index)}?fieldManager=bench`, JSON.stringify(body), APPLY);
  };
  const list = (): Promise<string> => api.request('GET', `${GROUP}/namespaces/${listed}/volumes`);
  try {
    return {
      create: await measure(create, count, connections),
      get: await measure(get, count, connections),
      statusPatch: await measure(statusPatch, count, connections),
      apply: await measure(apply, count, connections),
      list: await measure(list, lists, connections),
    };
  } finally {
    await api.close();
  }
}

async function measure(
  action: (index: number) => Promise<string>,
  count: number,
  connections: number,
): Promise<{ readonly p50: number; readonly perSecond: number }> {
  const times: number[] = [];
  const start = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const begun = performance.now();
      await action(index);
      times.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: connections }, worker));
  const perSecond = (count / (performance.now() - start)) * 1000;
  times.sort((a, b) => a - b);
  return { p50: times[times.length >> 1] ?? 0, perSecond };
}
