/** The machine, as far as it matters and without names. */
import { readFileSync } from 'node:fs';
import { availableParallelism, release, totalmem } from 'node:os';
import { isAtOrBelow, parseMountinfo } from '../../src/node/mount-entry.ts';

export interface Facts {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  /** Of the directory that the cases work in. */
  readonly filesystem: string;
  /** Load average of the last minute when the case began: above 0, others used the machine too. */
  readonly loadAtStart: number;
  /** A fixed piece of work right before the case: what it took, and what of that a core was given. */
  readonly calibration: { readonly wallMs: number; readonly cpuMs: number };
  readonly date: string;
}

export function machineFacts(directory: string): Facts {
  return {
    cores: availableParallelism(),
    cpu: /^model name\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: /^\d+\.\d+/.exec(release())?.[0] ?? '',
    node: process.version,
    filesystem: filesystemOf(directory),
    loadAtStart: Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]),
    calibration: calibrate(),
    date: new Date().toISOString().slice(0, 10),
  };
}

/** 200,000 times parsing 2 KB of JSON: 260 ms on an idle machine of the kind that the goals are stated for. */
function calibrate(): Facts['calibration'] {
  const text = JSON.stringify({ a: [1, 2, 3], b: 'x'.repeat(2000), c: { d: 1 } });
  const [start, before] = [performance.now(), process.cpuUsage()];
  for (let turn = 0; turn < 200_000; turn++) JSON.parse(text);
  const { user, system } = process.cpuUsage(before);
  return { wallMs: performance.now() - start, cpuMs: (user + system) / 1000 };
}

function filesystemOf(directory: string): string {
  const table = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
  const holding = table.filter(({ target }) => isAtOrBelow(directory, target));
  return holding.sort((a, b) => a.target.length - b.target.length).at(-1)?.fsType ?? 'unknown';
}
