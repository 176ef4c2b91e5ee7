/** What a cluster of simulated nodes costs: samples of its processes and of the API server's own counters. */
import { readFileSync } from 'node:fs';
import type { AgentsAnswer } from '../clients/agents.ts';
import type { Api } from './api.ts';
import type { WatchCounts } from './counted-client.ts';

export type Part = 'apiserver' | 'etcd' | 'controller' | 'agents';
const PARTS: readonly Part[] = ['apiserver', 'etcd', 'controller', 'agents'];

/** Where the samples come from. */
export interface Cluster {
  readonly api: Api;
  readonly pids: Readonly<Record<Part, readonly number[]>>;
  /** Of the processes with agents. */
  readonly ports: readonly number[];
}

export interface Sample {
  /** Milliseconds. */
  readonly at: number;
  /** Seconds of a core since the start of each. */
  readonly cpu: Readonly<Record<Part, number>>;
  /** Resident memory in MiB. */
  readonly memory: Readonly<Record<Part, number>>;
  /** Answered requests by verb and resource; watches when they end. */
  readonly requests: ReadonlyMap<string, number>;
  /** Requests that were turned away because there were too many. */
  readonly throttled: number;
  /** Events that the API server has sent on all watches, and their bytes. */
  readonly watchEvents: number;
  readonly watchBytes: number;
  readonly agents: AgentsAnswer;
}

/** What happened between two samples. */
export interface Difference {
  readonly seconds: number;
  readonly cpu: Readonly<Record<Part, number>>;
  readonly requests: Readonly<Record<string, number>>;
  readonly requestCount: number;
  /** Of those, writes, Leases aside. */
  readonly writeCount: number;
  readonly throttled: number;
  readonly watchEvents: number;
  readonly watchBytes: number;
  /** Means over all agents. */
  readonly perAgent: Readonly<Record<keyof WatchCounts, number>>;
  /** Objects of other nodes that any agent was sent. */
  readonly foreign: number;
}

export async function takeSample({ api, pids, ports }: Cluster): Promise<Sample> {
  const [text, ...answers] = await Promise.all([api.request('GET', '/metrics'), ...ports.map(countsAt)]);
  const of = (measure: (pid: number) => number): Record<Part, number> => {
    const sums = PARTS.map((part) => [part, pids[part].reduce((sum, pid) => sum + measure(pid), 0)] as const);
    return Object.fromEntries(sums) as Record<Part, number>;
  };
  const requests = new Map<string, number>();
  let throttled = 0;
  for (const { labels, value } of counters(text, 'apiserver_request_total')) {
    const sub = labels['subresource'] ?? '';
    const what = `${labels['verb']} ${labels['resource']}${sub === '' ? '' : `/${sub}`}`;
    requests.set(what, (requests.get(what) ?? 0) + value);
    if (labels['code'] === '429') throttled += value;
  }
  const sum = (name: string): number => counters(text, name).reduce((total, { value }) => total + value, 0);
  return {
    at: performance.now(),
    cpu: of(cpuSeconds),
    memory: of(residentMiB),
    requests,
    throttled,
    watchEvents: sum('apiserver_watch_events_total'),
    watchBytes: sum('apiserver_watch_events_sizes_sum'),
    agents: Object.assign({}, ...answers) as AgentsAnswer,
  };
}

export function between(before: Sample, after: Sample): Difference {
  const requests = [...after.requests]
    .map(([what, count]) => [what, count - (before.requests.get(what) ?? 0)] as const)
    .filter(([, count]) => count > 0)
    .toSorted(([, a], [, b]) => b - a);
  const count = (matches: (what: string) => boolean): number =>
    requests.filter(([what]) => matches(what)).reduce((sum, [, one]) => sum + one, 0);
  const cpu = PARTS.map((part) => [part, after.cpu[part] - before.cpu[part]] as const);
  const zero: WatchCounts = { opened: 0, events: 0, bytes: 0, initial: 0, initialBytes: 0, foreign: 0 };
  const fields = Object.keys(zero) as readonly (keyof WatchCounts)[];
  const agents = Object.entries(after.agents);
  const sums = fields.map((field) => {
    const sum = agents.reduce((total, [name, own]) => total + own[field] - (before.agents[name] ?? zero)[field], 0);
    return [field, sum] as const;
  });
  const perAgent = sums.map(([field, sum]) => [field, sum / Math.max(1, agents.length)] as const);
  return {
    seconds: (after.at - before.at) / 1000,
    cpu: Object.fromEntries(cpu) as Record<Part, number>,
    requests: Object.fromEntries(requests),
    requestCount: count((what) => !isOfProbe(what)),
    writeCount: count((what) => /^(POST|PUT|PATCH|APPLY|DELETE)/.test(what) && !what.endsWith(' leases')),
    throttled: after.throttled - before.throttled,
    watchEvents: after.watchEvents - before.watchEvents,
    watchBytes: after.watchBytes - before.watchBytes,
    perAgent: Object.fromEntries(perAgent) as Record<keyof WatchCounts, number>,
    foreign: Object.fromEntries(sums)['foreign'] ?? 0,
  };
}

/** Our own looks at the counters, and what the API server asks itself. */
function isOfProbe(what: string): boolean {
  return what.endsWith(' ') || /apiservices|flowschemas|prioritylevel|endpointslices| services$/.test(what);
}

interface Counter {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Samples of one name in Prometheus' text format. */
function counters(text: string, name: string): readonly Counter[] {
  const lines = text.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, 'gm'));
  return [...lines].map(([, labels = '', value]) => ({
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text])),
    value: Number(value),
  }));
}

async function countsAt(port: number): Promise<AgentsAnswer> {
  return (await fetch(`http://127.0.0.1:${port}/`)).json() as Promise<AgentsAnswer>;
}

/** User and system time, in seconds: fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms. */
function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
