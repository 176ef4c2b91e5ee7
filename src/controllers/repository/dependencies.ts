/** What the agent's work on repositories is done with. */
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import type { Namespace } from '../../api/core.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { UserPath } from '../../node/layer.ts';
import type { ReadStore } from '../../runtime/store.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { BY_REPOSITORY } from '../support/indexes.ts';
import type { Jobs } from '../support/jobs.ts';
import type { BackupTools } from '../support/repository-access.ts';
import type { Writer } from '../support/writes.ts';
import type { RepositoryState } from './state.ts';

export interface RepositoryDependencies extends AgentDependencies {
  readonly tools: BackupTools;
  readonly repositories: ReadStore<BackupRepository>;
  /** Those that the node has, indexed by {@link BY_REPOSITORY}. */
  readonly backupStore: ReadStore<Backup>;
  readonly client: Pick<KubeClient, 'create' | 'get'>;
  /** Writes as the field manager `repository`. */
  readonly backupWriter: Writer;
  readonly namespaces: ReadStore<Namespace>;
  /** By key of the repository. */
  readonly states: Map<string, RepositoryState>;
  readonly looks: Jobs;
  /** Checks and giving back of space: they may take hours. */
  readonly care: Jobs;
  readonly makeDirectory: (path: UserPath, signal: AbortSignal) => Promise<void>;
  /** Whether this node works on a part of a backup. */
  readonly isAtWork: (backupID: string) => boolean;
}

/** Backups that lie in a repository, as far as this node has them. */
export function backupsOf(
  key: string,
  { backupStore }: Pick<RepositoryDependencies, 'backupStore'>,
): readonly Backup[] {
  return backupStore.byIndex(BY_REPOSITORY, key);
}
