/** The facts of one VolumeBackup on its node: the object, its Volume, how that and the repository are reached. */
import type { VolumeBackup } from '../../api/backup.ts';
import { isFinished } from '../../api/restore.ts';
import type { Volume } from '../../api/volume.ts';
import type { Driver, DriverVolume } from '../../drivers/driver.ts';
import type { AccessResolution } from '../policy/repository.ts';
import { liesInVolume } from '../policy/repository.ts';
import type { Resolution } from '../policy/resolve-volume.ts';
import { driverVolume, resolveVolume } from '../policy/resolve-volume.ts';
import type { AgentDependencies } from '../support/agent.ts';
import { policyFacts } from '../support/agent.ts';
import { BY_UID, BY_VOLUME_UID } from '../support/indexes.ts';
import type { BackupTools } from '../support/repository-access.ts';
import { repositoryAccess } from '../support/repository-access.ts';
import { volumeRestoreOf } from '../volume-restore/observe.ts';

export interface VolumeBackupFacts {
  readonly part: VolumeBackup;
  readonly nodeName: string;
  /** The Volume with the UID that is named; undefined when it is gone. */
  readonly volume: Volume | undefined;
  /** What the policy says of it today. */
  readonly resolution: Resolution | undefined;
  readonly driver: Driver | undefined;
  /** The volume in the driver's words. */
  readonly words: DriverVolume | undefined;
  readonly access: AccessResolution;
  /** The repository lies in the volume. */
  readonly isInVolume: boolean;
  /** Something takes the volume back, or brings it the content of a backup. */
  readonly isRestored: boolean;
  /** Who may be writing on other nodes. */
  readonly elsewhere: readonly string[];
}

export function observeVolumeBackup(
  part: VolumeBackup,
  deps: AgentDependencies,
  tools: BackupTools,
): VolumeBackupFacts {
  const { stores, drivers, nodeName, named } = deps;
  const { volumeUID, repository } = part.spec;
  const volume = stores.volumes.byIndex(BY_UID, volumeUID)[0];
  const resolution = volume === undefined ? undefined : resolveVolume(policyFacts(deps, volume));
  const resolved = resolution?.ok === true ? resolution.resolved : undefined;
  const reverts = stores.restores.byIndex(BY_VOLUME_UID, volumeUID).filter((restore) => !isFinished(restore));
  return {
    part,
    nodeName,
    volume,
    resolution,
    driver: resolved === undefined ? undefined : drivers.get(resolved.type),
    words: volume === undefined || resolved === undefined ? undefined : driverVolume(volume, resolved, named),
    access: repositoryAccess(deps, tools, { namespace: part.metadata.namespace ?? '', location: repository }),
    isInVolume: volume !== undefined && liesInVolume(repository, volume),
    isRestored: reverts.length > 0 || volumeRestoreOf(volumeUID, deps) !== undefined,
    elsewhere: writersElsewhere(volume, nodeName),
  };
}

function writersElsewhere(volume: Volume | undefined, nodeName: string): readonly string[] {
  return (volume?.status?.attachments ?? [])
    .filter((attachment) => attachment.nodeName !== nodeName && !attachment.readOnly)
    .map((attachment) => `workload "${attachment.workloadId}" on node "${attachment.nodeName}"`);
}
