/** How an agent gets at a repository: the rules of this node, the Secrets it may read, and who it says that it is. */
import type { RepositoryLocation } from '../../api/backup-repository.ts';
import type { BackupEngine } from '../../backup/engine.ts';
import type { TargetPath } from '../../node/layer.ts';
import type { AccessResolution } from '../policy/repository.ts';
import { resolveAccess } from '../policy/repository.ts';
import type { AgentDependencies } from './agent.ts';

/** What an agent works on repositories with. */
export interface BackupTools {
  readonly engine: BackupEngine;
  /** Shared by all repositories: the engine keeps them apart. */
  readonly cacheDirectory: TargetPath;
  /** Who holds the locks of this agent, see {@link lockHolder}. */
  readonly holder: string;
  /** When this machine was started. Milliseconds since the epoch, by its clock as that is now. */
  readonly bootedAt: () => number;
  /** State directory and mount root: no repository may lie there. */
  readonly ownDirectories: readonly string[];
}

export interface AccessRequest {
  readonly namespace: string;
  readonly location: RepositoryLocation;
  readonly readOnly?: boolean;
}

/** Judges a location on this node, and reads what it names. Until a Secret has been read it refuses with `Pending`. */
export function repositoryAccess(
  deps: Pick<AgentDependencies, 'stores' | 'hostPathAllow' | 'named'>,
  tools: BackupTools,
  { namespace, location, readOnly = false }: AccessRequest,
): AccessResolution {
  const { stores, hostPathAllow, named } = deps;
  const { cacheDirectory, holder, ownDirectories } = tools;
  const unknown = { state: 'unknown' } as const;
  return resolveAccess(
    {
      namespace,
      location,
      classNamed: (name) => stores.classes.get(name),
      namespaceLabels: stores.namespaces.get(namespace)?.metadata.labels,
      node: { hostPathAllow, ownDirectories },
    },
    {
      named: named ?? { secret: () => unknown, configMap: () => unknown },
      cacheDirectory,
      holder,
      readOnly,
    },
  );
}
