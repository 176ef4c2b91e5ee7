/** A driver in memory whose storage and mounts a test may break as it likes: for faults only. */
import type {
  Deletion,
  Driver,
  DriverMount,
  DriverRestore,
  DriverSnapshot,
  DriverVolume,
  LongCall,
  MountObservation,
  MountState,
  SnapshotCalls,
  SnapshotFacts,
  SnapshotLeftover,
  UnmountOutcome,
  VolumeObservation,
  WritingCalls,
} from '../../../src/drivers/driver.ts';
import type { MountEntry } from '../../../src/node/mount-entry.ts';

export function mountEntry(target: string, id = 1): MountEntry {
  const propagation = { shared: undefined, master: undefined, unbindable: false };
  const rest = {
    parentId: 0,
    device: '8:1',
    root: '/',
    options: ['rw'],
    fsType: 'xfs',
    source: '/dev/x',
    superOptions: [],
  };
  return { id, target, propagation, ...rest };
}

export class FakeDriver implements Driver {
  readonly type: Driver['type'];
  /** Calls that change something, in order. */
  readonly calls: string[] = [];
  /** Thrown by the next call of that name. */
  readonly failures = new Map<string, unknown>();
  readonly provisioned = new Set<string>();
  readonly staged = new Set<string>();
  readonly states = new Map<string, MountState>();
  /** What was made although it had been there before. */
  readonly emptied = new Map<string, Date>();
  enforced: bigint | undefined;
  /** A limit is possible and not there yet. */
  limitPending = false;
  unmountOutcome: UnmountOutcome = { outcome: 'done' };
  /** The same of the stage; undefined = as for a target. */
  unstageOutcome: UnmountOutcome | undefined;
  problem: VolumeObservation['problem'];
  usedBytes: bigint | undefined;
  /** Snapshots that are complete, by UID. */
  readonly taken = new Map<string, SnapshotFacts>();
  /** What the volumes that were filled were filled from, by UID. */
  readonly filledFrom = new Map<string, string>();
  /** What `take` and `fill` wait for. */
  work: (call: LongCall) => Promise<void> = () => Promise.resolve();
  consistent: SnapshotFacts['consistent'] = { consistent: true, reason: 'FilesystemConsistent', message: '' };
  snapshotBytes: bigint | undefined;
  /** For which Restores something was copied, by the UID of the volume. */
  readonly copies = new Map<string, string>();
  /** What a deletion says it kept. */
  kept: string | undefined;

  constructor(type: Driver['type'] = 'emptyDir') {
    this.type = type;
  }

  capabilities = () => Promise.resolve({ supported: true, reason: 'Supported', message: '', features: [] });
  leftovers = () => Promise.resolve([]);
  usage = () =>
    Promise.resolve(this.usedBytes === undefined ? undefined : { usedBytes: this.usedBytes, totalBytes: 1000n });

  async observeVolume({ uid, capacityPolicy }: DriverVolume): Promise<VolumeObservation> {
    this.#fail('observeVolume');
    const enforced = this.enforced !== undefined;
    return {
      provisioned: this.provisioned.has(uid),
      enforcedBytes: this.enforced,
      capacity: {
        enforced,
        reason: enforced ? '' : capacityPolicy === 'Enforce' ? 'CapacityNotEnforceable' : 'CapacityAdvisory',
        message: enforced ? '' : 'nothing limits it',
        ...(this.limitPending ? { pending: true } : {}),
      },
      staged: this.staged.has(uid),
      stageMount: this.staged.has(uid) ? mountEntry(`/stage/${uid}`) : undefined,
      problem: this.problem,
      ownedByUs: this.ownedByUs,
      copyFor: this.copies.get(uid),
      ...(this.emptied.has(uid) ? { emptiedAt: this.emptied.get(uid) as Date } : {}),
    };
  }

  async provision(volume: DriverVolume): Promise<void> {
    this.#call('provision', volume);
    this.provisioned.add(volume.uid);
    if (volume.capacityBytes !== undefined) this.enforced = volume.capacityBytes;
    this.limitPending = false;
  }

  async stage(volume: DriverVolume): Promise<void> {
    this.#call('stage', volume);
    this.staged.add(volume.uid);
  }

  async observeMount(_volume: DriverVolume, { uid }: DriverMount): Promise<MountObservation> {
    this.#fail('observeMount');
    const state = this.states.get(uid) ?? 'absent';
    const there = state === 'mounted' || state === 'wrong-options' || state === 'unresponsive';
    return {
      state,
      entry: state === 'absent' ? undefined : mountEntry(`/mnt/${uid}`),
      source: there ? 'the source' : undefined,
      message: state === 'mounted' ? '' : `it is ${state}`,
      ...(state === 'unresponsive' ? { reason: 'ServerUnreachable' } : {}),
    };
  }

  async publish(volume: DriverVolume, { uid }: DriverMount): Promise<void> {
    this.#call('publish', volume);
    this.states.set(uid, 'mounted');
  }

  async unpublish(volume: DriverVolume, { uid }: DriverMount): Promise<UnmountOutcome> {
    this.#call('unpublish', volume);
    if (this.unmountOutcome.outcome === 'done') this.states.delete(uid);
    return this.unmountOutcome;
  }

  async unstage(volume: DriverVolume): Promise<UnmountOutcome> {
    this.#call('unstage', volume);
    const outcome = this.unstageOutcome ?? this.unmountOutcome;
    if (outcome.outcome === 'done') this.staged.delete(volume.uid);
    return outcome;
  }

  async tidy(volume: DriverVolume): Promise<void> {
    this.#call('tidy', volume);
    this.copies.delete(volume.uid);
  }

  async delete(volume: DriverVolume): Promise<Deletion> {
    this.#call('delete', volume);
    this.provisioned.delete(volume.uid);
    return { kept: this.kept };
  }

  async fill(volume: DriverVolume, call: LongCall): Promise<void> {
    this.#call('fill', volume);
    await this.work(call);
    const { content } = volume;
    this.filledFrom.set(volume.uid, (content?.from === 'snapshot' ? content.snapshot.uid : content?.volume.uid) ?? '');
    this.provisioned.add(volume.uid);
    if (volume.capacityBytes !== undefined) this.enforced = volume.capacityBytes;
  }

  /** What the volumes that went back went back to, by UID. */
  readonly revertedTo = new Map<string, string>();

  async revert(volume: DriverVolume, snapshot: DriverSnapshot, restore: DriverRestore, call: LongCall): Promise<void> {
    this.calls.push(`revert ${volume.name} to ${snapshot.name} for ${restore.name}`);
    this.#fail('revert');
    await this.work(call);
    this.revertedTo.set(volume.uid, snapshot.uid);
  }

  /** What `writing.open` finds, by UID of the volume. */
  readonly names = new Map<string, readonly string[]>();
  hasSnapshots = false;
  ownedByUs = true;

  readonly writing: WritingCalls = {
    open: async (volume) => {
      this.#call('open', volume);
      const own = { root: '/stage', path: volume.uid };
      const names = this.names.get(volume.uid) ?? [];
      return { directory: { own }, device: '8:1', names, hasSnapshots: this.hasSnapshots };
    },
    flush: async (volume) => this.#call('flush', volume),
  };

  readonly snapshots: SnapshotCalls = {
    observe: async ({ uid }) => {
      this.#fail('observeSnapshot');
      const facts = this.taken.get(uid);
      return { facts, usedBytes: facts === undefined ? undefined : this.snapshotBytes };
    },
    take: async (snapshot: DriverSnapshot, call: LongCall) => {
      this.calls.push(`take ${snapshot.name}`);
      this.#fail('take');
      await this.work(call);
      const restoreBytes = snapshot.volume.capacityBytes ?? 0n;
      const takenAt = new Date('2026-01-01T00:00:01Z');
      this.taken.set(snapshot.uid, { takenAt, restoreBytes, method: 'Reflink', consistent: this.consistent });
    },
    delete: async ({ uid, name }) => {
      this.calls.push(`delete-snapshot ${name}`);
      this.#fail('delete-snapshot');
      this.taken.delete(uid);
    },
    leftovers: async (): Promise<readonly SnapshotLeftover[]> =>
      [...this.taken.keys()].map((snapshotUID) => ({
        snapshotUID,
        path: `/snapshots/${snapshotUID}`,
        bytes: undefined,
      })),
  };

  #call(name: string, volume: DriverVolume): void {
    this.calls.push(`${name} ${volume.name}`);
    this.#fail(name);
  }

  #fail(name: string): void {
    if (!this.failures.has(name)) return;
    const failure = this.failures.get(name);
    this.failures.delete(name);
    throw failure;
  }
}
