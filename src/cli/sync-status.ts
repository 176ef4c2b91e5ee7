/** `clawstore sync status`, for people and scripts. */
import { CommandError } from '../commands/command-error.ts';
import { fromKube } from '../commands/wait.ts';
import { readSyncStatus } from '../sync/status.ts';
import { answer } from './answer.ts';
import type { Asked } from './client-options.ts';
import { ExitCode } from './exit-code.ts';
import { render } from './output.ts';

/** Prints how the sync stands. @returns failed when the control plane is not, or not yet, as the source has it. */
export async function syncStatus(asked: Asked): Promise<ExitCode> {
  let isReady = false;
  const code = await answer(asked, async ({ client, signal }) => {
    const status = await readSyncStatus(client, signal).catch((thrown: unknown) => {
      throw fromKube(thrown);
    });
    if (status === undefined) {
      throw new CommandError('NotFound', 'nothing is synced here: start it with clawstore up --sync DIR-or-GIT-URL');
    }
    isReady = status.ready === 'True';
    const { problems, kept, objects, lastSuccess, ...rest } = status;
    return render(
      {
        ...rest,
        ...(objects === '' ? {} : { objects: Number(objects) }),
        ...(lastSuccess === '' ? {} : { lastSuccess }),
        problems: listOf(problems),
        kept: listOf(kept).map((text) => ({ kept: text })),
      },
      asked.format,
    );
  });
  return code === ExitCode.ok && !isReady ? ExitCode.failed : code;
}

/** Somebody may have written into the ConfigMap by hand. */
function listOf(json: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
