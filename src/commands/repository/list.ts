import type { BackupRepository } from '../../api/backup-repository.ts';
import { findCondition } from '../../api/conditions.ts';
import { BACKUP_REPOSITORIES } from '../../api/meta.ts';
import type { Command } from '../command.ts';
import { fromKube } from '../wait.ts';

interface ListedRepository {
  readonly name: string;
  readonly url: string;
  readonly ready: string;
  readonly keyExported: string;
  readonly backups: number;
  readonly sizeBytes: number;
  readonly last_check?: string;
  /** What a person should know: why it is not Ready, or what is to be done. */
  readonly message?: string;
}

/** `clawstore repository list`. */
export const repositoryList: Command<Record<string, never>, { readonly repositories: readonly ListedRepository[] }> = {
  name: 'repository list',
  summary: 'List the repositories that backups lie in.',
  parameters: { required: [], properties: {} },
  readOnly: true,
  async run(_params, { client, namespace, signal }) {
    const list = client.list<BackupRepository>(BACKUP_REPOSITORIES, { namespace, signal });
    const { items } = await list.catch((cause: unknown) => {
      throw fromKube(cause);
    });
    return { repositories: items.map(listed) };
  },
};

/** In this order: what is worse is said. */
const TOLD = ['Ready', 'Verified', 'Unlocked', 'KeyExported'] as const;

function listed({ metadata, status }: BackupRepository): ListedRepository {
  const { url = '', backupCount = 0, sizeBytes = 0, lastCheckTime, conditions } = status ?? {};
  const message = TOLD.map((type) => findCondition(conditions, type)).find(
    (condition) => condition !== undefined && condition.status !== 'True',
  )?.message;
  return {
    name: metadata.name,
    url,
    ready: findCondition(conditions, 'Ready')?.status ?? 'Unknown',
    keyExported: findCondition(conditions, 'KeyExported')?.status ?? 'Unknown',
    backups: backupCount,
    sizeBytes,
    ...(lastCheckTime === undefined ? {} : { last_check: lastCheckTime }),
    ...(message === undefined || message === '' ? {} : { message }),
  };
}
