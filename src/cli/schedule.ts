/** `clawstore schedule list|create|suspend|resume|delete`, for people. */
import type { ResourceDescriptor } from '../api/meta.ts';
import {
  type Changed,
  type DeletedSchedule,
  scheduleDelete,
  scheduleResume,
  scheduleSuspend,
} from '../commands/schedule/change.ts';
import { type CreatedSchedule, scheduleCreate } from '../commands/schedule/create.ts';
import { KINDS, type ScheduleKind } from '../commands/schedule/kinds.ts';
import type { ListedSchedule } from '../commands/schedule/list.ts';
import { answerGiven, type Given } from './answer-command.ts';
import type { Asked } from './client-options.ts';
import type { ExitCode } from './exit-code.ts';
import type { TableView, View } from './output.ts';

interface Named {
  readonly name: string;
  readonly kind: ScheduleKind;
}

const resource = ({ kind }: Named): ResourceDescriptor => KINDS[kind];
const nameOf = ({ name }: Named): string => name;
const NAME = { heading: 'name', cell: nameOf };
const KIND = { heading: 'kind', cell: ({ kind }: Named) => kind };

export const SCHEDULE_LIST: TableView<ListedSchedule> = {
  resource,
  nameOf,
  columns: [
    NAME,
    KIND,
    { heading: 'schedule', cell: ({ schedule }) => schedule },
    { heading: 'of', cell: ({ of }) => of },
    { heading: 'state', cell: ({ suspended, deleted }) => (deleted ? 'deleted' : suspended ? 'suspended' : 'active') },
    { heading: 'running', cell: ({ active }) => active },
    { heading: 'next', cell: ({ next }) => next },
    { heading: 'last success', cell: ({ last_success }) => last_success },
    { heading: 'time zone', wide: true, cell: ({ timeZone }) => timeZone },
    { heading: 'message', cell: ({ message }) => message?.replaceAll(/\s+/g, ' ') },
  ],
};

const CREATED: View<CreatedSchedule, CreatedSchedule> = {
  resource,
  nameOf,
  rows: (result) => [result],
  columns: [NAME, KIND, { heading: 'next', cell: ({ next }) => next }],
};

const CHANGED: View<Changed, Changed> = {
  resource,
  nameOf,
  rows: (result) => [result],
  columns: [
    NAME,
    KIND,
    { heading: 'suspended', cell: ({ suspended }) => suspended },
    { heading: 'next', cell: ({ next }) => next },
  ],
};

const DELETED: View<DeletedSchedule, DeletedSchedule> = {
  resource,
  nameOf,
  rows: (result) => [result],
  columns: [NAME, KIND, { heading: 'deleted', cell: ({ deleted }) => deleted }],
};

export function createSchedule(given: Given, answer: Asked): Promise<ExitCode> {
  return answerGiven(scheduleCreate, given, answer, CREATED);
}

export function changeSchedule(verb: 'suspend' | 'resume' | 'delete', given: Given, answer: Asked): Promise<ExitCode> {
  if (verb === 'delete') return answerGiven(scheduleDelete, given, answer, DELETED);
  return answerGiven(verb === 'suspend' ? scheduleSuspend : scheduleResume, given, answer, CHANGED);
}
