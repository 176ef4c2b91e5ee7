/** The facts of this node: what its drivers can do, how much room there is, what lies about. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { keyOf } from '../../api/meta.ts';
import type { NodeFeature, StorageNodeInfo, StoragePool } from '../../api/storage-node.ts';
import type { VolumeType } from '../../api/volume.ts';
import type { EngineFeatures } from '../../backup/engine.ts';
import type { DriverCapabilities, DriverLeftover, SnapshotLeftover } from '../../drivers/driver.ts';
import type { AgentDependencies } from '../support/agent.ts';
import type { Failure } from '../support/failure.ts';
import { failureOf } from '../support/failure.ts';
import { BY_UID } from '../support/indexes.ts';
import type { AskElsewhere } from './handed-over.ts';
import type { Orphans } from './orphans.ts';
import { findOrphans } from './orphans.ts';

/** Tells the pools of this node, as far as they exist. */
export type PoolReader = (signal: AbortSignal) => Promise<readonly StoragePool[]>;

export interface NodeFacts {
  readonly info: StorageNodeInfo;
  readonly mountRoot: string;
  readonly drivers: ReadonlyMap<VolumeType, DriverCapabilities>;
  readonly features: readonly NodeFeature[];
  /** Undefined where this agent makes no backups. */
  readonly engine?: EngineFeatures | undefined;
  readonly pools: readonly StoragePool[];
  readonly orphans: Orphans;
}

export interface ObserveDependencies extends AgentDependencies {
  readonly pools: PoolReader;
  readonly info: StorageNodeInfo;
  /** What was made under this UID is read for a backup, and goes with that. */
  readonly isBeingRead?: ((uid: string) => boolean) | undefined;
  readonly elsewhere: AskElsewhere;
}

/** Asks everything on the node; a part that does not answer is a failure of the node. */
export async function observeNode(
  dependencies: ObserveDependencies,
  features: readonly NodeFeature[],
  signal: AbortSignal,
): Promise<{ readonly facts: NodeFacts } | { readonly failure: Failure }> {
  const { node, stores, isBeingRead = () => false } = dependencies;
  try {
    const drivers = new Map<VolumeType, DriverCapabilities>();
    const leftovers: DriverLeftover[] = [];
    const snapshots: SnapshotLeftover[] = [];
    for (const [type, driver] of dependencies.drivers) {
      drivers.set(type, await driver.capabilities(signal));
      leftovers.push(...(await driver.leftovers(signal)));
      snapshots.push(...((await driver.snapshots?.leftovers(signal)) ?? []));
    }
    const engine = await dependencies.backups?.engine.probe(signal);
    const pools = await dependencies.pools(signal);
    const isHere = (uid: string) => stores.volumes.byIndex(BY_UID, uid).length > 0 || isBeingRead(uid);
    const elsewhere = await dependencies.elsewhere(
      leftovers.filter(({ volumeUID }) => !isHere(volumeUID)),
      signal,
    );
    const orphans = findOrphans({
      mountRoot: node.mountRoot,
      mounted: node.table.below(node.mountRoot),
      leftovers,
      snapshots,
      hasMount: (namespace, name) => stores.mounts.get(keyOf({ metadata: { namespace, name } })) !== undefined,
      hasVolume: (uid) => isHere(uid) || elsewhere.has(uid),
      hasSnapshot: (uid) => stores.snapshots.byIndex(BY_UID, uid).length > 0 || isBeingRead(uid),
    });
    return { facts: { info: dependencies.info, mountRoot: node.mountRoot, drivers, features, engine, pools, orphans } };
  } catch (thrown) {
    return { failure: failureOf(thrown, 'HelperUnavailable', signal) };
  }
}

/** Reads what does not change while the process runs. */
export function readNodeInfo(version: string): StorageNodeInfo {
  return {
    clawstoreVersion: version,
    kernelVersion: release(),
    osImage: prettyName(readText('/etc/os-release')),
    architecture: architecture(),
    bootID: readText('/proc/sys/kernel/random/boot_id').trim(),
  };
}

/** The processor as Kubernetes calls it (Go's GOARCH, as in the well-known label `kubernetes.io/arch`). */
export function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}

/** `PRETTY_NAME` of os-release(5). */
function prettyName(osRelease: string): string {
  const value = /^PRETTY_NAME=(.*)$/m.exec(osRelease)?.[1] ?? 'Linux';
  return value.replace(/^(["'])(.*)\1$/, '$2');
}

/** Empty where there is no such file: a container without os-release is still a node. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
