/** What differs between the types of volumes, as far as the API goes. */
import type { ReclaimPolicy, VolumeSpec } from '../../../api/volume.ts';
import type { VolumeClass } from '../../../api/volume-class.ts';
import type { DriverVolume } from '../../../drivers/driver.ts';
import type { NodePolicy, Refusal } from '../facts.ts';

/** One type of volume; `Source` is its member of a Volume's spec. */
export interface SourceType<Source> {
  /** The storage lies on one node: mounts must be there. Otherwise any node can mount it, and one of them owns it. */
  readonly nodeLocal: boolean;
  /** Space is allocated for it on a pool, Thick or Thin. */
  readonly allocates: boolean;
  /** Size of a volume that names none. */
  readonly defaultCapacity: string | undefined;
  /** What becomes of the data; `byClass` is the class's default. */
  readonly reclaimPolicy: (spec: VolumeSpec, byClass: ReclaimPolicy | undefined) => ReclaimPolicy;
  /** Why the class (undefined: there is none) or the node does not allow the source. */
  readonly refusal: (source: Source, volumeClass: VolumeClass | undefined, node: NodePolicy) => Refusal | undefined;
  readonly forDriver: (source: Source, allowedPrefixes: readonly string[]) => DriverVolume['source'];
  /** Whether storage that was made and is gone is lost by its nature, and simply made again. */
  readonly isPassing: (source: Source) => boolean;
  /** What the data lies in, to begin a sentence with. */
  readonly describe: (source: Source) => string;
}
