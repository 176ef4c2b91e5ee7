/**
 * hostPath: a directory of the host that its owner named. Provisioning checks it (and makes it, for
 * DirectoryOrCreate); publishing binds it, recursively, without following a link below the allowed prefix. The data is
 * never ours: nothing here deletes any. Where its filesystem can limit a directory, the capacity is a limit (`quota.ts`).
 */
import { relative } from 'node:path';
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer, TargetPath } from '../../node/layer.ts';
import { DELETED_SUFFIX, type MountEntry } from '../../node/mount-entry.ts';
import type { Records } from '../../node/records.ts';
import { bindOrReplace } from '../bind-or-replace.ts';
import {
  type Driver,
  type DriverCapabilities,
  DriverError,
  type DriverMount,
  type DriverVolume,
  type MountObservation,
  type OpenedContent,
  type OpenedForReading,
  type Reading,
  type UnmountOutcome,
  type VolumeObservation,
} from '../driver.ts';
import { asDriver, toDriverError } from '../failure.ts';
import { lackingFeature } from '../lacking.ts';
import { openInPlace } from '../reading.ts';
import { judgeTarget, refuseOthers, targetOf } from '../target-state.ts';
import { lookInside, syncTo } from '../writing.ts';
import { type ContentNode, HostPathContent } from './content.ts';
import type { ProjectRecord } from './project.ts';
import { DirectoryQuota } from './quota.ts';
import { formerPath, hostPathOf, mayCreate, userPath } from './volume.ts';

/** What the driver needs of the node layer. */
export type HostPathNode = ContentNode &
  Pick<NodeLayer, 'features' | 'mountRoot' | 'bindUserPath' | 'observeTarget' | 'unmount'>;

/** @param records What is remembered of the projects that limit directories. */
export function createHostPathDriver(node: HostPathNode, records: Records<ProjectRecord>): Driver {
  const quota = new DirectoryQuota(node, records);
  const content = new HostPathContent(node);
  const release = async (volume: DriverVolume, signal: AbortSignal): Promise<void> => {
    await content.forget(volume, signal);
    await quota.clear({ volume, ...formerPath(volume) }, signal);
  };
  return {
    type: 'hostPath',
    capabilities: () => Promise.resolve(capabilities(node, quota)),
    observeVolume: (volume, signal) => observeVolume(node, { quota, content }, volume, signal),
    provision: (volume, signal) => provision(node, quota, volume, signal),
    stage: () => Promise.resolve(),
    observeMount: (volume, mount, signal) => observeMount(node, volume, mount, signal),
    publish: (volume, mount, signal) => publish(node, volume, mount, signal),
    unpublish: (volume, mount, signal) => unpublish(node, volume, mount, signal),
    unstage: () => Promise.resolve({ outcome: 'done' }),
    delete: async (volume, signal) => {
      await release(volume, signal);
      return { kept: `"${hostPathOf(volume).path}" was there before the volume.` };
    },
    release,
    fill: async (volume, call) => {
      quota.refuseInVain(volume, userPath(volume).path);
      await content.fill(volume, call);
    },
    revert: (volume, snapshot, restore, call) => content.revert(volume, snapshot, restore, call),
    tidy: (volume, signal) => content.tidy(volume, signal),
    writing: {
      open: (volume, signal) => open(node, volume, signal),
      flush: (volume, signal) => asDriver(Reason.RestoreFailed, () => syncTo(node, userPath(volume).path, signal)),
    },
    reading: {
      read: async (volume, reading, work, signal) => {
        content.refuseHalf(volume);
        return await read(node, volume, reading, work, signal);
      },
      // Nothing is made for it.
      close: () => Promise.resolve(),
    },
    snapshots: content.snapshots,
    // Without a limit: statfs would tell the whole filesystem's use, and walking the tree costs as much as reading it.
    // Neither is the volume's usage at a price that can be paid every minute.
    usage: (volume, signal) => quota.usage({ volume, ...formerPath(volume) }, signal),
    leftovers: () => Promise.resolve(quota.marked()),
  };
}

function capabilities(node: HostPathNode, quota: DirectoryQuota): DriverCapabilities {
  const lacking = lackingFeature(node, ['UserPaths']);
  const features = [quota.feature()];
  if (lacking === undefined) return { supported: true, reason: Reason.Supported, message: '', features };
  return { supported: false, reason: Reason.KernelFeatureMissing, message: lacking.message, features };
}

async function observeVolume(
  node: HostPathNode,
  { quota, content }: { readonly quota: DirectoryQuota; readonly content: HostPathContent },
  volume: DriverVolume,
  signal: AbortSignal,
): Promise<VolumeObservation> {
  const base = { stageMount: undefined, ownedByUs: false };
  try {
    const path = userPath(volume);
    const location = await node.inspectUserPath(path, signal);
    const { isFilled, note } = await content.look(volume, signal);
    const provisioned = location !== null && isFilled;
    const limit = location === null ? UNKNOWN : await quota.observe({ volume, ...path }, location, signal);
    const said = note === undefined ? {} : { note };
    const copyFor = content.copyFor(volume);
    const problem = content.problemOf(volume);
    return { ...base, ...said, ...limit, provisioned, staged: provisioned, problem, copyFor };
  } catch (error) {
    const failure = toDriverError(error, Reason.ProvisionFailed);
    // What passes by itself (a helper that is started anew, a disk that does not answer) says nothing of the directory.
    if (signal.aborted || !failure.terminal) throw failure;
    const { reason, message, terminal } = failure;
    return { ...base, ...UNKNOWN, provisioned: false, staged: false, problem: { reason, message, terminal } };
  }
}

/** Of a directory that is not there. */
const UNKNOWN: Pick<VolumeObservation, 'capacity' | 'enforcedBytes'> = {
  enforcedBytes: undefined,
  capacity: { enforced: false, reason: Reason.CapacityAdvisory, message: 'the directory is not there' },
};

async function provision(
  node: HostPathNode,
  quota: DirectoryQuota,
  volume: DriverVolume,
  signal: AbortSignal,
): Promise<void> {
  const path = userPath(volume);
  quota.refuseInVain(volume, path.path);
  const location = await asDriver(Reason.ProvisionFailed, () => {
    return node.ensureUserPath({ ...path, create: mayCreate(volume) }, signal);
  });
  await quota.apply({ volume, ...path }, location, signal);
}

/** Whether workloads have it mounted is known to the API alone: anybody may use a directory of the host. */
function open(node: HostPathNode, volume: DriverVolume, signal: AbortSignal): Promise<OpenedContent> {
  return asDriver(Reason.RestoreFailed, async () => {
    return { ...(await lookInside(node, { user: userPath(volume) }, signal)), device: undefined };
  });
}

/** As it is. An empty directory may be that of a disk that is not mounted: who knows what it had must judge that. */
async function read<T>(
  node: HostPathNode,
  volume: DriverVolume,
  reading: Reading,
  work: (opened: OpenedForReading) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const user = userPath(volume);
  const opened = await asDriver(Reason.BackupFailed, async () => {
    const location = await node.inspectUserPath(user, signal);
    if (location === null) throw new DriverError(Reason.DataMissing, `${JSON.stringify(user.path)} is not there`);
    const mounted = node.table.below(user.path).map(({ target }) => relative(user.path, target));
    const part = { directory: { user }, device: location.device, lacking: [...new Set(mounted)] };
    return await openInPlace(node, part, reading, signal);
  });
  return await work(opened);
}

async function observeMount(
  node: HostPathNode,
  volume: DriverVolume,
  mount: DriverMount,
  signal: AbortSignal,
): Promise<MountObservation> {
  const { path } = hostPathOf(volume);
  const target = targetOf(mount);
  const seen = await asDriver(Reason.MountFailed, () => {
    return node.observeTarget({ target, user: formerPath(volume) }, signal);
  });
  return judgeTarget(seen, { readOnly: mount.readOnly, options: volume.mountOptions, sourceName: path });
}

async function publish(
  node: HostPathNode,
  volume: DriverVolume,
  mount: DriverMount,
  signal: AbortSignal,
): Promise<void> {
  const request = {
    ...userPath(volume),
    target: targetOf(mount),
    readOnly: mount.readOnly,
    options: volume.mountOptions,
    create: mayCreate(volume),
  };
  await bindOrReplace({
    bind: () => node.bindUserPath(request, signal),
    observe: () => observeMount(node, volume, mount, signal),
    unpublish: () => unpublish(node, volume, mount, signal),
  });
}

async function unpublish(
  node: HostPathNode,
  volume: DriverVolume,
  mount: DriverMount,
  signal: AbortSignal,
): Promise<UnmountOutcome> {
  const target = targetOf(mount);
  return await asDriver(Reason.UnmountFailed, async () => {
    const seen = await node.observeTarget({ target, user: formerPath(volume) }, signal);
    const wanted = { readOnly: mount.readOnly, options: volume.mountOptions, sourceName: hostPathOf(volume).path };
    const observed = judgeTarget(seen, wanted);
    refuseOthers(observed);
    const { entry } = observed;
    if (entry !== undefined && seen.source === null) refuseUnknown(node, entry, target, wanted.sourceName);
    const was =
      seen.source === null
        ? {}
        : { was: { device: seen.source.device, root: seen.source.root, options: volume.mountOptions } };
    return await node.unmount({ target, mountId: entry?.id, scope: 'copies', ...was }, signal);
  });
}

/**
 * The source was moved, or its disk is away: the mount cannot be compared with it any more. One of a removed directory
 * is nobody else's, and a target below the mount root is ours alone; elsewhere a person must say so by unmounting it.
 * The last mount of a filesystem in memory stays in any case, because its files would be gone.
 */
function refuseUnknown(node: HostPathNode, entry: MountEntry, { root }: TargetPath, source: string): void {
  const isLast = !node.table.current().some(({ id, device }) => device === entry.device && id !== entry.id);
  const isLastInMemory = isLast && (entry.fsType === 'tmpfs' || entry.fsType === 'ramfs');
  if (!isLastInMemory && (entry.root.endsWith(DELETED_SUFFIX) || root === node.mountRoot)) return;
  const why = isLastInMemory
    ? 'it is the last mount of a filesystem in memory, whose files would be lost'
    : 'what is mounted cannot be told from a mount of somebody else';
  const message = `"${source}" is not there any more, and ${why}. Unmount ${entry.target} by hand to go on.`;
  throw new DriverError(Reason.MountTargetConflict, message);
}
