/** The requests that people and controllers send most: to our kinds, and to the core kinds that they need. */
import {
  A,
  apply,
  type Case,
  EVENTS,
  GROUP,
  get,
  JSON_PATCH,
  LEASES,
  MAPS,
  MERGE,
  make,
  named,
  PARTIAL,
  PARTIAL_LIST,
  patch,
  post,
  put,
  remove,
  SECRETS,
  STRATEGIC,
  type Subject,
  TABLE,
  VOLUMES,
  volume,
} from './support.ts';

const CASES: readonly Case[] = [
  { name: 'create fills in defaults, system metadata and managedFields', steps: [make, get(A)] },
  { name: 'create twice', steps: [make, make] },
  { name: 'create with a resourceVersion', steps: [post(VOLUMES, volume('a', {}, { resourceVersion: '5' }))] },
  {
    name: 'create without kind',
    steps: [post(VOLUMES, { apiVersion: 'storage.clawbernetes.io/v1alpha1', metadata: { name: 'a' } })],
  },
  { name: 'create without apiVersion', steps: [post(VOLUMES, { kind: 'Volume', metadata: { name: 'a' } })] },
  { name: 'create of another version', steps: [post(VOLUMES, { ...volume('a'), apiVersion: 'v1' })] },
  { name: 'create of another kind', steps: [post(VOLUMES, { ...volume('a'), kind: 'VolumeMount' })] },
  { name: 'create without name', steps: [post(VOLUMES, volume('a', { metadata: {} }))] },
  { name: 'create with a bad name', steps: [post(VOLUMES, volume('B_'))] },
  {
    name: 'create in another namespace than the path',
    steps: [post(VOLUMES, volume('a', {}, { namespace: 'default' }))],
  },
  { name: 'create in a missing namespace', steps: [post(VOLUMES.replace('{ns}', 'no-such'), volume('a'))] },
  { name: 'create from nonsense', steps: [{ method: 'POST', path: VOLUMES, raw: 'nonsense' }] },
  { name: 'create from nothing', steps: [{ method: 'POST', path: VOLUMES, raw: '' }] },
  {
    name: 'create from an unknown media type',
    steps: [{ method: 'POST', path: VOLUMES, raw: 'x', type: 'text/plain' }],
  },
  {
    name: 'create from YAML',
    steps: [
      {
        method: 'POST',
        path: VOLUMES,
        type: 'application/yaml',
        raw: 'apiVersion: storage.clawbernetes.io/v1alpha1\nkind: Volume\nmetadata:\n  name: a\nspec:\n  hostPath:\n    path: /data/x\n',
      },
    ],
  },
  {
    name: 'create with an unknown field, strict',
    steps: [
      post(`${VOLUMES}?fieldValidation=Strict`, volume('a', { spec: { hostPath: { path: '/data/x' }, foo: 1 } })),
    ],
  },
  {
    name: 'create with an unknown field, warn',
    steps: [post(`${VOLUMES}?fieldValidation=Warn`, volume('a', { spec: { hostPath: { path: '/data/x' }, foo: 1 } }))],
  },
  {
    name: 'create with an unknown field, default',
    steps: [post(VOLUMES, volume('a', { spec: { hostPath: { path: '/data/x' }, foo: 1 } }))],
  },
  {
    name: 'create with an unknown field, ignore',
    steps: [
      post(`${VOLUMES}?fieldValidation=Ignore`, volume('a', { spec: { hostPath: { path: '/data/x' }, foo: 1 } })),
    ],
  },
  {
    name: 'create with a duplicate field, strict',
    steps: [
      {
        method: 'POST',
        path: `${VOLUMES}?fieldValidation=Strict`,
        raw: '{"apiVersion":"storage.clawbernetes.io/v1alpha1","kind":"Volume","metadata":{"name":"a"},"spec":{"hostPath":{"path":"/data/x","path":"/data/y"}}}',
      },
    ],
  },
  { name: 'a bad fieldValidation', steps: [post(`${VOLUMES}?fieldValidation=Perhaps`, volume('a'))] },
  { name: 'a bad dryRun', steps: [post(`${VOLUMES}?dryRun=Some`, volume('a'))] },
  { name: 'dry run of a create stores nothing', steps: [post(`${VOLUMES}?dryRun=All`, volume('a')), get(A)] },
  { name: 'a field manager in the query', steps: [post(`${VOLUMES}?fieldManager=somebody`, volume('a'))] },
  {
    name: 'a field manager that is too long',
    steps: [post(`${VOLUMES}?fieldManager=${'x'.repeat(200)}`, volume('a'))],
  },
  { name: 'create with a status leaves it out', steps: [post(VOLUMES, volume('a', { status: { phase: 'Bound' } }))] },
  { name: 'create with bad labels', steps: [post(VOLUMES, volume('a', {}, { labels: { 'a/b/c': 'x y' } }))] },
  { name: 'create with bad finalizers', steps: [post(VOLUMES, volume('a', {}, { finalizers: ['x y'] }))] },
  { name: 'metadata of the wrong type', steps: [post(VOLUMES, volume('a', {}, { labels: 5 }))] },
  { name: 'a value of the wrong type', steps: [post(VOLUMES, volume('a', { spec: { hostPath: 'x' } }))] },
  {
    name: 'a violated rule',
    steps: [post(VOLUMES, volume('a', { spec: { emptyDir: {}, hostPath: { path: '/x' } } }))],
  },
  { name: 'replace without resourceVersion', steps: [make, put(A, volume('a'))] },
  { name: 'replace with an old resourceVersion', steps: [make, put(A, volume('a', {}, { resourceVersion: '1' }))] },
  {
    name: 'replace with a resourceVersion that is no number',
    steps: [make, put(A, volume('a', {}, { resourceVersion: 'abc' }))],
  },
  { name: 'replace under another name', steps: [make, put(A, volume('c'))] },
  { name: 'replace of nothing', steps: [put(A, volume('a'))] },
  { name: 'replace with another uid', steps: [make, put(A, volume('a', {}, { uid: 'x', resourceVersion: '1' }))] },
  {
    name: 'merge patch of the spec bumps the generation',
    steps: [make, patch(A, MERGE, { spec: { capacity: '1Gi' } }), get(A)],
  },
  {
    name: 'merge patch of the metadata does not',
    steps: [make, patch(A, MERGE, { metadata: { labels: { a: 'b' } } })],
  },
  {
    name: 'merge patch that changes nothing',
    steps: [make, patch(A, MERGE, { spec: { hostPath: { path: '/data/x' } } })],
  },
  {
    name: 'merge patch that removes',
    steps: [
      make,
      patch(A, MERGE, { spec: { capacity: '1Gi' } }),
      patch(A, MERGE, { metadata: { labels: { a: null } }, spec: { mountOptions: null } }),
    ],
  },
  {
    name: 'merge patch of an immutable field',
    steps: [make, patch(A, MERGE, { spec: { accessModes: ['ReadOnlyMany'] } })],
  },
  { name: 'merge patch of the uid', steps: [make, patch(A, MERGE, { metadata: { uid: 'x' } })] },
  { name: 'merge patch of the name', steps: [make, patch(A, MERGE, { metadata: { name: 'x' } })] },
  {
    name: 'merge patch with an old resourceVersion',
    steps: [make, patch(A, MERGE, { metadata: { resourceVersion: '1' } })],
  },
  {
    name: 'merge patch with an unknown field, strict',
    steps: [make, patch(`${A}?fieldValidation=Strict`, MERGE, { spec: { foo: 1 } })],
  },
  { name: 'patch of nothing', steps: [patch(A, MERGE, {})] },
  { name: 'strategic merge patch of a custom resource', steps: [make, patch(A, STRATEGIC, {})] },
  { name: 'patch of an unknown type', steps: [make, patch(A, 'text/plain', {})] },
  { name: 'JSON patch', steps: [make, patch(A, JSON_PATCH, [{ op: 'add', path: '/spec/capacity', value: '2Gi' }])] },
  {
    name: 'JSON patch whose test fails',
    steps: [make, patch(A, JSON_PATCH, [{ op: 'test', path: '/spec/capacity', value: 1 }])],
  },
  { name: 'JSON patch of a missing field', steps: [make, patch(A, JSON_PATCH, [{ op: 'remove', path: '/spec/foo' }])] },
  { name: 'force without apply', steps: [make, patch(`${A}?force=true`, MERGE, {})] },
  {
    name: 'status patch changes the status alone',
    steps: [
      make,
      patch(`${A}/status`, MERGE, {
        metadata: { labels: { z: 'c' } },
        spec: { capacity: '5Gi' },
        status: { phase: 'Bound' },
      }),
      get(`${A}/status`),
    ],
  },
  {
    name: 'a patch of the main resource leaves the status',
    steps: [
      make,
      patch(`${A}/status`, MERGE, { status: { phase: 'Bound' } }),
      patch(A, MERGE, { status: { phase: 'Pending' } }),
    ],
  },
  { name: 'an invalid status', steps: [make, patch(`${A}/status`, MERGE, { status: { phase: 'Nonsense' } })] },
  { name: 'apply creates', steps: [apply(`${A}?fieldManager=me`, volume('a')), get(A)] },
  { name: 'apply without a manager', steps: [apply(A, volume('a'))] },
  {
    name: 'apply again changes nothing',
    steps: [apply(`${A}?fieldManager=me`, volume('a')), apply(`${A}?fieldManager=me`, volume('a'))],
  },
  {
    name: 'apply of a conflict',
    steps: [
      apply(`${A}?fieldManager=me`, volume('a', {}, { labels: { x: '1' } })),
      apply(`${A}?fieldManager=you`, volume('a', {}, { labels: { x: '2' } })),
      apply(`${A}?fieldManager=you&force=true`, volume('a', {}, { labels: { x: '2' } })),
    ],
  },
  {
    name: 'apply removes what it no longer says',
    steps: [
      apply(`${A}?fieldManager=me`, volume('a', {}, { labels: { x: '1', y: '2' } })),
      apply(`${A}?fieldManager=me`, volume('a', {}, { labels: { x: '1' } })),
    ],
  },
  { name: 'apply of an unknown field', steps: [apply(`${A}?fieldManager=me`, volume('a', { spec: { foo: 1 } }))] },
  {
    name: 'apply of a status',
    steps: [
      make,
      apply(`${A}/status?fieldManager=agent`, {
        apiVersion: 'storage.clawbernetes.io/v1alpha1',
        kind: 'Volume',
        metadata: { name: 'a' },
        status: {
          phase: 'Bound',
          conditions: [
            { type: 'Ready', status: 'True', reason: 'Done', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
          ],
        },
      }),
      get(A),
    ],
  },
  {
    name: 'apply of the status of nothing',
    steps: [apply(`${A}/status?fieldManager=agent`, volume('a', { status: { phase: 'Bound' } }))],
  },
  { name: 'apply with a dry run', steps: [apply(`${A}?fieldManager=me&dryRun=All`, volume('a')), get(A)] },
  { name: 'apply of another kind', steps: [apply(`${A}?fieldManager=me`, { ...volume('a'), kind: 'Other' })] },
  { name: 'delete', steps: [make, remove(A), get(A), remove(A)] },
  { name: 'delete with a wrong uid', steps: [make, remove(A, { preconditions: { uid: 'abc' } })] },
  {
    name: 'delete with a wrong resourceVersion',
    steps: [make, remove(A, { preconditions: { resourceVersion: '1' } })],
  },
  { name: 'delete with a bad policy', steps: [make, remove(A, { propagationPolicy: 'Nope' })] },
  { name: 'delete with a dry run', steps: [make, remove(`${A}?dryRun=All`), get(A)] },
  {
    name: 'delete waits for finalizers',
    steps: [
      post(VOLUMES, volume('a', {}, { finalizers: ['example.com/x'] })),
      remove(A),
      remove(A),
      patch(A, MERGE, { metadata: { finalizers: ['example.com/x', 'example.com/y'] } }),
      patch(A, MERGE, { metadata: { finalizers: null } }),
      get(A),
    ],
  },
  {
    name: 'a spec change while deleting',
    steps: [
      post(VOLUMES, volume('a', {}, { finalizers: ['example.com/x'] })),
      remove(A),
      patch(A, MERGE, { spec: { capacity: '1Gi' } }),
    ],
  },
  {
    name: 'delete of a collection',
    steps: [
      make,
      post(VOLUMES, volume('b', {}, { labels: { x: 'y' } })),
      remove(`${VOLUMES}?labelSelector=x%3Dy`),
      get(VOLUMES),
      remove(VOLUMES),
      get(VOLUMES),
    ],
  },
  { name: 'list', steps: [make, post(VOLUMES, volume('b')), get(VOLUMES)] },
  { name: 'list of nothing', steps: [get(VOLUMES)] },
  {
    name: 'list in pages',
    steps: [make, post(VOLUMES, volume('b')), post(VOLUMES, volume('c')), get(`${VOLUMES}?limit=2`)],
  },
  { name: 'list with a bad continue token', steps: [get(`${VOLUMES}?limit=2&continue=xyz`)] },
  { name: 'list at a bad version', steps: [get(`${VOLUMES}?resourceVersion=abc`)] },
  { name: 'list with a match without version', steps: [get(`${VOLUMES}?resourceVersionMatch=Exact`)] },
  { name: 'list exactly at version 0', steps: [get(`${VOLUMES}?resourceVersionMatch=Exact&resourceVersion=0`)] },
  { name: 'list with an unknown match', steps: [get(`${VOLUMES}?resourceVersionMatch=Foo&resourceVersion=1`)] },
  { name: 'list with initial events', steps: [get(`${VOLUMES}?sendInitialEvents=true`)] },
  {
    name: 'label selectors',
    steps: [
      make,
      post(VOLUMES, volume('b', {}, { labels: { x: 'y' } })),
      ...['x=y', 'x!=y', 'x', '!x', 'x in (y,z)', 'x notin (y)'].map((selector) =>
        get(`${VOLUMES}?labelSelector=${encodeURIComponent(selector)}`, PARTIAL_LIST),
      ),
    ],
  },
  { name: 'a bad label selector', steps: [get(`${VOLUMES}?labelSelector=x%3D%3D%3D`)] },
  {
    name: 'field selectors',
    steps: [
      make,
      post(VOLUMES, volume('b')),
      get(`${VOLUMES}?fieldSelector=metadata.name%3Db`, PARTIAL_LIST),
      get(`${VOLUMES}?fieldSelector=metadata.name!%3Db`, PARTIAL_LIST),
      patch(`${A}/status`, MERGE, { status: { nodeName: 'n1' } }),
      get(`${VOLUMES}?fieldSelector=status.nodeName%3Dn1`, PARTIAL_LIST),
    ],
  },
  { name: 'an unknown field selector', steps: [get(`${VOLUMES}?fieldSelector=spec.foo%3Db`)] },
  { name: 'a malformed field selector', steps: [get(`${VOLUMES}?fieldSelector=foo`)] },
  {
    name: 'a table',
    steps: [
      make,
      get(A, TABLE),
      get(VOLUMES, TABLE),
      get(`${VOLUMES}?includeObject=None`, TABLE),
      get(`${VOLUMES}?includeObject=Object`, TABLE),
    ],
  },
  { name: 'metadata alone', steps: [make, get(A, PARTIAL), get(VOLUMES, PARTIAL_LIST)] },
  { name: 'a media type that is not served', steps: [get(VOLUMES, 'text/html')] },
  {
    name: 'an unknown resource',
    steps: [get(`${GROUP}/namespaces/{ns}/nonsense`), get('/apis/nonsense.example.com/v1/things')],
  },
  { name: 'an unknown subresource', steps: [make, get(`${A}/scale`)] },
  {
    name: 'methods that are not allowed',
    steps: [post(A, volume('a')), put(VOLUMES, volume('a')), patch(VOLUMES, MERGE, {}), remove(`${A}/status`)],
  },
  { name: 'get of nothing', steps: [get(A)] },
  {
    name: 'a secret with stringData',
    steps: [post(SECRETS, named('Secret', 'v1', 's', { stringData: { a: 'b' }, data: { c: 'ZA==' } })), get(SECRETS)],
  },
  { name: 'a secret with bad base64', steps: [post(SECRETS, named('Secret', 'v1', 's', { data: { a: 'b' } }))] },
  { name: 'a secret with a bad key', steps: [post(SECRETS, named('Secret', 'v1', 's', { data: { 'a b': 'ZA==' } }))] },
  {
    name: 'the type of a secret does not change',
    steps: [post(SECRETS, named('Secret', 'v1', 's', {})), patch(`${SECRETS}/s`, MERGE, { type: 'x' })],
  },
  {
    name: 'a config map is replaced without resourceVersion',
    steps: [
      post(MAPS, named('ConfigMap', 'v1', 'm', { data: { a: 'b' } })),
      put(`${MAPS}/m`, named('ConfigMap', 'v1', 'm', { data: { c: 'd' } })),
    ],
  },
  {
    name: 'an immutable config map',
    steps: [
      post(MAPS, named('ConfigMap', 'v1', 'm', { data: { a: 'b' }, immutable: true })),
      patch(`${MAPS}/m`, MERGE, { data: { a: 'c' } }),
    ],
  },
  {
    name: 'a config map with an unknown field, strict',
    steps: [post(`${MAPS}?fieldValidation=Strict`, named('ConfigMap', 'v1', 'm', { foo: 1 }))],
  },
  {
    name: 'a config map is patched strategically',
    steps: [
      post(MAPS, named('ConfigMap', 'v1', 'm', { data: { a: 'b', c: 'd' } })),
      patch(`${MAPS}/m`, STRATEGIC, { data: { a: null, e: 'f' } }),
    ],
  },
  {
    name: 'a config map table',
    steps: [post(MAPS, named('ConfigMap', 'v1', 'm', { data: { a: 'b' } })), get(MAPS, TABLE)],
  },
  {
    name: 'apply of a config map',
    steps: [
      apply(`${MAPS}/m?fieldManager=me`, named('ConfigMap', 'v1', 'm', { data: { a: 'b' } })),
      apply(`${MAPS}/m?fieldManager=me`, named('ConfigMap', 'v1', 'm', { data: { c: 'b' } })),
    ],
  },
  {
    name: 'a lease',
    steps: [
      post(
        LEASES,
        named('Lease', 'coordination.k8s.io/v1', 'l', {
          spec: { holderIdentity: 'me', leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00.000000Z' },
        }),
      ),
      get(LEASES, TABLE),
      get(`${LEASES}/l`),
    ],
  },
  {
    name: 'a lease of no duration',
    steps: [post(LEASES, named('Lease', 'coordination.k8s.io/v1', 'l', { spec: { leaseDurationSeconds: 0 } }))],
  },
  {
    name: 'a lease is replaced only at its version',
    steps: [
      post(LEASES, named('Lease', 'coordination.k8s.io/v1', 'l', { spec: { holderIdentity: 'a' } })),
      put(`${LEASES}/l`, named('Lease', 'coordination.k8s.io/v1', 'l', { spec: { holderIdentity: 'b' } })),
    ],
  },
  {
    name: 'a replace makes a lease',
    steps: [put(`${LEASES}/l`, named('Lease', 'coordination.k8s.io/v1', 'l', { spec: { holderIdentity: 'b' } }))],
  },
  {
    name: 'an event in both versions',
    steps: [
      post(
        EVENTS,
        named('Event', 'v1', 'e', {
          involvedObject: { kind: 'Volume', name: 'a', namespace: '{ns}' },
          reason: 'Made',
          message: 'it is made',
          type: 'Normal',
          count: 2,
          firstTimestamp: '2026-01-01T00:00:00Z',
          lastTimestamp: '2026-01-01T00:00:00Z',
          source: { component: 'me' },
        }),
      ),
      get(`${EVENTS}/e`),
      get('/apis/events.k8s.io/v1/namespaces/{ns}/events/e'),
      get(`${EVENTS}?fieldSelector=involvedObject.name%3Da,involvedObject.kind%3DVolume`),
      get(`${EVENTS}?fieldSelector=involvedObject.name%3Db`),
    ],
  },
  {
    name: 'an event about another namespace',
    steps: [
      post(
        EVENTS,
        named('Event', 'v1', 'e', {
          involvedObject: { kind: 'Volume', name: 'a', namespace: 'other' },
          reason: 'Made',
          message: 'x',
          type: 'Normal',
        }),
      ),
    ],
  },
  {
    name: 'a namespace',
    steps: [
      get('/api/v1/namespaces/{ns}'),
      get('/api/v1/namespaces/{ns}', TABLE),
      post('/api/v1/namespaces', named('Namespace', 'v1', '{ns}', {})),
      post('/api/v1/namespaces', named('Namespace', 'v1', 'A_b', {})),
    ],
  },
  {
    name: 'a namespace that ends takes nothing new',
    steps: [
      post(VOLUMES, volume('a', {}, { finalizers: ['example.com/x'] })),
      remove('/api/v1/namespaces/{ns}'),
      post(VOLUMES, volume('b')),
    ],
  },
  { name: 'namespaces that stay', steps: [remove('/api/v1/namespaces/default')] },
  {
    name: 'may I?',
    steps: [
      post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: {
          resourceAttributes: {
            verb: 'create',
            resource: 'volumes',
            group: 'storage.clawbernetes.io',
            namespace: 'default',
          },
        },
      }),
    ],
  },
  { name: 'discovery', steps: [get('/apis/storage.clawbernetes.io'), get('/apis/coordination.k8s.io/v1')] },
  { name: 'a path that is nothing', steps: [get('/nonsense')] },
];

export const volumes: Subject = { name: 'volumes', cases: CASES };
