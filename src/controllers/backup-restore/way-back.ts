/** How volumes get back what they had before a Restore in place that did not end well. Pure. */
import type { PlannedVolume, Restore } from '../../api/restore.ts';
import type { VolumeState } from './volumes.ts';
import { safetyNameOf } from './volumes.ts';

/** Volumes that a message has at most. */
const MOST = 3;

/** A sentence for each volume that was written into; empty when none was. */
export function wayBack(restore: Restore, planned: readonly PlannedVolume[], states: readonly VolumeState[]): string {
  const { namespace = '' } = restore.metadata;
  const said = planned.flatMap((one, index) => {
    const state = states[index];
    const wasBegun = state?.part?.status?.startTime !== undefined;
    if (one.mode !== 'InPlace' || restore.spec.dryRun === true || state === undefined || !wasBegun) return [];
    const safety = safetyNameOf(restore, one, planned);
    const has = state.state === 'done' ? 'has what the backup had' : 'may have a part of the backup now';
    // What has ended well is a choice; what has not is to be mended.
    if (safety === undefined) {
      return state.state === 'done'
        ? []
        : [
            ` Volume "${one.to}" ${has}, and no safety Snapshot was asked for: restore it again, with existingFiles Overwrite.`,
          ];
    }
    const command = `clawstore snapshot revert ${safety} -n ${namespace}`;
    return [` Volume "${one.to}" ${has}; "${command}" takes it back to what it had before.`];
  });
  const rest = said.length - MOST;
  const more = ` The same holds for ${rest} more ${rest === 1 ? 'volume' : 'volumes'}; status.volumes has their names.`;
  return said.slice(0, MOST).join('') + (rest > 0 ? more : '');
}
