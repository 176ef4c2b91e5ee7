/** The helper's side of trees, but for the copy itself. */
import { closeSync, fsyncSync, lstatSync, opendirSync, openSync, readdirSync, renameSync, rmdirSync } from 'node:fs';
import { crashPoint } from '../crash-points.ts';
import type { HelperContext } from '../helper/context.ts';
import { Fd } from '../helper/fd.ts';
import { type Libc, O_DIRECTORY, O_PATH, RESOLVE_NO_SYMLINKS } from '../helper/libc.ts';
import { components } from '../helper/paths.ts';
import { targetName } from '../helper/target.ts';
import type { TargetPath } from '../layer.ts';
import { NodeError } from '../node-error.ts';
import { copyTop } from './copy.ts';
import { isMissing, openPlace, openSource } from './directories.ts';
import type { TreeLook, TreeOperations } from './operations.ts';

const NAMES_SHOWN = 5;

export function lookAtTree(
  context: HelperContext,
  { source, exclude = [] }: TreeOperations['lookAtTree']['params'],
): TreeLook | null {
  try {
    using opened = openSource(context, source);
    const { device, root } = opened.located;
    return { device, root, names: firstNames(opened.fd, exclude) };
  } catch (thrown) {
    if (isMissing(thrown)) return null;
    throw thrown;
  }
}

/** Not all of them: this is asked often, and a directory may be large. */
function firstNames({ procPath }: Fd, exclude: readonly string[]): readonly string[] {
  const names: string[] = [];
  const directory = opendirSync(procPath);
  try {
    while (names.length < NAMES_SHOWN) {
      const name = directory.readSync()?.name;
      if (name === undefined) break;
      if (!exclude.includes(name)) names.push(name);
    }
    return names;
  } finally {
    directory.closeSync();
  }
}

export function nameTree(context: HelperContext, { tree, name }: TreeOperations['nameTree']['params']): null {
  components(name);
  using place = openPlace(context, tree, { make: false });
  crashPoint('tree.before-rename');
  try {
    // rename(2) of a directory replaces an empty one and nothing else.
    renameSync(`${place.parent.procPath}/${place.name}`, `${place.parent.procPath}/${name}`);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOTDIR' && code !== 'EBUSY') throw thrown;
    throw new NodeError('TargetNotEmpty', `${targetName(tree)} cannot be named ${JSON.stringify(name)}: it is taken`);
  }
  crashPoint('tree.after-rename');
  syncDirectory(place.parent);
  return null;
}

export function unfoldTree({ libc }: HelperContext, { tree }: TreeOperations['unfoldTree']['params']): null {
  using place = openPlace({ libc }, tree, { make: false });
  const path = `${place.parent.procPath}/${place.name}`;
  const number = libc.openat2IfExists(place.parent.number, place.name, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
  if (number < 0) return null;
  {
    using inner = new Fd(libc, number);
    for (const name of readdirSync(inner.procPath, { encoding: 'buffer' })) {
      moveUp(libc, inner, name, place.parent);
      crashPoint('tree.after-move');
    }
    copyTop(libc, inner, place.parent);
  }
  rmdirSync(path);
  syncDirectory(place.parent);
  return null;
}

/** Moves a name to another directory. @throws NodeError `TargetNotEmpty` where that has one like it. */
export function moveUp(libc: Libc, from: Fd, name: Buffer, to: Fd): void {
  const taken = (): NodeError => {
    const shown = JSON.stringify(name.toString());
    return new NodeError('TargetNotEmpty', `${shown} is in the directory already; nothing is overwritten`);
  };
  try {
    libc.renameNoReplace(from.number, name, to.number, name);
  } catch (thrown) {
    if (!(thrown instanceof NodeError)) throw thrown;
    if (thrown.errno === 'EEXIST') throw taken();
    if (thrown.errno !== 'EINVAL') throw thrown;
    // NFS knows no flags of rename: what is there is looked at before.
    const [old, fresh] = [from, to].map(({ procPath }) => Buffer.concat([Buffer.from(`${procPath}/`), name]));
    if (old === undefined || fresh === undefined) throw thrown;
    if (lstatSync(fresh, { throwIfNoEntry: false }) !== undefined) throw taken();
    renameSync(old, fresh);
  }
}

export function removeEmptyTree(context: HelperContext, tree: TargetPath): null {
  try {
    using place = openPlace(context, tree, { make: false });
    rmdirSync(`${place.parent.procPath}/${place.name}`);
  } catch (thrown) {
    const { code } = thrown as { readonly code?: string };
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT' && code !== 'NotFound') throw thrown;
  }
  return null;
}

export function syncDirectory({ procPath }: Fd): void {
  const fd = openSync(procPath, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
