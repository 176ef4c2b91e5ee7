/** The copy of a tree, by GNU cp: years of other people's care for links, holes and names are in it. */
import { chmodSync, chownSync, lstatSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { crashPoint } from '../crash-points.ts';
import type { HelperContext, RequestContext } from '../helper/context.ts';
import type { Fd } from '../helper/fd.ts';
import type { Libc } from '../helper/libc.ts';
import { removeTree } from '../helper/remove-tree.ts';
import { targetName } from '../helper/target.ts';
import { NodeError } from '../node-error.ts';
import { failureOf, onlyVanished } from './complaints.ts';
import { makeTree, openPlace, openPrivately, openSource } from './directories.ts';
import type { CopiedTree, CopyTree, TreeOperations } from './operations.ts';
import { bytesWritten, directoryPath, endWithParent, runOnTree, type TreeOutcome } from './process.ts';
import { changesBetween, type Scan, scanTree } from './scan.ts';

/**
 * Not `--preserve=all`, which says nothing when attributes cannot be kept. Where files cannot share blocks, cp copies
 * (within the server, on NFS 4.2, by copy_file_range(2); but files with holes, which cp of coreutils 9.1 reads and writes).
 */
const CP = [
  'cp',
  '-v',
  '-dR',
  '-x',
  '--preserve=mode,ownership,timestamps,links,xattr',
  '--sparse=auto',
  '--reflink=auto',
] as const;
/** Longest list of names that is handed to one program: execve(2) takes 2 MiB with 8 MiB of stack. */
const NAMES_BYTES = 1_900_000;
const PROGRESS_MS = 500;
/** The kernel's clock for files moves in ticks of up to 10 ms; writes in one tick cannot be told apart. */
const TICK_MS = 50;
/** How often it is waited for a tick to pass. */
const SETTLING = 3;
/** Longest that it is waited: the clock of a server may be ahead of ours. */
const SETTLING_MS = 1_000;
/** Left free in the destination's filesystem, for the names and for others. */
const ROOM = 16n * 1024n * 1024n;

export async function copyTree(context: HelperContext, request: CopyTree, call: RequestContext): Promise<CopiedTree> {
  using opened = openSource(context, request.source);
  using source = openPrivately(context, opened);
  await removeTree(context, request.destination, call);
  try {
    // Before the first scan: where the source holds the directory of ours, this is a change to the source.
    using target = makeTree(context, request.destination);
    crashPoint('tree.after-mkdir');
    return await copy(context, source, target, request, call);
  } catch (thrown) {
    // After an abort there may be no time for it; the next attempt, or the deletion, begins with it.
    if (!call.signal.aborted) await removeTree(context, request.destination, call);
    throw thrown;
  }
}

async function copy(
  context: HelperContext,
  source: Fd,
  target: Fd,
  request: CopyTree,
  { signal, onProgress }: RequestContext,
): Promise<CopiedTree> {
  const exclude = presentIn(source, request.exclude);
  const scan = (since?: { readonly time: string; readonly inclusive: boolean }): Promise<Scan> =>
    scanTree({ directory: source.number, exclude, signal, ...(since === undefined ? {} : { since }) });
  const startedAt = Date.now();
  const { before, settled } = await settle(scan, signal);
  const sharesBlocks = await probe(source, target, signal);
  if (!sharesBlocks) checkRoom(context.libc, target, before.bytes, targetName(request.destination));
  // After the scan: pages that a mapping dirtied before are clean now, so that the next write through it sets the time.
  await synchronise(source, signal);
  const watch = new Watch(before, sharesBlocks, onProgress);
  const outcome = await watch.during((hooks) => runCopy(source, target, { exclude, signal, ...hooks }));
  const vanished = onlyVanished(outcome.complaints, outcome.complaintCount);
  if (outcome.status !== 0 && !vanished) {
    throw failureOf('cp', 'could not be copied', outcome.complaints, outcome.complaintCount);
  }
  if (exclude !== undefined) {
    copyTop(context.libc, source, target);
    await copyTopTimes(source, target, signal);
  }
  crashPoint('tree.after-copy');
  const after = await scan({ time: before.newest, inclusive: !settled });
  await synchronise(target, signal);
  const { entries, bytes } = before;
  const seen = changesBetween(before, after);
  const changes = vanished && seen.count === 0 ? { count: outcome.complaintCount, examples: [] } : seen;
  return { entries, bytes, sharesBlocks, startedAt, changes };
}

/** The name, where the directory has it: without one, cp does the whole of the work. */
function presentIn(source: Fd, name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  return lstatSync(`${source.procPath}/${name}`, { throwIfNoEntry: false }) === undefined ? undefined : name;
}

/** Scans until the latest change is so old that a later one has a later time. `settled` is false when there is no rest. */
export async function settle(
  scan: () => Promise<Scan>,
  signal: AbortSignal,
): Promise<{ readonly before: Scan; readonly settled: boolean }> {
  for (let round = 1; ; round += 1) {
    const startedAt = Date.now();
    const before = await scan();
    const age = startedAt - Number(before.newest) * 1_000;
    if (age > TICK_MS) return { before, settled: true };
    if (round > SETTLING) return { before, settled: false };
    await sleep(Math.min(TICK_MS - age, SETTLING_MS), undefined, { signal });
  }
}

/** Whether files can share blocks: tried with the first file that has some, because kernels differ across mounts. */
async function probe(source: Fd, target: Fd, signal: AbortSignal): Promise<boolean> {
  const name = `.probe-${process.pid}`;
  const clone = [...endWithParent(), 'cp', '--reflink=always', '--', '{}', `${directoryPath(1)}/${name}`] as const;
  const [first, say] = [
    ['-type', 'f', '-size', '+0'],
    ['-printf', 'y', '-quit'],
  ] as const;
  let answer = '';
  try {
    await runOnTree({
      argv: ['find', '.', '-xdev', ...first, '(', '-execdir', ...clone, ';', ...say, '-o', '-quit', ')'],
      directories: [source.number, target.number],
      onOutput: (chunk) => {
        answer += chunk.toString('latin1');
      },
      signal,
    });
  } finally {
    rmSync(`${target.procPath}/${name}`, { force: true });
  }
  return answer === 'y';
}

/** See {@link TreeOperations}. */
export async function probeShare(
  context: HelperContext,
  { source, directory }: TreeOperations['probeShare']['params'],
  { signal }: RequestContext,
): Promise<TreeOperations['probeShare']['result']> {
  using opened = openSource(context, source);
  using tree = openPrivately(context, opened);
  let sharesBlocks = false;
  let sameFilesystem: boolean;
  {
    using target = makeTree(context, directory);
    sameFilesystem = context.libc.statx(target.number, '').dev === opened.located.stDev;
    sharesBlocks = await probe(tree, target, signal);
  }
  if (!sharesBlocks) {
    using place = openPlace(context, directory, { make: false });
    rmdirSync(`${place.parent.procPath}/${place.name}`);
  }
  return { sameFilesystem, sharesBlocks };
}

function checkRoom(libc: Libc, target: Fd, bytes: bigint, shownAs: string): void {
  const { blockSize, blocksAvailable } = libc.fstatfs(target.number);
  const free = blockSize * blocksAvailable;
  if (bytes + ROOM <= free) return;
  throw new NodeError('NoSpace', `the copy takes ${bytes} bytes, and ${free} are free at ${shownAs}`);
}

interface Hooks {
  readonly onStart: (pid: number) => void;
  readonly onOutput: (chunk: Buffer) => void;
}

function runCopy(
  source: Fd,
  target: Fd,
  {
    exclude,
    signal,
    onStart,
    onOutput,
  }: Hooks & { readonly exclude: string | undefined; readonly signal: AbortSignal },
): Promise<TreeOutcome> {
  const directories = [source.number, target.number] as const;
  const common = { directories, signal, onStart, onOutput };
  const to = directoryPath(1);
  if (exclude === undefined) {
    // The dot: a path that ends in the link itself would be its name, not the directory.
    return runOnTree({ argv: [...CP, '-T', '--', '.', `${to}/.`], ...common });
  }
  const names = namesBut(source, exclude);
  if (names.length > NAMES_BYTES) {
    throw new NodeError('Unsupported', 'there are more names at the top of the directory than cp takes at once');
  }
  // One run of cp for all names, because it keeps hard links within one run only.
  const xargs = ['xargs', '-0', '-r', '-x', '-n', '1000000', '-s', '2000000'] as const;
  const argv = [...xargs, ...endWithParent(), ...CP, '-t', `${to}/.`, '--'] as const;
  return runOnTree({ argv: [...argv], stdin: names, ...common });
}

/** The names at the top, each ended by NUL; without what lies on another device, which cp would enter when it is told to. */
function namesBut(source: Fd, exclude: string): Buffer {
  const { dev } = statSync(source.procPath, { bigint: true });
  const end = Buffer.alloc(1);
  const names = readdirSync(source.procPath, { encoding: 'buffer' }).filter((name) => {
    if (name.equals(Buffer.from(exclude))) return false;
    const path = Buffer.concat([Buffer.from(`${source.procPath}/`), name]);
    return lstatSync(path, { bigint: true, throwIfNoEntry: false })?.dev === dev;
  });
  return Buffer.concat(names.flatMap((name) => [Buffer.from('./'), name, end]));
}

/** Owner, permissions and extended attributes of the top directory itself. */
export function copyTop(libc: Libc, source: Fd, target: Fd): void {
  const { uid, gid, mode } = statSync(source.procPath);
  chownSync(target.procPath, uid, gid);
  chmodSync(target.procPath, mode & 0o7777);
  libc.removeAcls(target.procPath);
  libc.copyAttributes(source.procPath, target.procPath);
}

/** By touch(1), which keeps nanoseconds. */
async function copyTopTimes(source: Fd, target: Fd, signal: AbortSignal): Promise<void> {
  const { status, complaints, complaintCount } = await runOnTree({
    argv: ['touch', '-r', '.', '--', `${directoryPath(1)}/.`],
    directories: [source.number, target.number],
    signal,
  });
  if (status !== 0) throw failureOf('touch', 'could not be copied', complaints, complaintCount);
}

/** syncfs(2), in a process of its own, since it waits for the disk. */
export async function synchronise(directory: Fd, signal: AbortSignal): Promise<void> {
  const { status, complaints, complaintCount } = await runOnTree({
    argv: ['sync', '-f', '.'],
    directories: [directory.number],
    signal,
  });
  if (status !== 0) throw failureOf('sync', 'could not be written to disk', complaints, complaintCount);
}

/** Tells how far cp is: by the bytes it wrote, or, where it writes none, by the names it has said. */
class Watch {
  readonly #total: Scan;
  readonly #byNames: boolean;
  readonly #tell: RequestContext['onProgress'];
  #pid: number | undefined;
  #names = 0;

  constructor(total: Scan, byNames: boolean, tell: RequestContext['onProgress']) {
    this.#total = total;
    this.#byNames = byNames;
    this.#tell = tell;
  }

  async during(work: (hooks: Hooks) => Promise<TreeOutcome>): Promise<TreeOutcome> {
    const { bytes } = this.#total;
    this.#tell?.({ bytesDone: 0n, bytesTotal: bytes });
    const timer = setInterval(() => this.#look(), PROGRESS_MS);
    try {
      const outcome = await work({
        onStart: (pid) => {
          this.#pid = pid;
        },
        // A name with a newline is shown in quotes without one (coreutils, "Shell escape style").
        onOutput: (chunk) => {
          for (const byte of chunk) if (byte === 10) this.#names += 1;
        },
      });
      this.#tell?.({ bytesDone: bytes, bytesTotal: bytes });
      return outcome;
    } finally {
      clearInterval(timer);
    }
  }

  #look(): void {
    const { bytes, entries } = this.#total;
    const written = this.#byNames || this.#pid === undefined ? undefined : bytesWritten(this.#pid);
    const done = written ?? (bytes * BigInt(this.#names)) / BigInt(Math.max(1, entries));
    this.#tell?.({ bytesDone: done < bytes ? done : bytes, bytesTotal: bytes });
  }
}
