/**
 * The node layer with a directory of this machine in the place of an export, for kernels without an NFS client: what is
 * mounted is a bind of it, which the mount table shows as the client's, and no other mount. Everything else is real.
 */
import type { NodeLayer, TargetPath } from '../../../src/node/layer.ts';
import type { MountEntry } from '../../../src/node/mount-entry.ts';
import { nfsSource } from '../../../src/node/network/mount-nfs.ts';
import type { MountNfs } from '../../../src/node/network/operations.ts';

export function withLocalExport(layer: NodeLayer, directory: TargetPath, source: string): NodeLayer {
  const isOurs = ({ target }: MountEntry): boolean => target.startsWith(`${layer.mountRoot}/`);
  const shown = (entry: MountEntry): MountEntry => ({ ...entry, fsType: 'nfs4', source });
  const shownOrNone = (entry: MountEntry | undefined) =>
    entry === undefined || !isOurs(entry) ? undefined : shown(entry);
  const allShown = (entries: readonly MountEntry[]) => entries.filter(isOurs).map(shown);
  const { table } = layer;
  const mount = async ({ target, ...wanted }: MountNfs, signal: AbortSignal) => {
    if (nfsSource(wanted) !== source) throw new Error(`nobody exports ${nfsSource(wanted)}`);
    const request = { source: directory, target, readOnly: false, options: [] };
    const { entry, ...rest } = await layer.bindOwn(request, signal);
    return { entry: shown(entry), ...rest, fsid: null };
  };
  return {
    ...layer,
    table: {
      get generation() {
        return table.generation;
      },
      current: () => allShown(table.current()),
      byId: (id) => shownOrNone(table.byId(id)),
      at: (path) => shownOrNone(table.at(path)),
      stackAt: (path) => allShown(table.stackAt(path)),
      below: (path) => allShown(table.below(path)),
      containing: (path) => shownOrNone(table.containing(path)),
      onChange: (listener) => table.onChange(listener),
    },
    // The directory itself shows the same filesystem.
    unmount: (request, signal) => layer.unmount({ ...request, scope: 'copies' }, signal),
    call: async (operation, params, options) => {
      if (operation === 'mountNfs') return mount(params as MountNfs, options.signal);
      return layer.call(operation, params, options);
    },
  };
}
