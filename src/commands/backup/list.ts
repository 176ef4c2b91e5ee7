import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { LABELS } from '../../api/group.ts';
import { BACKUP_REPOSITORIES, BACKUPS } from '../../api/meta.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command } from '../command.ts';
import { type Listing, type ReadContext, rowsOf } from '../listing.ts';
import { fromKube } from '../wait.ts';
import type { BackupState, CommandScope } from './state.ts';
import { BACKUP_STATES, idOf, messageOf, scopeOf, stateOf } from './state.ts';

export interface ListedBackup {
  /** Its ID in the repository; the name of its object until it has one. */
  readonly backupId: string;
  readonly scope: CommandScope;
  readonly destination: string;
  /** `deleted` only in what a watch shows. */
  readonly state: BackupState | 'deleted';
  /** When it began, RFC 3339: what it keeps is not older. */
  readonly created_at: string;
  /** Name of its object. */
  readonly name: string;
  readonly schedule?: string;
  readonly bytes?: number;
  /** Why it waits, or how it failed. */
  readonly message?: string;
}

interface Params {
  readonly schedule?: string;
  readonly state?: BackupState;
}

interface Result {
  readonly count: number;
  readonly backups: readonly ListedBackup[];
}

/** `backup.list`: the backups of the namespace, the newest last, with those that were found in its repositories. */
export const backupList: Command<Record<string, never>, Result> = {
  name: 'backup.list',
  summary: 'List the backups, the newest last.',
  parameters: { required: [], properties: {} },
  readOnly: true,
  async run(_params, context) {
    const { backups } = await backupListSome.run({}, context);
    return { count: backups.length, backups };
  },
};

/** `clawstore backup list`: the same, some of them. */
export const backupListSome: Command<Params, Pick<Result, 'backups'>> = {
  name: 'backup list',
  summary: 'List the backups, the newest last.',
  parameters: {
    required: [],
    properties: {
      schedule: { type: 'string', description: 'Made by this schedule only.', minLength: 1 },
      state: {
        type: 'string',
        description: 'In this state only.',
        enum: BACKUP_STATES,
      },
    },
  },
  readOnly: true,
  async run(params, context) {
    const [listing] = await backupListings(context);
    return listing.resultOf(await rowsOf(listing, params, context));
  },
};

/** The backups of the namespace, with the URLs of its repositories as they are now. */
export async function backupListings(
  context: ReadContext,
): Promise<readonly [Listing<Params, Backup, ListedBackup, Pick<Result, 'backups'>>]> {
  const urls = await urlsOf(context);
  const listing: Listing<Params, Backup, ListedBackup, Pick<Result, 'backups'>> = {
    resource: BACKUPS,
    select: ({ schedule }) => (schedule === undefined ? {} : { labelSelector: `${LABELS.schedule}=${schedule}` }),
    compare: (a, b) => (keyOf(a) < keyOf(b) ? -1 : 1),
    rowOf: (backup, isGone) => listed(backup, urls, isGone),
    wants: (row, { state }) => state === undefined || row.state === state,
    resultOf: (backups) => ({ backups }),
  };
  return [listing];
}

/** The URLs of the repositories of the namespace by their names; none where they may not be read. */
async function urlsOf({ client, namespace, signal }: ReadContext): Promise<ReadonlyMap<string, string>> {
  try {
    const { items } = await client.list<BackupRepository>(BACKUP_REPOSITORIES, { namespace, signal });
    return new Map(items.map(({ metadata, status }) => [metadata.name, status?.url ?? metadata.name]));
  } catch (thrown) {
    if (KubeError.from(thrown).status !== 403) throw fromKube(thrown);
    return new Map();
  }
}

function listed(backup: Backup, urls: ReadonlyMap<string, string>, isGone = false): ListedBackup {
  const { metadata, spec, status } = backup;
  const schedule = metadata.labels?.[LABELS.schedule];
  const repository = (spec.repositoryRef ?? status?.repositoryRef)?.name ?? '';
  const bytes = status?.progress?.bytesDone;
  const message = messageOf(backup);
  return {
    backupId: idOf(backup) ?? metadata.name,
    scope: scopeOf(backup),
    destination: spec.destination ?? urls.get(repository) ?? repository,
    state: isGone ? 'deleted' : stateOf(backup),
    created_at: beginOf(backup),
    name: metadata.name,
    ...(schedule === undefined ? {} : { schedule }),
    ...(bytes === undefined ? {} : { bytes }),
    ...(message === '' ? {} : { message }),
  };
}

function beginOf({ metadata, status }: Backup): string {
  return status?.startTime ?? metadata.creationTimestamp ?? '';
}

function keyOf(backup: Backup): string {
  return `${beginOf(backup)} ${backup.metadata.name}`;
}
