import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes } from '../api/quantity.ts';
import type { StoragePool } from '../api/storage-node.ts';
import type { PoolReader } from '../controllers/node/observe.ts';
import { parseImageName } from '../drivers/emptydir/image-name.ts';
import type { Pool, Pools } from '../node/pools/pools.ts';

/** Block size of `st_blocks`, stat(2). */
const STAT_BLOCK = 512n;

/** Tells the pools as StorageNode shows them: what can still be grown counts as capacity and as free. */
export function poolReader(pools: Pools): PoolReader {
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
          reserved: formatBytes(reservedBytes(pool)),
          features: pool.cloneable ? ['reflink'] : [],
        };
      }),
    );
    return found.filter((pool) => pool !== undefined);
  };
}

/** What Thick images were promised and the pool has not allocated to them. */
function reservedBytes(pool: Pool): bigint {
  return readdirSync(pool.directory).reduce((sum, entry) => {
    if (parseImageName(entry)?.provisioning !== 'Thick') return sum;
    const stat = statSync(join(pool.directory, entry), { bigint: true, throwIfNoEntry: false });
    const missing = stat === undefined ? 0n : stat.size - stat.blocks * STAT_BLOCK;
    return missing > 0n ? sum + missing : sum;
  }, 0n);
}
