/** How far long work is, as one line that is written over while it goes on. For terminals only. */
import type { BackupProgress } from '../api/backup.ts';

const BAR_WIDTH = 24;
/** Clears the line and goes to its beginning. */
const CLEAR = '\r\u001b[K';

/** Returns a function that shows how far it is; `undefined` takes the line away. */
export function progressLine(
  out: Pick<NodeJS.WriteStream, 'write'> & { readonly columns?: number },
): (name: string, progress: BackupProgress | undefined) => void {
  let shown = '';
  return (name, progress) => {
    const text = progress === undefined ? '' : lineOf(name, progress);
    if (text === shown) return;
    // A line that is wider than the terminal would not be written over.
    const fitting = text.slice(0, Math.max(1, (out.columns ?? 80) - 1));
    out.write(`${CLEAR}${fitting}`);
    shown = text;
  };
}

/** E.g. `backup-1 [#####-----] 50 %  1.2 GiB of 2.4 GiB, 120 of 240 files, 80.0 MiB/s, 15 s left`. */
export function lineOf(name: string, progress: BackupProgress): string {
  const { bytesDone, bytesTotal, filesDone, filesTotal, bytesPerSecond } = progress;
  const share = bytesTotal === 0 ? 0 : Math.min(1, bytesDone / bytesTotal);
  const full = Math.floor(share * BAR_WIDTH);
  const bar = `${'#'.repeat(full)}${'-'.repeat(BAR_WIDTH - full)}`;
  const left = Math.max(0, bytesTotal - bytesDone);
  const parts = [
    `${bytesOf(bytesDone)} of ${bytesOf(bytesTotal)}`,
    `${filesDone} of ${filesTotal} files`,
    ...(bytesPerSecond > 0 ? [`${bytesOf(bytesPerSecond)}/s`] : []),
    ...(bytesPerSecond > 0 && left > 0 ? [`${timeOf(left / bytesPerSecond)} left`] : []),
  ];
  return `${name} [${bar}] ${Math.floor(share * 100)} %  ${parts.join(', ')}`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** E.g. `1.5 GiB`. */
export function bytesOf(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

function timeOf(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
