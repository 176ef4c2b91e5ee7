import type { BackupRepository } from '../../api/backup-repository.ts';
import { findCondition } from '../../api/conditions.ts';
import { BACKUP_REPOSITORIES } from '../../api/meta.ts';
import { compareText } from '../../api/order.ts';
import type { Command } from '../command.ts';
import { type Listing, rowsOf } from '../listing.ts';

export interface ListedRepository {
  readonly name: string;
  readonly url: string;
  /** `Deleted` only in what a watch shows. */
  readonly ready: string;
  readonly keyExported: string;
  readonly backups: number;
  readonly sizeBytes: number;
  readonly last_check?: string;
  /** What a person should know: why it is not Ready, or what is to be done. */
  readonly message?: string;
}

type Result = { readonly repositories: readonly ListedRepository[] };

export const repositoryListing: Listing<Record<string, never>, BackupRepository, ListedRepository, Result> = {
  resource: BACKUP_REPOSITORIES,
  select: () => ({}),
  compare: (a, b) => compareText(a.metadata.name, b.metadata.name),
  rowOf: listed,
  resultOf: (repositories) => ({ repositories }),
};

/** `clawstore repository list`. */
export const repositoryList: Command<Record<string, never>, Result> = {
  name: 'repository list',
  summary: 'List the repositories that backups lie in.',
  parameters: { required: [], properties: {} },
  readOnly: true,
  run: async (params, context) => repositoryListing.resultOf(await rowsOf(repositoryListing, params, context)),
};

/** In this order: what is worse is said. */
const TOLD = ['Ready', 'Verified', 'Unlocked', 'KeyExported'] as const;

function listed({ metadata, status }: BackupRepository, isGone = false): ListedRepository {
  const { url = '', backupCount = 0, sizeBytes = 0, lastCheckTime, conditions } = status ?? {};
  const message = TOLD.map((type) => findCondition(conditions, type)).find(
    (condition) => condition !== undefined && condition.status !== 'True',
  )?.message;
  return {
    name: metadata.name,
    url,
    ready: isGone ? 'Deleted' : (findCondition(conditions, 'Ready')?.status ?? 'Unknown'),
    keyExported: findCondition(conditions, 'KeyExported')?.status ?? 'Unknown',
    backups: backupCount,
    sizeBytes,
    ...(lastCheckTime === undefined ? {} : { last_check: lastCheckTime }),
    ...(message === undefined || message === '' ? {} : { message }),
  };
}
