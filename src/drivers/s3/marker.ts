/**
 * What the metadata of an empty object of ours says: for which volume or snapshot a prefix was made, whether all that it is to
 * start with has arrived, and whether it has a part of what it is going back to. Pure.
 */
import { isSubdomain, isUid, uidSegment } from '../../api/names.ts';
import { HIDDEN_PREFIX } from '../../s3/location.ts';
import type { BegunRevert } from '../reverts.ts';

/** Lower case, as servers return them. */
const UID = 'clawstore-volume';
/** Written again rather than left out: some servers keep what is not named. */
const STATE = 'clawstore-state';
const INCOMPLETE = 'incomplete';
const COMPLETE = 'complete';
const REVERTING = 'reverting';
/** Of what it is going back to, and by which Restore; they mean something while it is. */
const RESTORE_UID = 'clawstore-restore-uid';
const RESTORE_NAME = 'clawstore-restore';
const SNAPSHOT_UID = 'clawstore-snapshot-uid';
const SNAPSHOT_NAME = 'clawstore-snapshot';

const OURS: ReadonlySet<string> = new Set([UID, STATE, RESTORE_UID, RESTORE_NAME, SNAPSHOT_UID, SNAPSHOT_NAME]);

export type MarkerState = typeof INCOMPLETE | typeof COMPLETE | BegunRevert;

export interface Marker {
  /** The volume or snapshot that the prefix was made for, or that the note is about. */
  readonly uid: string | undefined;
  readonly isComplete: boolean;
  /** The revert that has not ended. */
  readonly revert: BegunRevert | undefined;
}

/** As metadata of an object. */
export function metadataOf(uid: string, state: MarkerState | undefined): Readonly<Record<string, string>> {
  if (state === undefined) return { [UID]: uid };
  if (typeof state === 'string') return { [UID]: uid, [STATE]: state };
  return {
    [UID]: uid,
    [STATE]: REVERTING,
    [RESTORE_UID]: state.restoreUID,
    [RESTORE_NAME]: state.restoreName,
    [SNAPSHOT_UID]: state.snapshotUID,
    [SNAPSHOT_NAME]: state.snapshotName,
  };
}

/** What metadata says. Whoever may write to the bucket may have written it: what is no name or UID is as if it were not there. */
export function markerOf(metadata: Readonly<Record<string, string>> = {}): Marker {
  const state = metadata[STATE];
  return {
    uid: metadata[UID],
    isComplete: state !== INCOMPLETE,
    revert: state === REVERTING ? revertOf(metadata) : undefined,
  };
}

/** Metadata of an object that is copied: the copy of a marker marks nothing. */
export function withoutMarker(metadata: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => !OURS.has(key)));
}

/** Key of the object that says it of a volume whose prefix was not made for it, and of a whole bucket. */
export function noteKeyOf(uid: string): string {
  return `${HIDDEN_PREFIX}reverting-${uidSegment('metadata.uid', uid)}`;
}

function revertOf(metadata: Readonly<Record<string, string>>): BegunRevert {
  const said = (key: string, isValid: (text: string) => boolean): string => {
    const text = metadata[key] ?? '';
    return isValid(text) ? text : '';
  };
  return {
    restoreUID: said(RESTORE_UID, isUid),
    restoreName: said(RESTORE_NAME, isSubdomain),
    snapshotUID: said(SNAPSHOT_UID, isUid),
    snapshotName: said(SNAPSHOT_NAME, isSubdomain),
  };
}
