import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { StateDir } from './state-dir.ts';

/** Who this installation is, among agents that could claim the same node name; made once for a state directory. */
export function nodeIdentity({ nodeIdFile }: StateDir, nodeName: string): string {
  let id = '';
  try {
    id = readFileSync(nodeIdFile, 'utf8').trim();
  } catch {
    // Not made yet.
  }
  if (id === '') {
    id = randomUUID();
    writeFileSync(`${nodeIdFile}.new`, `${id}\n`, { mode: 0o600 });
    renameSync(`${nodeIdFile}.new`, nodeIdFile);
  }
  return `${nodeName}_${id}`;
}
