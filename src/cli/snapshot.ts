/** How snapshots are shown to people. */
import { SNAPSHOTS } from '../api/meta.ts';
import type { CreatedSnapshot } from '../commands/snapshot/create.ts';
import type { ListedSnapshot } from '../commands/snapshot/list.ts';
import type { RevertResult } from '../commands/snapshot/revert.ts';
import type { TableView, View } from './output.ts';
import { age } from './units.ts';

export const SNAPSHOT_LIST: TableView<ListedSnapshot> = {
  resource: SNAPSHOTS,
  nameOf: ({ snapshotId }) => snapshotId,
  columns: [
    { heading: 'name', cell: ({ snapshotId }) => snapshotId },
    { heading: 'volume', cell: ({ volumeId }) => volumeId },
    { heading: 'ready', cell: ({ ready }) => ready },
    { heading: 'reason', cell: ({ reason }) => reason },
    { heading: 'consistent', cell: ({ consistent }) => consistent },
    { heading: 'size', cell: ({ restoreSize }) => restoreSize },
    { heading: 'age', cell: ({ created_at }) => age(created_at) },
    { heading: 'method', wide: true, cell: ({ method }) => method },
    { heading: 'node', wide: true, cell: ({ nodeName }) => nodeName },
    { heading: 'taken', wide: true, cell: ({ created_at }) => created_at },
  ],
};

export const TAKEN_SNAPSHOT: View<CreatedSnapshot, CreatedSnapshot> = {
  resource: SNAPSHOTS,
  rows: (result) => [result],
  nameOf: ({ snapshotId }) => snapshotId,
  columns: [
    { heading: 'name', cell: ({ snapshotId }) => snapshotId },
    { heading: 'volume', cell: ({ volumeId }) => volumeId },
    { heading: 'state', cell: ({ state }) => state },
    { heading: 'consistency', cell: ({ consistency }) => consistency },
    { heading: 'size', cell: ({ restoreSize }) => restoreSize },
    { heading: 'taken', cell: ({ created_at }) => created_at },
    { heading: 'method', wide: true, cell: ({ method }) => method },
  ],
};

export const DELETED_SNAPSHOT: View<DeletedSnapshot, DeletedSnapshot> = {
  resource: SNAPSHOTS,
  rows: (result) => [result],
  nameOf: ({ snapshotId }) => snapshotId,
  columns: [
    { heading: 'name', cell: ({ snapshotId }) => snapshotId },
    { heading: 'deleted', cell: ({ deleted }) => deleted },
  ],
};

export const REVERTED_VOLUME: View<RevertResult, RevertResult> = {
  resource: SNAPSHOTS,
  rows: (result) => [result],
  nameOf: ({ snapshotId }) => snapshotId,
  columns: [
    { heading: 'name', cell: ({ snapshotId }) => snapshotId },
    { heading: 'volume', cell: ({ volumeId }) => volumeId },
    { heading: 'state', cell: ({ state }) => state },
    { heading: 'restore', cell: ({ restoreId }) => restoreId },
    { heading: 'safety snapshot', cell: ({ safetySnapshotId }) => safetySnapshotId },
  ],
};

interface DeletedSnapshot {
  readonly snapshotId: string;
  readonly deleted: true;
}
