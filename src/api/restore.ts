/** The Restore kind: a Volume goes back to a moment of it. Schema: `crds/storage.clawbernetes.io_restores.yaml`. */
import type { ConditionedStatus, KubeObject, LocalReference } from './meta.ts';

export interface RestoreSpec {
  readonly source: {
    readonly snapshotRef: LocalReference;
  };
  /** Keep the present content as a Snapshot first. Absent: true. */
  readonly safetySnapshot?: boolean;
}

/** Longest name of a Restore: with {@link SAFETY_SUFFIX} it is the name of a Snapshot and a label value. */
export const MAX_RESTORE_NAME = 56;

/** Ends the name of the Snapshot of what a Restore replaces. */
export const SAFETY_SUFFIX = '-safety';

export type RestoreConditionType = 'Ready' | 'Reconciling' | 'Stalled';

/** Which Snapshot, of which Volume, as it was when the Restore was given to a node. */
export interface RestoreOrigin {
  readonly snapshotName: string;
  readonly snapshotUID: string;
  readonly volumeName: string;
  readonly volumeUID: string;
}

export interface RestoreStatus extends ConditionedStatus<RestoreConditionType> {
  /** The node of the volume. Written by the controller, with `source` and `startTime`. */
  readonly nodeName?: string;
  readonly source?: RestoreOrigin;
  /** The Snapshot of what was there before. */
  readonly safetySnapshotRef?: LocalReference;
  readonly startTime?: string;
  /** When it ended, well or not. Nothing is done after it. */
  readonly completionTime?: string;
}

export type Restore = KubeObject<RestoreSpec, RestoreStatus>;

/** Whether it has ended, so that nothing is ever done for it again. */
export function isFinished({ status }: Restore): boolean {
  return status?.completionTime !== undefined;
}
