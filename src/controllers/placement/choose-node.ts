/** Which node a volume goes to: a chain of named checks over the StorageNodes. Pure. */
import { findCondition } from '../../api/conditions.ts';
import { quantityToBigInt } from '../../api/quantity.ts';
import type { Reason } from '../../api/reasons.ts';
import type { StorageNode } from '../../api/storage-node.ts';
import type { Volume } from '../../api/volume.ts';
import type { ResolvedVolume } from '../policy/resolve-volume.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';

export interface PlacementFacts {
  readonly volume: Volume;
  readonly resolved: ResolvedVolume;
  readonly nodes: readonly StorageNode[];
  /** The one node that it may have: the spec names it, or what the volume is made from lies there. */
  readonly onlyNode: string | undefined;
  /** Nodes that mounts of the volume ask for by name; preferred where they fit. */
  readonly preferred: readonly string[];
  /** Volumes placed on a node. Only asked when there is a choice. */
  readonly volumesOn: (nodeName: string) => number;
  /** Bytes promised to Thick volumes on a pool that its StorageNode does not show yet. Only asked for Thick volumes. */
  readonly promisedOn: (nodeName: string, pool: string) => bigint;
}

/** Why a volume has no node. `stalled`: a person must change something; else it goes on by itself. */
export interface Unplaced {
  readonly reason: Reason;
  readonly message: string;
  readonly stalled: boolean;
}

export type Placement =
  | { readonly placed: true; readonly nodeName: string }
  | { readonly placed: false; readonly why: Unplaced };

/** In this order; the first objection of a node is the one that counts. */
const CHECKS: Checks<[StorageNode, PlacementFacts], Unplaced> = [
  matchesSelector,
  isReady,
  supportsType,
  hasPool,
  hasRoom,
];

/** Chooses a node, or says why there is none. */
export function chooseNode(facts: PlacementFacts): Placement {
  const { onlyNode } = facts;
  return onlyNode === undefined ? chooseAny(facts) : chooseNamed(onlyNode, facts);
}

function chooseNamed(nodeName: string, facts: PlacementFacts): Placement {
  const node = facts.nodes.find(({ metadata }) => metadata.name === nodeName);
  if (node === undefined) {
    const isSaid = facts.volume.spec.nodeName === nodeName;
    const named = isSaid ? `spec.nodeName "${nodeName}"` : `Node "${nodeName}", where the dataSource lies,`;
    return no('NodeNotFound', `${named} has no StorageNode; start its agent or correct the name.`);
  }
  const why = firstObjection(node, facts);
  return why === undefined ? { placed: true, nodeName } : { placed: false, why };
}

function chooseAny(facts: PlacementFacts): Placement {
  const fitting: string[] = [];
  const objections: Unplaced[] = [];
  for (const node of facts.nodes) {
    const why = takesNew(node) ?? firstObjection(node, facts);
    if (why === undefined) fitting.push(node.metadata.name);
    else objections.push(why);
  }
  if (fitting.length === 0) return { placed: false, why: summarize(objections, facts) };
  const wished = fitting.filter((name) => facts.preferred.includes(name));
  const candidates = wished.length > 0 ? wished : fitting;
  return { placed: true, nodeName: leastUsed(candidates, facts) };
}

function firstObjection(node: StorageNode, facts: PlacementFacts): Unplaced | undefined {
  return firstToSpeak(CHECKS, node, facts);
}

/** Fewest volumes first, then by name, so that the same facts give the same node. */
function leastUsed(candidates: readonly string[], facts: PlacementFacts): string {
  const [first = '', ...others] = candidates;
  if (others.length === 0) return first;
  let best = first;
  let bestCount = facts.volumesOn(first);
  for (const name of others) {
    const count = facts.volumesOn(name);
    if (count < bestCount || (count === bestCount && name < best)) [best, bestCount] = [name, count];
  }
  return best;
}

/** One objection for all nodes: the common one, or a count per reason. */
function summarize(objections: readonly Unplaced[], facts: PlacementFacts): Unplaced {
  const [first] = objections;
  if (first === undefined) {
    return waiting('NoMatchingNode', 'There is no StorageNode yet; start an agent.');
  }
  if (objections.length === 1 && facts.nodes.length === 1 && first.reason !== 'NoMatchingNode') {
    return { ...first, stalled: false };
  }
  const counts = new Map<string, number>();
  for (const { reason } of objections) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  // Room can be made; that is the most useful thing to say when it is all that lacks somewhere.
  const reason: Reason = counts.has('InsufficientCapacity') ? 'InsufficientCapacity' : 'NoMatchingNode';
  const list = [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
  const example = objections.find((objection) => objection.reason === reason) ?? first;
  return waiting(reason, `None of ${objections.length} nodes fits (${list}): ${example.message}`);
}

/** Who names a node gets it all the same, as in Kubernetes. */
function takesNew({ metadata, spec }: StorageNode): Unplaced | undefined {
  if (spec?.unschedulable !== true) return undefined;
  return waiting('NodeUnschedulable', `Node "${metadata.name}" takes nothing new (spec.unschedulable).`);
}

function matchesSelector(node: StorageNode, { volume }: PlacementFacts): Unplaced | undefined {
  const labels = node.metadata.labels ?? {};
  const missing = Object.entries(volume.spec.nodeSelector ?? {}).find(([key, value]) => labels[key] !== value);
  if (missing === undefined) return undefined;
  const [key, value] = missing;
  return waiting('NoMatchingNode', `Node "${node.metadata.name}" does not carry the label ${key}=${value}.`);
}

function isReady(node: StorageNode): Unplaced | undefined {
  const ready = findCondition(node.status?.conditions, 'Ready');
  if (ready?.status === 'True') return undefined;
  const reason: Reason = ready?.reason === 'NodeLost' ? 'NodeLost' : 'NodeNotReady';
  return waiting(
    reason,
    `Node "${node.metadata.name}" is not ready: ${ready?.message ?? 'its agent has not reported yet'}`,
  );
}

function supportsType(node: StorageNode, { resolved }: PlacementFacts): Unplaced | undefined {
  const support = node.status?.types?.find(({ name }) => name === resolved.type);
  if (support?.supported === true) return undefined;
  const why = support?.message ?? 'its agent does not know the type';
  return {
    reason: 'TypeNotSupported',
    message: `Node "${node.metadata.name}" does not support ${resolved.type}: ${why}`,
    stalled: true,
  };
}

/** Only volumes that lie on a pool: emptyDir on disk. */
function usesPool({ volume }: PlacementFacts): boolean {
  return volume.spec.emptyDir !== undefined && volume.spec.emptyDir.medium !== 'Memory';
}

function hasPool(node: StorageNode, facts: PlacementFacts): Unplaced | undefined {
  const { pool } = facts.resolved;
  if (!usesPool(facts) || node.status?.pools?.some(({ name }) => name === pool) === true) return undefined;
  return { reason: 'PoolNotFound', message: `Node "${node.metadata.name}" has no pool "${pool}".`, stalled: true };
}

function hasRoom(node: StorageNode, facts: PlacementFacts): Unplaced | undefined {
  const { resolved } = facts;
  // Thin is a limit, not a reservation: the agent watches the pool.
  if (!usesPool(facts) || resolved.provisioning !== 'Thick' || resolved.capacityBytes === undefined) return undefined;
  const pool = node.status?.pools?.find(({ name }) => name === resolved.pool);
  if (pool === undefined) return undefined;
  const name = node.metadata.name;
  const free = quantityToBigInt(pool.free) - quantityToBigInt(pool.reserved) - facts.promisedOn(name, pool.name);
  if (resolved.capacityBytes <= free) return undefined;
  const left = free > 0n ? free : 0n;
  return waiting(
    'InsufficientCapacity',
    `Pool "${pool.name}" of node "${name}" has ${left} bytes left for Thick volumes, ${resolved.capacityBytes} are wanted.`,
  );
}

function waiting(reason: Reason, message: string): Unplaced {
  return { reason, message, stalled: false };
}

function no(reason: Reason, message: string): Placement {
  return { placed: false, why: waiting(reason, message) };
}
