/**
 * Named places at which the fault suite may kill this process (agent or helper) with SIGKILL, to show that every
 * instruction is a safe place to die. Armed by `CLAWSTORE_CRASH_AT=NAME` or `NAME:N` (at the N-th passage, from 1);
 * unarmed, a passage is one comparison.
 */

import { writeSync } from 'node:fs';

/** Every name; the fault suite goes through this list. */
export const CRASH_POINTS = [
  'bind.after-mkdir',
  'bind.after-immutable',
  'bind.after-open-tree',
  'bind.after-move-mount',
  'bind.after-verify',
  'tmpfs.after-mount',
  'unmount.before-umount',
  'unmount.after-umount',
  'unmount.after-clear-immutable',
  'unmount.after-rmdir',
  'root.after-bind',
  'remove-tree.first-entry',
  'image.after-allocate',
  'image.after-mkfs',
  'image.after-rename',
  'image.after-attach',
  'image.after-mount',
  'image.before-extend',
  'image.after-extend',
  'image.after-grow',
  'image.after-unlink',
  'clone.after-watchdog',
  'clone.after-freeze',
  'clone.after-clone',
  'clone.after-thaw',
  'clone.after-sync',
  'clone.after-rename',
  'revert.after-clone',
  'revert.after-record',
  'revert.after-name',
  'revert.after-done',
  'snapshot.before-record',
  'snapshot.after-record',
  'snapshot.after-name',
  'daemon.after-start',
  'tree.after-mkdir',
  'tree.after-copy',
  'tree.before-rename',
  'tree.after-rename',
  'tree.after-move',
  'tree.after-aside',
  'tree.after-all-aside',
  'tree.after-up',
  'tree.after-exchange',
  'helper.before-reply',
] as const;

export type CrashPoint = (typeof CRASH_POINTS)[number];

/** What is written to standard error by a process that dies at a point. */
export function deathAt(name: CrashPoint): string {
  return `dies at ${name}`;
}

const armed = parse(process.env['CLAWSTORE_CRASH_AT']);
let remaining = armed?.passage ?? 0;

/** Dies here when this point is the armed one. */
export function crashPoint(name: CrashPoint): void {
  if (armed === undefined || armed.name !== name) return;
  remaining -= 1;
  if (remaining !== 0) return;
  // Whoever armed it may look too seldom to see a helper that is replaced at once.
  writeSync(2, `${deathAt(name)}\n`);
  process.kill(process.pid, 'SIGKILL');
}

function parse(value: string | undefined): { readonly name: string; readonly passage: number } | undefined {
  if (value === undefined || value === '') return undefined;
  const [name = '', passage = '1'] = value.split(':');
  return { name, passage: Math.max(1, Number.parseInt(passage, 10) || 1) };
}
