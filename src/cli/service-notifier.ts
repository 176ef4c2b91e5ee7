/** Tells the service manager when the product is ready, by the checks behind `/readyz`, and when it stops. */
import type { ServiceManager } from '../node/service-manager.ts';
import type { HealthChecks } from '../telemetry/health.ts';
import { pause } from './pause.ts';

/** How often it is asked whether all is ready, in milliseconds. */
const LOOK_MS = 100;

/** Resolves when it is ready, or told to stop; never rejects. Says meanwhile what is waited for, e.g. an API server. */
export async function notifyService(service: ServiceManager, ready: HealthChecks, signal: AbortSignal): Promise<void> {
  signal.addEventListener('abort', () => service.notify('STOPPING=1'), { once: true });
  let said = '';
  while (!signal.aborted) {
    const { ok, lines } = await ready.run();
    if (signal.aborted) return;
    if (ok) {
      service.notify('READY=1', 'STATUS=Ready');
      return;
    }
    const status = `STATUS=${lines.filter((line) => line.startsWith('[-]')).join(' ')}`;
    if (status !== said) service.notify(status);
    said = status;
    await pause(LOOK_MS, signal);
  }
}
