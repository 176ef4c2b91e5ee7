/** Storage that is not on this node makes no event when it dies or is back, unless its driver tells of it. */
import type { Volume } from '../../api/volume.ts';
import { volumeTypeOf } from '../../api/volume.ts';
import { isNodeLocal } from '../policy/sources/index.ts';
import type { AgentDependencies } from './agent.ts';

/** How often storage on a server is looked at where its driver does not do that, in milliseconds. */
export const PROBE_MS = 5_000;

export function mustBeProbed({ spec }: Volume, drivers: AgentDependencies['drivers']): boolean {
  if (isNodeLocal(spec)) return false;
  const type = volumeTypeOf(spec);
  return type === undefined || drivers.get(type)?.onChange === undefined;
}
