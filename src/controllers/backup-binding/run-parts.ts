/** Parts that are running, or wait for their turn: begun where there is room, and ended where no agent will. */
import type { Backup, BackupStatus, VolumeBackup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import { isTrue } from '../../api/conditions.ts';
import { keyOf, STORAGE_NODES, VOLUMES } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { ReconcileContext } from '../../runtime/reconciler.ts';
import { isGoneNode } from '../placement/observe.ts';
import type { Live } from '../support/live.ts';
import { CACHE_BEHIND_MS } from '../support/live.ts';
import type { Contender } from './admission.ts';
import { admit } from './admission.ts';
import { missingVolumes } from './choose.ts';
import type { BackupBindingDependencies } from './dependencies.ts';
import { backupOf, isGone, partsOf, repositoryOf, sibling, unfinishedParts } from './dependencies.ts';
import { cancelPart, failPart, isPartOf, liveParts, startPart } from './parts.ts';
import { lacksStorage, storageLeft } from './patience.ts';
import { carriedOf, deriveStatus } from './status.ts';
import { sumsOf } from './sums.ts';

/** An agent has so long to say itself that a part did not make it, in milliseconds. */
const GRACE_MS = 60_000;
/** Lost nodes make an event; what the time decides is looked at so often, in milliseconds. */
const LOOK_AGAIN_MS = 30_000;

export type Running =
  | { readonly haveEnded: true }
  | { readonly haveEnded: false; readonly status: BackupStatus; readonly lookAgainMs: number };

/** Begins what has its turn, and ends what nobody will do. */
export async function runParts(
  backup: Backup,
  deps: BackupBindingDependencies,
  { clock, signal }: ReconcileContext,
): Promise<Running> {
  const now = new Date(clock.now());
  const parts = partsOf(backup, deps);
  const left = parts.filter((part) => !hasEnded(part));
  if (left.length === 0) return { haveEnded: true };
  const turns = new Map(admit(contenders(deps)).map(({ part, nodeName }) => [part, nodeName]));
  const obstacles: Obstacle[] = [];
  for (const part of left) {
    const obstacle = obstacleOf(part, backup, deps, clock.now());
    if (obstacle?.waitMs === 0) {
      if (!(await isSure(part, obstacle, deps.live, signal))) {
        obstacles.push({ ...obstacle, waitMs: CACHE_BEHIND_MS });
        continue;
      }
      await failPart(part, obstacle.reason, obstacle.message, deps, { now, signal });
      continue;
    }
    if (obstacle !== undefined) {
      obstacles.push(obstacle);
      continue;
    }
    const turn = turns.get(part);
    if (turn !== undefined && !deps.isLost(turn)) await startPart(part, turn, deps, signal);
  }
  const sums = sumsOf(
    parts,
    missingVolumes(
      backup,
      parts.map(({ spec }) => spec.volumeRef.name),
    ),
  );
  const [first] = obstacles;
  // Nothing else goes on: then this is what a reader wants to know first.
  const reason = first !== undefined && obstacles.length === left.length ? first.reason : 'BackingUp';
  const message = messageOf(parts, obstacles, deps);
  const status = deriveStatus(backup, { ...carriedOf(backup), ...sums }, { kind: 'waiting', reason, message }, [], now);
  return { haveEnded: false, status, lookAgainMs: Math.min(LOOK_AGAIN_MS, ...obstacles.map(({ waitMs }) => waitMs)) };
}

/**
 * Stops all parts.
 * @returns whether they have ended.
 */
export async function stopParts(
  backup: Backup,
  stop: { readonly reason: Reason; readonly message: string },
  deps: BackupBindingDependencies,
  { clock, signal }: ReconcileContext,
): Promise<boolean> {
  const now = new Date(clock.now());
  const left = partsOf(backup, deps).filter((part) => !hasEnded(part));
  for (const part of left) {
    const nodeName = part.status?.nodeName;
    const isOverdue = clock.now() > Date.parse(part.spec.deadline) + GRACE_MS;
    if (nodeName === undefined || isGone(nodeName, deps) || isOverdue) {
      await failPart(part, stop.reason, stop.message, deps, { now, signal });
    } else if (stop.reason !== 'DeadlineExceeded') {
      // Of the deadline its agent knows.
      await cancelPart(part, deps, signal);
    }
  }
  if (left.length > 0) return false;
  // One that the cache does not show yet may be read at this moment.
  return (await liveParts(backup, deps.live, signal)).every(hasEnded);
}

/** Why a part is not given to a node. */
interface Obstacle {
  readonly reason: Reason;
  readonly message: string;
  /** Milliseconds for which it may pass; 0: nobody will ever do the part. */
  readonly waitMs: number;
}

/** What is in the way of a part; undefined where it can be done, or is. */
function obstacleOf(
  part: VolumeBackup,
  backup: Backup,
  deps: BackupBindingDependencies,
  now: number,
): Obstacle | undefined {
  const { name } = part.spec.volumeRef;
  const given = part.status?.nodeName;
  if (given !== undefined) {
    if (!isGone(given, deps)) return undefined;
    return { reason: 'NodeLost', message: `Node "${given}", which was reading volume "${name}", is gone.`, waitMs: 0 };
  }
  const volume = deps.volumes.get(sibling(backup, name));
  if (volume === undefined || volume.metadata.uid !== part.spec.volumeUID) {
    return { reason: 'VolumeNotFound', message: `Volume "${name}" was deleted before it could be read.`, waitMs: 0 };
  }
  const nodeName = volume.status?.nodeName;
  if (nodeName === undefined || !isTrue(volume.status?.conditions, 'Provisioned')) {
    const waitMs = storageLeft(backup, volume, now);
    return { reason: 'VolumeNotReady', message: lacksStorage(volume), waitMs };
  }
  const { hostPath, nodeName: at } = part.spec.repository;
  if (hostPath !== undefined && at !== nodeName) {
    const message = `Volume "${name}" is on node "${nodeName}", and the repository is a directory of node "${at}".`;
    return { reason: 'NodeMismatch', message, waitMs: 0 };
  }
  return undefined;
}

/** Whether what a part lacks is lacking at the API server too: a cache may not show it yet, and a part that has failed is not tried again. */
async function isSure(
  { metadata: { namespace }, spec, status }: VolumeBackup,
  { reason }: Obstacle,
  live: Live,
  signal: AbortSignal,
): Promise<boolean> {
  if (reason === 'NodeLost') {
    return isGoneNode(await live.get<StorageNode>(STORAGE_NODES, { name: status?.nodeName ?? '' }, signal));
  }
  if (reason !== 'VolumeNotFound') return true;
  const volume = await live.get<Volume>(VOLUMES, { namespace, name: spec.volumeRef.name }, signal);
  return volume?.metadata.uid !== spec.volumeUID;
}

/** Every part that has not ended, of whatever Backup, and could be given to a node. */
function contenders(deps: BackupBindingDependencies): readonly Contender[] {
  return unfinishedParts(deps).flatMap((part): readonly Contender[] => {
    const backup = deps.backups.get(backupOf(part)[0] ?? '');
    if (backup === undefined || !isPartOf(part, backup)) return [];
    const volume = deps.volumes.get(sibling(backup, part.spec.volumeRef.name));
    const nodeName = part.status?.nodeName ?? volume?.status?.nodeName;
    const repository = repositoryOf(backup, deps);
    if (nodeName === undefined || repository === undefined) return [];
    // What cannot run now must not take the place of what can.
    const canRun = !deps.isLost(nodeName) && isTrue(volume?.status?.conditions, 'Provisioned');
    if (part.status?.nodeName === undefined && !canRun) return [];
    return [
      {
        part,
        nodeName,
        repository: keyOf(repository),
        backup: backup.metadata.uid ?? '',
        parallelism: backup.spec.limits?.parallelism,
      },
    ];
  });
}

function messageOf(
  parts: readonly VolumeBackup[],
  obstacles: readonly Obstacle[],
  { isLost }: BackupBindingDependencies,
): string {
  const done = parts.filter(hasEnded).length;
  const lost = parts.find(
    ({ status }) => status?.nodeName !== undefined && status.completionTime === undefined && isLost(status.nodeName),
  );
  const [first, ...others] = obstacles;
  const more = others.length === 0 ? '' : `, and for ${others.length} more`;
  const unmade = first === undefined ? '' : ` It is waited for${more}. ${first.message}`;
  const waits =
    lost === undefined ? '' : ` Node "${lost.status?.nodeName}" is lost; it is waited for until the deadline.`;
  return `${done} of ${parts.length} volumes are done.${waits}${unmade}`;
}
