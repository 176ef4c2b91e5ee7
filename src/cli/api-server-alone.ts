import { once } from 'node:events';
import { createLogger } from '../telemetry/log.ts';
import { Cleanups } from './cleanups.ts';
import { giveBackMemoryWhenIdle } from './idle-memory.ts';
import { runApiServer } from './run-apiserver.ts';
import type { Settings } from './settings.ts';
import { makeStateDir } from './state-dir.ts';
import { productVersion } from './version.ts';

/**
 * The API server with nothing beside it, until the signal: it needs no client of its own, no controllers and no drivers,
 * and the memory of a small machine is not spent on them.
 */
export async function runApiServerAlone(settings: Settings, signal: AbortSignal): Promise<void> {
  const state = makeStateDir(settings.stateDir);
  const log = createLogger({ level: settings.logLevel });
  const cleanups = new Cleanups();
  try {
    const server = await runApiServer(settings, state, { inThread: false, log, quiet: false });
    cleanups.add(server.stop);
    const metricsUrl = settings.metrics === undefined ? {} : await serveMetrics(settings, cleanups);
    cleanups.add(giveBackMemoryWhenIdle());
    log.info({ roles: ['apiserver'], ...metricsUrl }, 'started');
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    await cleanups.run();
  }
}

/** Loaded only when somebody looks. */
async function serveMetrics(settings: Settings, cleanups: Cleanups): Promise<{ readonly metrics?: string }> {
  const [{ createMetrics }, { HealthChecks }, { serveHealth }] = await Promise.all([
    import('../telemetry/metrics.ts'),
    import('../telemetry/health.ts'),
    import('./serve-health.ts'),
  ]);
  const metrics = createMetrics();
  metrics.buildInfo.set({ version: productVersion(), node_version: process.versions.node }, 1);
  const checks = { health: new HealthChecks(), ready: new HealthChecks() };
  checks.health.add('ping', () => undefined);
  return serveHealth(settings.metrics, checks, metrics, cleanups);
}
