import type { HealthChecks } from '../telemetry/health.ts';
import { startHealthServer } from '../telemetry/health-server.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Cleanups } from './cleanups.ts';
import { CliError, ExitCode } from './exit-code.ts';
import type { ListenAddress } from './settings.ts';

/** Serves `/metrics`, `/healthz` and `/readyz` where that was asked for; the answer says where. */
export async function serveHealth(
  address: ListenAddress | undefined,
  { health, ready }: { readonly health: HealthChecks; readonly ready: HealthChecks },
  metrics: Metrics,
  cleanups: Cleanups,
): Promise<{ readonly metrics?: string }> {
  if (address === undefined) return {};
  const server = await startHealthServer({ ...address, metrics, health, ready }).catch((cause: unknown) => {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'the address is taken by another program' : message;
    const where = `${address.host}:${address.port}`;
    throw new CliError(
      ExitCode.failed,
      `--metrics: cannot listen on ${where}: ${why}; name another, or port 0 for any`,
      {
        cause,
      },
    );
  });
  cleanups.add(() => server.close());
  const { address: host, port } = server.address;
  return { metrics: `http://${host.includes(':') ? `[${host}]` : host}:${port}/metrics` };
}
