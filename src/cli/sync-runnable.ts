/** `clawstore up --sync`, as a part of the process that runs everything for one machine. */
import { FIELD_MANAGERS } from '../api/group.ts';
import type { KubeClient } from '../kube/client.ts';
import type { NodeLayer } from '../node/layer.ts';
import type { Runnable } from '../runtime/manager.ts';
import type { RunProgram } from '../sync/git.ts';
import type { Source } from '../sync/source.ts';
import type { GitSpec, SourceSpec } from '../sync/source-spec.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { CliError, ExitCode } from './exit-code.ts';
import type { Settings } from './settings.ts';

export interface SyncRunnable extends Runnable {
  /** Whether a round has ended since the start. */
  readonly hasRun: boolean;
}

export interface SyncDependencies {
  readonly settings: Settings;
  /** Private to the sync. */
  readonly directory: string;
  readonly client: KubeClient;
  readonly node: Pick<NodeLayer, 'call'>;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** On a cluster Flux or Argo CD do this, with the rights of their own. @throws CliError */
export function refuseSyncElsewhere({ sync }: Settings, isUp: boolean): void {
  if (sync === undefined || isUp) return;
  throw new CliError(ExitCode.usage, '--sync: only "clawstore up" syncs; on a cluster use Flux or Argo CD');
}

/** Loaded only where there is a source. @throws CliError naming the flag. */
export async function syncOf(dependencies: SyncDependencies): Promise<SyncRunnable | undefined> {
  const { settings, directory, client, node, log, metrics } = dependencies;
  if (settings.sync === undefined) return undefined;
  const [{ Sync }, { EventRecorder }, { readYaml }] = await Promise.all([
    import('../sync/sync.ts'),
    import('../kube/events.ts'),
    import('../apiserver/http/yaml.ts'),
  ]);
  const run: RunProgram = (command, options) => node.call('run', command, options);
  const source = await sourceFor(settings.sync, settings, directory, run);
  const events = new EventRecorder({ client, component: FIELD_MANAGERS.sync, log, metrics });
  const { syncInterval: intervalMs, syncAllowEmpty: allowEmpty } = settings;
  const sync = new Sync({ source, client, readYaml, events, log, metrics, intervalMs, allowEmpty });
  return {
    name: 'sync',
    get hasRun() {
      return sync.hasRun;
    },
    async run(signal) {
      await sync.run(signal);
      await events.close();
    },
  };
}

async function sourceFor(spec: SourceSpec, settings: Settings, directory: string, run: RunProgram): Promise<Source> {
  if (spec.type === 'folder') {
    const { FolderSource } = await import('../sync/folder-source.ts');
    return new FolderSource({ spec });
  }
  requireLogin(spec, settings);
  const { GitSource } = await import('../sync/git-source.ts');
  const { syncCredentialsFile: credentialsFile } = settings;
  return new GitSource({ spec, directory, run, credentialsFile, environment: process.env });
}

/** Keys that happen to lie in somebody's home directory are not taken. */
function requireLogin({ protocol }: GitSpec, { syncCredentialsFile }: Settings): void {
  const flag = '--sync-credentials-file';
  if (protocol === 'ssh' && (process.env['GIT_SSH_COMMAND'] ?? '') === '') {
    const example = "GIT_SSH_COMMAND='ssh -i /etc/clawstore/sync-key -o IdentitiesOnly=yes -o BatchMode=yes'";
    throw new CliError(ExitCode.usage, `--sync: for ssh, say how it logs in: ${example}`);
  }
  if (syncCredentialsFile !== undefined && protocol !== 'https' && protocol !== 'http') {
    throw new CliError(ExitCode.usage, `${flag}: is for https:// alone; of ssh GIT_SSH_COMMAND says how it logs in`);
  }
}
