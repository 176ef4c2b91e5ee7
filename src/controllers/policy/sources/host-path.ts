import { cleanPath, isWithin } from '../../../api/paths.ts';
import type { HostPathSource } from '../../../api/volume.ts';
import type { VolumeClass } from '../../../api/volume-class.ts';
import type { NodePolicy, Refusal } from '../facts.ts';
import type { SourceType } from './source-type.ts';

export const hostPathSource: SourceType<HostPathSource> = {
  nodeLocal: true,
  allocates: false,
  defaultCapacity: undefined,
  // A host directory was there before us: it is never reclaimed, whatever a class says.
  reclaimPolicy: () => 'Retain',
  refusal,
  forDriver: ({ path, type = '' }, { allowedPrefixes }) => ({
    type: 'hostPath',
    path: cleanPath(path),
    pathType: type,
    allowedPrefixes,
  }),
  isPassing: () => false,
  describe: ({ path }) => `"${path}"`,
};

function refusal(
  { path }: HostPathSource,
  volumeClass: VolumeClass | undefined,
  { hostPathAllow }: NodePolicy,
): Refusal | undefined {
  if (volumeClass === undefined) {
    return no('No VolumeClass allows host paths here; an administrator must create one and the volume name it.');
  }
  const { allowedHostPathPrefixes: byClass = [] } = volumeClass.spec;
  const what = `hostPath "${path}"`;
  if (!byClass.some((prefix) => isWithin(path, prefix))) {
    const allowed = byClass.join(', ') || 'nothing';
    return no(`${what} is outside what VolumeClass "${volumeClass.metadata.name}" allows (${allowed}).`);
  }
  if (hostPathAllow !== undefined && !hostPathAllow.some((prefix) => isWithin(path, prefix))) {
    const allowed = hostPathAllow.join(', ') || 'nothing';
    return no(`${what} is outside what the node allows (${allowed}; --host-path-allow).`);
  }
  return undefined;
}

function no(message: string): Refusal {
  return { reason: 'HostPathNotAllowed', message, stalled: true };
}
