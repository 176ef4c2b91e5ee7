/**
 * What directories are made from, for drivers whose volumes are directories: a snapshot or another volume, before a volume is
 * used (`fill.ts`); a snapshot, in the place of what it has (`revert.ts`).
 */
import { Reason } from '../../api/reasons.ts';
import type { TargetPath } from '../../node/layer.ts';
import type { Records } from '../../node/records.ts';
import type { TreeSource } from '../../node/trees/operations.ts';
import {
  type DriverContent,
  DriverError,
  type DriverRestore,
  type DriverSnapshot,
  type DriverVolume,
  type LongCall,
} from '../driver.ts';
import type { Reverts } from '../reverts.ts';
import {
  type FillContent,
  type FillRecord,
  type FillTarget,
  fillTree,
  forgetFill,
  isFilled,
  isPlaced,
} from './fill.ts';
import { forgetRevert, type RevertTarget, refuseHalfTree, revertTree, tidyRevert } from './revert.ts';
import { type Reached, refuseMissing, TreeSnapshots, type TreeStorage } from './snapshots.ts';

export interface TreeContentOptions {
  readonly storage: TreeStorage;
  readonly fills: Records<FillRecord>;
  readonly reverts: Reverts;
  /** Whether the directory of one volume lies in that of the other, or is the same. */
  readonly overlap: (one: DriverVolume, other: DriverVolume) => boolean;
}

export class TreeContent {
  readonly snapshots: TreeSnapshots;
  readonly #options: TreeContentOptions;

  constructor(options: TreeContentOptions) {
    this.#options = options;
    this.snapshots = new TreeSnapshots(options.storage);
  }

  /** @returns whether the directory of the volume was missing, and made. */
  async fill(volume: DriverVolume, mayCreate: boolean, call: LongCall): Promise<{ readonly isMade: boolean }> {
    const { content, uid } = volume;
    if (content === undefined) throw new DriverError(Reason.InternalError, 'there is nothing to fill the volume with');
    const fill = async ({ tree }: Reached): Promise<void> => {
      const target = this.#fillTarget(volume, tree);
      if (await isPlaced(target, call.signal)) return;
      // Its names may all lie aside, and it would look empty.
      await refuseHalfTree(this.#options.storage.node, tree, { signal: call.signal });
      await this.#read(volume, content, (from) => fillTree(target, { ...from, mayCreate }, call), call.signal);
    };
    await this.#explained(volume, Reason.CloneFailed, () => this.#reach(volume, `${uid}-fill`, fill, call.signal));
    return { isMade: this.#options.fills.read(uid)?.isMade === true };
  }

  /** The volume has all that it was made from, in this directory. */
  isFilled(volume: DriverVolume, tree: TargetPath, signal: AbortSignal): Promise<boolean> {
    return isFilled(this.#fillTarget(volume, tree), signal);
  }

  /** What people should know of what a volume was made from. */
  noteOf({ uid }: DriverVolume): string | undefined {
    return this.#options.fills.read(uid)?.note ?? undefined;
  }

  async revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    const { signal } = call;
    const read = (work: (source: TreeSource) => Promise<void>) =>
      this.snapshots.read(snapshot, readerOf(volume), work, signal);
    const revert = ({ tree }: Reached) =>
      revertTree(this.#revertTarget(volume, tree), { volume, snapshot, restore, read }, call);
    await this.#explained(volume, Reason.RevertFailed, () =>
      this.#reach(volume, `${volume.uid}-revert`, revert, signal),
    );
  }

  /** Removes what was copied for a Restore that is gone. */
  async tidy(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const { uid } = volume;
    const tidy = ({ tree }: Reached) => tidyRevert(this.#revertTarget(volume, tree), uid, signal);
    await this.#explained(volume, Reason.RevertFailed, () => this.#reach(volume, `${uid}-tidy`, tidy, signal));
  }

  /** Removes from a directory what never became content of the volume, or is none any more. */
  async forget(volume: DriverVolume, tree: TargetPath, signal: AbortSignal): Promise<void> {
    await forgetFill(this.#fillTarget(volume, tree), signal);
    await forgetRevert(this.#revertTarget(volume, tree), volume.uid, signal);
  }

  /** Does something with what a volume is to be made from, once it is sure to be there. */
  async #read(
    volume: DriverVolume,
    content: DriverContent,
    work: (from: Omit<FillContent, 'mayCreate'>) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { storage, reverts, overlap } = this.#options;
    const reader = readerOf(volume);
    if (content.from === 'snapshot') {
      const { snapshot } = content;
      const name = `snapshot "${snapshot.name}"`;
      return await this.snapshots.read(snapshot, reader, (source) => work({ source, name, isFixed: true }), signal);
    }
    const { volume: from } = content;
    reverts.refuseHalf(from.uid);
    if (overlap(from, volume)) {
      const message = `${storage.describe(volume)} cannot be filled from ${storage.describe(from)}: one lies in the other`;
      throw new DriverError(Reason.DataSourceMismatch, message, { terminal: true });
    }
    const read = async (reached: Reached): Promise<void> => {
      const source = reached.source();
      await refuseMissing(storage, from, source, signal);
      await refuseHalfTree(storage.node, reached.tree, { signal });
      await work({ source, name: `volume "${from.name}"`, isFixed: false });
    };
    await this.#reach(from, reader, read, signal);
  }

  #reach(
    volume: DriverVolume,
    uid: string,
    work: (reached: Reached) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#options.storage.reach(volume, uid, work, signal);
  }

  async #explained(volume: DriverVolume, otherwise: Reason, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (thrown) {
      throw this.#options.storage.failure(thrown, volume, otherwise);
    }
  }

  #fillTarget({ uid }: DriverVolume, tree: TargetPath): FillTarget {
    const { storage, fills } = this.#options;
    return { node: storage.node, records: fills, uid, tree };
  }

  #revertTarget(volume: DriverVolume, tree: TargetPath): RevertTarget {
    const { storage, reverts } = this.#options;
    return { node: storage.node, reverts, tree, name: storage.describe(volume) };
  }
}

/** Under which the data is read that a volume gets; nothing else reads under it. */
function readerOf({ uid }: DriverVolume): string {
  return `${uid}-from`;
}
