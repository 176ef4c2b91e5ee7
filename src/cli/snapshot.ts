/** `clawstore snapshot create|list|revert|delete`, for people: the commands' own code, with tables and progress. */
import type { Snapshot } from '../api/snapshot.ts';
import { snapshotCreate } from '../commands/snapshot/create.ts';
import { snapshotDelete } from '../commands/snapshot/delete.ts';
import { snapshotList } from '../commands/snapshot/list.ts';
import { snapshotRevert } from '../commands/snapshot/revert.ts';
import type { ExitCode } from './exit-code.ts';
import { answerCommand } from './invoke.ts';
import type { OutputFormat } from './output.ts';
import type { Settings } from './settings.ts';

export interface SnapshotCreateOptions {
  readonly name: string | undefined;
  readonly ttl: string | undefined;
  readonly consistency: string | undefined;
}

export function createSnapshot(
  settings: Settings,
  volumeId: string,
  { name, ttl, consistency }: SnapshotCreateOptions,
  format: OutputFormat,
  timeoutMs: number,
): Promise<ExitCode> {
  const given = Object.entries({ name, ttl, consistency }).filter(([, value]) => value !== undefined);
  const command = snapshotCreate(process.stderr.isTTY ? showProgress(process.stderr) : undefined);
  return answerCommand(settings, command, { volumeId, ...Object.fromEntries(given) }, format, timeoutMs);
}

export function listSnapshots(
  settings: Settings,
  volumeId: string | undefined,
  format: OutputFormat,
  timeoutMs: number,
): Promise<ExitCode> {
  return answerCommand(settings, snapshotList, volumeId === undefined ? {} : { volumeId }, format, timeoutMs);
}

export function deleteSnapshot(
  settings: Settings,
  snapshotId: string,
  format: OutputFormat,
  timeoutMs: number,
): Promise<ExitCode> {
  return answerCommand(settings, snapshotDelete, { snapshotId }, format, timeoutMs);
}

export function revertToSnapshot(
  settings: Settings,
  snapshotId: string,
  safetySnapshot: boolean,
  format: OutputFormat,
  timeoutMs: number,
): Promise<ExitCode> {
  return answerCommand(settings, snapshotRevert, { snapshotId, safetySnapshot }, format, timeoutMs);
}

/** One line that is written over while it is copied. */
function showProgress(out: NodeJS.WriteStream): (snapshot: Snapshot) => void {
  let isShown = false;
  return ({ metadata, status }) => {
    const { progress } = status ?? {};
    if (progress === undefined) {
      if (isShown) out.write('\r\u001b[K');
      isShown = false;
      return;
    }
    const share = progress.bytesTotal === 0 ? 100 : Math.floor((100 * progress.bytesDone) / progress.bytesTotal);
    out.write(`\r\u001b[K${metadata.name}: ${share} % copied`);
    isShown = true;
  };
}
