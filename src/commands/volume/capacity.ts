/** Sizes of volumes as callers give them: GiB, in fractions too. */

const MIB_PER_GIB = 1024;
/** `MAX_CAPACITY` (16Pi) in GiB. */
export const MAX_SIZE_GIB = 16 * 1024 * 1024;

/** The quantity that stands for so many GiB, at least 1 MiB. */
export function capacityOf(sizeGb: number): string {
  // Whole MiB: a quantity has no binary fractions, and filesystems are made in MiB anyway.
  const mebibytes = Math.max(1, Math.round(sizeGb * MIB_PER_GIB));
  return mebibytes % MIB_PER_GIB === 0 ? `${mebibytes / MIB_PER_GIB}Gi` : `${mebibytes}Mi`;
}
