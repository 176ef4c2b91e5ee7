/** `clawstore mount-holder`: what outlives the agent where the runtime kills its whole pod. */
import { startMountHolder } from '../node/mount-daemons/holder.ts';
import { NodeError } from '../node/node-error.ts';
import { untilAborted } from '../telemetry/clock.ts';
import { createLogger } from '../telemetry/log.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { requireMountPrivilege } from './preflight.ts';
import type { Settings } from './settings.ts';
import { makeStateDir } from './state-dir.ts';
import { stopSignal } from './stop-signal.ts';

/** Serves until a signal of the system; the processes that it started are left alone. */
export async function mountHolder({ stateDir, mountRoot, logLevel }: Settings): Promise<ExitCode> {
  requireMountPrivilege();
  const signal = stopSignal();
  const log = createLogger({ level: logLevel });
  const { root } = makeStateDir(stateDir);
  const holder = await startMountHolder({
    stateDir: root,
    mountRoot,
    onStart: (name, err) => {
      if (err === undefined) log.info({ name }, 'The process of a mount was started');
      else log.warn({ name, err }, 'The process of a mount could not be started');
    },
  }).catch((thrown: unknown) => {
    const { code, message } = NodeError.from(thrown);
    if (code === 'Locked') throw new CliError(ExitCode.failed, `another mount holder runs on this node: ${message}`);
    throw code === 'InvalidRequest' ? new CliError(ExitCode.usage, `--mount-root: ${message}`) : thrown;
  });
  log.info({ stateDir: root }, 'started');
  await untilAborted(signal);
  await holder.close();
  return ExitCode.ok;
}
