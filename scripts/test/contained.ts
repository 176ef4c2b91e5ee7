/**
 * Runs a suite inside namespaces that were made for it and looks afterwards for what it left behind: each look is a
 * test of its own in the result file. Started by the runner as the first child of the namespaces' init.
 *
 *   node scripts/test/contained.ts RESULTS COMMAND ARG…      (CLAWSTORE_RUN_ID and CLAWSTORE_RUN_DIR in the environment)
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { loopDevicesOf } from './loops.ts';
import { appendLine } from './results.ts';

/** Releases that follow an exit (loop devices, killed children) may take a moment; what stays longer is a leak. */
const SETTLE_MS = 5_000;
const POLL_MS = 50;
/** USER_HZ: the same on every Linux that we run on. */
const TICKS_PER_SECOND = 100;

const [results = '', command = '', ...args] = process.argv.slice(2);
const runID = process.env['CLAWSTORE_RUN_ID'] ?? '';
const runDir = process.env['CLAWSTORE_RUN_DIR'] ?? '';

/** Mount ID and mount point of everything mounted here (proc_pid_mountinfo(5), fields 1 and 5). */
function mounts(): ReadonlyMap<string, string> {
  const rows = readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n');
  return new Map(
    rows.map((row) => {
      const fields = row.split(' ');
      return [fields[0] ?? '', fields[4] ?? ''];
    }),
  );
}

function processes(): readonly string[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || name === '1' || Number(name) === process.pid) return [];
    try {
      const comm = readFileSync(`/proc/${name}/comm`, 'utf8').trim();
      return [`${name} ${comm} ${readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()}`];
    } catch {
      return []; // ended meanwhile
    }
  });
}

/** What this process, the namespaces' init and all that they have reaped took, as proc_pid_stat(5) has it: fields 14 to 17. */
function cpuSeconds(): number {
  const ticks = ['self', '1'].flatMap((pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15)
      .map(Number);
  });
  return ticks.reduce((sum, count) => sum + count, 0) / TICKS_PER_SECOND;
}

function files(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((path) => path !== 'tmp');
}

async function look(title: string, left: () => readonly string[]): Promise<boolean> {
  const start = Date.now();
  let what = left();
  while (what.length > 0 && Date.now() < settled) {
    await delay(POLL_MS);
    what = left();
  }
  if (what.length === 0) {
    appendLine(results, { type: 'pass', title, ms: Date.now() - start });
    console.log(`  ✔ ${title}`);
    return true;
  }
  const shown = what.slice(0, 20).join('\n    ');
  appendLine(results, { type: 'fail', title, error: `${what.length} left:\n    ${shown}` });
  console.log(`  ✘ ${title}: ${what.length} left:\n    ${shown}`);
  return false;
}

const before = mounts();
const child = spawn(command, args, { stdio: 'inherit' });
const code = await new Promise<number>((resolve) => {
  child.once('error', (error) => {
    console.error(error.message);
    resolve(127);
  });
  child.once('exit', (status, signal) => resolve(status ?? (signal === null ? 1 : 128)));
});
console.log('  left behind');
const settled = Date.now() + SETTLE_MS;
const clean = [
  await look('leaves no process behind', processes),
  await look('leaves no mount behind', () => [...mounts()].filter(([id]) => !before.has(id)).map(([, at]) => at)),
  await look('leaves no loop device behind', () =>
    loopDevicesOf(runID).map(({ name, backing }) => `${name} ${backing}`),
  ),
  await look('leaves no file behind', () => files(runDir)),
];
appendLine(results, { type: 'end', part: 'leaks', cpuSeconds: cpuSeconds() });
process.exit(code !== 0 ? code : clean.every(Boolean) ? 0 : 1);
