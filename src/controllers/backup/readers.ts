/** Who brings back what a Backup has, on the node that tends its repository: its data stays until they have it. Pure. */
import type { Backup } from '../../api/backup.ts';
import { isDeleting } from '../../api/meta.ts';
import { isFinished } from '../../api/restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { AgentStores } from '../support/agent.ts';

/**
 * For people. A Restore has the node of the repository; a volume with `dataSource.backupRef` has its own, and is known here
 * where that is this one.
 */
export function readersOf(
  { metadata: { namespace }, spec, status }: Backup,
  { restores, volumeRestores }: Pick<AgentStores, 'restores' | 'volumeRestores'>,
): readonly string[] {
  const backupID = spec.imported?.backupID ?? status?.backupID;
  if (backupID === undefined) return [];
  const ofRestores = restores
    .list()
    .filter((one) => one.metadata.namespace === namespace && one.status?.backupID === backupID)
    .filter((one) => !isFinished(one) && !isDeleting(one));
  const ofVolumes = volumeRestores
    .list()
    .filter((one) => one.metadata.namespace === namespace && one.spec.backupID === backupID)
    .filter((one) => !hasRestoreEnded(one) && !isDeleting(one) && one.spec.restoreRef === undefined);
  return [
    ...ofRestores.map(({ metadata }) => `Restore "${metadata.name}"`),
    ...ofVolumes.map(({ spec: { volumeRef } }) => `volume "${volumeRef.name}", which starts from it`),
  ];
}
