/** A machine with a thousand volumes: changes of a spec, mounts that vanish, a restart, and an idle minute. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SpecChangeResult } from '../clients/spec-changes.ts';
import { collection, writesBetween } from '../support/api.ts';
import type { Case, Context, Measurement } from '../support/case.ts';
import { createPairs, runClient } from '../support/client.ts';
import { Machine } from '../support/machine.ts';
import { mountsBelow } from '../support/scope.ts';
import { quantile } from '../support/stats.ts';

const COUNT = 1000;
const PREFIX = 'v';
const SETTLE_MS = 5000;
const TICKS_PER_SECOND = 100;

export const lifecycle: Case = {
  name: 'thousand',
  async run(context) {
    const { scope, progress } = context;
    const machine = await Machine.create(scope);
    machine.makeSources(COUNT);
    await machine.start();
    await createPairs({
      kubeconfig: machine.kubeconfig,
      connections: 16,
      plan: { prefix: PREFIX, count: COUNT, source: { type: 'hostPath', directory: machine.host } },
      timeoutMs: 300_000,
    });
    await delay(SETTLE_MS);
    progress(`${COUNT} volumes are Ready`);
    return [
      await specChanges(machine, context),
      await vanishedMounts(machine, context),
      await restarts(machine, context),
      ...(await idle(machine, context)),
    ];
  },
};

async function specChanges(machine: Machine, { progress }: Context): Promise<Measurement> {
  const request = { kubeconfig: machine.kubeconfig, prefix: PREFIX, count: COUNT };
  const { latencies } = await runClient<SpecChangeResult>('spec-changes', request);
  progress(`spec change → status: p99 ${quantile(latencies, 0.99).toFixed(0)} ms`);
  return {
    name: 'spec-change',
    title: `change of a spec until its status says so, among ${COUNT} volumes`,
    unit: 'ms',
    ours: latencies,
    of: 'p99',
    goal: { text: 'p99 < 100 ms', limit: 100, on: 'value' },
    notes: { median: quantile(latencies, 0.5), worst: Math.max(...latencies) },
  };
}

/** Every mount is taken away once, one after the other, by umount(8); it is back when its target is a mount again. */
async function vanishedMounts(machine: Machine, { progress }: Context): Promise<Measurement> {
  const ours: number[] = [];
  const bare: number[] = [];
  for (let index = 0; index < COUNT; index++) {
    const name = `${PREFIX}-${index}`;
    const target = join(machine.mountRoot, 'default', name, 'data');
    const outside = mountIdOf(machine.mountRoot);
    if (mountIdOf(target) === outside) throw new Error(`${target} is not mounted`);
    const { status, stderr } = spawnSync('umount', [target]);
    const start = performance.now();
    if (status !== 0) throw new Error(`umount ${target}: ${String(stderr)}`);
    for (;;) {
      const id = mountIdOf(target);
      if (id !== undefined && id !== outside) break;
      if (performance.now() - start > 30_000) {
        const api = await machine.api(1);
        const object = await api.request('GET', `${collection('volumemounts')}/${name}`);
        const there = JSON.stringify(mountsBelow(target));
        throw new Error(`${target} did not come back; mounts ${there}; ${object}\n${machine.logTail()}`);
      }
      await delay(1);
    }
    ours.push(performance.now() - start);
    if (index % 20 === 0) {
      const own = machine.scope.path('by-hand');
      const at = performance.now();
      spawnSync('mkdir', ['-p', own]);
      spawnSync('mount', ['--bind', machine.host, own]);
      bare.push(performance.now() - at);
      spawnSync('umount', [own]);
    }
    await delay(5);
  }
  progress(`vanished mount back: p99 ${quantile(ours, 0.99).toFixed(0)} ms`);
  return {
    name: 'vanished-mount',
    title: `a vanished bind mount is back, ${COUNT} one after the other`,
    unit: 'ms',
    ours,
    other: { title: 'the two commands alone, by hand', samples: bare },
    of: 'p99',
    goal: { text: 'p99 < 50 ms', limit: 50, on: 'value' },
    notes: { median: quantile(ours, 0.5), worst: Math.max(...ours) },
  };
}

/** The ID of the mount that a walk to the path ends in, as the kernel tells of an open descriptor (proc_pid_fdinfo(5)). */
function mountIdOf(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined; // removed together with its mount, and not made again yet
  }
  try {
    return /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  } finally {
    closeSync(fd);
  }
}

async function restarts(machine: Machine, { options, progress }: Context): Promise<Measurement> {
  const ours: number[] = [];
  const changed: number[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const before = idsOf(machine);
    await machine.stop();
    const start = performance.now();
    await machine.start();
    await machine.reconciled({ volume: COUNT, mount: COUNT });
    ours.push(performance.now() - start);
    const after = idsOf(machine);
    changed.push([...before].filter(([target, id]) => after.get(target) !== id).length);
    progress(`restart ${round + 1}: ${ours.at(-1)?.toFixed(0)} ms, ${changed.at(-1)} mounts changed`);
  }
  return {
    name: 'restart',
    title: `restart with ${COUNT} mounts until each was looked at and found right`,
    unit: 'ms',
    ours,
    of: 'median',
    goal: { text: '< 2 s', limit: 2000, on: 'value' },
    notes: { mountsWithAnotherIdAfterwards: changed },
  };
}

function idsOf(machine: Machine): ReadonlyMap<string, number> {
  return new Map(mountsBelow(machine.mountRoot).map(({ target, id }) => [target, id]));
}

async function idle(machine: Machine, { options, progress }: Context): Promise<readonly Measurement[]> {
  const { idleSeconds } = options;
  const api = await machine.api(1);
  await delay(SETTLE_MS);
  const [writes, ticks, start] = [await api.writes(), ticksOf(machine), performance.now()];
  await delay(idleSeconds * 1000);
  const seconds = (performance.now() - start) / 1000;
  const cpu = ((ticksOf(machine) - ticks) / TICKS_PER_SECOND / seconds) * 100;
  const pss = pssOf(machine);
  const written = writesBetween(writes, await api.writes());
  const count = Object.values(written).reduce((sum, one) => sum + one, 0);
  progress(`idle for ${idleSeconds} s: ${count} writes, ${cpu.toFixed(2)} % of a core, ${pss.toFixed(0)} MiB`);
  const during = `idle for ${idleSeconds} s with ${COUNT} volumes`;
  return [
    {
      name: 'idle-writes',
      title: `${during}: writes at the API server, Leases aside`,
      unit: 'writes',
      ours: [count],
      of: 'sum',
      goal: { text: '0', limit: 0.5, on: 'value' },
      notes: { writes: written },
    },
    {
      name: 'idle-cpu',
      title: `${during}: share of a core`,
      unit: '%',
      ours: [cpu],
      of: 'median',
      goal: { text: '< 1 %', limit: 1, on: 'value' },
    },
    {
      name: 'idle-memory',
      title: `${during}: memory (PSS) of daemon and helper`,
      unit: 'MiB',
      ours: [pss],
      of: 'median',
      goal: { text: '< 200 MB', limit: 200e6 / 2 ** 20, on: 'value' },
    },
  ];
}

/** Time that the product's processes have computed, user and system, in clock ticks (proc_pid_stat(5)). */
function ticksOf(machine: Machine): number {
  return machine.pids
    .map((pid) => readFileSync(`/proc/${pid}/stat`, 'utf8'))
    .map((stat) => stat.slice(stat.lastIndexOf(')') + 2).split(' '))
    .reduce((sum, fields) => sum + Number(fields[11]) + Number(fields[12]), 0);
}

/** Proportional set size in MiB (proc_pid_smaps(5)). */
function pssOf(machine: Machine): number {
  return machine.pids
    .map((pid) => Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]))
    .reduce((sum, kib) => sum + kib / 1024, 0);
}
