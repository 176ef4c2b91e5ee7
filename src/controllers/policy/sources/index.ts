/** The types of volumes, one entry each. A further type is one more entry, and a driver. */
import type { VolumeSpec, VolumeType } from '../../../api/volume.ts';
import { volumeTypeOf } from '../../../api/volume.ts';
import type { VolumeClass } from '../../../api/volume-class.ts';
import type { DriverVolume } from '../../../drivers/driver.ts';
import type { NodePolicy, Refusal } from '../facts.ts';
import { emptyDirSource } from './empty-dir.ts';
import { hostPathSource } from './host-path.ts';
import { nfsSource } from './nfs.ts';
import { s3Source } from './s3.ts';
import type { Completion, SourceType } from './source-type.ts';

const SOURCE_TYPES: { readonly [Type in VolumeType]: SourceType<NonNullable<VolumeSpec[Type]>> } = {
  emptyDir: emptyDirSource,
  hostPath: hostPathSource,
  nfs: nfsSource,
  s3: s3Source,
};

/** The rules of a type, bound to the source of one volume. */
export interface Source
  extends Pick<SourceType<unknown>, 'nodeLocal' | 'allocates' | 'defaultCapacity' | 'reclaimPolicy'> {
  readonly type: VolumeType;
  refusal(volumeClass: VolumeClass | undefined, node: NodePolicy): Refusal | undefined;
  forDriver(completion: Completion): DriverVolume['source'];
  readonly isPassing: boolean;
  /** What the data lies in, to begin a sentence with. */
  readonly description: string;
}

/** The source of a volume; undefined when it has none that this version knows. */
export function sourceOf(spec: VolumeSpec): Source | undefined {
  const type = volumeTypeOf(spec);
  return type === undefined ? undefined : bound(type, spec);
}

/** Whether the storage lies on one node only. What is not known is taken for it: nothing else can be promised. */
export function isNodeLocal(spec: VolumeSpec): boolean {
  return sourceOf(spec)?.nodeLocal ?? true;
}

function bound<Type extends VolumeType>(type: Type, spec: VolumeSpec): Source {
  const rules: SourceType<NonNullable<VolumeSpec[Type]>> = SOURCE_TYPES[type];
  // `volumeTypeOf` has seen it.
  const source = spec[type] as NonNullable<VolumeSpec[Type]>;
  const { nodeLocal, allocates, defaultCapacity, reclaimPolicy } = rules;
  return {
    type,
    nodeLocal,
    allocates,
    defaultCapacity,
    reclaimPolicy,
    refusal: (volumeClass, node) => rules.refusal(source, volumeClass, node),
    forDriver: (completion) => rules.forDriver(source, completion),
    isPassing: rules.isPassing(source),
    description: rules.describe(source),
  };
}
