import { isDeepStrictEqual } from 'node:util';
import type { BackupProgress, ItemCounts } from '../../api/backup.ts';
import { isTrue } from '../../api/conditions.ts';
import { RESTORES } from '../../api/meta.ts';
import type { ConflictPolicy, ExistingFiles, Restore, RestoredVolume, RestoreSpec } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { Work } from '../begin.ts';
import { begin, differenceOf, madeByCommands } from '../begin.ts';
import type { Command, CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { readyOrStalled, waitFor } from '../wait.ts';
import { findBackup } from './find.ts';
import { idOf, messageOf, stateOf } from './state.ts';

interface Params {
  readonly backupId: string;
}

interface DetailedParams extends Params {
  readonly repository?: string;
  /** `FROM`, or `FROM=TO`. */
  readonly volumes?: readonly string[];
  readonly inPlace?: boolean;
  readonly paths?: readonly string[];
  readonly existingFiles?: ExistingFiles;
  readonly objects?: ConflictPolicy;
  readonly safetySnapshot?: boolean;
  readonly dryRun?: boolean;
}

export interface RestoreResult {
  readonly backupId: string;
  readonly restoreId: string;
  readonly restored: boolean;
  /** `running`: it goes on; the same call again tells how that went. */
  readonly state: 'succeeded' | 'running';
  /** Volumes and objects, counted. */
  readonly items?: ItemCounts;
  readonly progress?: BackupProgress;
}

export type OnRestore = (restore: Restore) => void;

const BACKUP_ID = {
  type: 'string',
  description: 'ID of the backup, as backup.list has it.',
  minLength: 1,
  maxLength: 253,
} as const;

/** `backup.restore`: restores everything in a backup. One that goes on is answered, not begun twice. */
export const backupRestore: Command<Params, RestoreResult> = {
  name: 'backup.restore',
  summary: 'Restore everything in a backup; the same call while that goes on answers for the one that runs.',
  parameters: { required: ['backupId'], properties: { backupId: BACKUP_ID } },
  run: (params, context) => restore('backup.restore', params, context),
};

/** `clawstore backup restore`: the same, or a part of it. */
export function backupRestoreDetailed(onRestore: OnRestore): Command<DetailedParams, RestoreResult> {
  return {
    name: 'backup restore',
    summary: 'Restore a backup or parts of it.',
    parameters: {
      required: ['backupId'],
      properties: {
        backupId: BACKUP_ID,
        repository: {
          type: 'string',
          description: 'BackupRepository that it is in, if it is not listed.',
          minLength: 1,
        },
        volumes: { type: 'array', description: 'FROM or FROM=TO; without it all.', items: { type: 'string' } },
        inPlace: { type: 'boolean', description: 'The volumes are there, and used by nobody.' },
        paths: { type: 'array', description: 'Paths in each volume; without it all.', items: { type: 'string' } },
        existingFiles: { type: 'string', description: 'What of those there.', enum: ['Skip', 'Overwrite', 'Mirror'] },
        objects: { type: 'string', description: 'What of objects there.', enum: ['Skip', 'Update', 'Fail'] },
        safetySnapshot: { type: 'boolean', description: 'Keep what the volumes have now as snapshots first.' },
        dryRun: { type: 'boolean', description: 'Change nothing; say what would be.' },
      },
    },
    run: (params, context) => restore('backup restore', params, context, onRestore),
  };
}

async function restore(
  command: string,
  params: DetailedParams,
  context: CommandContext,
  onRestore: OnRestore = () => undefined,
): Promise<RestoreResult> {
  const spec = { source: await sourceOf(command, params, context), ...optionsOf(command, params) };
  const begun = await beginRestore(command, spec, context);
  const { namespace, name, uid } = begun.metadata;
  let last = begun;
  const done = (object: Restore | undefined): Restore | undefined => {
    if (object === undefined || object.metadata.uid !== uid) {
      throw new CommandError('NotFound', `${command}: restore "${name}" was deleted while we waited`);
    }
    last = object;
    onRestore(object);
    return readyOrStalled(object);
  };
  try {
    const ended = await waitFor<Restore, Restore>(context.client, RESTORES, { namespace, name }, done, context);
    return answerOf(params.backupId, ended);
  } catch (thrown) {
    const isTimeout = thrown instanceof CommandError && thrown.code === 'Timeout';
    if (isTimeout && last.status?.startTime !== undefined) return answerOf(params.backupId, last);
    throw thrown;
  }
}

/** The Backup, or what is known of one that has no object here. */
async function sourceOf(
  command: string,
  { backupId, repository }: DetailedParams,
  context: CommandContext,
): Promise<RestoreSpec['source']> {
  if (repository !== undefined) return { backupID: backupId, repositoryRef: { name: repository } };
  const backup = await findBackup(backupId, context);
  const state = stateOf(backup);
  const refuse = (why: string): CommandError =>
    new CommandError('Refused', `${command}: backup "${idOf(backup) ?? backupId}" ${why}`, { field: 'backupId' });
  if (state === 'running') throw refuse('has not ended');
  if (state === 'failed') throw refuse(`is not whole: ${messageOf(backup)}`);
  if (state === 'deleting') throw refuse('is being deleted');
  return { backupRef: { name: backup.metadata.name } };
}

function optionsOf(command: string, params: DetailedParams): Omit<RestoreSpec, 'source'> {
  const { volumes, inPlace, paths, existingFiles, objects, safetySnapshot, dryRun } = params;
  if (inPlace === true && volumes === undefined) {
    const message = `${command}: parameter "inPlace" needs "volumes": without them each goes where its name is`;
    throw new CommandError('InvalidParameter', message, { field: 'inPlace' });
  }
  return {
    ...(volumes === undefined ? {} : { volumes: volumes.map((text) => volumeOf(command, text, inPlace === true)) }),
    ...(paths === undefined ? {} : { paths }),
    ...(existingFiles === undefined ? {} : { existingFiles }),
    ...(objects === undefined ? {} : { objects: { conflictPolicy: objects } }),
    ...(safetySnapshot === undefined ? {} : { safetySnapshot }),
    ...(dryRun === undefined ? {} : { dryRun }),
  };
}

function volumeOf(command: string, text: string, inPlace: boolean): RestoredVolume {
  const [from = '', to, ...more] = text.split('=');
  if (from === '' || to === '' || more.length > 0) {
    const message = `${command}: parameter "volumes" has "${text}", which is neither FROM nor FROM=TO`;
    throw new CommandError('InvalidParameter', message, { field: 'volumes' });
  }
  return { from, ...(to === undefined ? {} : { to }), ...(inPlace ? { mode: 'InPlace' } : {}) };
}

const DEFAULTS: Partial<RestoreSpec> = { existingFiles: 'Overwrite', safetySnapshot: true, dryRun: false };

/** The one that goes on, if it is the same; there is no second one of the same backup at a time. */
async function beginRestore(command: string, spec: RestoreSpec, context: CommandContext): Promise<Restore> {
  const work: Work<RestoreSpec> = {
    command,
    resource: RESTORES,
    prefix: 'restore',
    spec,
    defaults: DEFAULTS,
  };
  const goesOn = (there: Restore): boolean => !isFinished(there);
  const other = (await madeByCommands<Restore>(RESTORES, context)).find(
    (there) =>
      goesOn(there) &&
      isDeepStrictEqual(there.spec.source, spec.source) &&
      differenceOf(there.spec, work) !== undefined,
  );
  if (other === undefined) return begin<Restore>(work, goesOn, context);
  const message = `${command}: restore "${other.metadata.name}" of this backup goes on, and it ${differenceOf(other.spec, work)}`;
  throw new CommandError('Refused', message);
}

function answerOf(backupId: string, { metadata, status }: Restore): RestoreResult {
  const isDone = isTrue(status?.conditions, 'Ready');
  const { items, progress } = status ?? {};
  return {
    backupId: status?.backupID ?? backupId,
    restoreId: metadata.name,
    restored: isDone,
    state: isDone ? 'succeeded' : 'running',
    ...(items === undefined ? {} : { items }),
    ...(progress === undefined || isDone ? {} : { progress }),
  };
}
