/** What a command waits for, in one line on a terminal that is written over, and is gone when it has answered. */
import { findCondition } from '../api/conditions.ts';
import type { Conditioned } from '../commands/wait.ts';
import { humanBytes, humanDuration } from './units.ts';

/** A terminal, or what stands for one. */
export type Terminal = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>;

/** What long work tells of itself, as far as it knows. Bytes, bytes per second, files. */
export interface Progress {
  readonly bytesDone?: number;
  readonly bytesTotal?: number;
  readonly filesDone?: number;
  readonly filesTotal?: number;
  readonly bytesPerSecond?: number;
}

/** Most waits are shorter, and a line that flickers tells nobody anything. */
const SHOWN_AFTER_MS = 300;
const TICK_MS = 1000;
const BAR_WIDTH = 24;
const DEFAULT_COLUMNS = 80;

export class ProgressLine {
  readonly #out: Terminal;
  readonly #start = performance.now();
  readonly #timers: NodeJS.Timeout[];
  #object: Conditioned | undefined;
  #isShown = false;

  constructor(out: Terminal) {
    this.#out = out;
    this.#timers = out.isTTY
      ? [setTimeout(() => this.#draw(), SHOWN_AFTER_MS), setInterval(() => this.#draw(), TICK_MS)]
      : [];
  }

  /** Shows what is known of the object that is waited for. */
  show(object: Conditioned | undefined): void {
    this.#object = object;
    if (this.#isShown) this.#draw();
  }

  /** Ends it, and leaves nothing behind. */
  end(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    if (this.#isShown) this.#out.write('\r\u001b[K');
    this.#isShown = false;
  }

  #draw(): void {
    if (this.#object === undefined) return;
    this.#isShown = true;
    const text = `${describeProgress(this.#object)} (${humanDuration(performance.now() - this.#start)})`;
    // A line that is wrapped could not be written over.
    this.#out.write(`\r\u001b[K${text.slice(0, (this.#out.columns ?? DEFAULT_COLUMNS) - 1)}`);
  }
}

/** In one line: a bar where the object tells its progress, else why it is not ready. */
export function describeProgress({ kind, metadata, status }: Conditioned): string {
  const subject = `${kind} ${metadata.name}`;
  const { progress } = (status ?? {}) as { readonly progress?: Progress };
  if (progress !== undefined) return `${subject}: ${bar(progress)}`;
  const conditions = status?.conditions;
  const why = findCondition(conditions, 'DeletionBlocked') ?? findCondition(conditions, 'Ready');
  return `${subject}: ${why === undefined ? 'nothing has acted on it yet' : `${why.reason}: ${oneLine(why.message)}`}`;
}

function bar({ bytesDone = 0, bytesTotal, filesDone, filesTotal, bytesPerSecond }: Progress): string {
  const parts: string[] = [];
  if (bytesTotal !== undefined && bytesTotal > 0) {
    const share = Math.min(1, bytesDone / bytesTotal);
    const filled = Math.floor(share * BAR_WIDTH);
    parts.push(
      `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${Math.floor(share * 100)} %, ${humanBytes(bytesDone)} of ${humanBytes(bytesTotal)}`,
    );
  } else parts.push(humanBytes(bytesDone));
  if (filesDone !== undefined)
    parts.push(filesTotal === undefined ? `${filesDone} files` : `${filesDone} of ${filesTotal} files`);
  if (bytesPerSecond !== undefined && bytesPerSecond > 0) parts.push(`${humanBytes(bytesPerSecond)}/s`);
  return parts.join(', ');
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
