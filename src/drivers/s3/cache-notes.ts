/**
 * The cache of rclone on disk: a file per object, and a note beside each that says whether the server has it. The next
 * process sends what the last one left by these notes alone. But a note is written in place: a process that is killed in
 * that moment leaves an empty one, and the next would throw the file away with it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Below the directory of the volume. */
export const CACHE = 'cache';
const FILES = 'vfs';
const NOTES = 'vfsMeta';
/** A block of stat(2) is 512 bytes whatever the filesystem's are. */
const BLOCK = 512;
const SLASH = Buffer.from('/');

/** As rclone writes it; times are RFC 3339. */
interface Note {
  readonly ModTime: string;
  readonly ATime: string;
  readonly Size: number;
  /** Which parts of the file are there. */
  readonly Rs: readonly { readonly Pos: number; readonly Size: number }[] | null;
  readonly Fingerprint: string;
  /** The server does not have it as it is here. */
  readonly Dirty: boolean;
}

/** Sizes of the files that the server does not have, for when nobody runs who could be asked. */
export function unsentFiles(directory: string): readonly number[] {
  const root = join(directory, CACHE);
  return filesBelow(join(root, NOTES)).flatMap((path) => {
    const note = readNote(below(join(root, NOTES), path));
    const size = sizeOf(below(join(root, FILES), path));
    // One that cannot be read is better taken for unsent than for nothing.
    if (note === undefined) return [size];
    return note.Dirty ? [Math.max(note.Size, size)] : [];
  });
}

/**
 * Writes notes anew that a kill left unreadable, so that their files are sent and not thrown away. A file of which parts
 * may be missing is moved to `rescue` instead: sent, it could damage what the server has. Only while no process runs.
 */
export function mendNotes(directory: string, rescue: string): void {
  const root = join(directory, CACHE);
  for (const path of filesBelow(join(root, FILES))) {
    const [file, noteFile] = [below(join(root, FILES), path), below(join(root, NOTES), path)];
    if (readNote(noteFile) !== undefined) continue;
    const { size, blocks, mtime } = statSync(file);
    if (blocks * BLOCK < size) {
      const rescued = below(rescue, path);
      mkdirSync(folderOf(rescued), { recursive: true, mode: 0o700 });
      renameSync(file, rescued);
      continue;
    }
    const note: Note = {
      ModTime: mtime.toISOString(),
      ATime: mtime.toISOString(),
      Size: size,
      Rs: [{ Pos: 0, Size: size }],
      Fingerprint: '',
      Dirty: true,
    };
    mkdirSync(folderOf(noteFile), { recursive: true, mode: 0o700 });
    const fresh = Buffer.concat([noteFile, Buffer.from('.new')]);
    writeFileSync(fresh, JSON.stringify(note), { mode: 0o600 });
    renameSync(fresh, noteFile);
  }
}

function readNote(file: Buffer): Note | undefined {
  try {
    const note = JSON.parse(readFileSync(file, 'utf8')) as Partial<Note>;
    return typeof note.Size === 'number' && typeof note.Dirty === 'boolean' ? (note as Note) : undefined;
  } catch {
    return undefined;
  }
}

function sizeOf(file: Buffer): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** Paths of all files below the folder, without it: bytes, because names of files need not be text. */
function filesBelow(folder: string): readonly Buffer[] {
  if (!existsSync(folder)) return [];
  const found: Buffer[] = [];
  const look = (path: Buffer): void => {
    for (const entry of readdirSync(below(folder, path), { withFileTypes: true, encoding: 'buffer' })) {
      const inner = path.length === 0 ? entry.name : Buffer.concat([path, SLASH, entry.name]);
      if (entry.isDirectory()) look(inner);
      else if (entry.isFile()) found.push(inner);
    }
  };
  look(Buffer.alloc(0));
  return found;
}

function below(folder: string, path: Buffer): Buffer {
  return Buffer.concat([Buffer.from(folder), SLASH, path]);
}

function folderOf(path: Buffer): Buffer {
  return path.subarray(0, path.lastIndexOf(SLASH));
}
