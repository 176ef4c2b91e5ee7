/** `clawstore schedule list|create|suspend|resume|delete`, for people. */
import { scheduleDelete, scheduleResume, scheduleSuspend } from '../commands/schedule/change.ts';
import { scheduleCreate } from '../commands/schedule/create.ts';
import { scheduleList } from '../commands/schedule/list.ts';
import { answerGiven, type Given } from './answer-command.ts';
import type { Asked } from './client-options.ts';
import type { ExitCode } from './exit-code.ts';

const COMMANDS = {
  list: scheduleList,
  create: scheduleCreate,
  suspend: scheduleSuspend,
  resume: scheduleResume,
  delete: scheduleDelete,
} as const;

export function runSchedule(verb: keyof typeof COMMANDS, given: Given, answer: Asked): Promise<ExitCode> {
  return answerGiven(COMMANDS[verb], given, answer);
}
