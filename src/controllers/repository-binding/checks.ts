/** Which node tends a repository, and may it at all? Pure. */
import type { BackupRepository } from '../../api/backup-repository.ts';
import { isTrue } from '../../api/conditions.ts';
import { isDeleting } from '../../api/meta.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import { ENGINE_FEATURE } from '../node/status.ts';
import type { RepositoryResolution } from '../policy/repository.ts';
import { timetableOf } from '../schedule/timetable.ts';
import { isPaused } from '../support/annotations.ts';
import type { StandIn } from '../support/stand-in.ts';
import { lostStandIn } from '../support/stand-in.ts';

export interface BindingFacts {
  readonly repository: BackupRepository;
  readonly resolution: RepositoryResolution;
  readonly nodes: readonly StorageNode[];
  /** Whether a node can be asked at all. */
  readonly isLost: (nodeName: string) => boolean;
  /** Repositories that a node tends. */
  readonly load: (nodeName: string) => number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface Binding {
  readonly nodeName: string | undefined;
  readonly standIn: StandIn | undefined;
}

/** Decides where it goes or stays, and what the controller says of it. */
export function bindingOf(facts: BindingFacts): Binding {
  const placed = facts.repository.status?.nodeName;
  if (placed === undefined) return place(facts);
  const isLost = facts.isLost(placed);
  // What lies on a server can be tended from anywhere. Two that do it at once are kept apart by the locks in it.
  if (isLost && facts.repository.spec.nodeName === undefined && !isDeleting(facts.repository)) {
    const other = choose(facts);
    if (typeof other === 'string') return { nodeName: other, standIn: undefined };
  }
  return { nodeName: placed, standIn: lostStandIn(facts.repository, placed, isLost) };
}

function place(facts: BindingFacts): Binding {
  const { repository, resolution, now } = facts;
  const unplaced = (standIn: StandIn): Binding => ({ nodeName: undefined, standIn });
  if (isDeleting(repository)) {
    return unplaced({ kind: 'waiting', reason: 'Deleting', message: 'The repository is being deleted.' });
  }
  if (isPaused(repository)) return unplaced({ kind: 'paused' });
  if (!resolution.ok) {
    const { reason, message, stalled } = resolution.refusal;
    return unplaced({ kind: stalled ? 'stalled' : 'waiting', reason, message });
  }
  const problem = scheduleProblem(repository, now);
  if (problem !== undefined) return unplaced({ kind: 'stalled', reason: 'InvalidSpec', message: problem });
  const chosen = choose(facts);
  return typeof chosen === 'string' ? { nodeName: chosen, standIn: undefined } : unplaced(chosen);
}

/** What is wrong with the times of its checks. */
export function scheduleProblem({ spec }: Pick<BackupRepository, 'spec'>, now: number): string | undefined {
  if (spec.check === undefined) return undefined;
  try {
    timetableOf(spec.check.schedule, 'UTC', now);
    return undefined;
  } catch (thrown) {
    return `${thrown instanceof Error ? thrown.message.replace('spec.schedule', 'spec.check.schedule') : String(thrown)}.`;
  }
}

/** The node that has the fewest; the named one, wherever there is one, also where it lacks something, which it says itself. */
function choose({ repository, nodes, isLost, load }: BindingFacts): string | StandIn {
  const { nodeName, nfs } = repository.spec;
  if (nodeName !== undefined) {
    if (nodes.some(({ metadata }) => metadata.name === nodeName)) return nodeName;
    return {
      kind: 'waiting',
      reason: 'NodeNotFound',
      message: `There is no node "${nodeName}"; the repository waits for it.`,
    };
  }
  const able = nodes.filter(
    (node) =>
      !isLost(node.metadata.name) &&
      isTrue(node.status?.conditions, 'Ready') &&
      hasEngine(node) &&
      (nfs === undefined || node.status?.types?.some(({ name, supported }) => name === 'nfs' && supported) === true),
  );
  const [best] = able.map(({ metadata }) => metadata.name).sort((a, b) => load(a) - load(b) || (a < b ? -1 : 1));
  if (best !== undefined) return best;
  const needs = nfs === undefined ? 'restic' : 'restic and an NFS client';
  return {
    kind: 'waiting',
    reason: 'NoMatchingNode',
    message: `No node is Ready and has ${needs}; the repository waits for one.`,
  };
}

function hasEngine({ status }: StorageNode): boolean {
  return status?.features?.some(({ name, available }) => name === ENGINE_FEATURE && available) === true;
}
