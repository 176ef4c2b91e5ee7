/** The API server that a run tests against: our embedded one or a real kube-apiserver. */
import { RealControlPlane } from './real-control-plane.ts';
import { onEnd } from './run.ts';

export type ControlPlaneKind = 'embedded' | 'real';

/** Which one this run uses: `E2E_CONTROL_PLANE`, set by the suite. */
export const controlPlaneKind: ControlPlaneKind = (() => {
  const kind = process.env['E2E_CONTROL_PLANE'];
  if (kind === 'embedded' || kind === 'real') return kind;
  throw new Error(`E2E_CONTROL_PLANE must be embedded or real, not ${JSON.stringify(kind)}`);
})();

let real: Promise<RealControlPlane> | undefined;

/** The one real control plane of this process, with the rights and policies of an installation; started with the first call, which says where it listens, ended after the last test. */
export async function realControlPlane(address?: string): Promise<RealControlPlane> {
  (await real)?.assertRunning();
  real ??= (async () => {
    const plane = await RealControlPlane.start('installed', address);
    onEnd(() => plane.end());
    return plane;
  })();
  return real;
}
