/** Tells the service manager when the product is ready, by the checks behind `/readyz`, and when it stops. */
import type { ServiceManager } from '../node/service-manager.ts';
import type { Runnable } from '../runtime/manager.ts';
import type { HealthChecks } from '../telemetry/health.ts';
import { pause } from './pause.ts';

/** How often it is asked whether all is ready, in milliseconds. */
const LOOK_MS = 100;

export function serviceNotifier(service: ServiceManager, ready: HealthChecks): Runnable {
  return {
    name: 'service-notifier',
    run: async (signal) => {
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
    },
  };
}
