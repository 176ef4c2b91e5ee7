/**
 * Looks over a whole tree: how much is in it, and a fingerprint that tells whether anything was written since.
 *
 * The kernel sets an inode's change time (ctime) at every write, and nobody can set it back; so equal fingerprints over
 * type, mode, owner, size, links, inode number, both times and path mean that nothing happened in between, but for writes
 * within one tick of the clock (see `settle` in `copy.ts`) and writes through mappings that were dirty already (see there).
 */
import { createHash } from 'node:crypto';
import { failureOf, onlyVanished } from './complaints.ts';
import type { TreeChanges } from './operations.ts';
import { runOnTree } from './process.ts';

/** Type, mode, owner, links, inode, size | blocks of 512 bytes | ctime | mtime and path. */
const FORMAT = '%y %m %U %G %n %i %s|%b|%C@|%T@ %P\\0';
const BLOCK = 512;
const EXAMPLES = 5;
const SHOWN_LENGTH = 200;

export interface Scan {
  readonly digest: string;
  readonly entries: number;
  readonly bytes: bigint;
  /** The latest change time of all, seconds and fraction as text. */
  readonly newest: string;
  /** Entries that changed after the moment that was given. */
  readonly changes: TreeChanges;
}

export interface ScanOptions {
  readonly directory: number;
  readonly exclude: string | undefined;
  /** Entries that changed later are counted as changes; undefined = none. */
  readonly since?: { readonly time: string; readonly inclusive: boolean };
  /** Names that are kept of them; 5 unless said. */
  readonly most?: number;
  readonly signal: AbortSignal;
}

/** @throws NodeError `CommandFailed` naming what could not be read. */
export async function scanTree({ directory, exclude, since, most = EXAMPLES, signal }: ScanOptions): Promise<Scan> {
  const prune = exclude === undefined ? [] : ['-path', `./${exclude}`, '-prune', '-o'];
  const tally = new Tally(since, most);
  const { status, complaints, complaintCount } = await runOnTree({
    argv: ['find', '.', '-ignore_readdir_race', '-xdev', ...prune, '-printf', FORMAT],
    directories: [directory],
    onOutput: (chunk) => tally.push(chunk),
    signal,
  });
  // What went away meanwhile is a change, not a failure.
  const isDone = status === 0 || onlyVanished(complaints, complaintCount);
  const scan = tally.result();
  // The top is always among them.
  if (isDone && scan.entries > 0) return scan;
  throw failureOf('find', 'cannot be read', complaints, complaintCount);
}

/** Says whether one time as find(1) prints it is later than another: seconds, a dot, a fraction of fixed length. */
export function isLater(a: string, b: string): boolean {
  const [left, right] = [a.indexOf('.'), b.indexOf('.')];
  return left === right ? a > b : left > right;
}

class Tally {
  readonly #hash = createHash('sha256');
  readonly #since: ScanOptions['since'];
  readonly #most: number;
  readonly #examples: string[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #entries = 0;
  #bytes = 0;
  #newest = '0.';
  #changed = 0;

  constructor(since: ScanOptions['since'], most: number) {
    this.#since = since;
    this.#most = most;
  }

  push(chunk: Buffer): void {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const end = data.lastIndexOf(0);
    this.#rest = Buffer.from(data.subarray(end + 1));
    // Byte for byte: a name need not be UTF-8.
    if (end >= 0) for (const record of data.toString('latin1', 0, end).split('\0')) this.#add(record);
  }

  result(): Scan {
    return {
      digest: this.#hash.digest('hex'),
      entries: this.#entries,
      bytes: BigInt(Math.round(this.#bytes)),
      newest: this.#newest,
      changes: { count: this.#changed, examples: this.#examples },
    };
  }

  #add(record: string): void {
    // A path may have such a bar too; the first three are ours.
    const [identity = '', blocks = '', ctime = ''] = record.split('|', 3);
    const rest = record.slice(identity.length + blocks.length + ctime.length + 3);
    // Not the blocks: they change when data that was written before is put on disk.
    this.#hash.update(`${identity}|${ctime}|${rest}\0`, 'latin1');
    this.#entries += 1;
    if (record.startsWith('f')) this.#count(identity, blocks);
    if (isLater(ctime, this.#newest)) this.#newest = ctime;
    if (this.#since === undefined) return;
    const { time, inclusive } = this.#since;
    if (isLater(ctime, time) || (inclusive && ctime === time)) this.#noteChange(rest);
  }

  /** A file with several names counts once, or by its share where names lie outside of the tree. */
  #count(identity: string, blocks: string): void {
    const fields = identity.split(' ');
    const [links, size] = [Number(fields[4]), Number(fields[6])];
    this.#bytes += Math.min(size, Number(blocks) * BLOCK) / Math.max(1, links);
  }

  #noteChange(rest: string): void {
    this.#changed += 1;
    if (this.#examples.length >= this.#most) return;
    const path = Buffer.from(rest.slice(rest.indexOf(' ') + 1), 'latin1').toString('utf8');
    const shown = path.length > SHOWN_LENGTH ? `${path.slice(0, SHOWN_LENGTH)}…` : path;
    this.#examples.push(JSON.stringify(shown === '' ? '.' : shown));
  }
}

/** What differs between a scan and a later one that was told the time of the first. */
export function changesBetween(before: Pick<Scan, 'digest'>, after: Scan): TreeChanges {
  if (after.changes.count > 0) return after.changes;
  // Something differs and has no later time: say so without a name.
  return before.digest === after.digest ? after.changes : { count: 1, examples: [] };
}
