/** What differs between the types of volumes, as far as the API goes. */
import type { ReclaimPolicy, VolumeSpec } from '../../../api/volume.ts';
import type { VolumeClass, VolumeClassDefaults } from '../../../api/volume-class.ts';
import type { DriverVolume } from '../../../drivers/driver.ts';
import type { Named, NodePolicy, Refusal } from '../facts.ts';

/** What a source is completed with before a driver gets it. */
export interface Completion {
  /** Prefixes that sources and mount targets may lie at or below: what class and node both allow. */
  readonly allowedPrefixes: readonly string[];
  readonly defaults: VolumeClassDefaults;
  /** Objects of the volume's own namespace. */
  readonly secret: (name: string) => Named;
  readonly configMap: (name: string) => Named;
}

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
  readonly forDriver: (source: Source, completion: Completion) => DriverVolume['source'];
  /** Whether storage that was made and is gone is lost by its nature, and simply made again. */
  readonly isPassing: (source: Source) => boolean;
  /** What the data lies in, to begin a sentence with. */
  readonly describe: (source: Source) => string;
}
