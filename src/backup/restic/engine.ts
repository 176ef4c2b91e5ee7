/** The engine: restic, run by the node layer. */
import type { NodeLayer } from '../../node/layer.ts';
import { NodeError } from '../../node/node-error.ts';
import { BackupError, type BackupErrorCode } from '../backup-error.ts';
import type { BackupEngine, EngineFeatures, PruneRequest, PruneSummary, RepositoryAccess } from '../engine.ts';
import { checkBucket } from '../s3-repository.ts';
import { backUp } from './backup.ts';
import { check } from './check.ts';
import { initialize } from './initialize.ts';
import { holderOfRun } from './invocation.ts';
import { KnownSnapshots } from './known-snapshots.ts';
import { listLocks, removeLocks, removeLocksOf } from './locks.ts';
import { openRepository } from './open.ts';
import { checkSnapshotId } from './patterns.ts';
import { restore } from './restore.ts';
import { ResticRunner, type Run } from './runner.ts';
import { changeTags, findSnapshots, forget, listEntries } from './snapshots.ts';
import { repositoriesBelow, sizeOf, tidy } from './storage.ts';
import { featuresOf, parseVersion } from './version.ts';

/** Milliseconds that making a repository may take: keys without a configuration that are older were left by a kill. */
const INITIALIZE_MS = 120_000;
const MAX_UNUSED_PERCENT = 5;
/** Milliseconds for the removal of a lock that was left. */
const CLEAN_UP_MS = 30_000;
const CUT_SHORT: readonly BackupErrorCode[] = ['Aborted', 'DeadlineExceeded', 'Stalled', 'Interrupted'];

export interface ResticOptions {
  /** Name, or absolute path, of the program; `restic` unless said. */
  readonly program?: string;
  readonly initializeMs?: number;
}

export function createResticEngine(node: Pick<NodeLayer, 'call'>, options: ResticOptions = {}): BackupEngine {
  const { program = 'restic', initializeMs = INITIALIZE_MS } = options;
  const runner = new ResticRunner(node, program);
  const known = new KnownSnapshots();
  let features: EngineFeatures | undefined;

  const probe = async (signal: AbortSignal): Promise<EngineFeatures> => {
    if (features !== undefined) return features;
    const lacking = (message: string): EngineFeatures => ({
      version: undefined,
      lacking: [{ feature: 'Engine', message }],
    });
    try {
      const version = parseVersion(await runner.version(signal));
      if (version === undefined) return lacking(`${program} does not say that it is restic`);
      features = featuresOf(version);
      return features;
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

  /**
   * Around all that needs a repository: says within seconds what is wrong, and takes away what a call that was called off
   * has left of its locks, once its engine is known to have ended.
   */
  const use = async <T>(
    access: RepositoryAccess,
    signal: AbortSignal,
    work: (access: RepositoryAccess, version: string) => Promise<T>,
  ): Promise<T> => {
    const version = await ready(signal);
    await checkBucket(access, signal);
    const { holder } = access;
    if (holder === undefined || access.readOnly === true) return work(access, version);
    const own = { ...access, holder: holderOfRun(holder) };
    try {
      return await work(own, version);
    } catch (thrown) {
      if (hasEnded(thrown)) {
        await removeLocksOf(runner, own, own.holder, AbortSignal.timeout(CLEAN_UP_MS)).catch(() => undefined);
      }
      throw thrown;
    }
  };

  /** The same around all that writes. */
  const write: typeof use = async (access, signal, work) => {
    refuseReadOnly(access);
    return use(access, signal, work);
  };

  const makeSnapshot: BackupEngine['backup'] = (access, request, onProgress, signal) =>
    write(access, signal, async (own, version) => {
      const { summary, record } = await backUp(runner, version, own, request, onProgress, signal);
      if (record !== undefined) known.add(access, record);
      return summary;
    });

  return {
    probe,
    open: (access, signal) => use(access, signal, (own) => openRepository(runner, own, signal)),
    async initialize(access, signal) {
      refuseReadOnly(access);
      await ready(signal);
      return initialize(runner, access, initializeMs, signal);
    },
    repositoriesBelow: (access, signal) => repositoriesBelow(runner, access, signal),
    backup: makeSnapshot,
    backupContent(access, { path, files, host, tags }, signal) {
      const entries = [...files].map(([name, content]) => ({ name, content }));
      const request = { source: { path, entries }, host, tags };
      return makeSnapshot(access, request, () => undefined, signal);
    },
    snapshots: (access, { tags = {} }, signal) =>
      use(access, signal, (own) => findSnapshots(runner, own, tags, known, signal)),
    readContent: (access, snapshotId, path, maxBytes, signal) =>
      use(access, signal, (own) => {
        const args = ['dump', '--', checkSnapshotId(snapshotId), path];
        return runner.output(own, { args }, signal, maxBytes);
      }),
    list: (access, snapshotId, paths, onEntries, signal) =>
      use(access, signal, (own) => listEntries(runner, own, snapshotId, paths, onEntries, signal)),
    restore: (access, request, onProgress, signal) =>
      use(access, signal, (own, version) => restore(runner, version, own, request, onProgress, signal)),
    async forget(access, snapshotIds, signal) {
      if (snapshotIds.length > 0) await write(access, signal, (own) => forget(runner, own, snapshotIds, signal));
    },
    tag: (access, snapshotIds, change, signal) =>
      write(access, signal, (own) => changeTags(runner, own, snapshotIds, change, known, signal)),
    prune: (access, request, onProgress, signal) =>
      write(access, signal, (own) => prune(runner, own, request, onProgress, signal)),
    check: (access, request, onProgress, signal) =>
      use(access, signal, (own) => check(runner, own, request, onProgress, signal)),
    locks: (access, signal) => use(access, signal, (own) => listLocks(runner, own, signal)),
    async removeLocks(access, lockIds, signal) {
      refuseReadOnly(access);
      await removeLocks(runner, access, lockIds, signal);
    },
    size: (access, signal) => use(access, signal, (own) => sizeOf(runner, own, signal)),
  };
}

async function prune(
  runner: ResticRunner,
  access: RepositoryAccess,
  { maxUnusedPercent = MAX_UNUSED_PERCENT, maxRepackBytes }: PruneRequest,
  onProgress: (line: string) => void,
  signal: AbortSignal,
): Promise<PruneSummary> {
  const bytesBefore = await sizeOf(runner, access, signal);
  const repack = maxRepackBytes === undefined ? [] : [`--max-repack-size=${maxRepackBytes}`];
  const onLine: Run['onLine'] = (line, stream) => (stream === 'stdout' ? onProgress(line.trim()) : undefined);
  const args = ['prune', '--cleanup-cache', `--max-unused=${maxUnusedPercent}%`, ...repack];
  await runner.succeed(access, { args, onLine }, signal);
  await tidy(runner, access, signal);
  return { bytesBefore, bytesAfter: await sizeOf(runner, access, signal) };
}

/** Whether the engine of a call that failed is known not to run any more, and may have been ended before it was done. */
function hasEnded(thrown: unknown): boolean {
  if (!(thrown instanceof BackupError) || !CUT_SHORT.includes(thrown.code)) return false;
  return !(thrown.cause instanceof NodeError && thrown.cause.code === 'HelperLost');
}

function refuseReadOnly({ readOnly }: RepositoryAccess): void {
  if (readOnly !== true) return;
  throw new BackupError('InvalidRequest', 'the repository is used for reading only');
}
