/** The part of `clawstore down` that waits: what was written to an s3 volume must reach the server first. */

import { unsentFiles } from '../drivers/s3/cache-notes.ts';
import { directoryOf, keptUids } from '../drivers/s3/engine.ts';
import { Processes } from '../drivers/s3/processes.ts';
import { stageMountOf } from '../drivers/stage.ts';
import type { NodeLayer } from '../node/layer.ts';
import { pause } from './pause.ts';

export interface GiveBackOptions {
  /** Drop what has not reached its server. */
  readonly dropUnsent: boolean;
  /** The files that were not sent are about to be deleted. */
  readonly purge: boolean;
}

const LOOK_MS = 200;

/** Ends the processes that serve mounts of this node. @returns what is in the way. */
export async function giveBackS3(
  node: NodeLayer,
  { dropUnsent, purge }: GiveBackOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const processes = new Processes(node);
  const problems: string[] = [];
  for (const uid of keptUids(node)) {
    const where = directoryOf(node, uid);
    const isMounted = stageMountOf(node, uid) !== undefined;
    const unsent = unsentFiles(where);
    if (!isMounted && unsent.length > 0 && !dropUnsent) {
      const text = `${filesOf(unsent.length, sum(unsent))} in ${where} have not reached their server`;
      if (purge) problems.push(`${text}; start clawstore again so that they are sent, or use --drop-unsent`);
      else process.stderr.write(`clawstore: ${text}; they are kept and sent after the next start\n`);
      continue;
    }
    const problem = await giveBack(processes, uid, dropUnsent, signal);
    if (problem !== undefined) problems.push(problem);
  }
  return problems;
}

async function giveBack(
  processes: Processes,
  uid: string,
  dropUnsent: boolean,
  signal: AbortSignal,
): Promise<string | undefined> {
  let left = '';
  for (;;) {
    try {
      const outcome = await processes.giveBack(uid, dropUnsent, noRestart, signal);
      if (outcome.outcome === 'done') return undefined;
      if (outcome.outcome !== 'upload-pending') return `the s3 volume ${uid} is still in use`;
      const now = filesOf(outcome.files, outcome.bytes);
      if (now !== left) process.stderr.write(`clawstore: waiting until ${now} of s3 volume ${uid} reach the server\n`);
      left = now;
    } catch (thrown) {
      if (!signal.aborted) return `s3 volume ${uid}: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    }
    await pause(LOOK_MS, signal);
    if (signal.aborted) {
      return `${left || 'files'} of s3 volume ${uid} have not reached the server; wait longer with --timeout, or lose them with --drop-unsent`;
    }
  }
}

function noRestart(): Promise<void> {
  throw new Error('the process that served it has ended, and only clawstore itself can start another');
}

function filesOf(files: number, bytes: bigint): string {
  return `${files} ${files === 1 ? 'file' : 'files'} (${bytes} bytes)`;
}

function sum(sizes: readonly number[]): bigint {
  return sizes.reduce((total, size) => total + BigInt(Math.max(0, size)), 0n);
}
