import { findCondition } from '../../api/conditions.ts';
import { SNAPSHOTS } from '../../api/meta.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Command } from '../command.ts';
import { type Listing, rowsOf } from '../listing.ts';
import { compareByTime } from './of-volume.ts';

interface Params {
  readonly volumeId?: string;
}

export interface ListedSnapshot {
  readonly snapshotId: string;
  readonly volumeId: string;
  readonly ready: boolean;
  /** Why Ready is what it is; `Deleted` only in what a watch shows. */
  readonly reason: string;
  readonly consistent?: boolean;
  readonly restoreSize?: string;
  readonly created_at?: string;
  readonly method?: string;
  readonly nodeName?: string;
}

interface Result {
  readonly snapshots: readonly ListedSnapshot[];
}

export const snapshotListing: Listing<Params, Snapshot, ListedSnapshot, Result> = {
  resource: SNAPSHOTS,
  select: ({ volumeId }) => (volumeId === undefined ? {} : { fieldSelector: `spec.volumeRef.name=${volumeId}` }),
  compare: compareByTime,
  rowOf: listed,
  resultOf: (snapshots) => ({ snapshots }),
};

/** `clawstore snapshot list`: the snapshots of the namespace, the newest last. */
export const snapshotList: Command<Params, Result> = {
  name: 'snapshot list',
  summary: 'List the snapshots, the newest last.',
  parameters: {
    required: [],
    properties: { volumeId: { type: 'string', description: 'Of this volume only.', minLength: 1 } },
  },
  run: async (params, context) => snapshotListing.resultOf(await rowsOf(snapshotListing, params, context)),
};

function listed({ metadata, spec, status }: Snapshot, isGone = false): ListedSnapshot {
  const { conditions, restoreSize, creationTime, method, nodeName, readyToUse } = status ?? {};
  const consistent = findCondition(conditions, 'ContentConsistent');
  return {
    snapshotId: metadata.name,
    volumeId: spec.volumeRef.name,
    ready: !isGone && readyToUse === true,
    reason: isGone ? 'Deleted' : (findCondition(conditions, 'Ready')?.reason ?? 'Pending'),
    ...(consistent === undefined ? {} : { consistent: consistent.status === 'True' }),
    ...(restoreSize === undefined ? {} : { restoreSize }),
    ...(creationTime === undefined ? {} : { created_at: creationTime }),
    ...(method === undefined ? {} : { method }),
    ...(nodeName === undefined ? {} : { nodeName }),
  };
}
