/**
 * The cache of rclone on disk: a file per object, and a note beside each that says whether the server has it. The next
 * process sends what the last one left by these notes alone. But a note is written in place: a process that is killed in
 * that moment leaves an empty one, and the next would throw the file away with it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Below the directory of the volume. */
export const CACHE = 'cache';
const FILES = 'vfs';
const NOTES = 'vfsMeta';
/** A block of stat(2) is 512 bytes whatever the filesystem's are. */
const BLOCK = 512;

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
    const note = readNote(join(root, NOTES, path));
    // One that cannot be read is better taken for unsent than for nothing.
    if (note === undefined) return [sizeOf(join(root, FILES, path))];
    return note.Dirty ? [Math.max(note.Size, sizeOf(join(root, FILES, path)))] : [];
  });
}

/**
 * Writes notes anew that a kill left unreadable, so that their files are sent and not thrown away. A file of which parts
 * may be missing is moved to `rescue` instead: sent, it could damage what the server has. Only while no process runs.
 */
export function mendNotes(directory: string, rescue: string): void {
  const root = join(directory, CACHE);
  for (const path of filesBelow(join(root, FILES))) {
    const [file, noteFile] = [join(root, FILES, path), join(root, NOTES, path)];
    if (readNote(noteFile) !== undefined) continue;
    const { size, blocks, mtime } = statSync(file);
    if (blocks * BLOCK < size) {
      mkdirSync(dirname(join(rescue, path)), { recursive: true, mode: 0o700 });
      renameSync(file, join(rescue, path));
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
    mkdirSync(dirname(noteFile), { recursive: true, mode: 0o700 });
    writeFileSync(`${noteFile}.new`, JSON.stringify(note), { mode: 0o600 });
    renameSync(`${noteFile}.new`, noteFile);
  }
}

function readNote(file: string): Note | undefined {
  try {
    const note = JSON.parse(readFileSync(file, 'utf8')) as Partial<Note>;
    return typeof note.Size === 'number' && typeof note.Dirty === 'boolean' ? (note as Note) : undefined;
  } catch {
    return undefined;
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** Paths of all files, relative to the folder. */
function filesBelow(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}
