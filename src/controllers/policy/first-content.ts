/**
 * Volumes that start with the content of a backup. Unlike other dataSources it is written into storage that is there
 * already, by a VolumeRestore, and until that has ended well the volume is not provisioned. Pure.
 */
import { findCondition, isTrue } from '../../api/conditions.ts';
import { RESTORE_UID_ANNOTATION } from '../../api/group.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeRestore } from '../../api/volume-restore.ts';
import { hasRestoreEnded } from '../../api/volume-restore.ts';
import type { Failure } from '../support/failure.ts';
import { wasProvisioned } from './resolve-volume.ts';

/** Whether it does: it says so itself, or a Restore has made it for that. */
export function startsFromBackup({ metadata, spec }: Volume): boolean {
  return spec.dataSource?.backupRef !== undefined || metadata.annotations?.[RESTORE_UID_ANNOTATION] !== undefined;
}

/**
 * What the volume waits for; undefined when it has its content, or starts without. `restores`: those of this volume, by
 * its UID.
 */
export function lacksContent(volume: Volume, restores: readonly VolumeRestore[]): Failure | undefined {
  if (!startsFromBackup(volume) || wasProvisioned(volume.status)) return undefined;
  const filling = restores.filter(({ spec }) => spec.mode === 'New' && spec.dryRun !== true);
  if (filling.some((restore) => isTrue(restore.status?.conditions, 'Ready'))) return undefined;
  const restore = filling.find((one) => !hasRestoreEnded(one)) ?? filling.at(-1);
  if (restore === undefined)
    return waiting('The volume waits for the content of a backup, which is not being restored.');
  const { reason, message = '' } = findCondition(restore.status?.conditions, 'Ready') ?? {};
  if (!hasRestoreEnded(restore)) {
    const isSaid = reason !== undefined && reason !== 'VolumeNotReady' && reason !== 'VolumeNotFound';
    return waiting(isSaid ? message : 'The volume waits for the content of a backup.');
  }
  const text = `The content of the backup did not come: ${message} Delete the volume, and restore it anew.`;
  return { reason: 'RestoreFailed', message: text, stalled: true };
}

function waiting(message: string): Failure {
  return { reason: 'Restoring', message, stalled: false };
}
