/**
 * `medium: Memory`: a tmpfs. Its files live as long as its mount, so it stays staged until the volume is deleted. When it
 * is gone although it had been there (the node was restarted), a new one is made, and its name says that it is not the
 * first: people are told what they lost even if the agent is killed before it has said so.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { uidSegment } from '../../api/names.ts';
import type { NodeLayer } from '../../node/layer.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import { DriverError, type DriverVolume } from '../driver.ts';
import { asDriver } from '../failure.ts';
import { inUse, stageMountOf, stageMounts, stageTarget, unmountStage } from '../stage.ts';
import { DATA, DATA_MODE, ENFORCED, type Medium, NOTHING, problemOf } from './stage.ts';

/** Name of the tmpfs in the mount table; the UID follows, and then, unless it is the volume's first, when it was made. */
const NAME_PREFIX = 'clawstore-';
/** Before the time, in seconds since 1970; no UID contains it. */
const ANEW = '@';
const UNITS: Readonly<Record<string, bigint>> = { '': 1n, k: 1n << 10n, m: 1n << 20n, g: 1n << 30n };

export interface MemoryMedium extends Medium {
  /** Mounts the tmpfs of a volume that is none yet: it becomes one with its data directory. */
  mountEmpty(volume: DriverVolume, signal: AbortSignal): Promise<MountEntry>;
  /** Gives a tmpfs another size, in bytes. @throws DriverError `ResizeFailed`, as when more is in it. */
  resize(mount: MountEntry, sizeBytes: bigint, signal: AbortSignal): Promise<void>;
}

export function createMemoryMedium(node: NodeLayer, now: () => number = Date.now): MemoryMedium {
  const mountEmpty = async (volume: DriverVolume, signal: AbortSignal): Promise<MountEntry> => {
    const request = {
      target: stageTarget(node, volume.uid),
      sizeBytes: volume.capacityBytes ?? 0n,
      mode: 0o755,
      readOnly: false,
      options: ['nosuid', 'nodev'],
      name: nameOf(volume, stageMountOf(node, volume.uid), now()),
    };
    return (await asDriver('MountFailed', () => node.tmpfs(request, signal))).entry;
  };
  const stage = async (volume: DriverVolume, signal: AbortSignal): Promise<void> => {
    const { device } = await mountEmpty(volume, signal);
    const inside = { target: stageTarget(node, volume.uid), device, name: DATA, mode: DATA_MODE };
    await asDriver('MountFailed', () => node.call('makeInside', inside, { signal }));
  };

  const resize = async ({ target }: MountEntry, sizeBytes: bigint, signal: AbortSignal): Promise<void> => {
    const argv = ['mount', '-o', `remount,size=${sizeBytes}`, target] as const;
    const { status, stderr } = await asDriver('ResizeFailed', () => node.call('run', { argv: [...argv] }, { signal }));
    if (status === 0) return;
    throw new DriverError('ResizeFailed', `the size of the tmpfs could not be changed: ${stderr.trim()}`);
  };

  return {
    mountEmpty,
    resize,
    sourceName: () => 'tmpfs',
    observe(volume, stageMount) {
      if (stageMount === undefined) return Promise.resolve(NOTHING);
      const isOurs = isMemoryOf(stageMount, volume);
      const emptiedAt = isOurs ? madeAnewAt(stageMount) : undefined;
      return Promise.resolve({
        // Without its data directory a kill came in between, perhaps while it was filled.
        provisioned: isOurs && existsSync(join(stageMount.target, DATA)),
        enforcedBytes: sizeOf(stageMount) ?? volume.capacityBytes,
        capacity: ENFORCED,
        staged: isOurs,
        stageMount,
        problem: problemOf(stageMount, isOurs),
        ownedByUs: true,
        ...(emptiedAt === undefined ? {} : { emptiedAt }),
      });
    },
    async provision(volume, sizeBytes, _stageMount, signal) {
      await stage(volume, signal);
      const mount = stageMountOf(node, volume.uid);
      const present = mount === undefined ? undefined : sizeOf(mount);
      if (mount === undefined || (present !== undefined && present >= sizeBytes)) return;
      await resize(mount, sizeBytes, signal);
    },
    stage,
    unstage: () => Promise.resolve({ outcome: 'done' }),
    async delete(volume, signal) {
      // A mount that outlived its object keeps the files alive, also when the stage mount itself is gone.
      const alive = node.table.current().find((entry) => isMemoryOf(entry, volume));
      const was = alive === undefined ? undefined : { device: alive.device, root: '/', options: [] };
      const outcome = await unmountStage(node, volume.uid, signal, was);
      if (outcome.outcome === 'done') return;
      throw new DriverError('VolumeInUse', `the memory of volume ${volume.name} is still in use (${inUse(outcome)})`);
    },
    leftovers: () =>
      Promise.resolve(
        stageMounts(node)
          .filter(({ fsType, source }) => fsType === 'tmpfs' && source.startsWith(NAME_PREFIX))
          .map(({ source, target }) => ({
            volumeUID: source.slice(NAME_PREFIX.length).split(ANEW)[0] ?? '',
            path: target,
            bytes: undefined,
          })),
      ),
  };
}

function firstNameOf({ uid }: DriverVolume): string {
  return `${NAME_PREFIX}${uidSegment('metadata.uid', uid)}`;
}

/** The name of what is there, or of what is to be made. */
function nameOf(volume: DriverVolume, present: MountEntry | undefined, now: number): string {
  if (present !== undefined && isMemoryOf(present, volume)) return present.source;
  const first = firstNameOf(volume);
  return volume.wasProvisioned ? `${first}${ANEW}${Math.floor(now / 1000)}` : first;
}

export function isMemoryOf({ fsType, source }: MountEntry, volume: DriverVolume): boolean {
  const first = firstNameOf(volume);
  return fsType === 'tmpfs' && (source === first || source.startsWith(`${first}${ANEW}`));
}

function madeAnewAt({ source }: MountEntry): Date | undefined {
  const [, seconds] = source.split(ANEW);
  return seconds === undefined ? undefined : new Date(Number(seconds) * 1000);
}

/** `size=` of tmpfs(5) as the mount table shows it, in bytes. */
export function sizeOf({ superOptions }: MountEntry): bigint | undefined {
  const option = superOptions.find((text) => text.startsWith('size='))?.slice('size='.length);
  const [, digits, unit = ''] = /^(\d+)([kmg]?)$/.exec(option ?? '') ?? [];
  return digits === undefined ? undefined : BigInt(digits) * (UNITS[unit] ?? 1n);
}
