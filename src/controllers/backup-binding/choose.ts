/** Which volumes a Backup is of. Pure. */
import type { Backup } from '../../api/backup.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import { selects } from '../policy/label-selector.ts';

export interface Choice {
  readonly volumes: readonly Volume[];
  /** Names that the Backup has and no Volume. */
  readonly missing: readonly string[];
}

/** @param volumes Every Volume of the namespace, as the server has them. */
export function chooseVolumes({ spec }: Pick<Backup, 'spec'>, volumes: readonly Volume[]): Choice {
  if (spec.scope === 'Configs') return { volumes: [], missing: [] };
  if (spec.volumeRefs !== undefined) {
    const names = [...new Set(spec.volumeRefs.map(({ name }) => name))];
    const byName = new Map(volumes.map((volume) => [volume.metadata.name, volume]));
    const found = names.map((name) => byName.get(name));
    return {
      volumes: found.filter((volume) => volume !== undefined),
      missing: names.filter((_, index) => found[index] === undefined),
    };
  }
  const { volumeSelector } = spec;
  const chosen = volumes.filter(
    (volume) =>
      !isDeleting(volume) && (volumeSelector === undefined || selects(volumeSelector, volume.metadata.labels ?? {})),
  );
  return { volumes: chosen, missing: [] };
}

/** Names that the Backup has and none of its parts: they were not there when the volumes were chosen. */
export function missingVolumes({ spec }: Pick<Backup, 'spec'>, parts: readonly string[]): readonly string[] {
  if (spec.scope === 'Configs') return [];
  const names = new Set((spec.volumeRefs ?? []).map(({ name }) => name));
  const there = new Set(parts);
  return [...names].filter((name) => !there.has(name));
}
