/** What is done to a schedule that is there. */
import { FIELD_MANAGERS } from '../../api/group.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command } from '../command.ts';
import { fromKube, readyOrStalled, waitFor } from '../wait.ts';
import type { AnySchedule, ScheduleKind } from './kinds.ts';
import { findSchedule, KIND_PARAMETER, KINDS, NAME_PARAMETER } from './kinds.ts';

interface Params {
  readonly name: string;
  readonly kind?: ScheduleKind;
}

export interface Changed extends Required<Params> {
  readonly suspended: boolean;
  readonly next?: string;
}

export interface DeletedSchedule extends Required<Params> {
  readonly deleted: true;
}

const parameters = { required: ['name'], properties: { name: NAME_PARAMETER, kind: KIND_PARAMETER } } as const;

/** `clawstore schedule suspend`: no runs are started; one that goes on is not stopped. */
export const scheduleSuspend: Command<Params, Changed> = suspension('suspend', 'Start no more runs.', true);
/** `clawstore schedule resume`: runs are started again; of those that were missed the latest is made up for. */
export const scheduleResume: Command<Params, Changed> = suspension('resume', 'Start runs again.', false);

function suspension(verb: string, summary: string, suspend: boolean): Command<Params, Changed> {
  const command = `schedule ${verb}`;
  return {
    name: command,
    summary,
    parameters,
    async run(params, context) {
      const { client, namespace, signal } = context;
      const { kind, schedule } = await findSchedule(command, params.name, params.kind, context);
      const { name, uid } = schedule.metadata;
      const ref = { namespace, name };
      const body = { metadata: { uid }, spec: { suspend } };
      const options = { type: 'merge', fieldManager: FIELD_MANAGERS.commands, signal } as const;
      await client.patch<AnySchedule>(KINDS[kind], ref, body, options).catch((cause: unknown) => {
        throw fromKube(cause);
      });
      const read = await waitFor<AnySchedule, AnySchedule>(client, KINDS[kind], ref, readyOrStalled, context);
      const next = read.status?.nextScheduleTime;
      return { name, kind, suspended: read.spec.suspend === true, ...(next === undefined ? {} : { next }) };
    },
  };
}

/** `clawstore schedule delete`: what it has made stays. */
export const scheduleDelete: Command<Params, DeletedSchedule> = {
  name: 'schedule delete',
  summary: 'Delete a schedule; what it has made stays.',
  parameters,
  async run(params, context) {
    const { client, namespace, signal } = context;
    const { kind, schedule } = await findSchedule('schedule delete', params.name, params.kind, context);
    const { name, uid } = schedule.metadata;
    await client
      .delete(KINDS[kind], { namespace, name }, { preconditions: { uid }, signal })
      .catch((thrown: unknown) => {
        if (!KubeError.from(thrown).isNotFound) throw fromKube(thrown);
      });
    return { name, kind, deleted: true };
  },
};
