/**
 * An agent that does nothing but take a volume back to a snapshot, to be killed while it does.
 *
 *   node revert-volume.ts '{"stateDir", "mountRoot", "snapshot", "restore"}'    capacityBytes as text
 */
import { join } from 'node:path';
import type { DriverRestore, DriverSnapshot } from '../../../src/drivers/driver.ts';
import { EmptyDirDriver } from '../../../src/drivers/emptydir/emptydir-driver.ts';
import { createNodeLayer } from '../../../src/node/create-layer.ts';
import { forkHelper } from '../../../src/node/fork-helper.ts';
import { Pools } from '../../../src/node/pools/pools.ts';

interface Task {
  readonly stateDir: string;
  readonly mountRoot: string;
  readonly snapshot: DriverSnapshot;
  readonly restore: DriverRestore;
}

const { stateDir, mountRoot, snapshot, restore } = JSON.parse(process.argv[2] ?? '', (key, value: unknown) =>
  key === 'capacityBytes' ? BigInt(String(value)) : value,
) as Task;

const signal = AbortSignal.timeout(60_000);
// What is armed is this process, not its helper.
const fork = (environment: Readonly<Record<string, string>>) => forkHelper({ ...environment, CLAWSTORE_CRASH_AT: '' });
const node = await createNodeLayer({ stateDir, mountRoot, fork }, signal);
const pools = new Pools({ node, directory: join(stateDir, 'pools') });
const driver = new EmptyDirDriver({ node, pools });
await driver.revert(snapshot.volume, snapshot, restore, { signal, onProgress: () => undefined });
await node.close();
