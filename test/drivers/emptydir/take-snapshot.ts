/**
 * An agent that does nothing but take a snapshot, to be killed while it does.
 *
 *   node take-snapshot.ts '{"stateDir", "mountRoot", "snapshot"}'    capacityBytes as text
 */
import { join } from 'node:path';
import type { DriverSnapshot } from '../../../src/drivers/driver.ts';
import { EmptyDirDriver } from '../../../src/drivers/emptydir/emptydir-driver.ts';
import { createNodeLayer } from '../../../src/node/create-layer.ts';
import { forkHelper } from '../../../src/node/fork-helper.ts';
import { Pools } from '../../../src/node/pools/pools.ts';

const { stateDir, mountRoot, snapshot } = JSON.parse(process.argv[2] ?? '', (key, value: unknown) =>
  key === 'capacityBytes' ? BigInt(String(value)) : value,
) as { readonly stateDir: string; readonly mountRoot: string; readonly snapshot: DriverSnapshot };

const signal = AbortSignal.timeout(60_000);
// What is armed is this process, not its helper.
const fork = (environment: Readonly<Record<string, string>>) => forkHelper({ ...environment, CLAWSTORE_CRASH_AT: '' });
const node = await createNodeLayer({ stateDir, mountRoot, fork }, signal);
const pools = new Pools({ node, directory: join(stateDir, 'pools') });
await new EmptyDirDriver({ node, pools }).snapshots.take(snapshot, { signal, onProgress: () => undefined });
await node.close();
