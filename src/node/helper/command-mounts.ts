/**
 * Mounts by the util-linux commands, for machines where koffi does not load: slower (a process per mount), and only
 * for directories of our own, since a command takes a name and not a descriptor, so that a user could swap a link in.
 */
import { lstatSync, mkdirSync, readdirSync, rmdirSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type {
  BindOwn,
  BindResult,
  FilesystemSize,
  MountTmpfs,
  ObserveTarget,
  TargetObservation,
  TargetPath,
  UnmountOutcome,
  UnmountRequest,
} from '../layer.ts';
import type { MountEntry } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import { attributesOf } from './attributes.ts';
import { run } from './command.ts';
import type { HelperContext, RequestContext } from './context.ts';
import { joinRoot } from './location.ts';
import { findCopies, NamespaceScanner, type Place } from './namespaces.ts';
import { components } from './paths.ts';
import { targetName } from './target.ts';

const scanner = new NamespaceScanner();

async function command(argv: readonly [string, ...string[]], request: RequestContext): Promise<string | undefined> {
  const { status, stderr } = await run({ argv }, request);
  return status === 0 ? undefined : stderr.trim() || `${argv[0]} ended with status ${status}`;
}

async function mustRun(argv: readonly [string, ...string[]], request: RequestContext): Promise<void> {
  const problem = await command(argv, request);
  if (problem !== undefined) throw new NodeError('CommandFailed', problem);
}

/** Makes the directory; no component may be a symbolic link. Only root can write here, so nobody swaps one in. */
function makeOwnDirectory(target: TargetPath): string {
  let path = target.root;
  for (const name of components(target.path)) {
    path = `${path}/${name}`;
    mkdirSync(path, { recursive: true });
    if (!lstatSync(path).isDirectory()) throw new NodeError('SymlinkInPath', `${path} is not a directory`, { path });
  }
  return path;
}

function topAt({ table }: HelperContext, path: string): MountEntry | undefined {
  table.refresh();
  return table.at(path).at(-1);
}

/** Takes the half-made mount down again when what the table shows is not what was asked for. */
async function verified(
  context: HelperContext,
  path: string,
  isRight: (entry: MountEntry) => boolean,
  request: RequestContext,
): Promise<BindResult> {
  const entry = topAt(context, path);
  if (entry !== undefined && isRight(entry)) return { entry, created: true, immutableTarget: false };
  await command(['umount', '--', path], request);
  throw new NodeError('VerificationFailed', `${path} is not what was asked for`, { path });
}

function hasOptions(entry: MountEntry, { options, readOnly }: BindOwn | MountTmpfs): boolean {
  const visible = options.filter((option) => /^no(suid|dev|exec|symfollow)$/.test(option));
  return visible.every((option) => entry.options.includes(option)) && (!readOnly || entry.options.includes('ro'));
}

export async function bindOwn(context: HelperContext, wanted: BindOwn, request: RequestContext): Promise<BindResult> {
  attributesOf(wanted.options, wanted.readOnly);
  const source = targetName(wanted.source);
  const path = makeOwnDirectory(wanted.target);
  const there = topAt(context, path);
  const [from, at] = [lstatSync(source), lstatSync(path)];
  if (!from.isDirectory()) throw new NodeError('SymlinkInPath', `${source} is not a directory`, { path: source });
  const isSource = (): boolean => {
    const now = lstatSync(path);
    return now.dev === from.dev && now.ino === from.ino;
  };
  if (there !== undefined) {
    if (isSource() && hasOptions(there, wanted)) return { entry: there, created: false, immutableTarget: false };
    throw new NodeError('ForeignMount', `${path} has ${there.source} mounted`, { path });
  }
  if (at.isDirectory() && readdirSync(path).length > 0)
    throw new NodeError('TargetNotEmpty', `${path} holds files`, { path });
  await mustRun(['mount', '--bind', '--make-private', '--', source, path], request);
  const options = ['remount', 'bind', wanted.readOnly ? 'ro' : 'rw', ...wanted.options].join(',');
  const problem = await command(['mount', '-o', options, '--', path], request);
  return await verified(
    context,
    path,
    (entry) => problem === undefined && isSource() && hasOptions(entry, wanted),
    request,
  );
}

export async function tmpfs(context: HelperContext, wanted: MountTmpfs, request: RequestContext): Promise<BindResult> {
  attributesOf(wanted.options, wanted.readOnly);
  const path = makeOwnDirectory(wanted.target);
  const there = topAt(context, path);
  const isOurs = (entry: MountEntry): boolean => entry.fsType === 'tmpfs' && entry.source === wanted.name;
  if (there !== undefined) {
    if (isOurs(there)) return { entry: there, created: false, immutableTarget: false };
    throw new NodeError('ForeignMount', `${path} has ${there.source} mounted`, { path });
  }
  const options = [`size=${wanted.sizeBytes}`, `mode=${wanted.mode.toString(8)}`, ...wanted.options];
  if (wanted.readOnly) options.push('ro');
  await mustRun(['mount', '-t', 'tmpfs', '-o', options.join(','), '--', wanted.name, path], request);
  return await verified(context, path, (entry) => isOurs(entry) && hasOptions(entry, wanted), request);
}

export async function prepareMountRoot(
  context: HelperContext,
  { path }: { readonly path: string },
  request: RequestContext,
): Promise<MountEntry> {
  mkdirSync(path, { recursive: true });
  if (topAt(context, path) === undefined) await mustRun(['mount', '--bind', '--', path, path], request);
  await mustRun(['mount', '--make-shared', '--', path], request);
  const entry = topAt(context, path);
  if (entry?.propagation.shared === undefined) {
    throw new NodeError('VerificationFailed', `the mount root ${path} could not be made shared`, { path });
  }
  return entry;
}

export async function unmount(
  context: HelperContext,
  wanted: UnmountRequest,
  request: RequestContext,
): Promise<UnmountOutcome> {
  components(wanted.target.path);
  const path = targetName(wanted.target);
  const entry = topAt(context, path);
  if (entry !== undefined && entry.id !== wanted.mountId) {
    const code = context.table.at(path).some(({ id }) => id === wanted.mountId) ? 'Overmounted' : 'ForeignMount';
    throw new NodeError(code, `${path} shows ${entry.source}, which is not the mount that was meant`, { path });
  }
  const device = wanted.scope === 'device' ? (entry ?? wanted.was)?.device : undefined;
  const others = [...context.table.entries()].filter((it) => it.device === device && it.id !== entry?.id);
  if (others.length > 0)
    return { outcome: 'busy', holders: [], mounts: others.slice(0, 5).map(({ target }) => target) };
  if (entry !== undefined) {
    const problem = await command(['umount', ...(wanted.force === true ? ['--lazy'] : []), '--', path], request);
    if (problem?.includes('busy') === true) return { outcome: 'busy', holders: [] };
    if (problem !== undefined) throw new NodeError('CommandFailed', problem, { path });
    context.table.refresh();
  }
  const was = entry ?? wanted.was;
  const parent = placeByName(context, dirname(path));
  const place =
    parent === undefined
      ? undefined
      : { device: parent.device, root: joinRoot(parent.root, path.slice(path.lastIndexOf('/'))) };
  const query = {
    place,
    mounted: was,
    options: ['nosuid', 'nodev'],
    device: wanted.scope === 'device' ? was?.device : undefined,
  };
  const holders = findCopies(await scanner.scan(), query, () => context.table.entries());
  if (holders.length > 0) return { outcome: 'in-use-by-other-namespace', holders };
  removeEmpty(wanted.target);
  return { outcome: 'done' };
}

export function observeTarget(context: HelperContext, wanted: ObserveTarget): TargetObservation {
  components(wanted.target.path);
  const path = targetName(wanted.target);
  const entry = topAt(context, path);
  const at = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  const own = wanted.own === undefined ? undefined : targetName(wanted.own);
  const source = own === undefined ? undefined : lstatSync(own, { bigint: true, throwIfNoEntry: false });
  const place = own === undefined ? undefined : placeByName(context, own);
  const refused = { code: 'Unsupported', message: 'a user path cannot be looked at safely without koffi' };
  return {
    stack: context.table.at(path),
    visibleMountId: entry?.id ?? null,
    visible: entry === undefined || at === undefined ? null : { stDev: at.dev, stIno: at.ino },
    source:
      source === undefined || place === undefined
        ? null
        : {
            device: place.device,
            root: place.root,
            fsType: place.fsType,
            stDev: source.dev,
            stIno: source.ino,
            readOnly: place.mount.options.includes('ro'),
          },
    problem: wanted.user === undefined ? null : refused,
    targetExists: at !== undefined,
  };
}

/** Where a directory is, by its name and the table alone. */
function placeByName(
  { table }: HelperContext,
  path: string,
): (Place & { fsType: string; mount: MountEntry }) | undefined {
  const mount = table.containing(path);
  if (mount === undefined) return undefined;
  const root = joinRoot(mount.root, path.slice(mount.target === '/' ? 0 : mount.target.length));
  return { device: mount.device, root, fsType: mount.fsType, mount };
}

/** The target and up to two parents, while they are empty. */
function removeEmpty(target: TargetPath): void {
  const names = components(target.path);
  for (let depth = names.length; depth > 0 && depth > names.length - 3; depth -= 1) {
    try {
      rmdirSync(`${target.root}/${names.slice(0, depth).join('/')}`);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') continue;
      if (code === 'ENOTEMPTY' || code === 'EBUSY') return;
      throw error;
    }
  }
}

export function statfs(_: HelperContext, { path }: { readonly path: string }): FilesystemSize {
  const { bsize, blocks, bfree, bavail, files, ffree } = statfsSync(path, { bigint: true });
  return {
    totalBytes: blocks * bsize,
    freeBytes: bfree * bsize,
    availableBytes: bavail * bsize,
    usedBytes: (blocks - bfree) * bsize,
    filesTotal: files,
    filesFree: ffree,
  };
}
