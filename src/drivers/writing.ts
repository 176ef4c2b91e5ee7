/** Writing into a volume that nobody has mounted: what the drivers share. */
import { join } from 'node:path';
import { Reason } from '../api/reasons.ts';
import type { NodeLayer } from '../node/layer.ts';
import type { MountEntry } from '../node/mount-entry.ts';
import type { TreeSource } from '../node/trees/operations.ts';
import { DriverError, type OpenedContent } from './driver.ts';
import { HIDDEN } from './trees/snapshots.ts';

/** mkfs.ext4(8) makes it in every filesystem. */
const LOST_AND_FOUND = 'lost+found';
/** What was written may take long to reach a slow disk, in milliseconds; its end is awaited again and again. */
const SYNC_MS = 600_000;

/** Refuses a volume that something beside its stage shows: what is written would appear under a workload's hands. */
export function refuseMounted(node: Pick<NodeLayer, 'table'>, name: string, stage: MountEntry | undefined): void {
  if (stage === undefined) throw new DriverError(Reason.VolumeNotReady, `volume ${name} is not mounted on this node`);
  const others = node.table.current().filter(({ device, id }) => device === stage.device && id !== stage.id);
  if (others.length === 0) return;
  const targets = others.slice(0, 5).map(({ target }) => target);
  throw new DriverError(Reason.VolumeInUse, `volume ${name} is mounted at ${targets.join(', ')}`, { terminal: true });
}

/** Looks at the directory that is to be written. @throws DriverError `DataMissing` when it is not there. */
export async function lookInside(
  node: Pick<NodeLayer, 'call'>,
  source: TreeSource,
  signal: AbortSignal,
): Promise<Omit<OpenedContent, 'device'>> {
  const look = await node.call('lookAtTree', { source, exclude: [HIDDEN, LOST_AND_FOUND] }, { signal });
  if (look === null) throw new DriverError(Reason.DataMissing, 'the directory of the volume is not there');
  const hidden = await node.call('lookAtTree', { source: below(source, HIDDEN) }, { signal });
  return { directory: source, names: look.names, hasSnapshots: hidden !== null };
}

/** Resolves when everything that was written below a path is on its disk. */
export async function syncTo(node: Pick<NodeLayer, 'call'>, path: string, signal: AbortSignal): Promise<void> {
  await node.call('syncFilesystem', { path }, { signal, deadlineMs: SYNC_MS });
}

function below(source: TreeSource, name: string): TreeSource {
  if ('own' in source) return { own: { ...source.own, path: join(source.own.path, name) } };
  return { user: { ...source.user, path: join(source.user.path, name) } };
}
