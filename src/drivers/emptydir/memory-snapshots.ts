/**
 * Moments of volumes in memory: a tar archive in the state directory, so that it outlives a restart of the node. tar(1)
 * keeps modes, owners, extended attributes, hard links and holes, and walks by descriptor without following symbolic links,
 * which a workload may change under its hands.
 *
 * Nothing can hold writers of a tmpfs: whether the copy is of one moment is told by a look at all files before and after.
 */
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { uidSegment } from '../../api/names.ts';
import { crashPoint } from '../../node/crash-points.ts';
import { UNFINISHED } from '../../node/images/operations.ts';
import type { NodeLayer } from '../../node/layer.ts';
import type { MountEntry } from '../../node/mount-entry.ts';
import type { Records } from '../../node/records.ts';
import {
  type DriverContent,
  DriverError,
  type DriverSnapshot,
  type DriverVolume,
  type LongCall,
  type SnapshotFacts,
  type SnapshotLeftover,
  type SnapshotObservation,
} from '../driver.ts';
import { asDriver } from '../failure.ts';
import { factsOf, recordOf, type SnapshotRecord } from '../snapshot-record.ts';
import { pathOf, stageMountOf, stageTarget } from '../stage.ts';
import { type MediumSnapshots, NOT_THERE } from './medium-snapshots.ts';
import { isMemoryOf, type MemoryMedium, sizeOf } from './memory-medium.ts';
import { OneAtATime } from './one-at-a-time.ts';
import { DATA } from './stage.ts';

const SUFFIX = '.tar';
/** Where the content of a volume is put together, in its tmpfs, until it is whole. */
export const FILLING = `${DATA}${UNFINISHED}`;
/** Longer than any copy takes; its own signal ends it. */
const LONG_MS = 7 * 24 * 3_600_000;
const DEADLINE_MS = 60_000;
const PROGRESS_MS = 500;
const STAT_BLOCK = 512n;
/** The last write into a filesystem that gets full is cut short, and tar(1) gives no reason for that. */
const FULL = /: (?:No space left on device|Disk quota exceeded|Wrote only \d+ of \d+ bytes?)$/m;
/** Programs that read what others may write to. */
const READS: ReadonlySet<string> = new Set(['tar', 'bash']);

const KEEP = ['--xattrs', '--xattrs-include=*', '--acls', '--numeric-owner'] as const;
const CREATE = ['tar', '--create', ...KEEP, '--sparse', '--one-file-system', '--no-wildcards'] as const;
const EXTRACT = ['tar', '--extract', ...KEEP, '--preserve-permissions', '--same-owner'] as const;
/** Of every file: what changes with each change. */
const LOOK = 'cd "$1" && find . -xdev -printf "%i %y %s %T@ %C@ %m %U %G %n %P\\0" | sha256sum';
const COPY = `set -o pipefail; ${quoted(CREATE)} --directory "$1" . | ${quoted(EXTRACT)} --directory "$2"`;
/** tar(1): some files changed while they were read. */
const CHANGED = 1;

export interface MemorySnapshotsOptions {
  readonly node: NodeLayer;
  readonly medium: MemoryMedium;
  readonly records: Records<SnapshotRecord>;
  /** Where the archives are. */
  readonly directory: string;
}

/** What a volume is made from. */
interface Source {
  readonly kind: 'archive' | 'directory';
  readonly path: string;
  readonly sizeBytes: bigint;
}

export class MemorySnapshots implements MediumSnapshots {
  readonly #options: MemorySnapshotsOptions;
  readonly #work = new OneAtATime();

  constructor(options: MemorySnapshotsOptions) {
    this.#options = options;
  }

  observe({ uid }: DriverSnapshot, _signal: AbortSignal): Promise<SnapshotObservation> {
    const record = this.#options.records.read(uid);
    const bytes = allocatedBytesOf(this.#fileOf(uid));
    if (record === undefined || bytes === undefined) return Promise.resolve(NOT_THERE);
    return Promise.resolve({ facts: factsOf(record), usedBytes: bytes });
  }

  take(snapshot: DriverSnapshot, call: LongCall): Promise<void> {
    return this.#work.run(snapshot.uid, 'SnapshotFailed', () => this.#take(snapshot, call));
  }

  async delete({ uid }: DriverSnapshot, signal: AbortSignal): Promise<void> {
    await this.#work.run(uid, 'DeleteFailed', async () => {
      await this.#remove(this.#fileOf(uid), signal);
      this.#options.records.remove(uid);
    });
  }

  async leftovers(signal: AbortSignal): Promise<readonly SnapshotLeftover[]> {
    const { directory, records } = this.#options;
    const found: SnapshotLeftover[] = [];
    const there = new Set<string>();
    for (const entry of entriesOf(directory)) {
      const [uid = '', rest] = splitAt(entry, SUFFIX);
      if (rest === undefined) continue;
      const file = join(directory, `${uid}${SUFFIX}`);
      if (rest === UNFINISHED && !this.#work.has(uid)) await this.#remove(file, signal);
      if (rest !== '') continue;
      there.add(file);
      found.push({ snapshotUID: uid, path: file, bytes: allocatedBytesOf(file) });
    }
    for (const [uid, { driver, path }] of records.all()) {
      const isOurs = driver === 'emptyDir' && path.startsWith(`${directory}/`);
      if (isOurs && !there.has(path) && !this.#work.has(uid)) records.remove(uid);
    }
    return found;
  }

  fill(volume: DriverVolume, content: DriverContent, call: LongCall): Promise<void> {
    return this.#work.run(volume.uid, 'CloneFailed', async () => {
      const { node, medium } = this.#options;
      const { capacityBytes = 0n } = volume;
      const seen = await medium.observe(volume, stageMountOf(node, volume.uid), call.signal);
      if (!seen.provisioned) await this.#fillFrom(volume, content, call);
      await medium.provision(volume, capacityBytes, stageMountOf(node, volume.uid), call.signal);
    });
  }

  async #take(snapshot: DriverSnapshot, call: LongCall): Promise<void> {
    const { directory, records, node } = this.#options;
    const { uid, volume } = snapshot;
    const file = this.#fileOf(uid);
    if (statSync(file, { throwIfNoEntry: false }) !== undefined) return this.#refuseUndescribed(snapshot);
    const mount = this.#mountOf(volume);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    await this.#remove(file, call.signal);
    const unfinished = `${file}${UNFINISHED}`;
    const data = join(mount.target, DATA);
    try {
      const takenAt = new Date();
      const before = await this.#look(data, call);
      const archive = [...CREATE, '--file', unfinished, '--directory', data, '.'] as const;
      const status = await this.#run(archive, call, { file: unfinished, of: mount }, 'SnapshotFailed');
      const isUnchanged = status !== CHANGED && before === (await this.#look(data, call));
      if (!isUnchanged && snapshot.consistency === 'Filesystem') {
        throw new DriverError('ChangedDuringCopy', `volume ${volume.name} was written to while it was copied`);
      }
      await this.#run(['sync', unfinished], call, undefined, 'SnapshotFailed');
      const facts: SnapshotFacts = {
        takenAt,
        restoreBytes: sizeOf(mount) ?? volume.capacityBytes ?? 0n,
        method: 'Copy',
        consistent: isUnchanged ? UNCHANGED : CHANGED_DURING_COPY,
      };
      crashPoint('snapshot.before-record');
      records.write(uid, recordOf(facts, { driver: 'emptyDir', volumeUID: volume.uid, path: file }));
      crashPoint('snapshot.after-record');
      // Nobody gives this up: a name that came after its record was taken back would be described by nothing.
      await node.call('nameImage', { file, filesystemBytes: null }, { signal: AbortSignal.timeout(DEADLINE_MS) });
      crashPoint('snapshot.after-name');
    } catch (thrown) {
      if (statSync(file, { throwIfNoEntry: false }) === undefined) {
        await this.#remove(file, AbortSignal.timeout(DEADLINE_MS)).catch(() => undefined);
        records.remove(uid);
      }
      throw thrown;
    }
  }

  /** The data directory is what makes the volume one: it gets its name when everything is in it. */
  async #fillFrom(volume: DriverVolume, content: DriverContent, call: LongCall): Promise<void> {
    const { medium } = this.#options;
    const source = this.#source(content);
    if ((volume.capacityBytes ?? 0n) < source.sizeBytes) {
      const message = `volume ${volume.name} needs a capacity of at least ${source.sizeBytes} bytes, the size of what it is made from`;
      throw new DriverError('CapacityTooSmall', message, { terminal: true });
    }
    const mount = await medium.mountEmpty(volume, call.signal);
    const filling = await this.#unpackTo(volume, source, mount, call, 'CloneFailed');
    await this.#run(
      ['mv', '--no-target-directory', '--', filling, join(mount.target, DATA)],
      call,
      undefined,
      'CloneFailed',
    );
  }

  /** Unpacks a snapshot beside the data of a volume, under the name {@link FILLING}, in place of what a kill left there. */
  unpack(volume: DriverVolume, snapshot: DriverSnapshot, mount: MountEntry, call: LongCall): Promise<void> {
    return this.#work.run(volume.uid, 'RevertFailed', async () => {
      const source = this.#source({ from: 'snapshot', snapshot });
      await this.#unpackTo(volume, source, mount, call, 'RevertFailed');
    });
  }

  /** @returns the directory in which all of it is. */
  async #unpackTo(
    { uid }: DriverVolume,
    source: Source,
    mount: MountEntry,
    call: LongCall,
    otherwise: 'CloneFailed' | 'RevertFailed',
  ): Promise<string> {
    const { node } = this.#options;
    const target = stageTarget(node, uid);
    await asDriver(otherwise, () => node.removeTree({ ...target, path: `${target.path}/${FILLING}` }, call.signal));
    await asDriver(otherwise, () =>
      node.call('makeInside', { target, device: mount.device, name: FILLING, mode: 0o700 }, { signal: call.signal }),
    );
    const filling = join(pathOf(target), FILLING);
    const argv: readonly [string, ...string[]] =
      source.kind === 'archive'
        ? [...EXTRACT, '--directory', filling, '--file', source.path]
        : // Another volume, which may be written to meanwhile.
          ['bash', '-c', COPY, 'bash', source.path, filling];
    await this.#run(argv, call, { file: undefined, of: mount }, otherwise);
    return filling;
  }

  #source(content: DriverContent): Source {
    if (content.from === 'volume') {
      const mount = this.#mountOf(content.volume);
      return { kind: 'directory', path: join(mount.target, DATA), sizeBytes: sizeOf(mount) ?? 0n };
    }
    const { uid, name } = content.snapshot;
    const [record, path] = [this.#options.records.read(uid), this.#fileOf(uid)];
    if (record === undefined || statSync(path, { throwIfNoEntry: false }) === undefined) {
      throw new DriverError('SnapshotNotReady', `snapshot ${name} is not in ${this.#options.directory}`);
    }
    return { kind: 'archive', path, sizeBytes: factsOf(record).restoreBytes };
  }

  #mountOf(volume: DriverVolume): MountEntry {
    const mount = stageMountOf(this.#options.node, volume.uid);
    if (mount !== undefined && isMemoryOf(mount, volume)) return mount;
    throw new DriverError('DataMissing', `the memory of volume ${volume.name} is not there`);
  }

  async #look(data: string, call: LongCall): Promise<string> {
    const { node } = this.#options;
    const request = { argv: ['sh', '-c', LOOK, 'sh', data] as [string, ...string[]] };
    const { status, stdout } = await node.call('run', request, { signal: call.signal, deadlineMs: LONG_MS });
    // A look that failed is like no other.
    return status === 0 ? stdout : `failed at ${performance.now()}`;
  }

  async #run(
    argv: readonly [string, ...string[]],
    call: LongCall,
    watched: { readonly file: string | undefined; readonly of: MountEntry } | undefined,
    otherwise: 'SnapshotFailed' | 'CloneFailed' | 'RevertFailed',
  ): Promise<number> {
    const { node } = this.#options;
    const timer =
      watched === undefined
        ? undefined
        : setInterval(() => void this.#tell(watched, call).catch(() => undefined), PROGRESS_MS);
    try {
      const options = { signal: call.signal, deadlineMs: LONG_MS };
      const { status, stderr } = await asDriver(otherwise, () => node.call('run', { argv: [...argv] }, options));
      if (status === 0 || (status === CHANGED && READS.has(argv[0]))) return status;
      const said = stderr.trim().split('\n').slice(-3).join('; ');
      if (FULL.test(stderr)) throw new DriverError('InsufficientCapacity', `there is no room for the copy (${said})`);
      throw new DriverError(otherwise, `${argv[0]}: ${said}`);
    } finally {
      clearInterval(timer);
    }
  }

  async #tell(
    { file, of }: { readonly file: string | undefined; readonly of: MountEntry },
    call: LongCall,
  ): Promise<void> {
    const { usedBytes } = await this.#options.node.statfs(of.target, call.signal);
    if (file === undefined) call.onProgress({ bytesDone: usedBytes, bytesTotal: sizeOf(of) ?? usedBytes });
    else call.onProgress({ bytesDone: allocatedBytesOf(file) ?? 0n, bytesTotal: usedBytes });
  }

  #refuseUndescribed({ uid, name }: DriverSnapshot): void {
    if (this.#options.records.read(uid) !== undefined) return;
    const message = `the data of snapshot ${name} is there, but what was noted of it is gone from the state directory; delete the Snapshot`;
    throw new DriverError('SnapshotFailed', message, { terminal: true });
  }

  async #remove(file: string, signal: AbortSignal): Promise<void> {
    await asDriver('DeleteFailed', () => this.#options.node.call('removeImage', { file }, { signal }));
  }

  #fileOf(uid: string): string {
    return join(this.#options.directory, `${uidSegment('metadata.uid', uid)}${SUFFIX}`);
  }
}

const UNCHANGED: SnapshotFacts['consistent'] = {
  consistent: true,
  reason: 'Unchanged',
  message: 'No file was changed while it was copied.',
};
const CHANGED_DURING_COPY: SnapshotFacts['consistent'] = {
  consistent: false,
  reason: 'ChangedDuringCopy',
  message: 'Files were changed while they were copied, and nothing can hold the writers of a volume in memory.',
};

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(' ');
}

function entriesOf(directory: string): readonly string[] {
  return statSync(directory, { throwIfNoEntry: false }) === undefined ? [] : readdirSync(directory);
}

/** What stands before the last occurrence of a separator, and what after it. */
function splitAt(text: string, separator: string): readonly string[] {
  const at = text.lastIndexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}

function allocatedBytesOf(file: string): bigint | undefined {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : stat.blocks * STAT_BLOCK;
}
