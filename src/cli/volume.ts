/** How volumes are shown to people. */
import { VOLUME_MOUNTS, VOLUMES } from '../api/meta.ts';
import { mountName } from '../api/names.ts';
import type { CreatedVolume } from '../commands/volume/create.ts';
import type { DeletedVolume } from '../commands/volume/delete.ts';
import type { GrownVolume } from '../commands/volume/grow.ts';
import type { ListedVolume } from '../commands/volume/list.ts';
import type { MountedVolume } from '../commands/volume/mount.ts';
import type { UnmountedVolume } from '../commands/volume/unmount.ts';
import type { TableView, View } from './output.ts';
import { age, humanBytes } from './units.ts';

export const VOLUME_LIST: TableView<ListedVolume> = {
  resource: VOLUMES,
  nameOf: ({ volumeId }) => volumeId,
  columns: [
    { heading: 'name', cell: ({ volumeId }) => volumeId },
    { heading: 'type', cell: ({ type }) => type },
    { heading: 'phase', cell: ({ phase }) => phase },
    { heading: 'capacity', cell: ({ capacity }) => (capacity === 0 ? '' : humanBytes(capacity)) },
    { heading: 'used', cell: ({ used }) => (used === undefined ? '' : humanBytes(used)) },
    { heading: 'ready', cell: ({ ready }) => ready },
    { heading: 'reason', cell: ({ reason }) => reason },
    { heading: 'age', cell: ({ created_at }) => age(created_at) },
    { heading: 'access mode', wide: true, cell: ({ accessMode }) => accessMode },
    { heading: 'node', wide: true, cell: ({ nodeName }) => nodeName },
    { heading: 'message', wide: true, cell: ({ message }) => message?.replaceAll(/\s+/g, ' ') },
  ],
};

export const CREATED_VOLUME: View<CreatedVolume, CreatedVolume> = {
  resource: VOLUMES,
  rows: (result) => [result],
  nameOf: ({ name }) => name,
  columns: [
    { heading: 'name', cell: ({ name }) => name },
    { heading: 'type', cell: ({ type }) => type },
    { heading: 'size (GiB)', cell: ({ sizeGb }) => sizeGb },
    { heading: 'access mode', cell: ({ accessMode }) => accessMode },
    { heading: 'ready', cell: ({ success }) => success },
  ],
};

export const MOUNTED_VOLUME: View<MountedVolume, MountedVolume> = {
  resource: VOLUME_MOUNTS,
  rows: (result) => [result],
  nameOf: ({ volumeId, workloadId }) => mountName(volumeId, workloadId),
  columns: [
    { heading: 'volume', cell: ({ volumeId }) => volumeId },
    { heading: 'workload', cell: ({ workloadId }) => workloadId },
    { heading: 'mount path', cell: ({ mountPath }) => mountPath },
    { heading: 'host path', cell: ({ hostPath }) => hostPath },
  ],
};

export const UNMOUNTED_VOLUME: View<UnmountedVolume, UnmountedVolume> = {
  resource: VOLUMES,
  rows: (result) => [result],
  nameOf: ({ volumeId }) => volumeId,
  columns: [
    { heading: 'volume', cell: ({ volumeId }) => volumeId },
    { heading: 'unmounted', cell: ({ unmounted }) => unmounted },
  ],
};

export const DELETED_VOLUME: View<DeletedVolume, DeletedVolume> = {
  resource: VOLUMES,
  rows: (result) => [result],
  nameOf: ({ volumeId }) => volumeId,
  columns: [
    { heading: 'name', cell: ({ volumeId }) => volumeId },
    { heading: 'deleted', cell: ({ deleted }) => deleted },
  ],
};

export const GROWN_VOLUME: View<GrownVolume, GrownVolume> = {
  resource: VOLUMES,
  rows: (result) => [result],
  nameOf: ({ volumeId }) => volumeId,
  columns: [
    { heading: 'name', cell: ({ volumeId }) => volumeId },
    { heading: 'capacity', cell: ({ capacity }) => humanBytes(capacity) },
    { heading: 'enforced', cell: ({ enforced, reason }) => (enforced ? 'true' : `false: ${reason ?? 'Unknown'}`) },
  ],
};
