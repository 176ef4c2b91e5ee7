/**
 * One line of `/proc/PID/mountinfo`, as data. Source of the format: proc(5) and
 * `Documentation/filesystems/proc.rst`, section 3.5.
 */
export interface MountEntry {
  /** Mount ID. Unique while the mount exists; the kernel gives it out again later. */
  readonly id: number;
  /** ID of the mount that this one sits on; its own or an invisible one at the root of the tree. */
  readonly parentId: number;
  /** `major:minor` of the filesystem, as `st_dev` shows it for most (not for btrfs subvolumes). */
  readonly device: string;
  /** Path inside the filesystem that is the root of this mount; ends in `//deleted` when it was removed. */
  readonly root: string;
  /** Mount point as the reader's namespace sees it. */
  readonly target: string;
  /** Options of this mount: `ro` or `rw`, `nosuid`, `nodev`, `noatime` … */
  readonly options: readonly string[];
  readonly propagation: Propagation;
  readonly fsType: string;
  /** What was mounted, in the filesystem's own words: a device, `server:/path`, `tmpfs`. */
  readonly source: string;
  /** Options of the filesystem itself: `ro` or `rw`, `size=…` … */
  readonly superOptions: readonly string[];
}

/** Who shares mount events with whom; see mount_namespaces(7). All undefined and not unbindable = private. */
export interface Propagation {
  /** Peer group this mount belongs to. */
  readonly shared: number | undefined;
  /** Peer group this mount receives events from. */
  readonly master: number | undefined;
  readonly unbindable: boolean;
}

const PRIVATE: Propagation = { shared: undefined, master: undefined, unbindable: false };

/** Shown by filesystems that have given up after an error: ext4 since Linux 6.15, of which `ro` says nothing. */
const GIVEN_UP: readonly string[] = ['emergency_ro', 'shutdown'];

/** The kernel lets nobody write to the filesystem any more, because of an error. Not every filesystem shows it. */
export function hasGivenUp({ superOptions }: Pick<MountEntry, 'superOptions'>): boolean {
  return GIVEN_UP.some((word) => superOptions.includes(word));
}

/** Suffix that the kernel puts on `root` when the mounted directory was removed from its filesystem. */
export const DELETED_SUFFIX = '//deleted';

/**
 * Reads a whole mountinfo file. Lines that do not have the fields proc(5) promises are left out: a table that lacks a
 * mount we cannot understand is safer to act on than none (what is ours is always found by its own line).
 */
export function parseMountinfo(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const entry = parseMountinfoLine(line);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

/** Reads one line; undefined when it is empty or malformed. */
export function parseMountinfoLine(line: string): MountEntry | undefined {
  const fields = line.split(' ');
  // Between field 6 and the separator stand zero or more optional fields.
  const separator = fields.indexOf('-', 6);
  if (separator === -1 || fields.length < separator + 4) return undefined;
  const [id, parentId, device, root, target, options] = fields as [string, string, string, string, string, string];
  return {
    id: Number(id),
    parentId: Number(parentId),
    device,
    root: unescapeOctal(root),
    target: unescapeOctal(target),
    options: options.split(','),
    propagation: separator === 6 ? PRIVATE : parsePropagation(fields.slice(6, separator)),
    fsType: fields[separator + 1] ?? '',
    source: unescapeOctal(fields[separator + 2] ?? ''),
    superOptions: (fields[separator + 3] ?? '').split(','),
  };
}

function parsePropagation(fields: readonly string[]): Propagation {
  let shared: number | undefined;
  let master: number | undefined;
  let unbindable = false;
  for (const field of fields) {
    // proc(5): unknown optional fields are to be ignored.
    if (field.startsWith('shared:')) shared = Number(field.slice(7));
    else if (field.startsWith('master:')) master = Number(field.slice(7));
    else if (field === 'unbindable') unbindable = true;
  }
  return { shared, master, unbindable };
}

/** Undoes the kernel's escapes of space, tab, newline and backslash (`\040` and the like). */
function unescapeOctal(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** True when the mount can be written through: neither it nor its filesystem is read-only. */
export function isReadOnly(entry: MountEntry): boolean {
  return entry.options.includes('ro') || entry.superOptions.includes('ro');
}

/** True when what `path` names is `ancestor` itself or lies below it; both absolute and normalised. */
export function isAtOrBelow(path: string, ancestor: string): boolean {
  if (path === ancestor || ancestor === '/') return true;
  return path.startsWith(ancestor) && path.charCodeAt(ancestor.length) === 47;
}

/** Mounts on one path, lowest first: each sits on the one before. */
export function orderStack(entries: readonly MountEntry[]): MountEntry[] {
  if (entries.length < 2) return [...entries];
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const depth = (entry: MountEntry): number => {
    let steps = 0;
    // Bounded: a table read in the middle of a change may show a circle.
    for (let at = byId.get(entry.parentId); at !== undefined && steps < entries.length; at = byId.get(at.parentId))
      steps += 1;
    return steps;
  };
  return [...entries].sort((a, b) => depth(a) - depth(b));
}

/**
 * The root of such a mount tells nothing: the NFS client shows `/` for a bind of any directory of an export (and the
 * directory in the source instead).
 */
export function hidesRoot({ fsType }: MountEntry): boolean {
  return fsType === 'nfs' || fsType === 'nfs4';
}
