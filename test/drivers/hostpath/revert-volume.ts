/**
 * An agent that does nothing but take a hostPath volume back to a snapshot, to be killed while it does.
 *
 *   node revert-volume.ts '{"stateDir", "mountRoot", "snapshot", "restore"}'
 */
import type { DriverRestore, DriverSnapshot } from '../../../src/drivers/driver.ts';
import { createNodeLayer } from '../../../src/node/create-layer.ts';
import { forkHelper } from '../../../src/node/fork-helper.ts';
import { hostPathDriver } from './support.ts';

interface Task {
  readonly stateDir: string;
  readonly mountRoot: string;
  readonly snapshot: DriverSnapshot;
  readonly restore: DriverRestore;
}

const { stateDir, mountRoot, snapshot, restore } = JSON.parse(process.argv[2] ?? '') as Task;

const signal = AbortSignal.timeout(60_000);
// What is armed is this process, not its helper.
const fork = (environment: Readonly<Record<string, string>>) => forkHelper({ ...environment, CLAWSTORE_CRASH_AT: '' });
const node = await createNodeLayer({ stateDir, mountRoot, fork }, signal);
await hostPathDriver(node).revert?.(snapshot.volume, snapshot, restore, { signal, onProgress: () => undefined });
await node.close();
