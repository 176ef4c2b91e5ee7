/** What a decided step does to a mount. Each is idempotent and verified by looking again. */
import type { MountObservation, VolumeObservation } from '../../drivers/driver.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { NodeMounts } from '../support/agent.ts';
import type { Obstacle } from '../support/holders.ts';
import { obstacleOf } from '../support/holders.ts';
import { timed } from '../support/operation.ts';
import type { MountStep } from './checks.ts';
import type { DriverWords, MountRemoval } from './observe.ts';

/** Makes the storage present on the node, if it is not. */
export async function stage(
  { driver, volume }: DriverWords,
  seen: VolumeObservation,
  metrics: Metrics | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (!seen.staged) await timed(metrics, driver.type, 'stage', () => driver.stage(volume, signal));
}

/** Gives the storage's presence on the node back. Undefined = done. */
export async function unstage(
  { driver, volume }: DriverWords,
  metrics: Metrics | undefined,
  signal: AbortSignal,
): Promise<Obstacle | undefined> {
  const outcome = await timed(metrics, driver.type, 'unstage', () => driver.unstage(volume, signal));
  return obstacleOf(outcome, `The storage of volume "${volume.name}" on this node`);
}

/** Carries out a step and looks at the result. `obstacle`: the old mount could not be taken down. */
export async function actOnMount(
  step: Extract<MountStep, { readonly step: 'publish' | 'republish' }>,
  words: DriverWords,
  metrics: Metrics | undefined,
  signal: AbortSignal,
): Promise<{ readonly observation: MountObservation; readonly obstacle: Obstacle | undefined }> {
  const { driver, volume, mount } = words;
  let obstacle: Obstacle | undefined;
  if (step.step === 'republish') {
    const outcome = await timed(metrics, driver.type, 'unpublish', () => driver.unpublish(volume, mount, signal));
    // A copy elsewhere does not stop us from making the right mount here; a busy one does.
    if (outcome.outcome === 'busy') obstacle = obstacleOf(outcome, 'The mount that is to be replaced');
  }
  if (obstacle === undefined) {
    await timed(metrics, driver.type, 'publish', () => driver.publish(volume, mount, signal));
  }
  const looked = step.step === 'republish' ? { ...mount, remounted: true } : mount;
  return { observation: await driver.observeMount(volume, looked, signal), obstacle };
}

/** Takes a mount down. Undefined = no mount namespace of this host shows it any more. */
export async function removeMount(
  removal: MountRemoval,
  node: NodeMounts,
  metrics: Metrics | undefined,
  signal: AbortSignal,
): Promise<Obstacle | undefined> {
  const { words, target, maker } = removal;
  const what = `The mount at ${target.hostPath}`;
  if (words !== undefined) {
    const { driver, volume, mount } = words;
    if (maker === 'others' && (await driver.observeMount(volume, mount, signal)).state === 'foreign') return undefined;
    const outcome = await timed(metrics, driver.type, 'unpublish', () => driver.unpublish(volume, mount, signal));
    return obstacleOf(outcome, what);
  }
  // The volume is not known any more, so no driver can be asked; what we mounted is a mount all the same.
  const stack = node.table.stackAt(target.hostPath);
  const top = stack.at(-1);
  if (top !== undefined) {
    if (maker === 'others') return undefined;
    const conflict = (why: string): Obstacle => {
      const message = `${what} ${why}, and its volume is not known any more. Unmount it by hand to go on.`;
      return { reason: 'MountTargetConflict', message, holders: [] };
    };
    if (maker === 'unknown') return conflict('may be somebody else’s');
    if (stack.length > 1) return conflict('is covered by another');
    const isLast = !node.table.current().some(({ id, device }) => device === top.device && id !== top.id);
    if (isLast && top.fsType === 'tmpfs') return conflict('is the last one of a filesystem in memory');
  }
  const request = { target: { root: target.root, path: target.path }, mountId: top?.id, scope: 'copies' } as const;
  return obstacleOf(await node.unmount(request, signal), what);
}
