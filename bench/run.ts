/**
 * Measures the product beside the same work done by hand or by a peer, in one run, side by side.
 *
 *   node bench/run.ts                    all cases
 *   node bench/run.ts hostpath-100 …     these
 *   --rounds N       samples of each side (5)
 *   --idle-minutes N how long the idle case looks (1)
 *   --full           sizes that take long: 100 nodes and 10,000 volumes of the case scale
 *   --nodes A,B,C --volumes-per-node N  of the case scale, in place of its own sizes
 *   --table          only make the table of bench/README.md anew from bench/results
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { api } from './cases/api.ts';
import { backupObjects } from './cases/backup-objects.ts';
import { backups } from './cases/backups.ts';
import { cli } from './cases/cli.ts';
import { emptyDirs } from './cases/emptydir.ts';
import { healing } from './cases/healing.ts';
import { hostPathCases } from './cases/hostpath.ts';
import { lifecycle } from './cases/lifecycle.ts';
import { mountLatencies } from './cases/mount-latency.ts';
import { openclaw } from './cases/openclaw.ts';
import { s3Many } from './cases/s3-many.ts';
import { s3Throughput } from './cases/s3-throughput.ts';
import { scale } from './cases/scale.ts';
import { snapshotTrees } from './cases/snapshot-trees.ts';
import { snapshots } from './cases/snapshots.ts';
import { start } from './cases/start.ts';
import type { Case, Options } from './support/case.ts';
import { machineFacts } from './support/facts.ts';
import { writeHealingTable } from './support/healing-table.ts';
import { resultOf, writeResult, writeTable } from './support/report.ts';
import { writeScaleTable } from './support/scale-table.ts';
import { Scope } from './support/scope.ts';

const CASES: readonly Case[] = [
  start,
  ...hostPathCases,
  emptyDirs,
  snapshots,
  snapshotTrees,
  ...backups,
  backupObjects,
  lifecycle,
  mountLatencies,
  s3Throughput,
  s3Many,
  healing,
  api,
  cli,
  openclaw,
  scale,
];
const INSIDE = 'CLAWSTORE_BENCH_NAMESPACE';

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      'idle-minutes': { type: 'string', default: '1' },
      full: { type: 'boolean', default: false },
      nodes: { type: 'string' },
      'volumes-per-node': { type: 'string' },
      table: { type: 'boolean', default: false },
    },
  });
  if (values.table) {
    writeTable();
    writeHealingTable();
    writeScaleTable();
    return 0;
  }
  const unknown = positionals.filter((name) => !CASES.some((one) => one.name === name));
  if (unknown.length > 0) {
    console.error(`bench: no case ${unknown.join(', ')}; there are ${CASES.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  if (process.env[INSIDE] !== '1') return inOwnNamespace();
  const options: Options = {
    rounds: Number(values.rounds),
    idleSeconds: Number(values['idle-minutes']) * 60,
    full: values.full,
    ...(values.nodes === undefined ? {} : { nodes: values.nodes.split(',').map(Number) }),
    ...(values['volumes-per-node'] === undefined ? {} : { volumesPerNode: Number(values['volumes-per-node']) }),
  };
  const chosen = CASES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  let failed = 0;
  for (const one of chosen) if (!(await runCase(one, options))) failed += 1;
  writeTable();
  writeHealingTable();
  writeScaleTable();
  return failed === 0 ? 0 : 1;
}

async function runCase(one: Case, options: Options): Promise<boolean> {
  const parent = join(tmpdir(), 'clawstore-bench');
  mkdirSync(parent, { recursive: true });
  const scope = new Scope(parent, one.name);
  const facts = machineFacts(scope.directory);
  const progress = (text: string): void => console.log(`${one.name}: ${text}`);
  try {
    for (const measurement of await one.run({ scope, options, progress })) {
      const result = resultOf(measurement, facts);
      writeResult(result);
      const goal =
        measurement.goal === undefined
          ? ''
          : ` (goal ${measurement.goal.text}: ${result.met === true ? 'met' : 'missed'})`;
      const ratio = result.ratio === undefined ? '' : `, ${result.ratio.toFixed(2)} × the other side`;
      progress(`${measurement.title}: ${result.value.toFixed(1)} ${measurement.unit}${ratio}${goal}`);
    }
    return true;
  } catch (thrown) {
    console.error(`${one.name}: failed:`, thrown);
    return false;
  } finally {
    await scope.end().catch((error: unknown) => console.error(`${one.name}: cleaning up:`, error));
  }
}

/** Mounts of the cases are seen by nobody else, and go with this process if all else fails. */
function inOwnNamespace(): number {
  // Certificates that a machine has for a proxy of its own: every Node would read all of them at its start.
  const { NODE_EXTRA_CA_CERTS: _certificates, ...env } = process.env;
  const { status } = spawnSync(
    'unshare',
    ['--mount', '--propagation', 'private', process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    { stdio: 'inherit', env: { ...env, [INSIDE]: '1' } },
  );
  return status ?? 1;
}

process.exitCode = await main();
