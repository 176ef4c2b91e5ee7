import type { Backup, BackupProgress, BackupSpec, ItemCounts } from '../../api/backup.ts';
import { BACKUPS } from '../../api/meta.ts';
import { parseDestination } from '../../api/repository-url.ts';
import type { Work } from '../begin.ts';
import { begin, createNamed } from '../begin.ts';
import type { Command, CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import type { ParameterSchema } from '../parameters.ts';
import { getVolume } from '../volume/mounts-of.ts';
import { waitFor } from '../wait.ts';
import type { BackupState, CommandScope } from './state.ts';
import { idOf, messageOf, SCOPES, scopeOf, stateOf } from './state.ts';
import { warningsOf } from './warnings.ts';

interface Params {
  readonly scope: CommandScope;
  readonly destination: string;
}

interface DetailedParams {
  readonly scope: CommandScope;
  readonly destination?: string;
  readonly repository?: string;
  readonly name?: string;
  readonly volumes?: readonly string[];
  readonly ttl?: string;
  readonly deletionPolicy?: 'Delete' | 'Retain';
  readonly onPartial?: 'Fail' | 'Allow';
  readonly bandwidth?: string;
}

export interface CreatedBackup {
  readonly backupId: string;
  readonly scope: CommandScope;
  readonly destination: string;
  /** `running`: it goes on; the same call again tells how that went. */
  readonly state: BackupState;
  readonly success: boolean;
  /** What a person should know although it succeeds. */
  readonly warnings: readonly string[];
  /** Why it waits, while it runs. */
  readonly message?: string;
  readonly progress?: BackupProgress;
  /** Volumes, and the manifests, counted. */
  readonly items?: ItemCounts;
  readonly uploadedBytes?: number;
  /** Files that are not in it, or not of one moment. */
  readonly skippedCount?: number;
}

/** Tells what it looks like meanwhile. */
export type OnBackup = (backup: Backup) => void;

const SCOPE: ParameterSchema['properties'][string] = {
  type: 'string',
  description: 'What is backed up: the data of volumes, the manifests of objects (configs), or both (full).',
  enum: Object.keys(SCOPES),
};
const DESTINATION: ParameterSchema['properties'][string] = {
  type: 'string',
  description: 'Where to: s3://BUCKET/PREFIX, file:///PATH, nfs://SERVER/PATH or an absolute path.',
  minLength: 1,
  maxLength: 4096,
};

/** `backup.create`: backs the volumes and manifests of the namespace up, and waits until that has ended. */
export const backupCreate: Command<Params, CreatedBackup> = {
  name: 'backup.create',
  summary: 'Back up volumes and manifests; the same call while that goes on answers for the one that runs.',
  parameters: { required: ['scope', 'destination'], properties: { scope: SCOPE, destination: DESTINATION } },
  async run(params, context) {
    return answerOf(
      await untilEnded(await beginBackup('backup.create', params, context), 'backup.create', context),
      context,
    );
  },
};

/** `clawstore backup create`: the same, with a name and conditions of one's own. */
export function backupCreateDetailed(onBackup: OnBackup): Command<DetailedParams, CreatedBackup> {
  const command = 'backup create';
  return {
    name: command,
    summary: 'Back up volumes and manifests.',
    parameters: {
      required: [],
      properties: {
        scope: { ...SCOPE, default: 'full' },
        destination: DESTINATION,
        repository: { type: 'string', description: 'Name of the BackupRepository.', minLength: 1 },
        name: { type: 'string', description: 'Name of the backup; without it one with the time in it.', minLength: 1 },
        volumes: { type: 'array', description: 'Names of the volumes; without it all.', items: { type: 'string' } },
        ttl: { type: 'string', description: 'Delete it when it is older, e.g. 720h.', pattern: '^[0-9]{1,9}(s|m|h)$' },
        deletionPolicy: { type: 'string', description: 'What becomes of its data.', enum: ['Delete', 'Retain'] },
        onPartial: { type: 'string', description: 'What it is if something is lacking.', enum: ['Fail', 'Allow'] },
        bandwidth: { type: 'string', description: 'Bytes a second at most, e.g. 10Mi.', minLength: 1 },
      },
    },
    async run(params, context) {
      return answerOf(
        await untilEnded(await beginBackup(command, params, context), command, context, onBackup),
        context,
      );
    },
  };
}

const DEFAULTS: Partial<BackupSpec> = { deletionPolicy: 'Retain', onPartial: 'Fail', priority: 0 };

/** What an earlier call began, or else a new one. */
async function beginBackup(command: string, params: DetailedParams, context: CommandContext): Promise<Backup> {
  const spec = specOf(command, params);
  // A Backup waits for volumes that are applied after it; whoever types a name wants to be told at once.
  for (const name of params.volumes ?? []) await getVolume(name, context, 'volumes');
  const work: Work<BackupSpec> = { command, resource: BACKUPS, prefix: 'backup', spec, defaults: DEFAULTS };
  if (params.name !== undefined) return createNamed<Backup>(params.name, work, context);
  return begin<Backup>(work, (backup) => stateOf(backup) === 'running', context);
}

function specOf(command: string, params: DetailedParams): BackupSpec {
  const { scope, destination, repository, volumes, ttl, deletionPolicy, onPartial, bandwidth } = params;
  const invalid = (field: keyof DetailedParams, problem: string): CommandError =>
    new CommandError('InvalidParameter', `${command}: parameter "${field}" ${problem}`, { field });
  if ((destination === undefined) === (repository === undefined)) {
    throw invalid('destination', 'is required, unless "repository" is given, and not together with it');
  }
  if (volumes !== undefined && scope === 'configs') throw invalid('volumes', 'must not be given for scope "configs"');
  const place = destination === undefined ? undefined : parseDestination(destination);
  if (place?.ok === false) throw invalid('destination', place.problem);
  return {
    scope: SCOPES[scope],
    ...(destination === undefined ? {} : { destination }),
    ...(repository === undefined ? {} : { repositoryRef: { name: repository } }),
    ...(volumes === undefined ? {} : { volumeRefs: volumes.map((name) => ({ name })) }),
    ...(ttl === undefined ? {} : { ttl }),
    ...(deletionPolicy === undefined ? {} : { deletionPolicy }),
    ...(onPartial === undefined ? {} : { onPartial }),
    ...(bandwidth === undefined ? {} : { limits: { bandwidth } }),
  };
}

/** Waits as long as the call may. What goes on by then is returned as it is. */
async function untilEnded(
  { metadata: { namespace, name, uid } }: Backup,
  command: string,
  context: CommandContext,
  onBackup: OnBackup = () => undefined,
): Promise<Backup> {
  let last: Backup | undefined;
  const done = (object: Backup | undefined): Backup | undefined => {
    if (object === undefined || object.metadata.uid !== uid) {
      throw new CommandError('NotFound', `${command}: backup "${name}" was deleted while we waited`);
    }
    last = object;
    onBackup(object);
    switch (stateOf(object)) {
      case 'succeeded':
      case 'partial':
        return object;
      case 'failed': {
        const { reason } = object.status?.conditions?.find(({ type }) => type === 'Stalled') ?? {};
        const message = `${command}: backup "${idOf(object) ?? name}" has failed: ${messageOf(object)}`;
        throw new CommandError('Stalled', message, { reason });
      }
      case 'deleting':
        throw new CommandError('Refused', `${command}: backup "${name}" is being deleted`);
      case 'running':
      case 'unknown':
        return undefined;
    }
  };
  try {
    return await waitFor<Backup, Backup>(context.client, BACKUPS, { namespace, name }, done, context);
  } catch (thrown) {
    const isTimeout = thrown instanceof CommandError && thrown.code === 'Timeout';
    // Before anybody has acted on it nobody can say that it goes on.
    if (isTimeout && last !== undefined && idOf(last) !== undefined) return last;
    throw thrown;
  }
}

async function answerOf(backup: Backup, context: CommandContext): Promise<CreatedBackup> {
  const { spec, status } = backup;
  const { progress, items, uploadedBytes, skippedCount } = status ?? {};
  const state = stateOf(backup);
  const isRunning = state === 'running' || state === 'unknown';
  const message = messageOf(backup);
  return {
    backupId: idOf(backup) ?? backup.metadata.name,
    scope: scopeOf(backup),
    destination: spec.destination ?? spec.repositoryRef?.name ?? '',
    state,
    success: state === 'succeeded' || state === 'partial',
    warnings: await warningsOf(backup, context),
    ...(isRunning && message !== '' ? { message } : {}),
    ...(isRunning && progress !== undefined ? { progress } : {}),
    ...(items === undefined ? {} : { items }),
    ...(uploadedBytes === undefined ? {} : { uploadedBytes }),
    ...(skippedCount === undefined ? {} : { skippedCount }),
  };
}
