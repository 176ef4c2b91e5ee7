/** What both media do with moments of their volumes, and who of them is asked. */
import type {
  DriverContent,
  DriverSnapshot,
  DriverVolume,
  LongCall,
  SnapshotCalls,
  SnapshotLeftover,
  SnapshotObservation,
} from '../driver.ts';

export interface MediumSnapshots extends SnapshotCalls {
  /** Makes a volume whole with that content; there already = it is only grown. */
  fill(volume: DriverVolume, content: DriverContent, call: LongCall): Promise<void>;
}

export const NOT_THERE: SnapshotObservation = { facts: undefined, usedBytes: undefined };

export function isInMemory({ source }: DriverVolume): boolean {
  return source.type === 'emptyDir' && source.medium === 'Memory';
}

/** One face for both media; a snapshot is kept by the medium of the volume it is of. */
export function snapshotsOfMedia(media: {
  readonly images: MediumSnapshots;
  readonly memory: MediumSnapshots;
}): MediumSnapshots {
  const of = (volume: DriverVolume): MediumSnapshots => (isInMemory(volume) ? media.memory : media.images);
  return {
    areMomentary: true,
    observe: (snapshot: DriverSnapshot, signal: AbortSignal) => of(snapshot.volume).observe(snapshot, signal),
    take: (snapshot: DriverSnapshot, call: LongCall) => of(snapshot.volume).take(snapshot, call),
    delete: (snapshot: DriverSnapshot, signal: AbortSignal) => of(snapshot.volume).delete(snapshot, signal),
    fill: (volume, content, call) => of(volume).fill(volume, content, call),
    async leftovers(signal: AbortSignal): Promise<readonly SnapshotLeftover[]> {
      return [...(await media.images.leftovers(signal)), ...(await media.memory.leftovers(signal))];
    },
  };
}
