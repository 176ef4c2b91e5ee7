/** The engine: restic, run by the node layer. */
import type { NodeLayer } from '../../node/layer.ts';
import { BackupError } from '../backup-error.ts';
import type { BackupEngine, EngineFeatures, RepositoryAccess } from '../engine.ts';
import { checkBucket } from '../s3-repository.ts';
import { backUp } from './backup.ts';
import { check } from './check.ts';
import { initialize } from './initialize.ts';
import { listLocks, removeLocks } from './locks.ts';
import { openRepository } from './open.ts';
import { checkSnapshotId, tagArguments } from './patterns.ts';
import { restore } from './restore.ts';
import { ResticRunner, type Run } from './runner.ts';
import { changeTags, forget, listEntries, listSnapshots } from './snapshots.ts';
import { repositoriesBelow, sizeOf, tidy } from './storage.ts';
import { featuresOf, parseVersion } from './version.ts';

/** Milliseconds that making a repository may take: keys without a configuration that are older were left by a kill. */
const INITIALIZE_MS = 120_000;
const MAX_UNUSED_PERCENT = 5;

export interface ResticOptions {
  /** Name, or absolute path, of the program; `restic` unless said. */
  readonly program?: string;
  readonly initializeMs?: number;
}

export function createResticEngine(node: Pick<NodeLayer, 'call'>, options: ResticOptions = {}): BackupEngine {
  const { program = 'restic', initializeMs = INITIALIZE_MS } = options;
  const runner = new ResticRunner(node, program);
  let known: EngineFeatures | undefined;

  const probe = async (signal: AbortSignal): Promise<EngineFeatures> => {
    if (known !== undefined) return known;
    const lacking = (message: string): EngineFeatures => ({
      version: undefined,
      lacking: [{ feature: 'Engine', message }],
    });
    try {
      const version = parseVersion(await runner.version(signal));
      if (version === undefined) return lacking(`${program} does not say that it is restic`);
      known = featuresOf(version);
      return known;
    } catch (thrown) {
      if (signal.aborted) throw BackupError.from(thrown);
      return lacking(`restic does not run: ${BackupError.from(thrown).message}`);
    }
  };

  /** The version; rejects where there is none that is used. */
  const ready = async (signal: AbortSignal): Promise<string> => {
    const { version, lacking } = await probe(signal);
    const lack = lacking.find(({ feature }) => feature === 'Engine');
    if (version === undefined || lack !== undefined) {
      throw new BackupError('EngineMissing', lack?.message ?? 'restic is not installed');
    }
    return version;
  };

  /** Before all that needs a repository: says within seconds what is wrong. */
  const begin = async (access: RepositoryAccess, signal: AbortSignal): Promise<string> => {
    const version = await ready(signal);
    await checkBucket(access, signal);
    return version;
  };

  /** The same before all that writes. */
  const beginWriting = async (access: RepositoryAccess, signal: AbortSignal): Promise<string> => {
    if (access.readOnly === true) throw readOnly();
    return begin(access, signal);
  };

  return {
    probe,
    async open(access, signal) {
      await begin(access, signal);
      return openRepository(runner, access, signal);
    },
    async initialize(access, signal) {
      if (access.readOnly === true) throw readOnly();
      await ready(signal);
      return initialize(runner, access, initializeMs, signal);
    },
    repositoriesBelow: (access, signal) => repositoriesBelow(runner, access, signal),
    async backup(access, request, onProgress, signal) {
      const version = await beginWriting(access, signal);
      return backUp(runner, version, access, request, onProgress, signal);
    },
    async backupContent(access, { path, files, host, tags }, signal) {
      const version = await beginWriting(access, signal);
      const entries = [...files].map(([name, content]) => ({ name, content }));
      return backUp(runner, version, access, { source: { path, entries }, host, tags }, () => undefined, signal);
    },
    async snapshots(access, { tags = {} }, signal) {
      await begin(access, signal);
      return listSnapshots(runner, access, tagArguments(tags), signal);
    },
    async readContent(access, snapshotId, path, maxBytes, signal) {
      await begin(access, signal);
      const args = ['dump', '--', checkSnapshotId(snapshotId), path];
      return runner.output(access, { args }, signal, maxBytes);
    },
    async list(access, snapshotId, paths, onEntries, signal) {
      await begin(access, signal);
      await listEntries(runner, access, snapshotId, paths, onEntries, signal);
    },
    async restore(access, request, onProgress, signal) {
      const version = await begin(access, signal);
      return restore(runner, version, access, request, onProgress, signal);
    },
    async forget(access, snapshotIds, signal) {
      if (snapshotIds.length === 0) return;
      await beginWriting(access, signal);
      await forget(runner, access, snapshotIds, signal);
    },
    async tag(access, snapshotIds, change, signal) {
      await beginWriting(access, signal);
      return changeTags(runner, access, snapshotIds, change, signal);
    },
    async prune(access, { maxUnusedPercent = MAX_UNUSED_PERCENT, maxRepackBytes }, onProgress, signal) {
      await beginWriting(access, signal);
      const bytesBefore = await sizeOf(runner, access, signal);
      const repack = maxRepackBytes === undefined ? [] : [`--max-repack-size=${maxRepackBytes}`];
      const onLine: Run['onLine'] = (line, stream) => (stream === 'stdout' ? onProgress(line.trim()) : undefined);
      const args = ['prune', `--max-unused=${maxUnusedPercent}%`, ...repack];
      await runner.succeed(access, { args, onLine }, signal);
      await tidy(runner, access, signal);
      return { bytesBefore, bytesAfter: await sizeOf(runner, access, signal) };
    },
    async check(access, request, onProgress, signal) {
      await begin(access, signal);
      return check(runner, access, request, onProgress, signal);
    },
    async locks(access, signal) {
      await begin(access, signal);
      return listLocks(runner, access, signal);
    },
    async removeLocks(access, lockIds, signal) {
      if (access.readOnly === true) throw readOnly();
      await removeLocks(runner, access, lockIds, signal);
    },
    async size(access, signal) {
      await begin(access, signal);
      return sizeOf(runner, access, signal);
    },
  };
}

function readOnly(): BackupError {
  return new BackupError('InvalidRequest', 'the repository is used for reading only');
}
