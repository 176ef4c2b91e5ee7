/** What a decided step does. Each is idempotent: the driver may have done it already before a crash. */
import type { Driver, DriverContent, DriverVolume } from '../../drivers/driver.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Failure } from '../support/failure.ts';
import { failureOf } from '../support/failure.ts';
import type { Obstacle } from '../support/holders.ts';
import { obstacleOf } from '../support/holders.ts';
import type { JobSpec } from '../support/jobs.ts';
import { timed } from '../support/operation.ts';
import type { VolumeStep } from './checks.ts';
import type { VolumeFacts } from './observe.ts';

/** Carries out a step. */
export async function actOnVolume(
  { step }: Extract<VolumeStep, { readonly step: 'provision' | 'unstage' }>,
  driver: Driver,
  volume: DriverVolume,
  metrics: Metrics | undefined,
  signal: AbortSignal,
): Promise<void> {
  // A busy unstage is no trouble here: the storage is merely kept at hand a little longer.
  if (step === 'unstage') await timed(metrics, driver.type, step, () => driver.unstage(volume, signal));
  else await timed(metrics, driver.type, step, () => driver.provision(volume, signal));
}

/**
 * Removes what was copied for a Restore that is gone. The volume is as good with it: what it fails with is for an event and
 * another try.
 */
export async function removeCopy(
  { hasAbandonedCopy, driver, wanted }: VolumeFacts,
  signal: AbortSignal,
): Promise<{ readonly tried: boolean; readonly failure: Failure | undefined }> {
  if (!hasAbandonedCopy || wanted === undefined) return { tried: false, failure: undefined };
  try {
    await driver?.tidy?.(wanted, signal);
    return { tried: true, failure: undefined };
  } catch (thrown) {
    return { tried: true, failure: failureOf(thrown, 'RevertFailed', signal) };
  }
}

/** The job that makes a volume with its content. What that is made from counts as in use until its end. */
export function fillJob(driver: Driver, volume: DriverVolume, content: DriverContent): JobSpec {
  const from = content.from === 'snapshot' ? content.snapshot.uid : content.volume.uid;
  return {
    uid: volume.uid,
    queue: driver.type,
    turn: content.from === 'volume' ? { of: from, isShared: driver.snapshots?.areMomentary === true } : undefined,
    reads: [from],
    what: `volume "${volume.name}"`,
    work: async (call) => driver.fill?.(volume, call),
  };
}

/** What became of a volume that was taken down. `kept`: what stayed although it was to go, as a sentence. */
export type Removal =
  | { readonly done: true; readonly kept: string | undefined }
  | { readonly done: false; readonly obstacle: Obstacle };

/** Takes a volume down: first every mount of it, then, if its data is to go, the data. */
export async function removeVolume(
  driver: Driver,
  volume: DriverVolume,
  deleteData: boolean,
  metrics: Metrics | undefined,
  signal: AbortSignal,
): Promise<Removal> {
  const outcome = await timed(metrics, driver.type, 'unstage', () => driver.unstage(volume, signal));
  const obstacle = obstacleOf(outcome, `The storage of volume "${volume.name}"`);
  if (obstacle !== undefined) return { done: false, obstacle };
  if (!deleteData) {
    await driver.release?.(volume, signal);
    return { done: true, kept: undefined };
  }
  const { kept } = await timed(metrics, driver.type, 'delete', () => driver.delete(volume, signal));
  return { done: true, kept };
}
