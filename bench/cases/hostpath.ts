/** hostPath volumes with one mount each, from the first request until the last one is seen Ready, beside bare binds. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { writesBetween } from '../support/api.ts';
import type { Case, Context, Measurement } from '../support/case.ts';
import { createPairs } from '../support/client.ts';
import { type ControlPlane, Machine } from '../support/machine.ts';
import { run, runToEnd, type Scope } from '../support/scope.ts';

interface Plan {
  readonly name: string;
  readonly count: number;
  readonly controlPlane: ControlPlane;
  readonly limitMs: number;
}

export const hostPathCases: readonly Case[] = [
  { name: 'hostpath-100', count: 100, controlPlane: 'embedded', limitMs: 500 } as const,
  { name: 'hostpath-1000', count: 1000, controlPlane: 'embedded', limitMs: 3000 } as const,
  { name: 'hostpath-1000-kubernetes', count: 1000, controlPlane: 'real', limitMs: 10_000 } as const,
].map((plan) => ({ name: plan.name, run: (context) => measure(plan, context) }));

async function measure(plan: Plan, { scope, options, progress }: Context): Promise<readonly Measurement[]> {
  const { name, count, controlPlane, limitMs } = plan;
  const machine = await Machine.create(scope, controlPlane);
  machine.makeSources(count);
  await machine.start();
  const api = await machine.api();
  const ours: number[] = [];
  const created: number[] = [];
  const batch: number[] = [];
  const single: number[] = [];
  const writes: Readonly<Record<string, number>>[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const before = await api.writes();
    const result = await createPairs({
      kubeconfig: machine.kubeconfig,
      connections: 16,
      plan: { prefix: `r${round}`, count, source: { type: 'hostPath', directory: machine.host } },
      timeoutMs: 120_000,
    });
    ours.push(result.readyMs);
    created.push(result.createdMs);
    writes.push(writesBetween(before, await api.writes()));
    await machine.deleteAll(api);
    const bare = await bareBinds(scope, machine.host, count, round);
    batch.push(bare.batchMs);
    single.push(bare.singleMs);
    progress(`round ${round + 1}: ${result.readyMs.toFixed(0)} ms, bare ${bare.singleMs.toFixed(0)} ms`);
  }
  const objects = count * 2;
  const where = controlPlane === 'real' ? 'kube-apiserver' : 'embedded';
  return [
    {
      name,
      title: `${count} hostPath volumes with one mount each Ready (${where})`,
      unit: 'ms',
      ours,
      other: { title: '`mount --bind`, one command each', samples: single },
      of: 'median',
      goal: { text: `< ${limitMs / 1000} s`, limit: limitMs, on: 'value' },
      notes: {
        firstRoundAfterStart: ours[0],
        createRequestsAnsweredMs: created,
        bareMountsInOneCommandMs: batch,
        writesPerObject: writes.map((one) => Object.values(one).reduce((a, b) => a + b, 0) / objects),
        writesOfLastRound: writes.at(-1),
      },
    },
  ];
}

/** The same binds by hand: one command each, and all in one. Unmounted again, untimed. */
async function bareBinds(
  scope: Scope,
  host: string,
  count: number,
  round: number,
): Promise<{ readonly singleMs: number; readonly batchMs: number }> {
  const targets = Array.from({ length: count }, (_, index) => scope.path(`bare-${round}`, String(index)));
  for (const target of targets) mkdirSync(target, { recursive: true });
  const table = scope.path('fstab');
  writeFileSync(table, targets.map((target, index) => `${host}/${index} ${target} none bind 0 0\n`).join(''));
  let start = performance.now();
  await run('mount', ['-a', '-T', table]);
  const batchMs = performance.now() - start;
  await runToEnd('umount', targets);
  start = performance.now();
  await run('sh', ['-ec', 'while read -r from to; do mount --bind "$from" "$to"; done'], pairsOf(host, targets));
  const singleMs = performance.now() - start;
  await runToEnd('umount', targets);
  return { singleMs, batchMs };
}

function pairsOf(host: string, targets: readonly string[]): string {
  return targets.map((target, index) => `${host}/${index} ${target}\n`).join('');
}
