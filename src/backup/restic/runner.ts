/** Runs restic, or a program on a repository that is a directory, and watches that something moves. */
import { ENGINE_ROOT, ENGINE_TIDY_MS, type EnginePlace } from '../../node/backups/operations.ts';
import { NO_DEADLINE_MS, type NodeLayer, type OutputStream } from '../../node/layer.ts';
import type { TreeSource } from '../../node/trees/operations.ts';
import { BackupError } from '../backup-error.ts';
import type { RepositoryAccess } from '../engine.ts';
import { failureOf, withoutSecrets } from './failures.ts';
import { type Invocation, invocationOf } from './invocation.ts';

const STALL_MS = 300_000;
/** Milliseconds for a list of names; a disk that was asleep takes some of them. */
const NAMES_MS = 60_000;
const LOOK_MS = 1_000;
/** Last complaints that are kept for the message of an error. */
const COMPLAINTS = 8;
/** Longest line: restic writes a whole list of snapshots in one. */
const LINE_BYTES = 256 * 1024 * 1024;
/** Commands that tell how far they are. Of the others it is taken for movement that they read or write. */
const TALKATIVE = ['backup', 'restore', 'prune', 'check'];
/** As much is read and written in that case before it counts: trying again takes less. */
const STEP_BYTES = 65_536n;
/** Said while it tries again: that something is wrong, not that something moves. */
const RETRY = /retrying after|Load\(.*\) failed|returned error/;

export interface Run {
  /** restic's command and its arguments, or another program with its own. */
  readonly args: readonly string[];
  readonly program?: 'restic' | 'find' | 'du' | 'rm';
  readonly places?: readonly EnginePlace[];
  readonly cwd?: string;
  /** Makes the directory of the repository where it is missing. */
  readonly make?: boolean;
  /** Gets each line of its output as it comes, and of its complaints. What it returns is waited for. */
  readonly onLine?: (line: string, stream: OutputStream) => void | Promise<void>;
  /** Gets its output as it comes, in place of lines. */
  readonly onBytes?: (chunk: Uint8Array) => void;
  /** Besides what every call has. */
  readonly env?: Readonly<Record<string, string>>;
  /** Told how much it has written, which then counts as movement. */
  readonly onWritten?: (bytes: bigint) => void;
}

export interface Ran {
  readonly status: number;
  /** The last complaints, without secrets. */
  readonly words: string;
}

export class ResticRunner {
  readonly #node: Pick<NodeLayer, 'call'>;
  readonly #program: string;

  constructor(node: Pick<NodeLayer, 'call'>, program: string) {
    this.#node = node;
    this.#program = program;
  }

  /** Resolves with what it says of its version. */
  async version(signal: AbortSignal): Promise<string> {
    let said = '';
    await this.#node.call(
      'runEngine',
      { argv: [this.#program, 'version'], env: {}, cwd: ENGINE_ROOT, places: [] },
      {
        signal,
        deadlineMs: 60_000,
        tidyMs: ENGINE_TIDY_MS,
        onOutput: (_, chunk) => {
          said += Buffer.from(chunk).toString('latin1');
        },
      },
    );
    return said;
  }

  /** Names of the files of a repository that is a directory; see `fileNames` of the node layer. */
  async fileNames(source: TreeSource, folders: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    try {
      return await this.#node.call('fileNames', { source, folders }, { signal, deadlineMs: NAMES_MS });
    } catch (thrown) {
      throw signal.aborted ? calledOff(signal, thrown) : BackupError.from(thrown);
    }
  }

  /** Runs it and rejects unless it ends with 0. */
  async succeed(access: RepositoryAccess, run: Run, signal: AbortSignal): Promise<void> {
    const { status, words } = await this.run(access, run, signal);
    if (status !== 0) throw failureOf(status, words);
  }

  /** The whole of its output. @param maxBytes More is `TooLarge`. */
  async output(access: RepositoryAccess, run: Run, signal: AbortSignal, maxBytes = LINE_BYTES): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    const tooMuch = new AbortController();
    let length = 0;
    const onBytes = (chunk: Uint8Array): void => {
      length += chunk.length;
      if (length <= maxBytes) chunks.push(chunk);
      else tooMuch.abort();
    };
    try {
      await this.succeed(access, { ...run, onBytes }, AbortSignal.any([signal, tooMuch.signal]));
    } catch (thrown) {
      if (length <= maxBytes || signal.aborted) throw thrown;
    }
    if (length > maxBytes) throw new BackupError('TooLarge', `it has more than ${maxBytes} bytes`);
    return Buffer.concat(chunks);
  }

  /** Resolves with the exit status, whatever it is. */
  async run(access: RepositoryAccess, run: Run, signal: AbortSignal): Promise<Ran> {
    const invocation = invocationOf(access, run.make);
    const complaints = new Complaints(invocation.secrets);
    const watch = new Watch(access.limits?.stallMs ?? STALL_MS, () => complaints.text);
    const lines = { stdout: new Lines(), stderr: new Lines() };
    const isQuiet = run.program !== undefined || !TALKATIVE.includes(run.args[0] ?? '');
    const onLine = async (line: string, stream: OutputStream): Promise<void> => {
      const clean = stream === 'stderr' ? withoutSecrets(line, invocation.secrets) : line;
      if (stream === 'stderr') complaints.push(clean);
      watch.line(clean);
      await run.onLine?.(clean, stream);
    };
    try {
      const { status } = await this.#node.call('runEngine', this.#request(run, invocation), {
        signal: AbortSignal.any([signal, watch.signal]),
        deadlineMs: NO_DEADLINE_MS,
        tidyMs: ENGINE_TIDY_MS,
        onOutput: async (stream, chunk) => {
          if (stream === 'stdout' && run.onBytes !== undefined) {
            watch.moved();
            return run.onBytes(chunk);
          }
          for (const line of lines[stream].push(chunk)) await onLine(line, stream);
        },
        onProgress: ({ bytesDone, bytesRead = 0n }) => {
          if (isQuiet) watch.value((bytesDone + bytesRead) / STEP_BYTES);
          else if (run.onWritten !== undefined) watch.value(bytesDone);
          run.onWritten?.(bytesDone);
        },
      });
      for (const stream of ['stdout', 'stderr'] as const) {
        const rest = lines[stream].rest();
        if (rest !== '') await onLine(rest, stream);
      }
      return { status, words: complaints.text };
    } catch (thrown) {
      throw explain(thrown, signal, watch, invocation.secrets);
    } finally {
      watch.end();
    }
  }

  #request(run: Run, { places, env, args, hostname }: Invocation) {
    const { program = 'restic' } = run;
    const argv: [string, ...string[]] =
      program === 'restic' ? [this.#program, ...args, ...run.args] : [program, ...run.args];
    // Other programs have no use for secrets.
    const plain = { PATH: env['PATH'] ?? '', LC_ALL: 'C' };
    return {
      argv,
      env: program === 'restic' ? { ...env, ...run.env } : plain,
      cwd: run.cwd ?? ENGINE_ROOT,
      places: [...places, ...(run.places ?? [])],
      ...(hostname === undefined ? {} : { hostname }),
    };
  }
}

function calledOff({ reason }: AbortSignal, thrown: unknown): BackupError {
  const isLate = reason instanceof Error && reason.name === 'TimeoutError';
  return isLate
    ? new BackupError('DeadlineExceeded', 'it was not done in time', { cause: thrown })
    : new BackupError('Aborted', 'it was called off', { cause: thrown });
}

function explain(thrown: unknown, signal: AbortSignal, watch: Watch, secrets: readonly string[]): BackupError {
  if (signal.aborted) return calledOff(signal, thrown);
  if (watch.signal.aborted) {
    const why = watch.words === '' ? '' : `: ${failureOf(1, watch.words).message}`;
    return new BackupError('Stalled', `nothing moved for ${watch.stallMs / 1_000} s${why}`, { cause: thrown });
  }
  const error = BackupError.from(thrown);
  const clean = withoutSecrets(error.message, secrets);
  return clean === error.message ? error : new BackupError(error.code, clean, { retryable: error.retryable });
}

/** Fires its signal when nothing moves. */
class Watch {
  readonly stallMs: number;
  readonly #stalled = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #movedAt = performance.now();
  /** What it complained of until then; what it says when it is ended explains nothing. */
  words = '';
  #last: string | bigint = '';

  constructor(stallMs: number, words: () => string) {
    this.stallMs = stallMs;
    this.#timer = setInterval(
      () => {
        if (this.signal.aborted || performance.now() - this.#movedAt < stallMs) return;
        this.words = words();
        this.#stalled.abort();
      },
      Math.min(LOOK_MS, stallMs),
    );
  }

  get signal(): AbortSignal {
    return this.#stalled.signal;
  }

  moved(): void {
    this.#movedAt = performance.now();
  }

  /** A line is movement when it says something else than the one before, clocks aside. */
  line(line: string): void {
    if (RETRY.test(line)) return;
    this.value(line.replaceAll(/"seconds_(?:elapsed|remaining)":\d+,?/g, '').replace(/^\[[\d:]+\]/, ''));
  }

  value(value: string | bigint): void {
    if (value === this.#last) return;
    this.#last = value;
    this.moved();
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

/** The last things that it complained about, without what is there only for machines. */
class Complaints {
  readonly #lines: string[] = [];
  readonly #secrets: readonly string[];

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
  }

  push(line: string): void {
    this.#lines.push(plain(line));
    if (this.#lines.length > COMPLAINTS) this.#lines.shift();
  }

  get text(): string {
    return withoutSecrets(this.#lines.join('\n').trim(), this.#secrets);
  }
}

/** The words of a line that may be JSON. */
function plain(line: string): string {
  if (!line.startsWith('{')) return line;
  try {
    const { message, error, item } = JSON.parse(line) as {
      readonly message?: string;
      readonly error?: { readonly message?: string };
      readonly item?: string;
    };
    return message ?? [item, error?.message].filter((part) => part !== undefined && part !== '').join(': ');
  } catch {
    return line;
  }
}

/** Bytes to lines. */
class Lines {
  #chunks: Uint8Array[] = [];
  #length = 0;

  push(chunk: Uint8Array): readonly string[] {
    const end = chunk.lastIndexOf(10);
    if (end < 0) {
      this.#keep(chunk);
      return [];
    }
    const text = Buffer.concat([...this.#chunks, chunk.subarray(0, end)]).toString('utf8');
    this.#chunks = [];
    this.#length = 0;
    this.#keep(chunk.subarray(end + 1));
    return text.split('\n').filter((line) => line.trim() !== '');
  }

  rest(): string {
    const text = Buffer.concat(this.#chunks).toString('utf8').trim();
    this.#chunks = [];
    return text;
  }

  #keep(chunk: Uint8Array): void {
    this.#length += chunk.length;
    if (this.#length > LINE_BYTES) throw new BackupError('EngineFailed', 'the engine says something without end');
    this.#chunks.push(Buffer.from(chunk));
  }
}
