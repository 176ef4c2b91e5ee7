/** Runs one of the clients as a process of its own. */
import { join } from 'node:path';
import type { CreateRequest, CreateResult } from '../clients/create-pairs.ts';
import type { MountLatencyRequest, MountLatencyResult } from '../clients/mount-latency.ts';
import { run } from './scope.ts';

const CLIENTS = join(import.meta.dirname, '../clients');

export async function runClient<R>(name: string, request: unknown): Promise<R> {
  const text = await run(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    join(CLIENTS, `${name}.ts`),
    JSON.stringify(request),
  ]);
  return JSON.parse(text) as R;
}

export function createPairs(request: CreateRequest): Promise<CreateResult> {
  return runClient('create-pairs', request);
}

export function mountLatency(request: MountLatencyRequest): Promise<MountLatencyResult> {
  return runClient('mount-latency', request);
}
