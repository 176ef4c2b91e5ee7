/** The size limit of a hostPath volume, by the project quota of the filesystem that its directory lies on. */
import { existsSync, readFileSync } from 'node:fs';
import { formatBytes } from '../../api/quantity.ts';
import { Reason } from '../../api/reasons.ts';
import type { Location, NodeLayer, UserPath } from '../../node/layer.ts';
import { NodeError, type NodeErrorCode } from '../../node/node-error.ts';
import type { Records } from '../../node/records.ts';
import { DriverError, type DriverVolume, type Feature, type Usage, type VolumeObservation } from '../driver.ts';
import { asDriver, toDriverError } from '../failure.ts';
import {
  chooseProject,
  namedProjects,
  type ProjectChoice,
  type ProjectRecord,
  projectsOf,
  quotaMounts,
  quotaObjection,
} from './project.ts';

/** Longest that one attempt to mark what is in a directory may take, in milliseconds; the next goes on. */
const MARK_MS = 600_000;
const FEATURE = 'ProjectQuota';

export type QuotaNode = Pick<NodeLayer, 'features' | 'mountRoot' | 'stateDir' | 'table' | 'call'>;

export interface QuotaDirectory extends UserPath {
  readonly volume: DriverVolume;
}

/** What is seen of a directory: its limit, and which project it has or would have. */
interface Seen {
  readonly choice: ProjectChoice;
  /** 0 = none. */
  readonly limitBytes: bigint;
  readonly usedBytes: bigint;
}

type Capacity = VolumeObservation['capacity'];

export class DirectoryQuota {
  readonly #node: QuotaNode;
  readonly #records: Records<ProjectRecord>;

  constructor(node: QuotaNode, records: Records<ProjectRecord>) {
    this.#node = node;
    this.#records = records;
  }

  /** Whether directories of this node can be limited, and where. */
  feature(): Feature {
    const no = (reason: Reason, message: string): Feature => ({ name: FEATURE, available: false, reason, message });
    const lacking = this.#lackingCalls();
    if (lacking !== undefined) return no(Reason.KernelFeatureMissing, lacking);
    const { table, stateDir, mountRoot } = this.#node;
    const places = quotaMounts(table.current(), [stateDir, mountRoot]);
    if (places.length > 0) {
      return {
        name: FEATURE,
        available: true,
        reason: '',
        message: `directories can be limited on ${places.join(', ')}`,
      };
    }
    const message = 'no XFS is mounted with prjquota, so that the capacity of a hostPath is a statement';
    return no(Reason.CapacityNotEnforceable, message);
  }

  /** The limit in force, and whether that is as the volume wants it. */
  async observe(
    directory: QuotaDirectory,
    location: Location,
    signal: AbortSignal,
  ): Promise<{ readonly capacity: Capacity; readonly enforcedBytes: bigint | undefined }> {
    const { volume } = directory;
    const wants = wantsLimit(volume);
    if (!wants) {
      const { uid } = volume;
      const isMarked = this.#records.mayHave(uid) && this.#records.read(uid) !== undefined;
      return unlimited({ ...ADVISORY, ...(isMarked ? { pending: true } : {}) });
    }
    const objection = this.#objection(location);
    if (objection !== undefined) return unlimited(impossible(volume, objection));
    const { choice, limitBytes } = await this.#see(directory, signal);
    if (choice.project === undefined) return unlimited(impossible(volume, choice.objection));
    if (limitBytes === 0n || !choice.isMarked) {
      const message = 'the limit is being set';
      return unlimited({ enforced: false, reason: Reason.CapacityAdvisory, message, pending: true });
    }
    // What the state directory has lost is noted again.
    const isNoted = this.#records.read(volume.uid) !== undefined;
    const capacity = {
      enforced: true,
      reason: Reason.CapacityEnforced,
      message: '',
      ...(isNoted ? {} : { pending: true }),
    };
    return { capacity, enforcedBytes: limitBytes };
  }

  /** @throws DriverError `CapacityNotEnforceable` where a directory that is yet to be made could not be limited as demanded. */
  refuseInVain(volume: DriverVolume, path: string): void {
    const mount = this.#node.table.containing(path);
    const objection = quotaObjection(mount) ?? this.#lackingCalls();
    if (objection !== undefined) refuseIfDemanded(volume, objection);
  }

  /** Sets the limit that the volume wants, or takes away the one that it does not want any more. */
  async apply(directory: QuotaDirectory, location: Location, signal: AbortSignal): Promise<void> {
    const { volume, prefix, path } = directory;
    const { capacityBytes, uid } = volume;
    if (!wantsLimit(volume) || capacityBytes === undefined) return await this.clear(directory, signal);
    const objection = this.#objection(location);
    if (objection !== undefined) return refuseIfDemanded(volume, objection);
    const { choice, limitBytes } = await this.#see(directory, signal);
    const { project } = choice;
    if (project === undefined) return refuseIfDemanded(volume, choice.objection);
    // Known before anything carries the number: no other volume of this node takes it.
    if (this.#records.read(uid)?.project !== project) this.#records.write(uid, { project, path });
    if (choice.isMarked && limitBytes >= capacityBytes) return;
    const request = { prefix, path, project, limitBytes: capacityBytes };
    await asDriver(Reason.ProvisionFailed, () => {
      return this.#node.call('limitProject', request, { signal, deadlineMs: MARK_MS });
    });
  }

  /**
   * Takes the limit and the project away; everything in the directory stays. One that is not there any more, or may not be
   * reached, is in nobody's way.
   */
  clear({ volume, prefix, path }: QuotaDirectory, signal: AbortSignal): Promise<void> {
    return this.#clear(volume.uid, { prefix, path }, signal);
  }

  /** Takes every limit of this node off, for a state directory that is to go. @returns what could not be done, as sentences. */
  async clearAll(signal: AbortSignal): Promise<readonly string[]> {
    const problems: string[] = [];
    for (const [uid, { path }] of this.#records.all()) {
      try {
        await this.#clear(uid, { prefix: '/', path }, signal);
      } catch (thrown) {
        problems.push(`the size limit of ${path} stays: ${NodeError.from(thrown).message}`);
      }
    }
    return problems;
  }

  /** What the filesystem counts for the volume; undefined where it has no limit. */
  async usage(directory: QuotaDirectory, signal: AbortSignal): Promise<Usage | undefined> {
    const record = this.#records.read(directory.volume.uid);
    if (record === undefined) return undefined;
    const { usedBytes, limitBytes } = await this.#see(directory, signal);
    return limitBytes === 0n ? undefined : { usedBytes, totalBytes: limitBytes };
  }

  /** Directories that carry a project of ours, by the UID of their volume. */
  marked(): readonly { readonly volumeUID: string; readonly path: string; readonly bytes: undefined }[] {
    return [...this.#records.all()].map(([volumeUID, { path }]) => ({ volumeUID, path, bytes: undefined }));
  }

  async #clear(uid: string, path: UserPath, signal: AbortSignal): Promise<void> {
    const record = this.#records.read(uid);
    if (record === undefined) return;
    try {
      const request = { ...path, project: record.project };
      await this.#node.call('clearProject', request, { signal, deadlineMs: MARK_MS });
    } catch (thrown) {
      if (!isOutOfReach(thrown)) throw toDriverError(thrown, Reason.DeleteFailed);
    }
    this.#records.remove(uid);
  }

  async #see({ volume: { uid }, prefix, path }: QuotaDirectory, signal: AbortSignal): Promise<Seen> {
    const record = this.#records.read(uid);
    const projects = [...new Set([...(record === undefined ? [] : [record.project]), ...projectsOf(uid)])];
    const seen = await asDriver(Reason.ProvisionFailed, () => {
      return this.#node.call('inspectProject', { prefix, path, projects }, { signal });
    });
    const others = new Set([...this.#records.all()].flatMap(([of, { project }]) => (of === uid ? [] : [project])));
    const choice = chooseProject({ uid, path, record, others, seen, named: administrated() });
    const use = seen.uses.find(({ project }) => project === choice.project);
    return { choice, limitBytes: use?.limitBytes ?? 0n, usedBytes: use?.usedBytes ?? 0n };
  }

  #objection({ device, readOnly }: Location): string | undefined {
    const mounts = this.#node.table.current().filter((entry) => entry.device === device);
    const writable = mounts.find((entry) => quotaObjection(entry) === undefined);
    return quotaObjection(readOnly ? mounts[0] : (writable ?? mounts[0])) ?? this.#lackingCalls();
  }

  #lackingCalls(): string | undefined {
    return this.#node.features.find(({ name, available }) => name === 'QuotaCalls' && !available)?.message;
  }
}

function wantsLimit({ capacityBytes, capacityPolicy }: DriverVolume): boolean {
  return capacityBytes !== undefined && capacityPolicy !== 'Advisory';
}

function unlimited(capacity: Capacity): { readonly capacity: Capacity; readonly enforcedBytes: undefined } {
  return { capacity, enforcedBytes: undefined };
}

const ADVISORY: Capacity = {
  enforced: false,
  reason: Reason.CapacityAdvisory,
  message: 'the capacity is a statement, not a limit',
};

function impossible({ capacityPolicy }: DriverVolume, message: string): Capacity {
  const reason = capacityPolicy === 'Enforce' ? Reason.CapacityNotEnforceable : Reason.CapacityAdvisory;
  return { enforced: false, reason, message };
}

/** @throws DriverError `CapacityNotEnforceable` when the volume is to be limited or not to be at all. */
function refuseIfDemanded({ capacityPolicy, capacityBytes }: DriverVolume, objection: string): void {
  if (capacityPolicy !== 'Enforce') return;
  const size = capacityBytes === undefined ? '' : ` to ${formatBytes(capacityBytes)}`;
  const message = `capacityPolicy is Enforce, and the directory cannot be limited${size}: ${objection}`;
  throw new DriverError(Reason.CapacityNotEnforceable, message, { terminal: true });
}

const OUT_OF_REACH: ReadonlySet<NodeErrorCode> = new Set<NodeErrorCode>([
  'HostPathNotFound',
  'HostPathNotADirectory',
  'HostPathNotAllowed',
  'SymlinkInPath',
  'NotFound',
]);

function isOutOfReach(thrown: unknown): boolean {
  return OUT_OF_REACH.has(NodeError.from(thrown).code);
}

function administrated(): ReadonlySet<number> {
  const read = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');
  return namedProjects(read('/etc/projid'), read('/etc/projects'));
}
