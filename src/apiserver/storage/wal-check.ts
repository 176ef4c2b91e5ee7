/**
 * Whether SQLite can read all of a write-ahead log. It reads up to the first frame that is not whole and drops the rest
 * without a word, because that is what a power cut leaves: the one transaction that was being written. Where more than one
 * was committed behind that place, the log was damaged afterwards, and what is dropped was acknowledged.
 *
 * Source: https://sqlite.org/fileformat2.html#walformat
 */
import { existsSync, readFileSync } from 'node:fs';

/** What would be dropped. */
export interface LostCommits {
  /** Where the log stops to be readable, in bytes. */
  readonly at: number;
  /** How many transactions were committed behind that. */
  readonly commits: number;
}

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** The lowest bit says that checksums are of big-endian words. */
const MAGIC = 0x377f0682;
/** Of a database of ours, where the header does not say it. */
const PAGE_BYTES = 4096;
/** One is written at a time, and the next one not before it is on disk. */
const MOST_UNFINISHED = 1;

/**
 * Looks through the log of a database that nobody has open, before SQLite does: it writes the log anew.
 *
 * @param file The log, which may be absent.
 * @returns undefined when nothing that was acknowledged would be dropped. Of the last transaction alone nobody can tell
 * damage from a power cut.
 */
export function lostCommits(file: string): LostCommits | undefined {
  if (!existsSync(file)) return undefined;
  const content = readFileSync(file);
  const log = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const header = readHeader(log);
  const frames = [...framesOf(log, header?.pageBytes ?? PAGE_BYTES)];
  const readable = header === undefined ? 0 : readableFrames(log, header, frames);
  const commits = commitsOf(frames.slice(readable), header?.salts);
  if (commits <= MOST_UNFINISHED) return undefined;
  return { at: frames[readable]?.at ?? 0, commits };
}

interface Header {
  readonly pageBytes: number;
  readonly isLittleEndian: boolean;
  readonly salts: bigint;
  readonly sum: Sum;
}

interface Frame {
  readonly at: number;
  readonly salts: bigint;
  readonly isCommit: boolean;
}

type Sum = readonly [number, number];

/** Undefined where SQLite would take the log for empty. */
function readHeader(log: DataView): Header | undefined {
  if (log.byteLength < HEADER_BYTES) return undefined;
  const magic = log.getUint32(0);
  const isLittleEndian = magic === MAGIC;
  if (!isLittleEndian && magic !== MAGIC + 1) return undefined;
  const sum = checksum(log, 0, HEADER_BYTES - 8, isLittleEndian, [0, 0]);
  if (!isSum(log, HEADER_BYTES - 8, sum)) return undefined;
  return { pageBytes: log.getUint32(8), isLittleEndian, salts: log.getBigUint64(16), sum };
}

function* framesOf(log: DataView, pageBytes: number): Generator<Frame> {
  const size = FRAME_HEADER_BYTES + pageBytes;
  for (let at = HEADER_BYTES; at + size <= log.byteLength; at += size) {
    const isCommit = log.getUint32(at) !== 0 && log.getUint32(at + 4) !== 0;
    yield { at, salts: log.getBigUint64(at + 8), isCommit };
  }
}

/** How many frames from the beginning are whole: each carries the sum of all before it. */
function readableFrames(log: DataView, header: Header, frames: readonly Frame[]): number {
  const { pageBytes, isLittleEndian, salts } = header;
  let { sum } = header;
  for (const [index, frame] of frames.entries()) {
    if (frame.salts !== salts) return index;
    sum = checksum(log, frame.at, 8, isLittleEndian, sum);
    sum = checksum(log, frame.at + FRAME_HEADER_BYTES, pageBytes, isLittleEndian, sum);
    if (!isSum(log, frame.at + 16, sum)) return index;
  }
  return frames.length;
}

/** Frames with other salts are of a log before this one, and in the database. Without a header the most are of one log. */
function commitsOf(frames: readonly Frame[], salts: bigint | undefined): number {
  const counts = new Map<bigint, number>();
  for (const frame of frames) {
    if (!frame.isCommit || frame.salts === 0n || (salts !== undefined && frame.salts !== salts)) continue;
    counts.set(frame.salts, (counts.get(frame.salts) ?? 0) + 1);
  }
  return Math.max(0, ...counts.values());
}

function checksum(log: DataView, from: number, bytes: number, isLittleEndian: boolean, [a, b]: Sum): Sum {
  let [first, second] = [a, b];
  for (let at = from; at < from + bytes; at += 8) {
    first = (first + log.getUint32(at, isLittleEndian) + second) >>> 0;
    second = (second + log.getUint32(at + 4, isLittleEndian) + first) >>> 0;
  }
  return [first, second];
}

function isSum(log: DataView, at: number, [first, second]: Sum): boolean {
  return log.getUint32(at) === first && log.getUint32(at + 4) === second;
}
