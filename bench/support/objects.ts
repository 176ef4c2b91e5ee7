/** The objects that the cases make. */

export interface PairPlan {
  /** Names are PREFIX-NUMBER. */
  readonly prefix: string;
  readonly count: number;
  readonly source:
    | { readonly type: 'hostPath'; readonly directory: string }
    | { readonly type: 'emptyDir'; readonly capacity: string; readonly medium?: 'Memory' }
    | { readonly type: 's3'; readonly bucket: string; readonly endpoint: string; readonly secret: string };
}

const API_VERSION = 'storage.clawbernetes.io/v1alpha1';

export function pairName(plan: PairPlan, index: number): string {
  return `${plan.prefix}-${index}`;
}

export function volumeOf(plan: PairPlan, index: number): string {
  const name = pairName(plan, index);
  return JSON.stringify({ apiVersion: API_VERSION, kind: 'Volume', metadata: { name }, spec: specOf(plan, index) });
}

function specOf(plan: PairPlan, index: number): unknown {
  const { source } = plan;
  switch (source.type) {
    case 'hostPath':
      return { hostPath: { path: `${source.directory}/${index}` } };
    case 'emptyDir':
      return { emptyDir: source.medium === undefined ? {} : { medium: source.medium }, capacity: source.capacity };
    case 's3': {
      const { bucket, endpoint, secret } = source;
      const prefix = pairName(plan, index);
      return { s3: { bucket, prefix, endpoint, credentialsSecretRef: { name: secret } } };
    }
    default:
      return source satisfies never;
  }
}

export function mountOf(plan: PairPlan, index: number): string {
  const name = pairName(plan, index);
  const spec = { volumeRef: { name }, workloadId: name, mountPath: '/data' };
  return JSON.stringify({ apiVersion: API_VERSION, kind: 'VolumeMount', metadata: { name }, spec });
}
