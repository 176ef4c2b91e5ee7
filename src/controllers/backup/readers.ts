/** Who brings back what a Backup has: its data stays until they have it. */
import type { Backup } from '../../api/backup.ts';
import { isDeleting, RESTORES, VOLUME_RESTORES } from '../../api/meta.ts';
import type { Restore } from '../../api/restore.ts';
import { isFinished } from '../../api/restore.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { Live } from '../support/live.ts';

export interface Reading {
  readonly restores: readonly Restore[];
  readonly volumeRestores: readonly VolumeRestore[];
}

/** For people. Pure. */
export function readersOf(
  { metadata: { namespace }, spec, status }: Backup,
  { restores, volumeRestores }: Reading,
): readonly string[] {
  const backupID = spec.imported?.backupID ?? status?.backupID;
  if (backupID === undefined) return [];
  const ofRestores = restores
    .filter((one) => one.metadata.namespace === namespace && one.status?.backupID === backupID)
    .filter((one) => !isFinished(one) && !isDeleting(one));
  const ofVolumes = volumeRestores
    .filter((one) => one.metadata.namespace === namespace && one.spec.backupID === backupID)
    .filter((one) => !hasRestoreEnded(one) && !isDeleting(one) && one.spec.restoreRef === undefined);
  return [
    ...ofRestores.map(({ metadata }) => `Restore "${metadata.name}"`),
    ...ofVolumes.map(({ spec: { volumeRef } }) => `volume "${volumeRef.name}", which starts from it`),
  ];
}

/**
 * The readers of each of some Backups, as the API server says now. A Restore has the node of the repository, but a volume with
 * `dataSource.backupRef` has its own: the agent that deletes does not know it from its caches.
 */
export async function readersNow(
  backups: readonly Backup[],
  live: Live,
  signal: AbortSignal,
): Promise<readonly (readonly string[])[]> {
  const known = new Map<string | undefined, Reading>();
  for (const namespace of new Set(backups.map(({ metadata }) => metadata.namespace))) {
    const restores = await live.list<Restore>(RESTORES, { namespace }, signal);
    const volumeRestores = await live.list<VolumeRestore>(VOLUME_RESTORES, { namespace }, signal);
    known.set(namespace, { restores, volumeRestores });
  }
  return backups.map((backup) =>
    readersOf(backup, known.get(backup.metadata.namespace) ?? { restores: [], volumeRestores: [] }),
  );
}
