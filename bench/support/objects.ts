/** The objects that the cases make. */

export interface PairPlan {
  /** Names are PREFIX-NUMBER. */
  readonly prefix: string;
  readonly count: number;
  readonly source:
    | { readonly type: 'hostPath'; readonly directory: string }
    | { readonly type: 'emptyDir'; readonly capacity: string };
}

const API_VERSION = 'storage.clawbernetes.io/v1alpha1';

export function pairName(plan: PairPlan, index: number): string {
  return `${plan.prefix}-${index}`;
}

export function volumeOf(plan: PairPlan, index: number): string {
  const name = pairName(plan, index);
  const { source } = plan;
  const spec =
    source.type === 'hostPath'
      ? { hostPath: { path: `${source.directory}/${index}` } }
      : { emptyDir: {}, capacity: source.capacity };
  return JSON.stringify({ apiVersion: API_VERSION, kind: 'Volume', metadata: { name }, spec });
}

export function mountOf(plan: PairPlan, index: number): string {
  const name = pairName(plan, index);
  const spec = { volumeRef: { name }, workloadId: name, mountPath: '/data' };
  return JSON.stringify({ apiVersion: API_VERSION, kind: 'VolumeMount', metadata: { name }, spec });
}
