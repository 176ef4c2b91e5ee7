/** The table of docs/scale.md: what was measured at each size, and what follows for a cluster ten times as large. */
import { join } from 'node:path';
import type { Step } from '../cases/scale.ts';
import { readResults, writeBetweenMarks } from './report.ts';
import type { Difference } from './scale.ts';

const SCALE = join(import.meta.dirname, '../../docs/scale.md');
/** The cluster that is worked out. */
const LARGE = { nodes: 1000, volumes: 100_000, volumesBefore: 100_000 } as const;

/** One line of the table. */
interface Line {
  readonly title: string | ((steps: readonly Step[]) => string);
  readonly unit: string;
  readonly of: (step: Step) => number;
  /** What it grows with, in a straight line; `nothing`: the last size stands for all. */
  readonly with: 'nodes' | 'volumes' | 'volumesBefore' | 'nothing';
  /** The least size from which a line may be drawn on: below it what is always there hides the rest. */
  readonly least?: number;
}

const percent = ({ seconds }: Difference, cpuSeconds: number): number => (100 * cpuSeconds) / seconds;
const perObject = (cpuSeconds: number, count: number): number => (1000 * cpuSeconds) / count;

const LINES: readonly Line[] = [
  {
    title: 'at rest: requests at the API server',
    unit: '/s',
    of: ({ idle }) => idle.requestCount / idle.seconds,
    with: 'nodes',
  },
  {
    title: 'at rest: watch events that the API server sends, to all',
    unit: '/s',
    of: ({ idle }) => idle.watchEvents / idle.seconds,
    with: 'nodes',
  },
  {
    title: 'at rest: watch events to one agent',
    unit: '/min',
    of: ({ idle }) => (60 * idle.perAgent.events) / idle.seconds,
    with: 'nothing',
  },
  {
    title: 'at rest: controller, of a core',
    unit: '%',
    of: ({ idle }) => percent(idle, idle.cpu.controller),
    with: 'nodes',
  },
  {
    title: 'at rest: kube-apiserver, of a core',
    unit: '%',
    of: ({ idle }) => percent(idle, idle.cpu.apiserver),
    with: 'nodes',
  },
  {
    title: 'memory of the controller',
    unit: 'MiB',
    of: ({ memory }) => memory.controller,
    with: 'volumes',
    least: 5000,
  },
  {
    title: 'memory of kube-apiserver',
    unit: 'MiB',
    of: ({ memory }) => memory.apiserver,
    with: 'volumes',
    least: 5000,
  },
  {
    title: 'a volume with a mount: requests',
    unit: '',
    of: ({ pairs, pairCount }) => pairs.requestCount / pairCount,
    with: 'nothing',
  },
  {
    title: 'a volume with a mount: watch events to its agent',
    unit: '',
    of: ({ pairs, pairCount, nodes }) => (pairs.perAgent.events * nodes) / pairCount,
    with: 'nothing',
  },
  {
    title: 'a volume with a mount: bytes of those',
    unit: 'KiB',
    of: ({ pairs, pairCount, nodes }) => (pairs.perAgent.bytes * nodes) / pairCount / 1024,
    with: 'nothing',
  },
  {
    title: 'a volume with a mount: controller',
    unit: 'ms of a core',
    of: ({ pairs, pairCount }) => perObject(pairs.cpu.controller, pairCount),
    with: 'nodes',
  },
  {
    title: 'a volume with a mount: kube-apiserver',
    unit: 'ms of a core',
    of: ({ pairs, pairCount }) => perObject(pairs.cpu.apiserver, pairCount),
    with: 'nodes',
  },
  {
    title: (steps) => `${steps.at(-1)?.placeCount ?? 0} volumes without a wish: until all have a node`,
    unit: 's',
    of: ({ placedMs }) => placedMs / 1000,
    with: 'nodes',
  },
  {
    title: 'a volume without a wish is placed: controller',
    unit: 'ms of a core',
    of: ({ place, placeCount }) => perObject(place.cpu.controller, placeCount),
    with: 'nodes',
  },
  {
    title: 'an agent starts among the volumes of the size before: kube-apiserver',
    unit: 'ms of a core',
    of: ({ start, started }) => perObject(start.cpu.apiserver, started),
    with: 'volumesBefore',
  },
  {
    title: 'a volume that all nodes mount: watch events to each agent',
    unit: '',
    of: ({ shared }) => shared.perAgent.events,
    with: 'nodes',
  },
];

/** A straight line through the points by least squares: its value at 0, and per unit. */
export function fit(points: readonly (readonly [x: number, y: number])[]): {
  readonly base: number;
  readonly slope: number;
} {
  const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;
  const [x, y] = [mean(points.map(([one]) => one)), mean(points.map(([, one]) => one))];
  const spread = points.reduce((sum, [one]) => sum + (one - x) ** 2, 0);
  const slope = spread === 0 ? 0 : points.reduce((sum, [a, b]) => sum + (a - x) * (b - y), 0) / spread;
  return { base: y - slope * x, slope };
}

/** Puts the table between the marks of the document: of the full sizes where they were run, else of the small ones. */
export function writeScaleTable(): void {
  const named = new Map(readResults().map((one) => [one.measurement.name, one]));
  const result = named.get('scale-place') ?? named.get('scale-small-place');
  const steps = result?.measurement.notes?.['steps'] as readonly Step[] | undefined;
  if (result === undefined || steps === undefined) return;
  const { facts } = result;
  const rows = scaleRows(steps);
  const sizes = steps.map(({ nodes, volumes }) => `${nodes} nodes, ${volumes} volumes`);
  const large = `${LARGE.nodes} nodes, ${LARGE.volumes} volumes`;
  const text = [
    `Measured on ${facts.date}: ${facts.cores} cores (${facts.cpu}), ${facts.memoryGiB} GiB, Linux ${facts.kernel}, Node ${facts.node}, everything on this one`,
    `machine, which others used too (load ${facts.loadAtStart}; calibration ${facts.calibration.wallMs.toFixed(0)} ms, 260 ms when idle).`,
    '',
    `| what | ${sizes.join(' | ')} | per unit more | expected: ${large} |`,
    `|---|${steps.map(() => '---|').join('')}---|---|`,
    ...rows,
  ].join('\n');
  writeBetweenMarks(SCALE, text);
}

/** The lines of the table, from what was measured at each size. */
export function scaleRows(steps: readonly Step[]): readonly string[] {
  return LINES.map((line) => rowOf(line, steps));
}

function rowOf({ title: named, unit, of, with: grows, least = 0 }: Line, steps: readonly Step[]): string {
  const title = typeof named === 'string' ? named : named(steps);
  const values = steps.map(of);
  const said = (value: number): string => `${rounded(value)}${unit === '' ? '' : ` ${unit}`}`;
  if (grows === 'nothing') {
    return `| ${title} | ${values.map(said).join(' | ')} | – | ${said(values.at(-1) ?? 0)} |`;
  }
  const { base, slope } = fit(steps.map((step, index) => [step[grows], values[index] ?? 0]));
  const head = `| ${title} | ${values.map(said).join(' | ')} |`;
  const last = steps.at(-1)?.[grows] ?? 0;
  if (last < least) return `${head} – | too small to say |`;
  // Shared work is cheaper the more there is of it, and noise has no direction.
  if (slope <= 0) return `${head} none seen | ${said(values.at(-1) ?? 0)} |`;
  const per = grows === 'nodes' ? 'node' : '1,000 volumes';
  const step = grows === 'nodes' ? slope : slope * 1000;
  return `${head} ${said(step)} per ${per} | ${said(base + slope * LARGE[grows])} |`;
}

function rounded(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 4);
}
