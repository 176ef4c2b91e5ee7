/** Memory of processes and of all that they have started, split by whether it is the engine of backups. */
import { readdirSync, readFileSync } from 'node:fs';

const LOOK_MS = 200;
const MIB = 2 ** 20;

/** Proportional set sizes in MiB. */
export interface Memory {
  readonly engine: number;
  readonly others: number;
}

export function memoryOf(pids: readonly number[]): Memory {
  let [engine, others] = [0, 0];
  for (const pid of withDescendants(pids)) {
    try {
      const pss = Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) * 1024;
      if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'restic') engine += pss / MIB;
      else others += pss / MIB;
    } catch {
      // It has ended.
    }
  }
  return { engine, others };
}

/** Looks again and again while `work` goes on. @returns the most of each. */
export async function peakDuring(pids: () => readonly number[], work: () => Promise<unknown>): Promise<Memory> {
  let peak: Memory = { engine: 0, others: 0 };
  const look = (): void => {
    const { engine, others } = memoryOf(pids());
    peak = { engine: Math.max(peak.engine, engine), others: Math.max(peak.others, others) };
  };
  const timer = setInterval(look, LOOK_MS);
  try {
    await work();
    return peak;
  } finally {
    clearInterval(timer);
  }
}

function withDescendants(pids: readonly number[]): ReadonlySet<number> {
  const parents = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // proc_pid_stat(5): the name may have spaces and brackets in it.
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      parents.set(parent, [...(parents.get(parent) ?? []), Number(name)]);
    } catch {
      // It has ended.
    }
  }
  const all = new Set<number>();
  const add = (pid: number): void => {
    if (all.has(pid)) return;
    all.add(pid);
    for (const child of parents.get(pid) ?? []) add(child);
  };
  for (const pid of pids) add(pid);
  return all;
}
