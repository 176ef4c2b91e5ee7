/**
 * hostPath: a directory of the host that its owner named. Provisioning checks it (and makes it, for
 * DirectoryOrCreate); publishing binds it, recursively, without following a link below the allowed prefix. The data is
 * never ours: nothing here deletes any.
 */
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer, TargetPath } from '../../node/layer.ts';
import { DELETED_SUFFIX, type MountEntry } from '../../node/mount-entry.ts';
import { bindOrReplace } from '../bind-or-replace.ts';
import {
  type Driver,
  type DriverCapabilities,
  DriverError,
  type DriverMount,
  type DriverVolume,
  type LongCall,
  type MountObservation,
  type UnmountOutcome,
  type VolumeObservation,
} from '../driver.ts';
import { asDriver, toDriverError } from '../failure.ts';
import { judgeTarget } from '../target-state.ts';
import { type ContentNode, HostPathContent } from './content.ts';
import { formerPath, hostPathOf, mayCreate, userPath } from './volume.ts';

/** What the driver needs of the node layer. */
export type HostPathNode = ContentNode &
  Pick<NodeLayer, 'features' | 'mountRoot' | 'bindUserPath' | 'observeTarget' | 'unmount'>;

const NEEDED_FEATURES = ['Koffi', 'UserPaths', 'BindMounts'];

export function createHostPathDriver(node: HostPathNode): Driver {
  const content = new HostPathContent(node);
  return {
    type: 'hostPath',
    capabilities: () => Promise.resolve(capabilities(node)),
    observeVolume: (volume, signal) => observeVolume(node, content, volume, signal),
    provision: (volume, signal) => provision(node, volume, signal),
    stage: () => Promise.resolve(),
    observeMount: (volume, mount, signal) => observeMount(node, volume, mount, signal),
    publish: (volume, mount, signal) => publish(node, volume, mount, signal),
    unpublish: (volume, mount, signal) => unpublish(node, volume, mount, signal),
    unstage: () => Promise.resolve({ outcome: 'done' }),
    delete: async (volume, signal) => {
      await content.forget(volume, signal);
      return { kept: `"${hostPathOf(volume).path}" was there before the volume.` };
    },
    release: (volume, signal) => content.forget(volume, signal),
    fill: (volume, call) => fill(content, volume, call),
    snapshots: content.snapshots,
    // statfs would tell the whole filesystem's use, and walking the tree costs as much as reading it: neither is the
    // volume's usage at a price that can be paid every minute.
    usage: () => Promise.resolve(undefined),
    leftovers: () => Promise.resolve([]),
  };
}

function capabilities(node: HostPathNode): DriverCapabilities {
  const lacking = node.features.find(({ name, available }) => NEEDED_FEATURES.includes(name) && !available);
  const features = [
    {
      name: 'CapacityEnforcement',
      available: false,
      reason: Reason.CapacityNotEnforceable,
      message: 'a directory of the host has no size of its own',
    },
  ];
  if (lacking === undefined) return { supported: true, reason: Reason.Supported, message: '', features };
  return { supported: false, reason: Reason.KernelFeatureMissing, message: lacking.message, features };
}

async function observeVolume(
  node: HostPathNode,
  content: HostPathContent,
  volume: DriverVolume,
  signal: AbortSignal,
): Promise<VolumeObservation> {
  const base = { enforcedBytes: undefined, capacity: capacityOf(volume), stageMount: undefined, ownedByUs: false };
  try {
    const location = await node.inspectUserPath(userPath(volume), signal);
    const { isFilled, note } = await content.look(volume, signal);
    const provisioned = location !== null && isFilled;
    const said = note === undefined ? {} : { note };
    return { ...base, ...said, provisioned, staged: provisioned, problem: undefined };
  } catch (error) {
    const failure = toDriverError(error, Reason.ProvisionFailed);
    // What passes by itself (a helper that is started anew, a disk that does not answer) says nothing of the directory.
    if (signal.aborted || !failure.terminal) throw failure;
    const { reason, message, terminal } = failure;
    return { ...base, provisioned: false, staged: false, problem: { reason, message, terminal } };
  }
}

function capacityOf({ capacityPolicy }: DriverVolume): VolumeObservation['capacity'] {
  const message = 'a directory of the host is limited by its filesystem alone';
  const reason = capacityPolicy === 'Enforce' ? Reason.CapacityNotEnforceable : Reason.CapacityAdvisory;
  return { enforced: false, reason, message };
}

async function provision(node: HostPathNode, volume: DriverVolume, signal: AbortSignal): Promise<void> {
  refuseLimit(volume);
  await asDriver(Reason.ProvisionFailed, () => {
    return node.ensureUserPath({ ...userPath(volume), create: mayCreate(volume) }, signal);
  });
}

async function fill(content: HostPathContent, volume: DriverVolume, call: LongCall): Promise<void> {
  refuseLimit(volume);
  await content.fill(volume, call);
}

function refuseLimit({ capacityPolicy }: DriverVolume): void {
  if (capacityPolicy !== 'Enforce') return;
  const message = 'capacityPolicy is Enforce, and the size of a hostPath cannot be limited';
  throw new DriverError(Reason.CapacityNotEnforceable, message, { terminal: true });
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
    const { state, entry, message } = judgeTarget(seen, wanted);
    if (state === 'foreign') throw new DriverError(Reason.MountTargetConflict, message);
    if (state === 'overmounted') throw new DriverError(Reason.MountCovered, message);
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

function targetOf({ targetRoot, targetPath }: DriverMount): TargetPath {
  return { root: targetRoot, path: targetPath };
}
