import { DEFAULT_EMPTY_DIR_CAPACITY } from '../../../api/group.ts';
import type { EmptyDirSource } from '../../../api/volume.ts';
import type { SourceType } from './source-type.ts';

export const emptyDirSource: SourceType<EmptyDirSource> = {
  nodeLocal: true,
  allocates: true,
  defaultCapacity: DEFAULT_EMPTY_DIR_CAPACITY,
  reclaimPolicy: (spec, byClass) => spec.reclaimPolicy ?? byClass ?? 'Delete',
  refusal: () => undefined,
  forDriver: ({ medium = '' }) => ({ type: 'emptyDir', medium }),
  isPassing: ({ medium }) => medium === 'Memory',
  describe: () => 'The image of the volume',
};
