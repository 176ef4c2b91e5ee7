/**
 * What is remembered of volumes that went back to a snapshot, on the node that did it: by Restore, so that it is never done a
 * second time over what was written since; and by volume while its content is being replaced name by name, so that half of
 * it is never taken for all, and from before a copy is made for that, so that it is found when its Restore is gone.
 */
import { join } from 'node:path';
import { Reason } from '../api/reasons.ts';
import { crashPoint } from '../node/crash-points.ts';
import { Records } from '../node/records.ts';
import {
  DriverError,
  type DriverRestore,
  type DriverSnapshot,
  type DriverVolume,
  type VolumeObservation,
} from './driver.ts';

const DONE = 'reverts';
const BEGUN = 'reverts-begun';
const COPIES = 'reverts-copies';

/** What is noted of a revert, by the UID of its Restore. */
export interface RevertRecord {
  readonly volumeUID: string;
  readonly snapshotUID: string;
  /** Of what becomes the volume's content in one step, as text; where there is such a thing. */
  readonly inode?: string;
  /** It became that, whatever has become of it since. */
  readonly done: boolean;
}

/**
 * A volume that is neither the one nor the other at the moment, by its UID. Names and the UID of the snapshot are empty
 * where another node has begun it, and the storage does not say them.
 */
export interface BegunRevert {
  readonly restoreUID: string;
  readonly restoreName: string;
  readonly snapshotUID: string;
  readonly snapshotName: string;
  /** The storage says so too: what it says later counts, because another node may have ended it. */
  readonly isInStorage?: boolean;
}

/** For which Restore a copy lies beside the content of a volume, complete or not; by the UID of the volume. */
interface CopyRecord {
  readonly restoreUID: string;
}

export class Reverts {
  readonly #records: Records<RevertRecord>;
  readonly #begun: Records<BegunRevert>;
  readonly #copies: Records<CopyRecord>;

  constructor(stateDir: string) {
    this.#records = new Records(join(stateDir, DONE), isRevertRecord);
    this.#begun = new Records(join(stateDir, BEGUN), isBegunRevert);
    this.#copies = new Records(join(stateDir, COPIES), isCopyRecord);
  }

  /** Something is about to be copied for a Restore. */
  noteCopy(volumeUID: string, restoreUID: string): void {
    this.#copies.write(volumeUID, { restoreUID });
  }

  /** UID of the Restore for which something was copied that has not become content, and has not been removed. */
  copyOf(volumeUID: string): string | undefined {
    return this.#copies.mayHave(volumeUID) ? this.#copies.read(volumeUID)?.restoreUID : undefined;
  }

  copyIsGone(volumeUID: string): void {
    this.#copies.remove(volumeUID);
  }

  of({ uid }: Pick<DriverRestore, 'uid'>): RevertRecord | undefined {
    return this.#records.read(uid);
  }

  /** Notes which thing becomes the content, before it does. */
  note(restore: DriverRestore, volume: DriverVolume, snapshot: DriverSnapshot, inode: bigint): void {
    const record = { volumeUID: volume.uid, snapshotUID: snapshot.uid, inode: String(inode), done: false };
    this.#records.write(restore.uid, record);
    crashPoint('revert.after-record');
  }

  /** From now on the volume has a part of the one and a part of the other. */
  begin(restore: DriverRestore, volume: DriverVolume, snapshot: DriverSnapshot): void {
    this.#begun.write(volume.uid, { ...begunBy(restore, snapshot), isInStorage: true });
    crashPoint('revert.after-record');
  }

  /** Another node has left it so, as the storage says. */
  takeUp(volumeUID: string, restoreUID: string): void {
    if (this.#begun.read(volumeUID) !== undefined) return;
    const unknown = { restoreName: '', snapshotUID: '', snapshotName: '' };
    this.#begun.write(volumeUID, { restoreUID, ...unknown, isInStorage: true });
  }

  begunOf(volumeUID: string): BegunRevert | undefined {
    return this.#begun.read(volumeUID);
  }

  /** It is as it was. */
  takeBack(volumeUID: string): void {
    this.#begun.remove(volumeUID);
  }

  /** Another node has ended what this one knows of, unless something else has been begun meanwhile. */
  endedElsewhere(volumeUID: string, { restoreUID }: BegunRevert): void {
    if (this.#begun.read(volumeUID)?.restoreUID === restoreUID) this.#begun.remove(volumeUID);
  }

  /** The volume has all of it. */
  finish(restoreUID: string, volumeUID: string, snapshotUID: string): void {
    const { inode } = this.#records.read(restoreUID) ?? {};
    const record = { volumeUID, snapshotUID, ...(inode === undefined ? {} : { inode }), done: true };
    this.#records.write(restoreUID, record);
    crashPoint('revert.after-done');
    this.#begun.remove(volumeUID);
  }

  /** What a person should read of a volume whose revert was begun and has not ended. */
  problemOf(volumeUID: string): VolumeObservation['problem'] {
    const begun = this.#begun.read(volumeUID);
    return begun === undefined ? undefined : halfProblem(begun);
  }

  /** Nothing is copied from half of something. @throws DriverError `RevertIncomplete`. */
  refuseHalf(volumeUID: string): void {
    const begun = this.#begun.read(volumeUID);
    if (begun !== undefined) throw halfError(begun);
  }

  /** Forgets what was noted of a volume that is gone. */
  forget(volumeUID: string): void {
    this.#begun.remove(volumeUID);
    this.#copies.remove(volumeUID);
    for (const [uid, record] of this.#records.all()) if (record.volumeUID === volumeUID) this.#records.remove(uid);
  }
}

/** What is noted of a revert that begins. */
export function begunBy(restore: DriverRestore, snapshot: DriverSnapshot): BegunRevert {
  const { uid: restoreUID, name: restoreName } = restore;
  const { uid: snapshotUID, name: snapshotName } = snapshot;
  return { restoreUID, restoreName, snapshotUID, snapshotName };
}

/** What a person should read of a volume whose revert was begun, on whatever node, and has not ended. */
export function halfProblem({
  restoreUID,
  restoreName,
  snapshotName,
}: Omit<BegunRevert, 'snapshotUID'>): NonNullable<VolumeObservation['problem']> {
  const restore = restoreName === '' ? `A Restore of another node (UID ${restoreUID})` : `Restore ${restoreName}`;
  const snapshot = snapshotName === '' ? 'a snapshot' : `snapshot ${snapshotName}`;
  const message = `${restore} is replacing the content by that of ${snapshot}, and has not ended: a part may be of before. Where that Restore is gone, make a new one.`;
  return { reason: Reason.RevertIncomplete, message, terminal: false };
}

/** The same, for who wants to use it. */
export function halfError(begun: Omit<BegunRevert, 'snapshotUID'>): DriverError {
  const { reason, message } = halfProblem(begun);
  return new DriverError(reason, message);
}

function isRevertRecord(value: unknown): value is RevertRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { volumeUID, snapshotUID, inode, done } = value as Partial<Record<keyof RevertRecord, unknown>>;
  return (
    typeof volumeUID === 'string' &&
    typeof snapshotUID === 'string' &&
    (inode === undefined || (typeof inode === 'string' && /^\d{1,20}$/.test(inode))) &&
    typeof done === 'boolean'
  );
}

function isCopyRecord(value: unknown): value is CopyRecord {
  return typeof value === 'object' && value !== null && 'restoreUID' in value && typeof value.restoreUID === 'string';
}

function isBegunRevert(value: unknown): value is BegunRevert {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Partial<Record<keyof BegunRevert, unknown>>;
  const fields = [record.restoreUID, record.restoreName, record.snapshotUID, record.snapshotName];
  const isSaid = record.isInStorage === undefined || typeof record.isInStorage === 'boolean';
  return isSaid && fields.every((field) => typeof field === 'string');
}
