import { findCondition } from '../../api/conditions.ts';
import { SNAPSHOTS } from '../../api/meta.ts';
import type { Snapshot } from '../../api/snapshot.ts';
import type { Command } from '../command.ts';
import { fromKube } from '../wait.ts';

interface Params {
  readonly volumeId?: string;
}

interface ListedSnapshot {
  readonly snapshotId: string;
  readonly volumeId: string;
  readonly ready: boolean;
  /** Why Ready is what it is. */
  readonly reason: string;
  readonly consistent?: boolean;
  readonly restoreSize?: string;
  readonly created_at?: string;
  readonly method?: string;
  readonly nodeName?: string;
}

/** `clawstore snapshot list`: the snapshots of the namespace, the newest last. */
export const snapshotList: Command<Params, { readonly snapshots: readonly ListedSnapshot[] }> = {
  name: 'snapshot list',
  summary: 'List the snapshots, the newest last.',
  parameters: {
    required: [],
    properties: { volumeId: { type: 'string', description: 'Of this volume only.', minLength: 1 } },
  },
  async run({ volumeId }, { client, namespace, signal }) {
    const selected = volumeId === undefined ? {} : { fieldSelector: `spec.volumeRef.name=${volumeId}` };
    const { items } = await client
      .list<Snapshot>(SNAPSHOTS, { namespace, ...selected, signal })
      .catch((cause: unknown) => {
        throw fromKube(cause);
      });
    const ordered = items.toSorted((a, b) => timeOf(a).localeCompare(timeOf(b)));
    return { snapshots: ordered.map(listed) };
  },
};

function timeOf({ metadata, status }: Snapshot): string {
  return `${status?.creationTime ?? metadata.creationTimestamp ?? ''} ${metadata.name}`;
}

function listed({ metadata, spec, status }: Snapshot): ListedSnapshot {
  const { conditions, restoreSize, creationTime, method, nodeName, readyToUse } = status ?? {};
  const consistent = findCondition(conditions, 'ContentConsistent');
  return {
    snapshotId: metadata.name,
    volumeId: spec.volumeRef.name,
    ready: readyToUse === true,
    reason: findCondition(conditions, 'Ready')?.reason ?? 'Pending',
    ...(consistent === undefined ? {} : { consistent: consistent.status === 'True' }),
    ...(restoreSize === undefined ? {} : { restoreSize }),
    ...(creationTime === undefined ? {} : { created_at: creationTime }),
    ...(method === undefined ? {} : { method }),
    ...(nodeName === undefined ? {} : { nodeName }),
  };
}
