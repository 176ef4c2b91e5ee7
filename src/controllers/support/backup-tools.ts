import { uptime } from 'node:os';
import type { BackupEngine } from '../../backup/engine.ts';
import type { NodeLayer } from '../../node/layer.ts';
import { ENGINE_CACHE } from './engine-cache.ts';
import { lockHolder } from './lock-holder.ts';
import type { BackupTools } from './repository-access.ts';

export interface BackupToolsOptions {
  readonly engine: BackupEngine;
  readonly node: Pick<NodeLayer, 'stateDir' | 'mountRoot'>;
  readonly nodeName: string;
  /** This installation, over restarts. */
  readonly identity: string;
  readonly bootID: string;
}

/** What this agent works on repositories with. */
export function backupTools({ engine, node, nodeName, identity, bootID }: BackupToolsOptions): BackupTools {
  return {
    engine,
    cacheDirectory: { root: node.stateDir, path: ENGINE_CACHE },
    holder: lockHolder({ identity, nodeName, bootID }),
    bootedAt: () => Date.now() - uptime() * 1000,
    ownDirectories: [node.stateDir, node.mountRoot],
  };
}
