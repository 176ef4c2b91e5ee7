/** What is done to a snapshot. Each is idempotent: the driver may have done it already before a crash. */
import type { Driver, DriverSnapshot, LongCall, SnapshotCalls } from '../../drivers/driver.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { JobSpec } from '../support/jobs.ts';

/** The job that takes a snapshot. The volume counts as in use until its end. */
export function takeJob(driver: Driver, wanted: DriverSnapshot, metrics: Metrics | undefined): JobSpec {
  return {
    uid: wanted.uid,
    queue: driver.type,
    // Where they are copies, two would read the same files side by side.
    turn: { of: wanted.volume.uid, isShared: driver.snapshots?.areMomentary === true },
    reads: [wanted.volume.uid],
    what: `snapshot "${wanted.name}"`,
    work: (call) => timedTake(driver, wanted, metrics, call),
  };
}

async function timedTake(
  driver: Driver,
  wanted: DriverSnapshot,
  metrics: Metrics | undefined,
  call: LongCall,
): Promise<void> {
  const start = performance.now();
  let result = 'error';
  try {
    await driver.snapshots?.take(wanted, call);
    result = 'success';
  } finally {
    metrics?.snapshotDuration.observe({ driver: driver.type, result }, (performance.now() - start) / 1000);
  }
}

/** Deletes what was taken. Where no snapshots can be taken none was made. */
export async function deleteSnapshot(
  snapshots: SnapshotCalls | undefined,
  wanted: DriverSnapshot,
  signal: AbortSignal,
): Promise<void> {
  await snapshots?.delete(wanted, signal);
}
