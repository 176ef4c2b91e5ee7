/** What the commands for people share that answer once and end. */
import type { AnyCommand } from '../commands/registry.ts';
import type { ExitCode } from './exit-code.ts';
import { answerCommand } from './invoke.ts';
import type { Answer } from './options.ts';

/** Parameters as they were given; those that are undefined were not. */
export type Given = Readonly<Record<string, unknown>>;

export function answerGiven(command: AnyCommand, given: Given, answer: Answer): Promise<ExitCode> {
  const params = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return answerCommand(answer.settings, command, params, answer.format, answer.timeoutMs);
}
