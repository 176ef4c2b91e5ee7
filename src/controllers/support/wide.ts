/**
 * Volumes that very many mount. Each grant is in the status of the volume, which every node that mounts it is sent: n
 * mounts that are granted one by one are n writes of up to n grants to n nodes.
 */
import type { Volume } from '../../api/volume.ts';

/** Grants up to which nobody is made to wait for others. */
const FEW = 16;
/** Wait per grant, in milliseconds. */
const PER_GRANT_MS = 2;
const MOST_MS = 2000;

/** How long changes of a volume's mounts are gathered for one write, in milliseconds. */
export function gatherFor(volume: Volume | undefined): number {
  const grants = volume?.status?.attachments?.length ?? 0;
  return grants <= FEW ? 0 : Math.min(MOST_MS, grants * PER_GRANT_MS);
}
