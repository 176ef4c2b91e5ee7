import { formatBytes } from '../api/quantity.ts';
import type { StoragePool } from '../api/storage-node.ts';
import type { PoolReader } from '../controllers/node/observe.ts';
import type { Pool, Pools } from '../node/pools/pools.ts';

/** Tells the pools as StorageNode shows them: what can still be grown counts as capacity and as free. */
export function poolReader(pools: Pools, driver: { reservedBytes(pool: Pool): Promise<bigint> }): PoolReader {
  return async (signal) => {
    const found = await Promise.all(
      pools.names().map(async (name): Promise<StoragePool | undefined> => {
        // A pool that cannot be used is the trouble of its volumes, and the driver says why; the others go on.
        const pool = await pools.open(name, signal).catch(() => undefined);
        if (pool === undefined) return undefined;
        const { totalBytes, freeBytes, growableBytes } = await pools.space(pool, signal);
        return {
          name,
          path: pool.directory,
          filesystem: pool.filesystem,
          capacity: formatBytes(totalBytes + growableBytes),
          free: formatBytes(freeBytes + growableBytes),
          reserved: formatBytes(await driver.reservedBytes(pool)),
          features: pool.cloneable ? ['reflink'] : [],
        };
      }),
    );
    return found.filter((pool) => pool !== undefined);
  };
}
