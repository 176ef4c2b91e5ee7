import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writePrivate } from '../apiserver/storage/private-file.ts';
import type { StateDir } from './state-dir.ts';

/**
 * Who this installation is, among agents that could claim the same node name. Kept in the state directory, which survives
 * a boot, and beside the mount root, which survives the loss of the state directory: with either, a restart is the same
 * installation and need not wait for a Lease to run out.
 */
export function nodeIdentity({ nodeIdFile }: StateDir, mountRoot: string, nodeName: string): string {
  const files = [nodeIdFile, `${mountRoot}.node-id`];
  const kept = files.map(read);
  const id = kept.find((text) => text !== '') ?? randomUUID();
  for (const [index, file] of files.entries()) {
    if (kept[index] === id) continue;
    writePrivate(file, `${id}\n`);
  }
  return `${nodeName}_${id}`;
}

/** Empty where there is no such file. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}
