import { API_VERSION, FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import { parseDestination } from '../../api/repository-url.ts';
import type { BackupTemplate, Retention, ScheduleSpec } from '../../api/schedule.ts';
import type { SnapshotSpec } from '../../api/snapshot.ts';
import { type CommandScope, SCOPES } from '../backup/state.ts';
import type { Command } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube, readyOrStalled, waitFor } from '../wait.ts';
import type { AnySchedule, ScheduleKind } from './kinds.ts';
import { KINDS } from './kinds.ts';

interface Params {
  readonly name: string;
  readonly schedule: string;
  readonly timeZone?: string;
  /** Of snapshots. */
  readonly volume?: string;
  /** Of backups. */
  readonly destination?: string;
  readonly repository?: string;
  readonly scope?: CommandScope;
  readonly volumes?: readonly string[];
  /** `RULE=NUMBER`. */
  readonly keep?: readonly string[];
}

export interface CreatedSchedule {
  readonly name: string;
  readonly kind: ScheduleKind;
  readonly next: string;
  readonly success: true;
}

const RULES = [
  'last',
  'hourly',
  'daily',
  'weekly',
  'monthly',
  'yearly',
] as const satisfies readonly (keyof Retention)[];

/** `clawstore schedule create`: answers when the controller has read it, with the time of the first run. */
export const scheduleCreate: Command<Params, CreatedSchedule> = {
  name: 'schedule create',
  summary: 'Make a schedule of backups or of snapshots.',
  parameters: {
    required: ['name', 'schedule'],
    properties: {
      name: { type: 'string', description: 'Name of the schedule.', minLength: 1 },
      schedule: { type: 'string', description: 'As in crontab, or @daily and the like.', minLength: 1 },
      timeZone: { type: 'string', description: 'E.g. Europe/Berlin; UTC without it.', minLength: 1 },
      volume: { type: 'string', description: 'Snapshots of this volume.', minLength: 1 },
      destination: { type: 'string', description: 'Backups to there.', minLength: 1 },
      repository: { type: 'string', description: 'Backups into this BackupRepository.', minLength: 1 },
      scope: { type: 'string', description: 'What is backed up; full without it.', enum: Object.keys(SCOPES) },
      volumes: { type: 'array', description: 'Volumes that are backed up.', items: { type: 'string' } },
      keep: { type: 'array', description: 'E.g. daily=7; without it everything stays.', items: { type: 'string' } },
    },
  },
  async run(params, context) {
    const { name, schedule, timeZone, volume } = params;
    const kind = volume === undefined ? 'backup' : 'snapshot';
    const retention = retentionOf(params.keep);
    const template = { spec: volume === undefined ? backupOf(params) : snapshotOf(volume, params) };
    const spec: ScheduleSpec<BackupTemplate | SnapshotSpec> = {
      schedule,
      ...(timeZone === undefined ? {} : { timeZone }),
      template,
      ...(retention === undefined ? {} : { retention }),
    };
    const { client, namespace, signal } = context;
    const metadata = { name, namespace, labels: { [LABELS.managedBy]: 'clawstore' } };
    const object = { apiVersion: API_VERSION, kind: KINDS[kind].kind, metadata, spec } as AnySchedule;
    const options = { fieldManager: FIELD_MANAGERS.commands, signal };
    await client.create<AnySchedule>(KINDS[kind], object, options).catch((cause: unknown) => {
      throw fromKube(cause);
    });
    const ref = { namespace, name };
    const read = await waitFor<AnySchedule, AnySchedule>(client, KINDS[kind], ref, readyOrStalled, context);
    return { name, kind, next: read.status?.nextScheduleTime ?? '', success: true };
  },
};

function invalid(field: keyof Params, problem: string): CommandError {
  return new CommandError('InvalidParameter', `schedule create: parameter "${field}" ${problem}`, { field });
}

function snapshotOf(volume: string, params: Params): SnapshotSpec {
  const other = (['destination', 'repository', 'scope', 'volumes'] as const).find((key) => params[key] !== undefined);
  if (other !== undefined) throw invalid(other, 'is for backups, and "volume" for snapshots');
  return { volumeRef: { name: volume } };
}

function backupOf({ destination, repository, scope = 'full', volumes }: Params): BackupTemplate {
  if ((destination === undefined) === (repository === undefined)) {
    throw invalid('destination', 'is required, unless "repository" or "volume" is given, and not together with it');
  }
  const place = destination === undefined ? undefined : parseDestination(destination);
  if (place?.ok === false) throw invalid('destination', place.problem);
  return {
    scope: SCOPES[scope],
    ...(destination === undefined ? {} : { destination }),
    ...(repository === undefined ? {} : { repositoryRef: { name: repository } }),
    ...(volumes === undefined ? {} : { volumeRefs: volumes.map((name) => ({ name })) }),
  };
}

function retentionOf(keep: readonly string[] | undefined): Retention | undefined {
  if (keep === undefined) return undefined;
  return Object.fromEntries(
    keep.map((text) => {
      const [, rule, count] = /^([a-z]+)=([1-9][0-9]{0,4})$/.exec(text) ?? [];
      const known = RULES.find((one) => one === rule);
      if (known === undefined)
        throw invalid('keep', `has "${text}", which is none of ${RULES.join(', ')} with =NUMBER`);
      return [known, Number(count)];
    }),
  );
}
