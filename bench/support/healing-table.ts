/** The measured times of docs/self-healing.md, made from the results of the case `healing`. */
import { join } from 'node:path';
import { readResults, writeBetweenMarks } from './report.ts';
import { median, quantile } from './stats.ts';

const DOCUMENT = join(import.meta.dirname, '../../docs/self-healing.md');
const PREFIX = 'healing-';

export function writeHealingTable(): void {
  const rows = readResults()
    .filter(({ measurement }) => measurement.name.startsWith(PREFIX))
    .toSorted(({ measurement: a }, { measurement: b }) => median(a.ours) - median(b.ours))
    .map(({ measurement: { title, ours, other }, facts }) =>
      [
        title,
        inWords(median(ours)),
        inWords(quantile(ours, 0.99)),
        other === undefined ? '' : `${inWords(median(other.samples))}: ${other.title}`,
        String(ours.length),
        `${facts.calibration.wallMs.toFixed(0)} ms`,
      ].join(' | '),
    );
  const head = ['what was done, and until when', 'p50', 'p99', 'by hand', 'samples', 'calibration'].join(' | ');
  const table = [head, '---|---|---|---|---|---', ...rows].map((row) =>
    row.startsWith('-') ? `|${row}|` : `| ${row} |`,
  );
  writeBetweenMarks(DOCUMENT, table.join('\n'));
}

function inWords(ms: number): string {
  return ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
