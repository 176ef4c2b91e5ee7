/**
 * Looks over a whole tree: how much is in it, and a fingerprint that tells whether anything was written since.
 *
 * The kernel sets an inode's change time (ctime) at every write, and nobody can set it back; so equal fingerprints over
 * type, mode, owner, size, links, inode number, both times and path mean that nothing happened in between, but for writes
 * within one tick of the clock (see `settle` in `copy.ts`) and writes through mappings that were dirty already (see there).
 */
import { failureOf, onlyVanished } from './complaints.ts';
import type { TreeChanges, TreeContent } from './operations.ts';
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
  /** Its regular files by all of their names, and how large they are. */
  readonly content: TreeContent;
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
  /** Loaded with the first scan: most helpers end without one. */
  readonly #hash = process.getBuiltinModule('node:crypto').createHash('sha256');
  readonly #since: ScanOptions['since'];
  readonly #most: number;
  readonly #examples: string[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #entries = 0;
  #bytes = 0;
  #files = 0;
  #size = 0;
  #newest = '0.';
  #changed = 0;

  constructor(since: ScanOptions['since'], most: number) {
    this.#since = since;
    this.#most = most;
  }

  push(chunk: Buffer): void {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const end = data.lastIndexOf(0) + 1;
    this.#rest = Buffer.from(data.subarray(end));
    // Byte for byte: a name need not be UTF-8.
    const text = data.toString('latin1', 0, end);
    let hashed = '';
    for (let at = 0; at < end; at = text.indexOf('\0', at) + 1) hashed += this.#add(text, at);
    this.#hash.update(hashed, 'latin1');
  }

  result(): Scan {
    return {
      digest: this.#hash.digest('hex'),
      entries: this.#entries,
      bytes: BigInt(Math.round(this.#bytes)),
      content: { files: this.#files, bytes: BigInt(this.#size) },
      newest: this.#newest,
      changes: { count: this.#changed, examples: this.#examples },
    };
  }

  /** Takes the record that begins at `at`. Cut with care: there may be millions. @returns what is hashed of it. */
  #add(text: string, at: number): string {
    const [identityEnd, blocksEnd] = [text.indexOf('|', at), text.indexOf('|', text.indexOf('|', at) + 1)];
    const ctimeEnd = text.indexOf('|', blocksEnd + 1);
    const end = text.indexOf('\0', ctimeEnd);
    const ctime = text.slice(blocksEnd + 1, ctimeEnd);
    this.#entries += 1;
    if (text.charAt(at) === 'f') this.#count(text.slice(at, identityEnd), text.slice(identityEnd + 1, blocksEnd));
    if (isLater(ctime, this.#newest)) this.#newest = ctime;
    if (this.#since !== undefined) {
      const { time, inclusive } = this.#since;
      if (isLater(ctime, time) || (inclusive && ctime === time)) this.#noteChange(text.slice(ctimeEnd + 1, end));
    }
    // Not the blocks: they change when data that was written before is put on disk.
    return text.slice(at, identityEnd) + text.slice(blocksEnd, end + 1);
  }

  /** A file with several names takes space once, or by its share where names lie outside of the tree. */
  #count(identity: string, blocks: string): void {
    const sizeAt = identity.lastIndexOf(' ');
    const linksEnd = identity.lastIndexOf(' ', sizeAt - 1);
    const links = Number(identity.slice(identity.lastIndexOf(' ', linksEnd - 1) + 1, linksEnd));
    const size = Number(identity.slice(sizeAt + 1));
    this.#bytes += Math.min(size, Number(blocks) * BLOCK) / Math.max(1, links);
    this.#files += 1;
    this.#size += size;
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
