/** The kinds that are fuzzed, each with valid objects to start from: what is wrong everywhere tests only the parser. */
import type { JsonObject } from '../../../src/apiserver/schema/json-value.ts';

export interface FuzzKind {
  readonly apiVersion: string;
  readonly kind: string;
  readonly resource: string;
  readonly namespaced: boolean;
  readonly hasStatus: boolean;
  /** Valid bodies without metadata. */
  readonly bodies: readonly JsonObject[];
  /** Field selectors that it knows. */
  readonly fields: readonly string[];
  /** Stands before its names: two versions of one resource must not meet. */
  readonly prefix: string;
}

const OURS = 'storage.clawbernetes.io/v1alpha1';
const NOW = '2026-01-01T00:00:00Z';
const MICRO = '2026-01-01T00:00:00.000000Z';

const conditions = (...types: string[]): JsonObject[] =>
  types.map((type) => ({
    type,
    status: 'True',
    reason: 'Provisioned',
    message: '',
    lastTransitionTime: NOW,
    observedGeneration: 1,
  }));

const kinds: readonly (Omit<FuzzKind, 'fields' | 'prefix'> & Partial<Pick<FuzzKind, 'fields' | 'prefix'>>)[] = [
  {
    apiVersion: OURS,
    kind: 'Volume',
    resource: 'volumes',
    namespaced: true,
    hasStatus: true,
    fields: ['status.nodeName'],
    bodies: [
      { spec: { emptyDir: {} } },
      { spec: { hostPath: { path: '/srv/a', type: 'DirectoryOrCreate' }, capacity: '20Gi' } },
      {
        spec: {
          emptyDir: { medium: 'Memory' },
          capacity: '1.5Gi',
          capacityPolicy: 'Enforce',
          accessModes: ['ReadWriteOncePod'],
          mountOptions: ['noatime', 'uid=1000'],
          volumeClassName: 'fast',
          nodeName: 'node-1.example',
          nodeSelector: { 'kubernetes.io/arch': 'amd64' },
          reclaimPolicy: 'Retain',
        },
      },
      {
        spec: { hostPath: { path: '/srv/b' } },
        status: {
          observedGeneration: 1,
          phase: 'Attached',
          nodeName: 'n1',
          capacity: '10Gi',
          reclaimPolicy: 'Retain',
          provisioning: 'Thin',
          conditions: conditions('Ready', 'Provisioned', 'CapacityEnforced'),
          usage: { usedBytes: 5, observedAt: NOW },
          attachments: [
            { mountUID: 'a-b', workloadId: 'w', nodeName: 'n1', readOnly: false },
            { mountUID: 'c-d', workloadId: 'x', nodeName: 'n1', readOnly: true },
          ],
          mounts: { desired: 2, ready: 1 },
        },
      },
    ],
  },
  {
    apiVersion: OURS,
    kind: 'VolumeMount',
    resource: 'volumemounts',
    namespaced: true,
    hasStatus: true,
    fields: ['status.nodeName'],
    bodies: [
      { spec: { volumeRef: { name: 'data' }, workloadId: 'w1', mountPath: '/data' } },
      {
        spec: {
          volumeRef: { name: 'data' },
          workloadId: 'pod/default/web-0:main@1',
          mountPath: '/data',
          readOnly: true,
          nodeName: 'a',
          hostPath: '/srv/t',
        },
        status: {
          observedGeneration: 1,
          phase: 'Mounted',
          nodeName: 'a',
          hostPath: '/run/x',
          source: '/srv/x',
          mountedAt: NOW,
          restarts: 0,
          busyBy: [{ pid: 1, comm: 'init' }],
          conditions: conditions('Ready', 'Mounted', 'Healthy'),
        },
      },
    ],
  },
  {
    apiVersion: OURS,
    kind: 'VolumeClass',
    resource: 'volumeclasses',
    namespaced: false,
    hasStatus: false,
    bodies: [
      { spec: { allowedTypes: ['emptyDir'] } },
      {
        spec: {
          allowedNamespaces: {
            matchLabels: { team: 'a' },
            matchExpressions: [{ key: 'env', operator: 'In', values: ['dev', 'prod'] }],
          },
          allowedTypes: ['emptyDir', 'hostPath'],
          allowedHostPathPrefixes: ['/data', '/srv'],
          allowedMountOptions: ['suid', 'uid=*'],
          defaults: { pool: 'fast', provisioning: 'Thick', reclaimPolicy: 'Retain', mountOptions: ['noatime'] },
        },
      },
    ],
  },
  {
    apiVersion: OURS,
    kind: 'StorageNode',
    resource: 'storagenodes',
    namespaced: false,
    hasStatus: true,
    bodies: [
      { spec: {} },
      { spec: {}, status: { observedGeneration: 1, conditions: conditions('Ready'), capacity: '1Ti', free: '5Gi' } },
    ],
  },
  {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    resource: 'configmaps',
    namespaced: true,
    hasStatus: false,
    bodies: [{ data: { a: 'b', c: '' } }, { binaryData: { x: 'AAEC' }, immutable: false, data: { 'k.y_z-1': 'v' } }],
  },
  {
    apiVersion: 'v1',
    kind: 'Secret',
    resource: 'secrets',
    namespaced: true,
    hasStatus: false,
    fields: ['type'],
    bodies: [{ data: { a: 'Yg==' } }, { type: 'Opaque', stringData: { p: 'q' }, immutable: true }],
  },
  {
    apiVersion: 'v1',
    kind: 'Event',
    resource: 'events',
    namespaced: true,
    hasStatus: false,
    fields: ['involvedObject.name', 'reason', 'type', 'involvedObject.kind'],
    bodies: [
      {
        involvedObject: { kind: 'Volume', name: 'a', namespace: '@ns', apiVersion: OURS, uid: 'u' },
        reason: 'Provisioned',
        message: 'm',
        type: 'Normal',
        source: { component: 'c', host: 'h' },
        firstTimestamp: NOW,
        lastTimestamp: NOW,
        count: 1,
      },
    ],
  },
  {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    resource: 'events',
    namespaced: true,
    hasStatus: false,
    fields: ['regarding.name', 'reason', 'type'],
    prefix: 'e-',
    bodies: [
      {
        regarding: { kind: 'Volume', name: 'a', namespace: '@ns', apiVersion: OURS },
        reason: 'Provisioned',
        action: 'Provision',
        note: 'n',
        type: 'Warning',
        eventTime: MICRO,
        reportingController: 'clawstore/agent',
        reportingInstance: 'i',
        series: { count: 2, lastObservedTime: MICRO },
      },
    ],
  },
  {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    resource: 'leases',
    namespaced: true,
    hasStatus: false,
    bodies: [
      {
        spec: {
          holderIdentity: 'a',
          leaseDurationSeconds: 15,
          acquireTime: MICRO,
          renewTime: MICRO,
          leaseTransitions: 1,
        },
      },
      { spec: {} },
    ],
  },
  {
    apiVersion: 'v1',
    kind: 'Namespace',
    resource: 'namespaces',
    namespaced: false,
    hasStatus: true,
    fields: ['status.phase'],
    bodies: [{}, { spec: { finalizers: ['kubernetes', 'a.example/b'] } }],
  },
  {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    resource: 'customresourcedefinitions',
    namespaced: false,
    hasStatus: true,
    bodies: [{ spec: { group: 'a.example', names: { plural: 'as', kind: 'A' }, scope: 'Cluster', versions: [] } }],
  },
];

export const KINDS: readonly FuzzKind[] = kinds.map((kind) => ({ fields: [], prefix: '', ...kind }));

/** The path of a kind's collection. */
export function collectionPath({ apiVersion, resource, namespaced }: FuzzKind, namespace: string): string {
  const base = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
  return namespaced ? `${base}/namespaces/${namespace}/${resource}` : `${base}/${resource}`;
}
