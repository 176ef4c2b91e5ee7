/**
 * An agent that does nothing but take an s3 volume back to a snapshot, to be killed while it does.
 *
 *   node revert-volume.ts '{"stateDir", "mountRoot", "snapshot", "restore"}'
 */
import type { DriverRestore, DriverSnapshot } from '../../../src/drivers/driver.ts';
import { S3Driver } from '../../../src/drivers/s3/driver.ts';
import { createNodeLayer } from '../../../src/node/create-layer.ts';

interface Task {
  readonly stateDir: string;
  readonly mountRoot: string;
  readonly snapshot: DriverSnapshot;
  readonly restore: DriverRestore;
}

const { stateDir, mountRoot, snapshot, restore } = JSON.parse(process.argv[2] ?? '') as Task;

const signal = AbortSignal.timeout(60_000);
const node = await createNodeLayer({ stateDir, mountRoot }, signal);
await new S3Driver(node).revert(snapshot.volume, snapshot, restore, { signal, onProgress: () => undefined });
await node.close();
