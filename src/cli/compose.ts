/**
 * The composition root: what the running product is made of, and what is wired to what.
 *
 *   API server (thread) ← REST client ← manager: caches → queues → controllers + agent → drivers → node layer → helper
 */
import { createResticEngine } from '../backup/restic/engine.ts';
import { addAgent } from '../controllers/agent.ts';
import { addControllers } from '../controllers/controller-manager.ts';
import { claimNode } from '../controllers/node/claim.ts';
import { EmptyDirDriver } from '../drivers/emptydir/emptydir-driver.ts';
import { createHostPathDriver } from '../drivers/hostpath/driver.ts';
import { isProjectRecord } from '../drivers/hostpath/project.ts';
import { NfsDriver } from '../drivers/nfs/driver.ts';
import { isNfsRecord } from '../drivers/nfs/record.ts';
import { Reverts } from '../drivers/reverts.ts';
import { S3Driver } from '../drivers/s3/driver.ts';
import { snapshotRecords } from '../drivers/snapshot-record.ts';
import { fillRecords } from '../drivers/trees/fill.ts';
import type { NodeAccount } from '../kube/node-account.ts';
import { createNodeLayer } from '../node/create-layer.ts';
import { Pools } from '../node/pools/pools.ts';
import { SpaceGuard } from '../node/pools/space-guard.ts';
import { Records } from '../node/records.ts';
import { serviceManager } from '../node/service-manager.ts';
import { Manager } from '../runtime/manager.ts';
import { sourceText } from '../sync/source-spec.ts';
import { systemClock } from '../telemetry/clock.ts';
import { createLogger } from '../telemetry/log.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { Cleanups } from './cleanups.ts';
import { connectTo, localApiServer } from './connect.ts';
import type { Daemon, DaemonOptions, Role } from './daemon.ts';
import { installDefaultClass } from './default-class.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { giveBackMemoryWhenIdle } from './idle-memory.ts';
import { leaderElector } from './leader.ts';
import { lockNode, refuseMovedMountRoot } from './lock-node.ts';
import { nodeIdentity } from './node-identity.ts';
import type { OpenClawDependencies, OpenClawNode } from './openclaw-node.ts';
import { poolReader } from './pool-reader.ts';
import { runApiServer } from './run-apiserver.ts';
import { serveHealth } from './serve-health.ts';
import { notifyService } from './service-notifier.ts';
import { type Settings, UP_HOST_PATH_ALLOW } from './settings.ts';
import { makeStateDir, writeInstance } from './state-dir.ts';
import { refuseSyncElsewhere, type SyncRunnable, syncOf } from './sync-runnable.ts';
import { productVersion } from './version.ts';

const OWN_SERVER_CONNECTIONS = 128;

/** Starts the roles in order; what has started is stopped again, in reverse, when one fails or the signal aborts. */
export async function compose(
  roles: ReadonlySet<Role>,
  settings: Settings,
  signal: AbortSignal,
  { quiet, helper, openClawToken }: DaemonOptions,
): Promise<Daemon> {
  const { nodeName, mountRoot, mountHolder } = settings;
  const state = makeStateDir(settings.stateDir);
  const isUp = roles.size === 3;
  const hostPathAllow = settings.hostPathAllow ?? (isUp ? UP_HOST_PATH_ALLOW : []);
  const log = createLogger({ level: settings.logLevel, ...(quiet ? { file: state.logFile } : {}) });
  const metrics = createMetrics();
  metrics.buildInfo.set({ version: productVersion(), node_version: process.versions.node }, 1);
  const cleanups = new Cleanups();
  try {
    refuseSyncElsewhere(settings, isUp);
    const inThread = roles.size > 1;
    const apiServer = roles.has('apiserver')
      ? await runApiServer(settings, state, { inThread, log, quiet })
      : undefined;
    if (apiServer !== undefined) cleanups.add(apiServer.stop);
    const socketPath = apiServer?.socketPath;
    // As many as there are workers: what arrives together is committed together, and a Unix socket costs nothing.
    const connections = socketPath === undefined ? undefined : OWN_SERVER_CONNECTIONS;
    const nodeAccount = nodeAccountOf(roles, settings);
    const client = await connectTo(settings.kubeconfig, { metrics, socketPath, connections, nodeAccount });
    cleanups.add(() => client.close());
    const elector = roles.has('controller') && !isUp ? leaderElector({ client, log, metrics, nodeName }) : undefined;
    const manager = new Manager({ client, log, metrics, leaderElector: elector });

    let sync: SyncRunnable | undefined;
    let claim = (_stop: AbortSignal): Promise<void> => Promise.resolve();
    if (roles.has('controller')) {
      const { destinations, nodeAccounts } = settings;
      addControllers(manager, {
        client,
        log,
        metrics,
        leaderOnly: elector !== undefined,
        destinations,
        nodeAccounts,
      });
    }
    if (roles.has('agent')) {
      const layer = { stateDir: state.root, mountRoot, mountHolder, ...(helper === undefined ? {} : { helper }) };
      const node = await createNodeLayer(layer, signal);
      cleanups.add(() => node.close());
      cleanups.add(await lockNode(node, state, signal));
      if (isUp) refuseMovedMountRoot(node, state.root);
      await node.prepareMountRoot(signal);
      const pools = new Pools({ node, directory: state.pools });
      const emptyDir: EmptyDirDriver = new EmptyDirDriver({ node, pools, isHeld: () => guard.held });
      const guard = new SpaceGuard({
        node,
        pools,
        recordFile: state.heldFile,
        thinMounts: (pool) => emptyDir.thinMounts(pool),
        thickMounts: (pool) => emptyDir.thickMounts(pool),
        reservedBytes: (pool) => emptyDir.reservedBytes(pool),
        onError: (err) => log.warn({ err }, 'the space of the pools could not be looked at'),
      });
      const nfs = new NfsDriver({
        node,
        records: new Records(state.nfs, isNfsRecord),
        snapshots: snapshotRecords(state.root),
        fills: fillRecords(state.root),
        reverts: new Reverts(state.root),
      });
      const hostPath = createHostPathDriver(node, new Records(state.projects, isProjectRecord));
      const drivers = [emptyDir, hostPath, nfs, new S3Driver(node)];
      const engine = createResticEngine(node);
      const identity = nodeIdentity(state, node.mountRoot, nodeName);
      const agent = { client, log, metrics, nodeName, identity, node, drivers, engine, hostPathAllow, watchAll: isUp };
      const gateway =
        settings.openclaw === undefined
          ? undefined
          : await joinGateway(settings.openclaw, {
              settings,
              state,
              client,
              hostPathAllow,
              token: openClawToken,
              log,
              metrics,
              cleanups,
            });
      const features = gateway?.features;
      addAgent(manager, { ...agent, version: productVersion(), pools: poolReader(pools, emptyDir), features });
      if (gateway !== undefined) manager.addRunnable(gateway.runnable);
      claim = (stop) => claimNode({ client, nodeName, identity, clock: systemClock, log }, stop);
      manager.addRunnable({ name: 'space-guard', run: (stop) => guard.run(stop) });
      sync = await syncOf({ settings, directory: state.sync, client, node, log, metrics });
      if (sync !== undefined) manager.addRunnable(sync);
    }

    const metricsUrl = await serveHealth(settings.metrics, manager, metrics, cleanups);
    if (isUp) await installDefaultClass(client, hostPathAllow, log, signal);
    const ended = new AbortController();
    const stop = AbortSignal.any([signal, ended.signal]);
    const service = serviceManager();
    // Beside the claim of the node, which waits for the API server.
    if (service !== undefined) void notifyService(service, manager.ready, stop);
    const done = claim(stop)
      .then(() => manager.run(stop))
      .finally(() => ended.abort());
    cleanups.add(() => done.catch(() => undefined));
    cleanups.add(() => ended.abort());
    if (isUp) {
      const { kubeconfig } = settings;
      const synced = settings.sync === undefined ? {} : { sync: sourceText(settings.sync) };
      const at = await localApiServer(kubeconfig, socketPath);
      writeInstance(state.root, { nodeName, mountRoot, hostPathAllow, kubeconfig, ...metricsUrl, ...synced, ...at });
    }
    cleanups.add(giveBackMemoryWhenIdle());
    log.info({ roles: [...roles], node: nodeName, ...metricsUrl }, 'started');
    const caughtUp = (): boolean => manager.hasCaughtUp && sync?.hasRun !== false;
    return { client, done, ended: ended.signal, caughtUp, stop: () => cleanups.run() };
  } catch (thrown) {
    await cleanups.run();
    throw thrown;
  }
}

/** Loaded only where there is a gateway. */
async function joinGateway(url: string, dependencies: OpenClawDependencies): Promise<OpenClawNode> {
  const { openClawNode } = await import('./openclaw-node.ts');
  return openClawNode(url, dependencies);
}

/** Whom the agent acts as, where nodes have accounts: those are of a real cluster. */
function nodeAccountOf(roles: ReadonlySet<Role>, { nodeAccounts, nodeName }: Settings): NodeAccount | undefined {
  if (nodeAccounts === undefined) return undefined;
  if (roles.has('apiserver')) {
    throw new CliError(ExitCode.usage, '--node-accounts: the embedded control plane has credentials for nodes instead');
  }
  return roles.has('agent') ? { namespace: nodeAccounts, nodeName } : undefined;
}
