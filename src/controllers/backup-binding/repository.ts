/** Is there a repository that the Backup can go to, and if not, is it worth waiting for? */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { findCondition, isTrue } from '../../api/conditions.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import type { ReconcileContext } from '../../runtime/reconciler.ts';
import { chooseVolumes } from './choose.ts';
import type { BackupBindingDependencies } from './dependencies.ts';
import { sibling } from './dependencies.ts';
import { makeRepository, repositoryAt, wantedRepository } from './destination.ts';
import { APPLIED_TOGETHER_MS, patienceLeft } from './patience.ts';

export type Found =
  | { readonly kind: 'ready'; readonly repository: BackupRepository }
  | {
      readonly kind: 'waiting';
      /** Undefined while it is not in the cache. */
      readonly repository: BackupRepository | undefined;
      readonly reason: Reason;
      readonly message: string;
      readonly lookAgainMs: number;
    }
  | { readonly kind: 'refused'; readonly reason: Reason; readonly message: string };

/** Changes of the repository queue its Backups; this is for what makes no event. */
const LOOK_AGAIN_MS = 30_000;
const SOON_MS = 200;
/** The same for volumes that get their nodes. */
const PLACES_AGAIN_MS = 1_000;

export async function findRepository(
  backup: Backup,
  deps: BackupBindingDependencies,
  { clock, signal }: ReconcileContext,
): Promise<Found> {
  const namespace = backup.metadata.namespace ?? '';
  const known = backup.status?.repositoryRef?.name;
  const wanted =
    known === undefined ? wantedRepository(backup, deps.destinations) : ({ kind: 'named', name: known } as const);
  if (wanted.kind === 'refused') return wanted;
  if (wanted.kind === 'named') {
    const repository = deps.repositories.get(sibling(backup, wanted.name));
    if (repository !== undefined) return judge(repository);
    const message = `BackupRepository "${wanted.name}" does not exist.`;
    const age = clock.now() - Date.parse(backup.status?.startTime ?? '');
    if (age > APPLIED_TOGETHER_MS) return { kind: 'refused', reason: 'RepositoryNotFound', message };
    return waiting(undefined, 'RepositoryNotFound', message, Math.max(SOON_MS, APPLIED_TOGETHER_MS - age));
  }
  const place =
    wanted.source.hostPath === undefined ? { ok: true as const, nodeName: undefined } : nodeOf(backup, deps);
  if (!place.ok) {
    const leftMs = place.mayPass ? patienceLeft(backup, APPLIED_TOGETHER_MS, clock.now()) : 0;
    if (leftMs === 0) return { kind: 'refused', reason: 'InvalidSpec', message: place.message };
    return waiting(undefined, 'NoMatchingNode', place.message, Math.min(PLACES_AGAIN_MS, leftMs));
  }
  const siblings = deps.repositories.list().filter(({ metadata }) => metadata.namespace === namespace);
  const there = repositoryAt(wanted.url, place.nodeName, siblings);
  if (there !== undefined) return judge(there);
  const maker = { client: deps.client, signal };
  const name = await makeRepository(namespace, wanted, place.nodeName, maker);
  return waiting(undefined, 'RepositoryNotReady', `BackupRepository "${name}" is being made.`, SOON_MS);
}

/** Pure. */
function judge(repository: BackupRepository): Found {
  const { metadata, spec, status } = repository;
  const what = `BackupRepository "${metadata.name}"`;
  if (isDeleting(repository)) {
    return { kind: 'refused', reason: 'RepositoryNotReady', message: `${what} is being deleted.` };
  }
  if (spec.accessMode === 'ReadOnly') {
    return { kind: 'refused', reason: 'InvalidSpec', message: `${what} is ReadOnly; nothing is written to it.` };
  }
  const conditions = status?.conditions;
  if (isTrue(conditions, 'Ready') && status?.nodeName !== undefined) return { kind: 'ready', repository };
  const isCurrent = status?.observedGeneration === metadata.generation;
  const stalled = findCondition(conditions, 'Stalled');
  if (stalled?.status === 'True' && isCurrent) {
    return { kind: 'refused', reason: wordOf(stalled.reason), message: `${what}: ${stalled.message}` };
  }
  const ready = findCondition(conditions, 'Ready');
  const message = `${what} is not ready${ready?.message ? `: ${ready.message}` : '.'}`;
  return waiting(repository, ready === undefined ? 'RepositoryNotReady' : wordOf(ready.reason), message, LOOK_AGAIN_MS);
}

/** A directory is one of a node: that of the volumes, or the only one there is. */
function nodeOf(
  backup: Backup,
  { volumes, nodes }: BackupBindingDependencies,
):
  | { readonly ok: true; readonly nodeName: string }
  /** `mayPass`: not all of the volumes have their node yet, or no node is known. */
  | { readonly ok: false; readonly message: string; readonly mayPass: boolean } {
  const siblings = volumes.list().filter(({ metadata }) => metadata.namespace === backup.metadata.namespace);
  const chosen = chooseVolumes(backup, siblings).volumes;
  const used = [...new Set(chosen.map(({ status }) => status?.nodeName).filter((name) => name !== undefined))];
  const all = nodes.list().map(({ metadata }) => metadata.name);
  const [nodeName, second] = used.length > 0 ? used : all;
  if (nodeName !== undefined && second === undefined) return { ok: true, nodeName };
  const which = used.length > 0 ? `the volumes are on ${used.length} nodes` : `there are ${all.length} nodes`;
  const message = `destination is a directory of one node, and ${which}: make a BackupRepository that names the node, or use s3:// or nfs://.`;
  const mayPass = used.length < 2 && (all.length === 0 || chosen.some(({ status }) => status?.nodeName === undefined));
  return { ok: false, message, mayPass };
}

function waiting(
  repository: BackupRepository | undefined,
  reason: Reason,
  message: string,
  lookAgainMs: number,
): Found {
  return { kind: 'waiting', repository, reason, message, lookAgainMs };
}

function wordOf(reason: string): Reason {
  return isReason(reason) ? reason : 'RepositoryNotReady';
}
