import type { Command } from '../commands/command.ts';
import { runCommand } from '../commands/run-command.ts';
import { answer } from './answer.ts';
import type { Asked } from './client-options.ts';
import type { ExitCode } from './exit-code.ts';
import { given } from './options.ts';
import { render, renderView, type Subject, type View } from './output.ts';

/**
 * Runs a command in words of its own. Objects are shown as `view` has them; without one, the result as it is.
 */
export function answerCommand<Params, Result, Row = Result>(
  asked: Asked,
  command: Command<Params, Result>,
  params: unknown,
  view?: View<Result, Row> | Subject<Result>,
): Promise<ExitCode> {
  return answer(asked, async (context) => {
    const result = (await runCommand(command, params, context)) as Result;
    // One without a result has said itself what there is to say.
    if (result === undefined) return '';
    return view === undefined ? render(result, asked.format) : renderView(result, view, asked.format);
  });
}

/** Parameters as they were given; those that are undefined were not. */
export type Given = Readonly<Record<string, unknown>>;

/** The same with parameters of which some may not have been given. */
export function answerGiven<Params, Result, Row = Result>(
  command: Command<Params, Result>,
  params: Given,
  asked: Asked,
  view?: View<Result, Row> | Subject<Result>,
): Promise<ExitCode> {
  return answerCommand(asked, command, given(params), view);
}
