import { join } from 'node:path';
import type { NodeLayer } from '../node/layer.ts';
import { NodeError } from '../node/node-error.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { lastInstance, type StateDir } from './state-dir.ts';

/**
 * Takes the locks that keep a second agent off the same state directory and the same mount root.
 * @returns what releases them.
 * @throws CliError that names the holder.
 */
export async function lockNode(node: NodeLayer, state: StateDir, signal: AbortSignal): Promise<() => Promise<void>> {
  // Beside the mount root, not in it: nothing of ours may lie where targets are made.
  const files = [state.agentLockFile, `${join(node.mountRoot)}.lock`];
  const locks: { release(): Promise<void> }[] = [];
  const release = async (): Promise<void> => {
    for (const lock of locks.splice(0).toReversed()) await lock.release();
  };
  try {
    for (const file of files) locks.push(await node.lock(file, signal));
    return release;
  } catch (thrown) {
    await release();
    const error = NodeError.from(thrown);
    if (error.code !== 'Locked') throw error;
    throw new CliError(ExitCode.failed, `another agent runs on this node: ${error.message}`, { cause: error });
  }
}

/**
 * Keeps mounts from being forgotten below a mount root that is no longer used.
 * @throws CliError when the last instance of the state directory left mounts below another mount root.
 */
export function refuseMovedMountRoot(node: Pick<NodeLayer, 'mountRoot' | 'table'>, stateDir: string): void {
  const before = lastInstance(stateDir)?.mountRoot;
  if (before === undefined || before === node.mountRoot) return;
  const left = node.table.below(before).length;
  if (left === 0) return;
  throw new CliError(
    ExitCode.refused,
    `--mount-root: ${left} mounts of this state directory are below ${before}: start with that mount root, or run clawstore down first`,
  );
}
