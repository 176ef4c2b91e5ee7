/** `clawstore down`: stops what runs on a state directory and takes every mount of ours down. Data stays. */
import { existsSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { VOLUME_MOUNTS } from '../api/meta.ts';
import type { VolumeMount } from '../api/volume-mount.ts';
import { isProjectRecord } from '../drivers/hostpath/project.ts';
import { DirectoryQuota } from '../drivers/hostpath/quota.ts';
import { FS_TYPE } from '../drivers/s3/engine.ts';
import { createNodeLayer } from '../node/create-layer.ts';
import { forkHelper } from '../node/fork-helper.ts';
import type { NodeLayer, TargetPath } from '../node/layer.ts';
import { hidesRoot, type MountEntry } from '../node/mount-entry.ts';
import { NodeError } from '../node/node-error.ts';
import { Records } from '../node/records.ts';
import { silentLogger } from '../telemetry/log.ts';
import { connectTo } from './connect.ts';
import { giveBackS3 } from './down-s3.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { requireMountPrivilege } from './preflight.ts';
import { purge, removeIfEmpty } from './purge.ts';
import { isInside, type Settings } from './settings.ts';
import { type Instance, isRunning, isStateDir, lastInstance, readInstance, stateDirOf } from './state-dir.ts';

export interface DownOptions {
  readonly purge: boolean;
  /** Do not ask before `purge`. */
  readonly yes: boolean;
  /** Lose what was written to s3 volumes and has not reached the server. */
  readonly dropUnsent: boolean;
  readonly timeoutMs: number;
}

const POLL_MS = 50;
/** Longest that a server may take to take what was written, in milliseconds. */
const SYNC_MS = 20_000;

export async function down(settings: Settings, options: DownOptions): Promise<ExitCode> {
  requireMountPrivilege();
  const running = readInstance(settings.stateDir);
  // Where it was mounted counts, whatever is said here: a wrong place would find nothing to take down.
  const mountRoot = lastInstance(settings.stateDir)?.mountRoot ?? settings.mountRoot;
  const isState = running !== undefined || isStateDir(settings.stateDir);
  if (options.purge && !isState && existsSync(settings.stateDir)) {
    throw new CliError(
      ExitCode.usage,
      `--purge: ${settings.stateDir} is not a state directory of clawstore; nothing was deleted`,
    );
  }
  if (options.purge && !options.yes) await confirmPurge(settings.stateDir);
  const deadline = Date.now() + options.timeoutMs;
  if (running !== undefined) await stopInstance(running, deadline);
  const outside = isState ? await targetsOutside(settings, mountRoot) : [];
  const unmounted = outside === undefined || !isState ? `everything below ${mountRoot} is` : 'everything is';
  const signal = AbortSignal.timeout(options.timeoutMs);
  const { stateDir, mountHolder } = settings;
  const node = await createNodeLayer({ stateDir, mountRoot, mountHolder, helper: forkHelper() }, signal);
  try {
    const problems = await takeDown(node, outside ?? [], options, signal);
    for (const problem of problems) process.stderr.write(`clawstore: ${problem}\n`);
    if (problems.length > 0) return ExitCode.refused;
    if (!isState) {
      process.stdout.write(`${unmounted} unmounted; ${settings.stateDir} holds no data of clawstore\n`);
      return ExitCode.ok;
    }
    if (!options.purge) {
      process.stdout.write(
        `${unmounted} unmounted; the data stays in ${settings.stateDir} until clawstore down --purge\n`,
      );
      return ExitCode.ok;
    }
    await takeLimitsOff(node, signal);
    const left = purge(node);
    for (const what of left) process.stderr.write(`clawstore: kept: ${what}\n`);
    process.stdout.write(
      left.length === 0
        ? `${unmounted} unmounted, and ${settings.stateDir} is deleted with the volumes made in it\n`
        : `${unmounted} unmounted, and the volumes made in ${settings.stateDir} are deleted; what is kept there is named above\n`,
    );
    return ExitCode.ok;
  } finally {
    await node.close();
    // It was made for the helper's sake only.
    if (!isState) removeIfEmpty(settings.stateDir);
  }
}

async function confirmPurge(stateDir: string): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new CliError(
      ExitCode.usage,
      `--purge deletes every volume made in ${stateDir}; say --yes where nobody can be asked`,
    );
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(
    `This deletes ${stateDir} with every volume made in it. Type "delete" to go on: `,
  );
  terminal.close();
  if (answer.trim() !== 'delete') throw new CliError(ExitCode.refused, 'nothing was deleted');
}

async function stopInstance(running: Instance, deadline: number): Promise<void> {
  const { pid } = running;
  process.kill(pid, 'SIGTERM');
  while (isRunning(running)) {
    if (Date.now() > deadline) throw new CliError(ExitCode.timeout, `clawstore (pid ${pid}) did not stop in time`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/**
 * Targets that people chose outside the mount root. The mount table alone cannot tell them from mounts of others, so the
 * control plane is asked. Where that cannot be (a cluster that is away, a damaged database, a disk that became read-only)
 * the rest is taken down without it.
 * @returns undefined when they are not known, which is said.
 */
async function targetsOutside(settings: Settings, mountRoot: string): Promise<readonly string[] | undefined> {
  const { apiserver } = stateDirOf(settings.stateDir);
  try {
    if (existsSync(apiserver)) return await askOwn(settings, apiserver, mountRoot);
    return await wantedOutside(settings.kubeconfig, mountRoot, ({ status }) => status?.nodeName === settings.nodeName);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    process.stderr.write(`clawstore: mounts outside ${mountRoot} are not known and stay: ${why}\n`);
    return undefined;
  }
}

/** Starts our own, with a kubeconfig of its own, because the one that was given may be somebody's for a cluster. */
async function askOwn(settings: Settings, apiserver: string, mountRoot: string): Promise<readonly string[]> {
  const kubeconfig = join(apiserver, 'down.kubeconfig');
  const { serveApi } = await import('./serve-api.ts');
  const server = await serveApi(
    { directory: apiserver, kubeconfig, listen: settings.listen, auditLog: undefined, logLevel: 'error' },
    silentLogger,
  );
  try {
    return await wantedOutside(kubeconfig, mountRoot, () => true);
  } finally {
    await server.close();
    rmSync(kubeconfig, { force: true });
  }
}

async function wantedOutside(
  kubeconfig: string,
  mountRoot: string,
  isHere: (mount: VolumeMount) => boolean,
): Promise<readonly string[]> {
  const client = await connectTo(kubeconfig);
  try {
    const { items } = await client.list<VolumeMount>(VOLUME_MOUNTS);
    return items.filter(isHere).flatMap(({ status }) => {
      const path = status?.hostPath;
      return path === undefined || isInside(path, mountRoot) ? [] : [path];
    });
  } finally {
    await client.close();
  }
}

/** Takes down workloads' mounts first, then volumes, then pools, then the mount root. @returns what is in the way. */
async function takeDown(
  node: NodeLayer,
  outside: readonly string[],
  { purge, dropUnsent }: Pick<DownOptions, 'purge' | 'dropUnsent'>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { mountRoot, table } = node;
  const below = table.below(mountRoot);
  const inFolder = (name: string): readonly MountEntry[] =>
    below.filter(({ target }) => isInside(target, join(mountRoot, name)));
  const [volumes, pools] = [inFolder('.volumes'), inFolder('.pools')];
  const workloads = [
    ...below.filter((entry) => !volumes.includes(entry) && !pools.includes(entry)),
    ...outside.flatMap((path) => table.at(path) ?? []),
  ];
  const problems: string[] = [];
  for (const group of [workloads, volumes, pools, table.stackAt(mountRoot)]) {
    // Before anything else of the volumes: what is unmounted here cannot be sent any more.
    if (group === volumes) problems.push(...(await giveBackS3(node, { purge, dropUnsent }, signal)));
    for (const entry of group.toReversed()) {
      if (group === volumes && entry.fsType === FS_TYPE) continue;
      if (entry.fsType === 'tmpfs' && group === volumes && !purge && (await holdsFiles(node, entry, signal))) {
        problems.push(
          `${entry.target} is a volume in memory: unmounting it loses its files; delete the volume, or use --purge`,
        );
        continue;
      }
      const problem = await unmountOne(node, entry, group === volumes || group === pools ? 'device' : 'copies', signal);
      if (problem !== undefined) problems.push(problem);
    }
    // What is below would fail anyway, and say less.
    if (problems.length > 0) return problems;
  }
  return problems;
}

/** Without their records nobody could tell later whose the numbers in people's directories are. */
async function takeLimitsOff(node: NodeLayer, signal: AbortSignal): Promise<void> {
  const records = new Records(stateDirOf(node.stateDir).projects, isProjectRecord);
  for (const problem of await new DirectoryQuota(node, records).clearAll(signal)) {
    process.stderr.write(`clawstore: ${problem}\n`);
  }
}

async function holdsFiles(node: NodeLayer, entry: MountEntry, signal: AbortSignal): Promise<boolean> {
  const { filesTotal, filesFree } = await node.statfs(entry.target, signal);
  // The root and the data directory are two.
  return filesTotal - filesFree > 2n;
}

async function unmountOne(
  node: NodeLayer,
  entry: MountEntry,
  scope: 'copies' | 'device',
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    // The last unmount of an export waits without end for a server that has not been sent everything yet.
    if (scope === 'device' && hidesRoot(entry)) {
      await node.call('syncFilesystem', { path: entry.target }, { signal, deadlineMs: SYNC_MS });
    }
    const result = await node.unmount({ target: targetPath(node, entry.target), mountId: entry.id, scope }, signal);
    if (result.outcome === 'done') return undefined;
    const holders = result.holders.map(({ pid, comm }) => (pid === 0 ? comm : `${comm} (pid ${pid})`)).join(', ');
    return `${entry.target} is still in use by ${holders || 'an unknown process'}`;
  } catch (thrown) {
    return `${entry.target}: ${NodeError.from(thrown).message}`;
  }
}

function targetPath({ mountRoot }: NodeLayer, path: string): TargetPath {
  const root = path === mountRoot ? dirname(mountRoot) : isInside(path, mountRoot) ? mountRoot : '/';
  return { root, path: path.slice(root === '/' ? 1 : root.length + 1) };
}

/**
 * Deletes what we made in the state directory, by name, and the directory itself when nothing else is left in it: people
 * keep other things beside ours. Refused while anything is mounted below: nothing is ever deleted through a mount.
 */
