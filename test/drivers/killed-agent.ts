import { spawn } from 'node:child_process';
import type { CrashPoint } from '../../src/node/crash-points.ts';
import type { NodeLayer } from '../../src/node/layer.ts';

/**
 * Runs an agent of its own, on the node of the layer, that is killed at a point. Resolves with the signal that ended it,
 * `null` when it came to its end.
 *
 * @param script A program that takes its task, and where the node keeps its state and mounts, as JSON.
 */
export function runKilledAgent(
  script: string,
  { stateDir, mountRoot }: Pick<NodeLayer, 'stateDir' | 'mountRoot'>,
  task: object,
  point: CrashPoint,
): Promise<string | null> {
  const text = JSON.stringify({ stateDir, mountRoot, ...task }, (_key, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  const env = { ...process.env, CLAWSTORE_CRASH_AT: point };
  const child = spawn(process.execPath, [script, text], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (_code, signal) => resolve(signal));
  });
}
