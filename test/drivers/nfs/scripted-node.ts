/** A node layer whose server answers as a test says: mounts are rows of a table, and nothing is really mounted. */
import { dirname, join } from 'node:path';
import type { NfsNode } from '../../../src/drivers/nfs/driver.ts';
import type { BindResult, MountTable, TargetPath, UnmountOutcome, UnmountRequest } from '../../../src/node/layer.ts';
import type { MountEntry } from '../../../src/node/mount-entry.ts';
import { NodeError } from '../../../src/node/node-error.ts';
import type { Operations } from '../../../src/node/operations.ts';
import type { SwapTree, TreeChanges } from '../../../src/node/trees/operations.ts';

/** Operations that a test may make fail, besides `unmount` and `bindOwn`. */
type Asked =
  | 'mountNfs'
  | 'statfs'
  | 'syncFilesystem'
  | 'observeTarget'
  | 'makeDirectory'
  | 'findDirectory'
  | 'removeTree'
  | 'copyTree'
  | 'halfSwaps'
  | 'swapTree'
  | 'nameTree';

export const STALE = new NodeError('Failed', 'fstatfs: ESTALE', { errno: 'ESTALE' });
export const SILENT = new NodeError('DeadlineExceeded', 'it was given up');

export class ScriptedNode implements NfsNode {
  readonly mountRoot = '/run/mounts';
  readonly features = [];
  /** Everything that was asked, in order: operation and path. */
  readonly calls: string[] = [];
  readonly failures = new Map<Asked | 'unmount' | 'bindOwn', Error>();
  /** Directories of the server, with their inode numbers. */
  readonly directories = new Map<string, bigint>();
  readonly entries: MountEntry[] = [];
  /** Trees of the server, by their path in this node. */
  readonly trees = new Set<string>();
  /** What was written to a tree while it was copied. */
  changes: TreeChanges = { count: 0, examples: [] };
  /** Copies that the server made by itself. */
  copies = 0;
  kernel = true;
  command = true;
  fsid = '0:1';
  outcome: UnmountOutcome = { outcome: 'done' };
  #id = 100;

  readonly table: MountTable = {
    generation: 1,
    current: () => this.entries,
    byId: (id) => this.entries.find((entry) => entry.id === id),
    at: (path) => this.entries.findLast(({ target }) => target === path),
    stackAt: (path) => this.entries.filter(({ target }) => target === path),
    below: (path) => this.entries.filter(({ target }) => target.startsWith(`${path}/`)),
    containing: () => undefined,
    onChange: () => () => undefined,
  };

  /** Puts a mount at a path. */
  add(target: string, source: string, device = `0:${this.#id}`): MountEntry {
    this.#id += 1;
    const propagation = { shared: undefined, master: undefined, unbindable: false };
    const options = ['rw', 'nosuid', 'nodev'];
    const rest = { parentId: 1, root: '/', options, propagation, fsType: 'nfs4', superOptions: [] };
    const entry = { id: this.#id, target, source, device, ...rest };
    this.entries.push(entry);
    return entry;
  }

  async bindOwn({ source, target }: { readonly source: TargetPath; readonly target: TargetPath }): Promise<BindResult> {
    this.#ask('bindOwn', nameOf(target));
    const stage = this.entries.find((entry) => nameOf(source).startsWith(entry.target));
    const entry = this.add(
      nameOf(target),
      `${stage?.source}${nameOf(source).slice(stage?.target.length)}`,
      stage?.device,
    );
    return { entry, created: true, immutableTarget: true };
  }

  async unmount({ target, force = false }: UnmountRequest): Promise<UnmountOutcome> {
    this.#ask('unmount', `${nameOf(target)}${force ? ' by force' : ''}`);
    if (this.outcome.outcome === 'done') this.#remove(nameOf(target));
    return this.outcome;
  }

  async removeTree(target: TargetPath): Promise<void> {
    this.#ask('removeTree', nameOf(target));
    this.directories.delete(target.path);
    this.trees.delete(nameOf(target));
  }

  async call<K extends keyof Operations>(
    operation: K,
    params: Operations[K]['params'],
  ): Promise<Operations[K]['result']> {
    return this.#answer(operation, params) as Operations[K]['result'];
  }

  #answer(operation: keyof Operations, params: unknown): unknown {
    switch (operation) {
      case 'probeNfs':
        return { kernel: this.kernel, command: this.command };
      case 'mountNfs': {
        const { server, path, target } = params as Operations['mountNfs']['params'];
        this.#ask('mountNfs', nameOf(target));
        const there = this.table.at(nameOf(target));
        const entry = there ?? this.add(nameOf(target), `${server}:${path}`);
        return { entry, created: there === undefined, immutableTarget: true, fsid: this.fsid };
      }
      case 'statfs':
        this.#ask('statfs', (params as Operations['statfs']['params']).path);
        return { totalBytes: 1000n, usedBytes: 10n };
      case 'syncFilesystem':
        return this.#ask('syncFilesystem', (params as Operations['syncFilesystem']['params']).path);
      case 'makeDirectory': {
        const { path } = params as Operations['makeDirectory']['params'];
        this.#ask('makeDirectory', path);
        const ino = this.directories.get(path);
        if (ino !== undefined) return { created: false, ino };
        this.directories.set(path, 7n);
        return { created: true, ino: 7n };
      }
      case 'findDirectory': {
        const { path } = params as Operations['findDirectory']['params'];
        this.#ask('findDirectory', path);
        const ino = this.directories.get(path);
        return ino === undefined ? null : { ino };
      }
      case 'nfsCopies':
        return { copies: this.copies };
      case 'lookAtTree': {
        const { source } = params as Operations['lookAtTree']['params'];
        const isThere = 'own' in source && this.trees.has(nameOf(source.own));
        return isThere ? { device: '0:1', root: '/', names: ['file'] } : null;
      }
      case 'copyTree': {
        const { destination, source } = params as Operations['copyTree']['params'];
        if (!('own' in source)) throw new Error('an nfs volume is no path of a user');
        this.#ask('copyTree', `${nameOf(source.own)} to ${nameOf(destination)}`);
        this.trees.add(nameOf(destination));
        return { entries: 2, bytes: 7n, sharesBlocks: false, startedAt: 1_000, changes: this.changes };
      }
      case 'nameTree': {
        const { tree, name } = params as Operations['nameTree']['params'];
        this.#ask('nameTree', nameOf(tree));
        this.trees.delete(nameOf(tree));
        this.trees.add(join(dirname(nameOf(tree)), name));
        return null;
      }
      case 'swapState': {
        const { tree, hidden, fresh, aside } = params as SwapTree;
        if (!this.trees.has(`${nameOf(tree)}/${hidden}/${fresh}`)) return 'none';
        return this.trees.has(`${nameOf(tree)}/${hidden}/${aside}`) ? 'half' : 'ready';
      }
      case 'halfSwaps': {
        const { tree, hidden, asideEnd } = params as Operations['halfSwaps']['params'];
        this.#ask('halfSwaps', nameOf(tree));
        const above = `${nameOf(tree)}/${hidden}/`;
        const names = [...this.trees].filter((one) => one.startsWith(above)).map((one) => one.slice(above.length));
        return names.flatMap((one) => {
          if (one.endsWith('.up')) return [one.slice(0, -'.up'.length)];
          return names.includes(`${one}${asideEnd}`) ? [one] : [];
        });
      }
      case 'swapTree': {
        const { tree, hidden, fresh, aside } = params as SwapTree;
        this.trees.add(`${nameOf(tree)}/${hidden}/${aside}`);
        this.#ask('swapTree', `${nameOf(tree)} with ${fresh}`);
        this.trees.delete(`${nameOf(tree)}/${hidden}/${fresh}`);
        return null;
      }
      case 'removeEmptyTree':
        return null;
      case 'observeTarget': {
        const { target } = params as Operations['observeTarget']['params'];
        this.#ask('observeTarget', nameOf(target));
        return this.#observe(nameOf(target));
      }
      default:
        throw new Error(`no answer to ${operation}`);
    }
  }

  #observe(path: string): Operations['observeTarget']['result'] {
    const entry = this.table.at(path);
    const ids = { stDev: 1n, stIno: 1n };
    const source = { device: entry?.device ?? '', root: '/', fsType: 'nfs4', ...ids, readOnly: false };
    return {
      stack: entry === undefined ? [] : [entry],
      visibleMountId: entry?.id ?? null,
      visible: entry === undefined ? null : ids,
      source,
      problem: null,
      targetExists: true,
    };
  }

  #ask(operation: Asked | 'unmount' | 'bindOwn', path: string): null {
    this.calls.push(`${operation} ${path.replaceAll('/run/mounts/', '')}`);
    const failure = this.failures.get(operation);
    if (failure !== undefined) throw failure;
    return null;
  }

  #remove(path: string): void {
    const index = this.entries.findLastIndex(({ target }) => target === path);
    if (index >= 0) this.entries.splice(index, 1);
  }
}

function nameOf({ root, path }: TargetPath): string {
  return `${root}/${path}`;
}
