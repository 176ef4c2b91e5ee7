/**
 * Going back in memory: the archive is unpacked beside the data, in the same tmpfs, and the two directories get each other's
 * name in one step. The tmpfs is larger meanwhile, because both are in it. Which directory that is (its inode) is noted before,
 * as for images (`image-reverts.ts`).
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { crashPoint } from '../../node/crash-points.ts';
import type { NodeLayer, TargetPath } from '../../node/layer.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import type { DriverRestore, DriverSnapshot, DriverVolume, LongCall } from '../driver.ts';
import { DriverError } from '../driver.ts';
import { asDriver } from '../failure.ts';
import type { Reverts } from '../reverts.ts';
import { stageMountOf, stageTarget } from '../stage.ts';
import { refuseMounted } from '../writing.ts';
import { isMemoryOf, type MemoryMedium, sizeOf } from './memory-medium.ts';
import { FILLING, type MemorySnapshots } from './memory-snapshots.ts';
import { DATA } from './stage.ts';

const DEADLINE_MS = 60_000;

export interface MemoryRevertsOptions {
  readonly node: NodeLayer;
  readonly medium: MemoryMedium;
  readonly snapshots: Pick<MemorySnapshots, 'unpack'>;
  readonly reverts: Reverts;
}

export class MemoryReverts {
  readonly #options: MemoryRevertsOptions;

  constructor(options: MemoryRevertsOptions) {
    this.#options = options;
  }

  revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    return asDriver('RevertFailed', () => this.#revert(volume, snapshot, restore, call));
  }

  /** Removes what was unpacked and is not the data, and gives the tmpfs its size back. */
  tidy(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    return asDriver('RevertFailed', () => this.#tidy(volume, signal));
  }

  async #revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    const { node, medium, snapshots, reverts } = this.#options;
    const { signal } = call;
    const noted = reverts.of(restore);
    if (noted?.done === true) return await this.#tidy(volume, signal);
    await medium.stage(volume, signal);
    const mount = stageMountOf(node, volume.uid);
    if (mount === undefined || !isMemoryOf(mount, volume)) {
      throw new DriverError('DataMissing', `the memory of volume ${volume.name} is not there`);
    }
    refuseMounted(node, volume.name, mount);
    const data = join(mount.target, DATA);
    if (noted === undefined || noted.inode !== String(inodeOf(data))) {
      reverts.noteCopy(volume.uid, restore.uid);
      const { usedBytes } = await node.statfs(mount.target, signal);
      const size = volume.capacityBytes ?? sizeOf(mount) ?? 0n;
      await medium.resize(mount, size + usedBytes, signal);
      await snapshots.unpack(volume, snapshot, mount, call);
      crashPoint('revert.after-clone');
      reverts.note(restore, volume, snapshot, inodeOf(join(mount.target, FILLING)));
      const tree = { ...stageTarget(node, volume.uid), path: `${stageTarget(node, volume.uid).path}/${DATA}` };
      // Nobody gives this up: it is done or not, and noted either way.
      const options = { signal: AbortSignal.timeout(DEADLINE_MS) };
      await node.call('exchangeTree', { tree, name: FILLING }, options);
      crashPoint('revert.after-name');
    }
    reverts.finish(restore.uid, volume.uid, snapshot.uid);
    await this.#tidy(volume, signal);
  }

  /** Removes what was before, and gives the tmpfs its size back. */
  async #tidy(volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const mount = stageMountOf(this.#options.node, volume.uid);
    if (mount !== undefined && isMemoryOf(mount, volume)) await this.#tidyIn(mount, volume, signal);
    this.#options.reverts.copyIsGone(volume.uid);
  }

  async #tidyIn(mount: MountEntry, volume: DriverVolume, signal: AbortSignal): Promise<void> {
    const { node, medium } = this.#options;
    const target: TargetPath = stageTarget(node, volume.uid);
    await node.removeTree({ ...target, path: `${target.path}/${FILLING}` }, signal);
    const size = volume.capacityBytes;
    if (size !== undefined && sizeOf(stageMountOf(node, volume.uid) ?? mount) !== size) {
      await medium.resize(mount, size, signal);
    }
  }
}

function inodeOf(path: string): bigint {
  return statSync(path, { bigint: true }).ino;
}
