/** What a reading is worth: whether anything is lacking, and how that is said. Pure. */
import type { OnPartial, SkippedFile, VolumeBackupConditionType } from '../../api/backup.ts';
import { MAX_SKIPPED } from '../../api/backup.ts';
import type { ConditionInput } from '../../api/conditions.ts';
import { formatBytes } from '../../api/quantity.ts';
import type { Reason } from '../../api/reasons.ts';
import { isReason } from '../../api/reasons.ts';
import type { Content, ReadResult } from './records.ts';

/** Below so much it means nothing that most of it is gone. */
const LEAST_BYTES = 1024 * 1024;
const LEAST_FILES = 20;
/** Of ten parts, nine are gone. */
const PARTS = 10;
const MOST_PATH = 8192;
const MOST_MESSAGE = 1024;

/** Whether most of what a volume had is gone. */
export function hasShrunk(now: Content, before: Content): boolean {
  const isLost = (has: number, had: number, least: number): boolean => had >= least && has * PARTS <= had;
  return isLost(now.bytes, before.bytes, LEAST_BYTES) || isLost(now.files, before.files, LEAST_FILES);
}

export interface Judgement {
  /** Nothing is lacking, or it may be. */
  readonly ok: boolean;
  readonly conditions: readonly ConditionInput<VolumeBackupConditionType>[];
  readonly skipped: readonly SkippedFile[];
  readonly skippedCount: number;
}

export function judge(volumeName: string, result: ReadResult, onPartial: OnPartial): Judgement {
  const { skipped, consistency } = result;
  const lack = lackOf(result);
  const ok = lack === undefined || onPartial === 'Allow';
  const files = [
    ...skipped.examples.map(({ path, message }) => fileOf(volumeName, path, message)),
    ...consistency.changes.examples.map((path) => fileOf(volumeName, unquoted(path), 'was written while it was read')),
  ];
  return {
    ok,
    conditions: [
      ...summary(lack, ok),
      lack === undefined
        ? { type: 'DataComplete', status: 'True', reason: 'Complete', message: '' }
        : { type: 'DataComplete', status: 'False', ...lack },
      {
        type: 'ContentConsistent',
        status: consistency.consistent ? 'True' : 'False',
        reason: isReason(consistency.reason) ? consistency.reason : 'ChangedDuringRead',
        message: consistency.message,
      },
    ],
    skipped: files.slice(0, MAX_SKIPPED),
    skippedCount: skipped.count + consistency.changes.count,
  };
}

interface Lack {
  readonly reason: Reason;
  readonly message: string;
}

function summary(lack: Lack | undefined, ok: boolean): readonly ConditionInput<VolumeBackupConditionType>[] {
  if (lack === undefined) return [{ type: 'Ready', status: 'True', reason: 'BackedUp', message: '' }];
  if (ok) return [{ type: 'Ready', status: 'True', reason: 'BackedUpPartly', message: lack.message }];
  return [
    { type: 'Ready', status: 'False', ...lack },
    { type: 'Stalled', status: 'True', ...lack },
  ];
}

function lackOf({ skipped, shrankFrom, files, bytes, consistency }: ReadResult): Lack | undefined {
  if (shrankFrom !== null) {
    const message = `It has ${textOf({ files, bytes })}, and had ${textOf(shrankFrom)} at its last backup. If it is to be so, back it up once with onPartial Allow.`;
    return { reason: files === 0 ? 'SourceEmpty' : 'SourceShrank', message };
  }
  if (skipped.count === 0) return tornOf(consistency);
  const [first] = skipped.examples;
  const example = first === undefined ? '' : `, e.g. ${JSON.stringify(first.path)}: ${first.message}`;
  const message = `${skipped.count} ${skipped.count === 1 ? 'entry' : 'entries'} could not be read${example}`;
  return { reason: 'FilesSkipped', message: message.slice(0, MOST_MESSAGE) };
}

/**
 * What was written while it was read may be half of one content and half of another. A moment of the volume has no such
 * files, whether its writers were held for it or not.
 */
function tornOf({ consistent, reason, message }: ReadResult['consistency']): Lack | undefined {
  if (consistent || reason !== ('ChangedDuringRead' satisfies Reason)) return undefined;
  const advice = 'Let its writers rest meanwhile, or say onPartial Allow.';
  return { reason: 'ChangedDuringRead', message: `${message} ${advice}`.slice(0, MOST_MESSAGE) };
}

/** How much is in a volume, for people. */
export function textOf({ files, bytes }: Content): string {
  return `${files} ${files === 1 ? 'file' : 'files'} with ${formatBytes(BigInt(bytes))}`;
}

function fileOf(volumeName: string, path: string, message: string): SkippedFile {
  return { volumeName, path: path.slice(0, MOST_PATH), message: message.slice(0, MOST_MESSAGE) || 'could not be read' };
}

/** Names of changed files come as JSON, so that whatever is in them is text. */
function unquoted(path: string): string {
  return path.startsWith('"') && path.endsWith('"') ? path.slice(1, -1) : path;
}
