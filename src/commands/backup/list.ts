import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { LABELS } from '../../api/group.ts';
import { BACKUP_REPOSITORIES } from '../../api/meta.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { fromKube } from '../wait.ts';
import { allBackups } from './find.ts';
import type { BackupState, CommandScope } from './state.ts';
import { idOf, messageOf, scopeOf, stateOf } from './state.ts';

export interface ListedBackup {
  /** Its ID in the repository; the name of its object until it has one. */
  readonly backupId: string;
  readonly scope: CommandScope;
  readonly destination: string;
  readonly state: BackupState;
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
  run: (_params, context) => list({}, context),
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
        enum: ['running', 'succeeded', 'partial', 'failed', 'unknown', 'deleting'],
      },
    },
  },
  readOnly: true,
  async run(params, context) {
    const { backups } = await list(params, context);
    return { backups };
  },
};

async function list({ schedule, state }: Params, context: CommandContext): Promise<Result> {
  const urls = await urlsOf(context);
  const backups: ListedBackup[] = [];
  for await (const backup of allBackups(context)) {
    const one = listed(backup, urls);
    if (schedule !== undefined && one.schedule !== schedule) continue;
    if (state !== undefined && one.state !== state) continue;
    backups.push(one);
  }
  backups.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  return { count: backups.length, backups };
}

/** The URLs of the repositories of the namespace by their names; none where they may not be read. */
async function urlsOf({ client, namespace, signal }: CommandContext): Promise<ReadonlyMap<string, string>> {
  try {
    const { items } = await client.list<BackupRepository>(BACKUP_REPOSITORIES, { namespace, signal });
    return new Map(items.map(({ metadata, status }) => [metadata.name, status?.url ?? metadata.name]));
  } catch (thrown) {
    if (KubeError.from(thrown).status !== 403) throw fromKube(thrown);
    return new Map();
  }
}

function listed(backup: Backup, urls: ReadonlyMap<string, string>): ListedBackup {
  const { metadata, spec, status } = backup;
  const schedule = metadata.labels?.[LABELS.schedule];
  const repository = (spec.repositoryRef ?? status?.repositoryRef)?.name ?? '';
  const bytes = status?.progress?.bytesDone;
  const message = messageOf(backup);
  return {
    backupId: idOf(backup) ?? metadata.name,
    scope: scopeOf(backup),
    destination: spec.destination ?? urls.get(repository) ?? repository,
    state: stateOf(backup),
    created_at: status?.startTime ?? metadata.creationTimestamp ?? '',
    name: metadata.name,
    ...(schedule === undefined ? {} : { schedule }),
    ...(bytes === undefined ? {} : { bytes }),
    ...(message === '' ? {} : { message }),
  };
}

function keyOf({ created_at, name }: ListedBackup): string {
  return `${created_at} ${name}`;
}
