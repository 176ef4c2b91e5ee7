/** What restic says with `--json`, line by line. Pure; anything that is not what it should be is passed over. */
import { getSystemErrorMap } from 'node:util';
import type {
  BackupProgress,
  BackupSummary,
  ItemErrors,
  RestoreSummary,
  SnapshotRecord,
  SnapshotSummary,
  TreeEntry,
} from '../engine.ts';
import { MOST_ITEM_ERRORS, SOURCE_ROOT } from '../engine.ts';
import { parseTags } from './patterns.ts';

type Message = Readonly<Record<string, unknown>>;

/** The message of a line; undefined for plain text. */
export function parseMessage(line: string): Message | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Message;
  } catch {
    return undefined;
  }
}

export function progressOf(message: Message): BackupProgress | undefined {
  if (message['message_type'] !== 'status') return undefined;
  return {
    bytesDone: bytes(message['bytes_done'] ?? message['bytes_restored']) + bytes(message['bytes_skipped']),
    bytesTotal: bytes(message['total_bytes']),
    filesDone: count(message['files_done'] ?? message['files_restored']) + count(message['files_skipped']),
    filesTotal: count(message['total_files']),
  };
}

/** @param errors What could not be read. */
export function backupSummaryOf(message: Message, status: number, errors: ItemErrors): BackupSummary | undefined {
  const id = message['snapshot_id'];
  if (message['message_type'] !== 'summary' || typeof id !== 'string') return undefined;
  return {
    snapshotId: id,
    filesNew: count(message['files_new']),
    filesChanged: count(message['files_changed']),
    filesUnmodified: count(message['files_unmodified']),
    directories: count(message['dirs_new']) + count(message['dirs_changed']) + count(message['dirs_unmodified']),
    files: count(message['total_files_processed']),
    bytesProcessed: bytes(message['total_bytes_processed']),
    bytesAdded: bytes(message['data_added']),
    bytesAddedPacked: optionalBytes(message['data_added_packed']),
    errors,
    complete: status === 0 && errors.count === 0,
  };
}

export type RestoreCounts = Omit<RestoreSummary, 'errors' | 'complete' | 'filesTotal' | 'bytesTotal'> & {
  readonly filesTotal: number;
  readonly bytesTotal: bigint;
};

export function restoreCountsOf(message: Message): RestoreCounts | undefined {
  if (message['message_type'] !== 'summary') return undefined;
  return {
    filesTotal: count(message['total_files']),
    bytesTotal: bytes(message['total_bytes']),
    filesRestored: count(message['files_restored']),
    bytesRestored: bytes(message['bytes_restored']),
    filesSkipped: count(message['files_skipped']),
    filesDeleted: count(message['files_deleted']),
  };
}

/** Errors about single files, counted, the first of them kept. */
export class ItemErrorList {
  readonly #examples: { readonly item: string; readonly message: string }[] = [];
  readonly #hidden: string;
  #count = 0;

  /** @param hidden The directory that is left out of what is shown. */
  constructor(hidden: string = SOURCE_ROOT) {
    this.#hidden = hidden;
  }

  /** True when the message is one. */
  take(message: Message): boolean {
    if (message['message_type'] !== 'error') return false;
    const error = message['error'] as SaidError | undefined;
    this.add(String(message['item'] ?? ''), error?.message ?? systemMessage(error) ?? String(message['message'] ?? ''));
    return true;
  }

  add(item: string, message: string): void {
    this.#count += 1;
    if (this.#examples.length >= MOST_ITEM_ERRORS) return;
    const hide = (text: string): string => text.replaceAll(this.#hidden, '');
    this.#examples.push({ item: hide(item), message: hide(message).trim() });
  }

  get value(): ItemErrors {
    return { count: this.#count, examples: this.#examples };
  }
}

export function snapshotOf(said: Message): SnapshotRecord {
  const summary = said['summary'] as Message | null | undefined;
  return {
    id: String(said['id']),
    time: String(said['time']),
    host: String(said['hostname'] ?? ''),
    ...parseTags((said['tags'] as readonly string[] | null | undefined) ?? []),
    paths: (said['paths'] as readonly string[] | null | undefined) ?? [],
    original: typeof said['original'] === 'string' ? said['original'] : undefined,
    summary: summary === undefined || summary === null ? undefined : snapshotSummaryOf(summary),
  };
}

/** Of a snapshot in a list, and of one that was made just now. */
export function snapshotSummaryOf(said: Message): SnapshotSummary {
  return {
    files: count(said['total_files_processed']),
    bytesProcessed: bytes(said['total_bytes_processed']),
    bytesAddedPacked: optionalBytes(said['data_added_packed']),
  };
}

export function treeEntryOf(message: Message): TreeEntry | undefined {
  if (message['struct_type'] !== 'node') return undefined;
  return {
    path: String(message['path']),
    type: message['type'] as TreeEntry['type'],
    size: bytes(message['size']),
    mtime: String(message['mtime']),
  };
}

interface SaidError {
  readonly message?: string;
  /** How 0.14 writes the error of a system call. */
  readonly Op?: string;
  readonly Err?: unknown;
}

function systemMessage(error: SaidError | undefined): string | undefined {
  if (error === undefined) return undefined;
  const { Op = '', Err } = error;
  const known = typeof Err === 'number' ? getSystemErrorMap().get(-Err)?.[1] : undefined;
  return `${Op}: ${known ?? JSON.stringify(Err ?? error)}`;
}

function count(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function bytes(value: unknown): bigint {
  return typeof value === 'number' ? BigInt(Math.trunc(value)) : 0n;
}

function optionalBytes(value: unknown): bigint | undefined {
  return typeof value === 'number' ? bytes(value) : undefined;
}
