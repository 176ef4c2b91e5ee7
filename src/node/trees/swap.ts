/**
 * Replaces what is in a directory while it stays the directory that it is: whoever holds it, exports it or limits it goes on
 * with it. The new content lies complete in a directory of ours at its top; the names are moved one by one, and the name of
 * the new content says how far that is, so that a kill leaves what the next call goes on with:
 *
 *     HIDDEN/FRESH      complete; the old names are being moved to HIDDEN/ASIDE
 *     HIDDEN/FRESH.up   all old names are aside; the new ones are being moved up
 *     neither           the directory has the new content
 */
import { lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crashPoint } from '../crash-points.ts';
import type { HelperContext, RequestContext } from '../helper/context.ts';
import { Fd } from '../helper/fd.ts';
import { type Libc, O_DIRECTORY, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS } from '../helper/libc.ts';
import { locate } from '../helper/location.ts';
import { openBeneath, openRoot } from '../helper/open-beneath.ts';
import { components } from '../helper/paths.ts';
import { isAtOrBelow } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import { failureOf } from './complaints.ts';
import { copyTop } from './copy.ts';
import { openPlace } from './directories.ts';
import { moveUp, syncDirectory } from './handlers.ts';
import type { HalfSwaps, SwapState, SwapTree, TreeOperations } from './operations.ts';
import { runOnTree } from './process.ts';

/** Ends the name of new content that is being moved up. */
const UP = '.up';
/** Names moved before others get their turn. */
const BATCH = 256;
const BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
/**
 * There is no directory of that name; a link or a file in its place is nothing that we made. Where we may not read it (a
 * server that takes root for nobody), this node has never made anything in it.
 */
const NOT_OURS: readonly string[] = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV', 'EACCES'];

export function swapState({ libc }: HelperContext, request: SwapTree): SwapState {
  try {
    using tree = openTop(libc, request);
    using hidden = openBeneath(libc, tree, request.hidden, request.hidden);
    if (isThere(hidden, `${request.fresh}${UP}`)) return 'half';
    if (!isThere(hidden, request.fresh)) return 'none';
    return isThere(hidden, request.aside) ? 'half' : 'ready';
  } catch (thrown) {
    if (thrown instanceof NodeError && thrown.errno === 'ENOENT') return 'none';
    throw thrown;
  }
}

export function halfSwaps({ libc }: HelperContext, { tree, hidden: name, asideEnd }: HalfSwaps): readonly string[] {
  try {
    using top = openTop(libc, { tree });
    libc.revalidate(top.number);
    using hidden = openBeneath(libc, top, name, name);
    libc.revalidate(hidden.number);
    const names = new Set(readdirSync(hidden.procPath));
    return [...names].flatMap((one) => {
      if (one.endsWith(UP)) return [one.slice(0, -UP.length)];
      return names.has(`${one}${asideEnd}`) ? [one] : [];
    });
  } catch (thrown) {
    if (NOT_OURS.includes(NodeError.from(thrown).errno ?? '')) return [];
    throw thrown;
  }
}

export async function swapTree(context: HelperContext, request: SwapTree, call: RequestContext): Promise<null> {
  const { libc } = context;
  for (const name of [request.hidden, request.fresh, request.aside]) components(name);
  using tree = openTop(libc, request);
  using hidden = openBeneath(libc, tree, request.hidden, request.hidden);
  const up = `${request.fresh}${UP}`;
  if (!isThere(hidden, up)) {
    if (!isThere(hidden, request.fresh)) throw new NodeError('NotFound', `there is no ${request.fresh} to swap`);
    await refuseForeign(context, tree, call);
    await moveAside(libc, tree, hidden, request);
    renameSync(`${hidden.procPath}/${request.fresh}`, `${hidden.procPath}/${up}`);
    syncDirectory(hidden);
  }
  crashPoint('tree.after-all-aside');
  {
    using fresh = openOwn(libc, hidden, up);
    await moveAll(libc, fresh, tree, undefined, () => crashPoint('tree.after-up'));
    copyTop(libc, fresh, tree);
    syncDirectory(fresh);
  }
  syncDirectory(tree);
  rmdirSync(`${hidden.procPath}/${up}`);
  syncDirectory(hidden);
  return null;
}

/** Moves the old names aside; all of them, or none when one cannot be moved. */
async function moveAside(libc: Libc, tree: Fd, hidden: Fd, request: SwapTree): Promise<void> {
  if (!isThere(hidden, request.aside)) mkdirSync(`${hidden.procPath}/${request.aside}`, { mode: 0o700 });
  using aside = openOwn(libc, hidden, request.aside);
  try {
    await moveAll(libc, tree, aside, request.hidden, () => crashPoint('tree.after-aside'));
  } catch (thrown) {
    await moveAll(libc, aside, tree, undefined, () => undefined);
    rmdirSync(`${hidden.procPath}/${request.aside}`);
    throw thrown;
  }
  syncDirectory(aside);
  syncDirectory(tree);
}

async function moveAll(libc: Libc, from: Fd, to: Fd, but: string | undefined, onMoved: () => void): Promise<void> {
  const kept = but === undefined ? undefined : Buffer.from(but);
  let count = 0;
  for (const name of readdirSync(from.procPath, { encoding: 'buffer' })) {
    if (kept?.equals(name) === true) continue;
    moveUp(libc, from, name, to);
    onMoved();
    count += 1;
    if (count % BATCH === 0) await nextTurn();
  }
}

/** What is moved away here is removed later: nothing that is another filesystem's, and no snapshot has, may be in it. */
async function refuseForeign({ libc, table }: HelperContext, tree: Fd, { signal }: RequestContext): Promise<void> {
  const { realPath } = locate(libc, table, tree);
  table.refresh();
  const mounted = [...table.entries()].find(({ target }) => target !== realPath && isAtOrBelow(target, realPath));
  if (mounted !== undefined) {
    throw new NodeError('MountBelow', `${mounted.target} is a mount point: its content cannot be replaced`);
  }
  let own: string | undefined;
  let rest = '';
  let foreign: string | undefined;
  const { status, complaints, complaintCount } = await runOnTree({
    argv: ['find', '.', '-xdev', '-type', 'd', '-printf', '%D %P\\0'],
    directories: [tree.number],
    onOutput: (chunk) => {
      const records = `${rest}${chunk.toString('latin1')}`.split('\0');
      rest = records.pop() ?? '';
      for (const record of records) {
        const device = record.slice(0, record.indexOf(' '));
        own ??= device;
        if (device !== own) foreign ??= Buffer.from(record.slice(device.length + 1), 'latin1').toString('utf8');
      }
    },
    signal,
  });
  if (foreign !== undefined) {
    const shown = JSON.stringify(foreign);
    throw new NodeError('MountBelow', `${shown} in ${realPath} is another filesystem, or a subvolume`);
  }
  if (status !== 0) throw failureOf('find', 'cannot be read', complaints, complaintCount);
}

export function exchangeTree({ libc }: HelperContext, { tree, name }: TreeOperations['exchangeTree']['params']): null {
  components(name);
  using place = openPlace({ libc }, tree, { make: false });
  libc.renameExchange(place.parent.number, place.name, name);
  crashPoint('tree.after-exchange');
  syncDirectory(place.parent);
  return null;
}

function openTop(libc: Libc, { tree: { root, path } }: Pick<SwapTree, 'tree'>): Fd {
  using above = openRoot(libc, root);
  return openBeneath(libc, above, path, `${root}/${path}`);
}

function openOwn(libc: Libc, parent: Fd, name: string): Fd {
  return new Fd(libc, libc.openat2(parent.number, name, O_PATH | O_DIRECTORY, BENEATH));
}

function isThere({ procPath }: Fd, name: string): boolean {
  return lstatSync(`${procPath}/${name}`, { throwIfNoEntry: false }) !== undefined;
}
