/** Times the operations of drivers for the metric `clawstore_mount_operation_duration_seconds`. */
import type { Metrics } from '../../telemetry/metrics.ts';

/** Runs one operation of a driver and records how long it took and whether it worked. */
export async function timed<T>(
  metrics: Metrics | undefined,
  driver: string,
  operation: 'provision' | 'stage' | 'publish' | 'unpublish' | 'unstage' | 'delete',
  work: () => Promise<T>,
): Promise<T> {
  if (metrics === undefined) return work();
  const start = performance.now();
  let result = 'error';
  try {
    const value = await work();
    result = 'success';
    return value;
  } finally {
    metrics.mountOperation.observe({ driver, operation, result }, (performance.now() - start) / 1000);
  }
}
