/** The StorageNode's status, derived from the facts. Pure. */
import type { ConditionInput } from '../../api/conditions.ts';
import { deriveConditions } from '../../api/conditions.ts';
import { formatBytes, quantityToBigInt } from '../../api/quantity.ts';
import type {
  NodeFeature,
  StorageNode,
  StorageNodeConditionType,
  StorageNodeStatus,
  StoragePool,
  SupportedType,
} from '../../api/storage-node.ts';
import { VOLUME_TYPES } from '../../api/volume.ts';
import type { EngineFeatures } from '../../backup/engine.ts';
import type { Failure } from '../support/failure.ts';
import type { NodeFacts } from './observe.ts';

/** Space is published again when it has changed by this part of the pool, so that an idle node writes nothing. */
const FREE_STEP = 20n;

/** Derives the whole status; after a failure, what was known stays and Ready says what is wrong. */
export function deriveNodeStatus(
  node: StorageNode,
  seen: { readonly facts: NodeFacts } | { readonly failure: Failure },
  now: Date,
): StorageNodeStatus {
  const generation = node.metadata.generation ?? 0;
  const previous = node.status ?? {};
  const conditions = deriveConditions(previous.conditions, summary(seen), generation, now);
  if ('failure' in seen) return { ...previous, observedGeneration: generation, conditions };
  const { info, mountRoot, orphans } = seen.facts;
  const pools = seen.facts.pools.map((pool) => steady(pool, previous.pools));
  return {
    observedGeneration: generation,
    conditions,
    nodeInfo: info,
    mountRoot,
    ...(pools.length === 0 ? {} : { pools, ...sums(pools) }),
    types: typesOf(seen.facts),
    features: featuresOf(seen.facts),
    ...(orphans.count === 0 ? {} : { orphans: orphans.listed }),
    orphanCount: orphans.count,
  };
}

function summary(
  seen: { readonly facts: NodeFacts } | { readonly failure: Failure },
): readonly ConditionInput<StorageNodeConditionType>[] {
  if ('facts' in seen) return [{ type: 'Ready', status: 'True', reason: 'AgentReady', message: '' }];
  const { reason, message } = seen.failure;
  return [
    { type: 'Ready', status: 'False', reason, message },
    { type: 'Reconciling', status: 'True', reason, message },
  ];
}

/** Every type of the API: those without a driver say so. */
function typesOf({ drivers }: NodeFacts): readonly SupportedType[] {
  return VOLUME_TYPES.map((name) => {
    const capabilities = drivers.get(name);
    if (capabilities === undefined) {
      return { name, supported: false, reason: 'Disabled', message: 'This agent has no driver for the type.' };
    }
    const { supported, reason, message } = capabilities;
    return supported ? { name, supported } : { name, supported, reason, message };
  });
}

/** A feature that several know of is listed once: the first has the word. */
function featuresOf({ features, drivers, engine }: NodeFacts): readonly NodeFeature[] {
  const byName = new Map<string, NodeFeature>();
  if (engine !== undefined) byName.set(ENGINE_FEATURE, engineFeature(engine));
  for (const feature of [...features, ...[...drivers.values()].flatMap((driver) => driver.features)]) {
    if (byName.has(feature.name)) continue;
    const { name, available, reason = '', message = '' } = feature;
    byName.set(name, { name, available, ...(reason === '' ? {} : { reason }), ...(message === '' ? {} : { message }) });
  }
  return [...byName.values()];
}

/** Name of the feature of nodes that can make, keep and restore backups. */
export const ENGINE_FEATURE = 'restic';

/** It is there when it does anything at all; what its version lacks beside that is named. */
export function engineFeature({ version, lacking }: EngineFeatures): NodeFeature {
  const all = lacking.find(({ feature }) => feature === 'Engine');
  if (version === undefined || all !== undefined) {
    const reason = version === undefined ? 'CommandMissing' : 'BackupNotSupported';
    const message = all?.message ?? 'restic is not installed; install the package restic.';
    return { name: ENGINE_FEATURE, available: false, reason, message };
  }
  const lacks = lacking.map((lack) => lack.message).join('; ');
  const message = `version ${version}${lacks === '' ? '' : `: ${lacks}`}`;
  return { name: ENGINE_FEATURE, available: true, reason: 'Supported', message };
}

/**
 * What others write on the host changes what a pool could still grow to, and with it capacity and free: both stay as
 * published until one has moved by a step.
 */
function steady(pool: StoragePool, previous: readonly StoragePool[] | undefined): StoragePool {
  const old = previous?.find(({ name }) => name === pool.name);
  if (old === undefined || old.reserved !== pool.reserved) return pool;
  const step = quantityToBigInt(pool.capacity) / FREE_STEP;
  const moved = (field: 'capacity' | 'free'): boolean => {
    const difference = quantityToBigInt(pool[field]) - quantityToBigInt(old[field]);
    return difference >= step || -difference >= step;
  };
  return moved('capacity') || moved('free') ? pool : { ...pool, capacity: old.capacity, free: old.free };
}

function sums(pools: readonly StoragePool[]): Pick<StorageNodeStatus, 'capacity' | 'free' | 'reserved'> {
  const sum = (field: 'capacity' | 'free' | 'reserved'): string =>
    formatBytes(pools.reduce((total, pool) => total + quantityToBigInt(pool[field]), 0n));
  return { capacity: sum('capacity'), free: sum('free'), reserved: sum('reserved') };
}
