/**
 * Bind mounts and tmpfs.
 *
 * A bind is made from a descriptor: `open_tree` clones what was opened and checked, `mount_setattr` gives it its
 * attributes while nobody can see it (so there is no writable moment on a read-only mount), `move_mount` attaches it.
 *
 * Recursion and propagation: a user's directory is bound with the mounts below it, as Kubernetes does (rbind), because
 * a bare directory where a disk is mounted would take writes that nobody finds again. The clone is made private first:
 * nothing mounted below the source later appears in it (it would come without `nosuid,nodev` and the read-only flag),
 * and nothing mounted inside it reaches the host. Our own directories are bound without what is below.
 */
import { crashPoint } from '../crash-points.ts';
import type { BindOwn, BindResult, BindUserPath, Location, MountTmpfs, TargetPath, UserPath } from '../layer.ts';
import { DELETED_SUFFIX, hidesRoot, type MountEntry } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import { type Attributes, attributesOf, flagsOf, optionWords } from './attributes.ts';
import type { HelperContext } from './context.ts';
import { Fd } from './fd.ts';
import { MNT_DETACH, MS_PRIVATE } from './libc.ts';
import { isLocalFilesystem } from './local-filesystems.ts';
import { type Located, locate, toLocation } from './location.ts';
import { makeBeneath, openBeneath, openRoot } from './open-beneath.ts';
import { refuseReserved, relativeToPrefix } from './paths.ts';
import { refuseReservedLocation } from './reserved.ts';
import { checkEmpty, makeTarget, setImmutable, type Target, targetName } from './target.ts';

export function bindUserPath(context: HelperContext, request: BindUserPath): BindResult {
  const attributes = attributesOf(request.options, request.readOnly);
  using source = openUserPath(context, request, request.create);
  return bindTo(context, source, request.target, attributes, { recursive: true });
}

export function bindOwn(context: HelperContext, request: BindOwn): BindResult {
  const attributes = attributesOf(request.options, request.readOnly);
  using root = openRoot(context.libc, request.source.root);
  using fd = openBeneath(context.libc, root, request.source.path, request.source.path);
  const source = { fd, located: locate(context.libc, context.table, fd) };
  if (request.device !== undefined && source.located.device !== request.device) {
    const path = targetName(request.source);
    throw new NodeError('NotFound', `${path} does not show the filesystem that was mounted there`, { path });
  }
  return bindTo(context, source, request.target, attributes, { recursive: false });
}

export interface Source {
  readonly fd: Fd;
  readonly located: Located;
}

/** Opens what a user's path leads to now, and refuses it where it is not allowed. The caller disposes. */
export function openUserPath(context: HelperContext, request: UserPath, create: boolean): Source & Disposable {
  const { libc, table, settings } = context;
  const relative = relativeToPrefix(request.prefix, request.path);
  refuseReserved(request.path, settings);
  using prefix = openPrefix(context, request.prefix, create);
  const fd = create
    ? makeBeneath(libc, prefix, relative, { mode: 0o755, shownAs: request.path, forUser: true }).fd
    : openBeneath(libc, prefix, relative, request.path, true);
  try {
    const located = locate(libc, table, fd);
    refuseReservedLocation(context, located, request.path);
    return { fd, located, [Symbol.dispose]: () => fd[Symbol.dispose]() };
  } catch (error) {
    fd[Symbol.dispose]();
    throw error;
  }
}

/** The prefix comes from configuration: it may be a link, and it is made when data is to be made below it. */
function openPrefix({ libc }: HelperContext, prefix: string, create: boolean): Fd {
  try {
    return openRoot(libc, prefix, true);
  } catch (error) {
    if (!create || !(error instanceof NodeError) || error.code !== 'HostPathNotFound') throw error;
  }
  using root = openRoot(libc, '/');
  return makeBeneath(libc, root, prefix.slice(1), { mode: 0o755, shownAs: prefix, forUser: true }).fd;
}

export function inspectUserPath(context: HelperContext, request: UserPath): Location | null {
  try {
    return ensureUserPath(context, { ...request, create: false });
  } catch (error) {
    if (error instanceof NodeError && error.code === 'HostPathNotFound') return null;
    throw error;
  }
}

export function ensureUserPath(context: HelperContext, request: UserPath & { readonly create: boolean }): Location {
  using source = openUserPath(context, request, request.create);
  return toLocation(source.located);
}

/** Mounts an opened directory at the target, or recognises that it is there already. */
export function bindTo(
  context: HelperContext,
  source: Source,
  targetPath: TargetPath,
  attributes: Attributes,
  { recursive }: { readonly recursive: boolean },
): BindResult {
  const { libc, table } = context;
  using target = makeTarget(context, targetPath);
  const there = libc.statx(target.fd.number, '');
  if (there.mountId !== target.parent.stat.mountId) return adopt(context, source, target, attributes);

  if (!target.created) checkEmpty(target.fd, target.path);
  const immutableTarget = target.ours && setImmutable(libc, target.fd, true);
  crashPoint('bind.after-immutable');
  using tree = new Fd(libc, libc.openTree(source.fd.number, '', { recursive }));
  crashPoint('bind.after-open-tree');
  libc.mountSetattr(tree.number, { ...attributes, propagation: MS_PRIVATE }, { recursive });
  libc.moveMount(tree.number, target.fd.number);
  crashPoint('bind.after-move-mount');
  const { id, flags } = verify(context, source, targetPath.path, target, tree, attributes);
  crashPoint('bind.after-verify');

  const { mount, device, root, realPath } = source.located;
  if (recursive && table.hasBelow(realPath)) {
    // Mounts came along whose IDs only the kernel's table tells.
    table.refresh();
    const entry = table.byId(id);
    if (entry !== undefined) return { entry, created: true, immutableTarget };
  }
  const entry: MountEntry = {
    id,
    parentId: target.parent.stat.mountId,
    device,
    root,
    target: target.path,
    options: optionWords(flags),
    propagation: { shared: undefined, master: undefined, unbindable: false },
    fsType: mount.fsType,
    source: mount.source,
    superOptions: mount.superOptions,
  };
  table.add(entry);
  return { entry, created: true, immutableTarget };
}

/** Looks at the target anew, by name: what a workload will find must be what was meant. */
function verify(
  context: HelperContext,
  source: Source,
  path: string,
  target: Target,
  tree: Fd,
  attributes: Attributes,
): { readonly id: number; readonly flags: number } {
  const { libc } = context;
  const made = libc.statx(tree.number, '');
  const flags = flagsOfMount(context, tree, source.located, made.mountId);
  let problem: string | undefined;
  try {
    using fd = openBeneath(libc, target.root, path, target.path);
    const found = libc.statx(fd.number, '');
    const { stDev, stIno } = source.located;
    if (found.mountId !== made.mountId) problem = 'the path leads to another mount';
    else if (found.dev !== stDev || found.ino !== stIno) problem = 'another directory than the source is mounted';
    else if ((flags & attributes.expected) !== attributes.expected) problem = `its options are ${optionWords(flags)}`;
  } catch (error) {
    problem = NodeError.from(error).message;
  }
  if (problem === undefined) return { id: made.mountId, flags };
  // Nobody can have been told of it: detaching at once leaves nothing behind.
  libc.umount(tree.procPath, MNT_DETACH);
  throw new NodeError('VerificationFailed', `${target.path} is not what was asked for: ${problem}`, {
    path: target.path,
  });
}

/** `f_flags` of the mount that a descriptor was opened through. */
function flagsOfMount({ libc, table }: HelperContext, fd: Fd, { mount }: Located, id: number): number {
  if (isLocalFilesystem(mount.fsType)) return libc.fstatfs(fd.number).flags;
  // statfs(2) would ask the server or the process behind the mount, and wait for the answer.
  table.refresh();
  return flagsOf(table.byId(id)?.options ?? []);
}

/** Something is mounted at the target: ours with the right attributes, ours to be corrected, or not ours. */
function adopt(context: HelperContext, source: Source, target: Target, attributes: Attributes): BindResult {
  const { libc, table } = context;
  const stat = libc.statx(target.fd.number, '');
  let entry = table.byId(stat.mountId);
  if (entry?.target !== target.path) {
    table.refresh();
    entry = table.byId(stat.mountId);
  }
  const { located } = source;
  const same =
    entry !== undefined &&
    entry.device === located.device &&
    (entry.root === located.root || hidesRoot(entry)) &&
    !entry.root.endsWith(DELETED_SUFFIX) &&
    stat.dev === located.stDev &&
    stat.ino === located.stIno;
  if (entry === undefined || !same) {
    throw new NodeError(
      'ForeignMount',
      `${target.path} has ${entry?.source ?? 'something'}${entry?.root ?? ''} mounted`,
      {
        path: target.path,
      },
    );
  }
  const flags = flagsOfMount(context, target.fd, located, entry.id);
  const wrongMode = !attributes.readOnly && entry.options.includes('ro') && !located.mount.options.includes('ro');
  if ((flags & attributes.expected) === attributes.expected && !wrongMode) {
    return { entry, created: false, immutableTarget: target.ours };
  }
  const clear = attributes.clear | (wrongMode ? 1 : 0);
  libc.mountSetattr(target.fd.number, { set: attributes.set, clear, propagation: 0 }, { recursive: true });
  table.refresh();
  return { entry: table.byId(entry.id) ?? entry, created: false, immutableTarget: target.ours };
}

export function tmpfs(context: HelperContext, request: MountTmpfs): BindResult {
  const { libc, table } = context;
  const attributes = attributesOf(request.options, request.readOnly);
  if (request.sizeBytes <= 0n) throw new NodeError('InvalidRequest', 'a tmpfs needs a size above zero');
  using target = makeTarget(context, request.target);
  const there = libc.statx(target.fd.number, '');
  if (there.mountId !== target.parent.stat.mountId) {
    const entry = freshEntry(context, there.mountId, target.path);
    if (entry?.fsType === 'tmpfs' && entry.source === request.name) {
      return { entry, created: false, immutableTarget: target.ours };
    }
    throw new NodeError('ForeignMount', `${target.path} has ${entry?.source ?? 'something'} mounted`, {
      path: target.path,
    });
  }
  if (!target.created) checkEmpty(target.fd, target.path);
  const immutableTarget = target.ours && setImmutable(libc, target.fd, true);
  const data = `size=${request.sizeBytes},mode=${request.mode.toString(8)}`;
  // The low bits of mount(2)'s flags differ from statfs's only beyond what is allowed here, but for the atime words.
  const flags = BigInt(attributes.expected & 0xf) | ((attributes.expected & 0x400) === 0 ? 0n : 1024n);
  libc.mount(request.name, target.fd.procPath, 'tmpfs', flags, data);
  crashPoint('tmpfs.after-mount');
  using fd = openBeneath(libc, target.root, request.target.path, target.path);
  const found = libc.statx(fd.number, '');
  const entry = freshEntry(context, found.mountId, target.path);
  if (entry?.fsType !== 'tmpfs' || entry.source !== request.name) {
    throw new NodeError('VerificationFailed', `${target.path} does not show the tmpfs that was mounted`, {
      path: target.path,
    });
  }
  table.add(entry);
  return { entry, created: true, immutableTarget };
}

/** The entry of a mount whose ID was just seen: IDs are given out again, so that the place must fit too. */
function freshEntry({ table }: HelperContext, id: number, path: string): MountEntry | undefined {
  const known = table.byId(id);
  if (known?.target === path) return known;
  table.refresh();
  const entry = table.byId(id);
  return entry?.target === path ? entry : undefined;
}
