/**
 * The mount namespace of one engine. Made in the process that starts the engine, which does nothing else afterwards.
 *
 * Only this thread is in the new namespace, and so are the processes that it forks. What Node does in other threads (all
 * of `fs` that is not synchronous) sees the old one.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { openUserPath } from '../helper/bind.ts';
import type { HelperContext, RequestContext } from '../helper/context.ts';
import { Fd } from '../helper/fd.ts';
import {
  type Libc,
  MNT_DETACH,
  MOUNT_ATTR,
  MOUNT_ATTR_ATIME_MASK,
  MS_PRIVATE,
  MS_REC,
  MS_SLAVE,
  UMOUNT_NOFOLLOW,
} from '../helper/libc.ts';
import type { Located } from '../helper/location.ts';
import { makeBeneath, openBeneath, openRoot } from '../helper/open-beneath.ts';
import { components } from '../helper/paths.ts';
import { targetName } from '../helper/target.ts';
import type { TargetPath } from '../layer.ts';
import { isAtOrBelow, type MountEntry, parseMountinfo } from '../mount-entry.ts';
import { mountExport } from '../network/mount-nfs.ts';
import { NodeError } from '../node-error.ts';
import { type OpenTree, openSource } from '../trees/directories.ts';
import { ENGINE_ROOT, type EnginePlace, type RunEngine } from './operations.ts';

const OWN_MODE = 0o700;
/** Beside what is written into it, which is small. */
const ROOM_BYTES = 4 * 1024 * 1024;
const EXPORTS = '.exports';

/** Mounts at or below these are part of the system that a program runs on; below `/run` they are somebody's. */
const SYSTEM = ['/proc', '/sys', '/dev', '/etc', '/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/nix', '/gnu'];
const SYSTEM_ALONE = ['/', '/run', '/var', '/opt', '/home', '/root', '/tmp'];

type Place<Kind extends EnginePlace['kind']> = Extract<EnginePlace, { readonly kind: Kind }>;

/** Makes the namespace with everything that the request asks for in it; from here on this thread sees it. */
export async function enterPrivateMounts(
  context: HelperContext,
  { places, hostname }: RunEngine,
  program: string,
  { signal }: Pick<RequestContext, 'signal'>,
): Promise<void> {
  const { libc } = context;
  for (const { at } of places) components(at);
  // By their names as they lead now; in the new namespace much is gone.
  const trees = places.filter((place) => place.kind === 'directory').map((place) => openTree(context, place));
  try {
    refuseWithin(trees);
    mkdirSync(ENGINE_ROOT, { recursive: true, mode: 0o755 });
    libc.unshareMounts();
    // Before anything is taken down: nothing of what happens here may reach other namespaces, and an unmount there must
    // reach this one.
    libc.mount('none', '/', '', BigInt(MS_REC | MS_SLAVE), '');
    letGo(libc, program);
    coverRoot(libc, places);
    for (const { place, tree } of trees) attach(libc, tree, makeDirectory(libc, place.at));
    for (const place of places) if (place.kind === 'file') writePlace(place);
  } finally {
    for (const { tree } of trees) tree[Symbol.dispose]();
  }
  for (const place of places) if (place.kind === 'nfs') await bindExport(libc, place, signal);
  if (hostname !== undefined) libc.setHostname(hostname);
}

interface PlacedTree {
  readonly place: Place<'directory'>;
  readonly tree: Fd;
  readonly located: Located;
}

/** By filesystem and the path in it: the names of a directory say nothing where it is mounted twice. */
function refuseWithin(trees: readonly PlacedTree[]): void {
  for (const { place, located } of trees.filter((one) => one.place.apart === true)) {
    const other = trees.find(
      (one) =>
        one.place !== place && one.located.device === located.device && isAtOrBelow(located.root, one.located.root),
    );
    if (other === undefined) continue;
    const message = `${located.realPath} lies in ${other.located.realPath}, as the filesystem has it`;
    throw new NodeError('WithinOther', message, { path: located.realPath });
  }
}

/** The directory through a mount that nobody can see yet. */
function openTree(context: HelperContext, place: Place<'directory'>): PlacedTree {
  const { libc, table } = context;
  using source = openDirectory(context, place);
  const { device, realPath } = source.located;
  if (place.device !== undefined && device !== place.device) {
    throw new NodeError('NotFound', `${realPath} does not show the filesystem that was mounted there`, {
      path: realPath,
    });
  }
  if (place.alone === true && table.hasBelow(realPath)) {
    throw new NodeError('MountBelow', `something is mounted below ${realPath}`, { path: realPath });
  }
  const tree = new Fd(libc, libc.openTree(source.fd.number, '', { recursive: false }));
  try {
    setAttributes(libc, tree, place.readOnly);
    return { place, tree, located: source.located };
  } catch (error) {
    tree[Symbol.dispose]();
    throw error;
  }
}

function openDirectory(context: HelperContext, { source, make = false }: Place<'directory'>): OpenTree {
  if ('user' in source) return openUserPath(context, source.user, make);
  if (make) makeOwn(context.libc, source.own);
  return openSource(context, source);
}

function makeOwn(libc: Libc, target: TargetPath): void {
  using root = openRoot(libc, target.root);
  makeBeneath(libc, root, target.path, { mode: OWN_MODE, shownAs: targetName(target) }).fd[Symbol.dispose]();
}

/**
 * Neither programs nor devices of a volume are of any use to an engine. Symbolic links can be read and made, and lead
 * nowhere: older engines write through one that lies where a file is to be, with all the rights of this machine.
 */
function setAttributes(libc: Libc, tree: Fd, readOnly: boolean): void {
  const plain = MOUNT_ATTR.nosuid | MOUNT_ATTR.nodev | MOUNT_ATTR.noexec | MOUNT_ATTR.nosymfollow;
  const attributes = readOnly
    ? { set: plain | MOUNT_ATTR.ro | MOUNT_ATTR.noatime, clear: MOUNT_ATTR_ATIME_MASK, propagation: MS_PRIVATE }
    : { set: plain, clear: 0, propagation: MS_PRIVATE };
  libc.mountSetattr(tree.number, attributes, { recursive: false });
}

/**
 * Takes everything down that the program does not run on: a copy of a mount that stays here, for hours perhaps, is in the
 * way of whoever unmounts the original.
 */
function letGo(libc: Libc, program: string): void {
  const isNeeded = ({ target }: MountEntry): boolean =>
    SYSTEM_ALONE.includes(target) ||
    SYSTEM.some((directory) => isAtOrBelow(target, directory)) ||
    isAtOrBelow(program, target);
  const gone = new Set<string>();
  for (const entry of tableHere()) {
    // What lies below goes with it; of a stack, each needs a call.
    if (isNeeded(entry) || parentsOf(entry.target).some((parent) => gone.has(parent))) continue;
    try {
      libc.umount(entry.target, MNT_DETACH | UMOUNT_NOFOLLOW);
      gone.add(entry.target);
    } catch (error) {
      // Covered by another, or locked: then whoever unmounts it has to wait for this run.
      if (!(error instanceof NodeError)) throw error;
    }
  }
}

function parentsOf(path: string): readonly string[] {
  const parts = path.split('/').slice(1, -1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`);
}

/** Of this thread's namespace, which is not that of the rest of the process; parents before what is below them. */
function tableHere(): readonly MountEntry[] {
  return parseMountinfo(readFileSync('/proc/thread-self/mountinfo', 'utf8')).toSorted((one, other) =>
    one.target < other.target ? -1 : 1,
  );
}

function coverRoot(libc: Libc, places: readonly EnginePlace[]): void {
  const content = places.reduce((sum, place) => sum + (place.kind === 'file' ? place.content.byteLength : 0), 0);
  libc.mount('clawstore-engine', ENGINE_ROOT, 'tmpfs', 0n, `size=${content * 2 + ROOM_BYTES},mode=0700`);
}

function makeDirectory(libc: Libc, at: string): Fd {
  using root = openRoot(libc, ENGINE_ROOT);
  return makeBeneath(libc, root, at, { mode: OWN_MODE, shownAs: at }).fd;
}

function attach(libc: Libc, tree: Fd, target: Fd): void {
  using _target = target;
  libc.moveMount(tree.number, target.number);
}

function writePlace({ at, content }: Place<'file'>): void {
  const file = `${ENGINE_ROOT}/${at}`;
  mkdirSync(dirname(file), { recursive: true, mode: OWN_MODE });
  writeFileSync(file, content, { mode: 0o600, flag: 'wx' });
}

async function bindExport(libc: Libc, place: Place<'nfs'>, signal: AbortSignal): Promise<void> {
  const { server, path, subPath, options, readOnly, make } = place;
  const where = `${EXPORTS}/${place.at}`;
  makeDirectory(libc, where)[Symbol.dispose]();
  const mountPoint = `${ENGINE_ROOT}/${where}`;
  await mountExport({ server, path, options }, mountPoint, { resolving: signal, mounting: signal });
  using root = openRoot(libc, mountPoint);
  if (!libc.statx(root.number, '').isMountRoot) {
    throw new NodeError('VerificationFailed', `${server}:${path} is not where it was mounted`);
  }
  const shownAs = `${server}:${path}/${subPath}`;
  using directory =
    make === true
      ? makeBeneath(libc, root, subPath, { mode: OWN_MODE, shownAs }).fd
      : openBeneath(libc, root, subPath, shownAs);
  using tree = new Fd(libc, libc.openTree(directory.number, '', { recursive: false }));
  setAttributes(libc, tree, readOnly);
  attach(libc, tree, makeDirectory(libc, place.at));
}
