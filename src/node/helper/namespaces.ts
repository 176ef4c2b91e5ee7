/**
 * Who else shows a mount: every mount namespace on the host has a table of its own, and an unmount here leaves private
 * copies there alive (and the data behind them in use).
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Holder } from '../layer.ts';
import { DELETED_SUFFIX, type MountEntry, parseMountinfo } from '../mount-entry.ts';
import { joinRoot } from './location.ts';

export interface NamespaceView {
  /** Processes seen in it, at most five. */
  readonly pids: readonly number[];
  readonly byId: ReadonlyMap<number, MountEntry>;
  /** By the last component of the mount point. */
  readonly byName: ReadonlyMap<string, readonly MountEntry[]>;
  /** By filesystem and root, as `placeKey` writes it. */
  readonly byPlace: ReadonlyMap<string, readonly MountEntry[]>;
  readonly devices: ReadonlySet<string>;
}

/** What a copy of a former mount looks like in another namespace. */
export interface CopyQuery {
  /** Where the mount point itself lies: a mount on the same directory is a copy, under whatever name. */
  readonly place: Place | undefined;
  /** What was mounted. */
  readonly mounted: Place | undefined;
  /** Options of the mount that were seen on it; a directly bound copy keeps them. */
  readonly options: readonly string[];
  /** Any mount of this filesystem counts. */
  readonly device: string | undefined;
}

/** A directory as filesystem and path inside it. */
export interface Place {
  readonly device: string;
  readonly root: string;
}

export class NamespaceScanner {
  #pending: Promise<readonly NamespaceView[]> | undefined;

  /**
   * All other mount namespaces that have a process, as they are at some time after this call. Calls of the same turn
   * of the event loop share one scan.
   */
  scan(): Promise<readonly NamespaceView[]> {
    this.#pending ??= this.#run();
    return this.#pending;
  }

  async #run(): Promise<readonly NamespaceView[]> {
    await nextTurn();
    // From here on the facts are being read: who comes now must start another scan.
    this.#pending = undefined;
    const views: NamespaceView[] = [];
    for (const pids of groupByNamespace().values()) {
      const entries = readTable(pids);
      if (entries !== undefined) views.push(viewOf(pids.slice(0, 5), entries));
      await nextTurn();
    }
    return views;
  }
}

/** Processes by mount namespace, without our own. */
function groupByNamespace(): Map<string, number[]> {
  const own = readlinkSync('/proc/self/ns/mnt');
  const groups = new Map<string, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const namespace = namespaceOf(pid);
    if (namespace === undefined || namespace === own) continue;
    const group = groups.get(namespace);
    if (group === undefined) groups.set(namespace, [pid]);
    else group.push(pid);
  }
  return groups;
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    // It ended, or is a zombie: it holds no namespace.
    return undefined;
  }
}

function readTable(pids: readonly number[]): MountEntry[] | undefined {
  for (const pid of pids) {
    try {
      return parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
    } catch {
      // It ended meanwhile: another process of the namespace can show it.
    }
  }
  return undefined;
}

/**
 * Processes whose namespaces still show a copy. `own` is our table after the unmount: a mount there that is still
 * alive explains its own copies elsewhere.
 *
 * A copy is a mount on the very directory that was the mount point (that is how clones of a namespace and binds of a
 * parent directory look), or a mount of the same source with the same options anywhere else (a bind of the target
 * itself) unless another mount of that source is alive here, to which it will be attributed when that one goes.
 */
export function findCopies(
  views: readonly NamespaceView[],
  query: CopyQuery,
  own: () => Iterable<MountEntry>,
): Holder[] {
  const holders: Holder[] = [];
  let unexplained: boolean | undefined;
  const isUnexplained = (): boolean => {
    unexplained ??= !isExplained(own(), query);
    return unexplained;
  };
  for (const view of views) {
    const copied = query.device !== undefined && view.devices.has(query.device);
    if (!copied && !hasMountOnPlace(view, query) && !(hasDirectCopy(view, query) && isUnexplained())) continue;
    for (const pid of view.pids) {
      if (holders.length < 5) holders.push({ pid, comm: commOf(pid) });
    }
  }
  return holders;
}

/** Mounts of ours that were replaced: what still shows an older one shows nothing any more. */
export interface StaleQuery {
  readonly fsType: string;
  /** As the mount table names it. */
  readonly source: string;
  /** The filesystem that is served now. */
  readonly device: string;
  /** Where it is mounted first of all; another agent on this host mounts the same source elsewhere. */
  readonly stage: Place;
}

/** Processes whose namespaces show an older filesystem of the same source. */
export function findStale(views: readonly NamespaceView[], query: StaleQuery): Holder[] {
  const holders: Holder[] = [];
  for (const view of views) {
    if (!hasStale(view, query)) continue;
    for (const pid of view.pids) {
      if (holders.length < 5) holders.push({ pid, comm: commOf(pid) });
    }
  }
  return holders;
}

function hasStale(view: NamespaceView, { fsType, source, device, stage }: StaleQuery): boolean {
  const older = [...view.byId.values()].filter(
    (entry) => entry.fsType === fsType && entry.source === source && entry.device !== device,
  );
  const stageName = lastName(stage.root);
  // What somebody else staged, in a directory of the same name, is alive.
  const others = new Set(
    older
      .filter(({ target }) => lastName(target) === stageName)
      .filter((entry) => {
        const at = placeOf(entry, view.byId);
        return at?.device !== stage.device || at.root !== stage.root;
      })
      .map((entry) => entry.device),
  );
  return older.some((entry) => !others.has(entry.device));
}

/** One reading, indexed for the many unmounts that share it. */
export function viewOf(pids: readonly number[], entries: readonly MountEntry[]): NamespaceView {
  return {
    pids,
    byId: new Map(entries.map((entry) => [entry.id, entry])),
    byName: Map.groupBy(entries, ({ target }) => lastName(target)),
    byPlace: Map.groupBy(entries, ({ device, root }) => placeKey(device, stripDeleted(root))),
    devices: new Set(entries.map(({ device }) => device)),
  };
}

function placeKey(device: string, root: string): string {
  return `${device} ${root}`;
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function hasMountOnPlace(view: NamespaceView, { place }: CopyQuery): boolean {
  if (place === undefined) return false;
  // A mount point is the same directory under whatever path, so that its own name is the same too.
  const candidates = view.byName.get(lastName(place.root)) ?? [];
  return candidates.some((entry) => {
    const at = placeOf(entry, view.byId);
    return at?.device === place.device && at.root === place.root;
  });
}

function hasDirectCopy(view: NamespaceView, query: CopyQuery): boolean {
  if (query.mounted === undefined) return false;
  const candidates = view.byPlace.get(placeKey(query.mounted.device, query.mounted.root)) ?? [];
  return candidates.some((entry) => isDirectCopy(entry, query));
}

function isDirectCopy(entry: MountEntry, { mounted, options }: CopyQuery): boolean {
  if (mounted === undefined || options.length === 0 || entry.device !== mounted.device) return false;
  return stripDeleted(entry.root) === mounted.root && options.every((option) => entry.options.includes(option));
}

/** Another mount of the same source, with the same options, is alive here. */
function isExplained(own: Iterable<MountEntry>, query: CopyQuery): boolean {
  for (const entry of own) {
    if (isDirectCopy(entry, query)) return true;
  }
  return false;
}

/** The directory that a mount covers, as filesystem and path. */
function placeOf(entry: MountEntry, byId: ReadonlyMap<number, MountEntry>): Place | undefined {
  const parent = byId.get(entry.parentId);
  if (parent === undefined || parent === entry) return undefined;
  const below = entry.target.slice(parent.target === '/' ? 0 : parent.target.length);
  return { device: parent.device, root: joinRoot(parent.root, below) };
}

export function stripDeleted(root: string): string {
  return root.endsWith(DELETED_SUFFIX) ? root.slice(0, -DELETED_SUFFIX.length) : root;
}

/** Name of a process; empty when it has ended. */
export function commOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd();
  } catch {
    return '';
  }
}
