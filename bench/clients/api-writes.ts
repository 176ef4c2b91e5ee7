/**
 * A process of its own that creates volumes and applies a status to each, as fast as a number of keep-alive connections
 * allow. Prints one JSON document.
 */
import { Api, collection, type ObjectShape, readAccess } from '../support/api.ts';

export interface ApiWritesRequest {
  readonly kubeconfig: string;
  readonly connections: number;
  readonly prefix: string;
  readonly count: number;
}

export interface ApiWritesResult {
  readonly createsPerSecond: number;
  readonly appliesPerSecond: number;
}

const { kubeconfig, connections, prefix, count } = JSON.parse(process.argv[2] ?? '') as ApiWritesRequest;
const api = new Api(readAccess(kubeconfig), connections);
const path = collection('volumes');
const created: ObjectShape[] = [];

const createsPerSecond = await rate(async (index) => {
  const body = {
    apiVersion: 'storage.clawbernetes.io/v1alpha1',
    kind: 'Volume',
    metadata: { name: `${prefix}-${index}` },
    spec: { hostPath: { path: `/srv/${prefix}/${index}` } },
  };
  created.push(JSON.parse(await api.request('POST', path, JSON.stringify(body))) as ObjectShape);
});

const now = new Date().toISOString().replace(/\.\d+/, '');
const appliesPerSecond = await rate(async (index) => {
  const { name, uid, resourceVersion } = (created[index] as ObjectShape).metadata;
  const condition = { status: 'True', message: '', lastTransitionTime: now, observedGeneration: 1 };
  const body = {
    apiVersion: 'storage.clawbernetes.io/v1alpha1',
    kind: 'Volume',
    metadata: { name, namespace: 'default', uid, resourceVersion },
    status: {
      observedGeneration: 1,
      capacity: '10Gi',
      conditions: [
        { ...condition, type: 'Ready', reason: 'Provisioned' },
        { ...condition, type: 'Provisioned', reason: 'Provisioned' },
      ],
    },
  };
  const url = `${path}/${name}/status?fieldManager=bench&force=true`;
  await api.request('PATCH', url, JSON.stringify(body), 'application/apply-patch+yaml');
});

await api.close();
const result: ApiWritesResult = { createsPerSecond, appliesPerSecond };
console.log(JSON.stringify(result));

async function rate(write: (index: number) => Promise<void>): Promise<number> {
  const start = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await write(index);
  };
  await Promise.all(Array.from({ length: connections }, worker));
  return (count / (performance.now() - start)) * 1000;
}
