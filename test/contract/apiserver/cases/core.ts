/** The core kinds: events, leases, secrets, config maps, namespaces; deletion; reviews; bodies in protobuf. */
import {
  A,
  apply,
  type Case,
  EVENTS,
  get,
  type Json,
  jsonPatch,
  LEASES,
  MAPS,
  make,
  merge,
  NEW_EVENTS,
  named,
  PARTIAL_LIST,
  patch,
  post,
  put,
  remove,
  SECRETS,
  STRATEGIC,
  type Step,
  type Subject,
  VOLUMES,
  volume,
} from './support.ts';

const map = (name: string, more: Json = {}): Json => named('ConfigMap', 'v1', name, more);
const secret = (more: Json): Step => post(SECRETS, named('Secret', 'v1', 's', more));
const lease = (spec: Json): Json => named('Lease', 'coordination.k8s.io/v1', 'l', { spec });
const involved = { kind: 'Volume', name: 'a', namespace: '{ns}' };
const held = (name: string, ...finalizers: readonly string[]): Step => post(VOLUMES, volume(name, {}, { finalizers }));
const NAMESPACE = '/api/v1/namespaces/{ns}';

const DELETION: readonly Case[] = [
  {
    name: 'finalizers go one by one',
    steps: [
      held('a', 'x/a', 'x/b'),
      remove(A),
      jsonPatch(A, { op: 'remove', path: '/metadata/finalizers/0' }),
      jsonPatch(A, { op: 'remove', path: '/metadata/finalizers/0' }),
      get(A),
    ],
  },
  {
    name: 'a finalizer removed before the deletion',
    steps: [held('a', 'x/a'), merge(A, { metadata: { finalizers: null } }), remove(A), get(A)],
  },
  { name: 'a finalizer without a domain', steps: [held('a', 'orphan', 'foregroundDeletion', 'other')] },
  {
    name: 'foreground deletion waits for nobody',
    steps: [make, remove(A, { propagationPolicy: 'Foreground' }), { ...get(A), until: 404 }],
  },
  { name: 'orphan deletion', steps: [make, remove(A, { propagationPolicy: 'Orphan' }), { ...get(A), until: 404 }] },
  { name: 'the old way to orphan', steps: [make, remove(A, { orphanDependents: true })] },
  { name: 'both ways to orphan', steps: [make, remove(A, { orphanDependents: true, propagationPolicy: 'Orphan' })] },
  { name: 'a policy in the query', steps: [make, remove(`${A}?propagationPolicy=Background`), get(A)] },
  { name: 'a bad policy in the query', steps: [make, remove(`${A}?propagationPolicy=Some`)] },
  { name: 'a grace period', steps: [make, remove(`${A}?gracePeriodSeconds=30`), get(A)] },
  { name: 'a grace period below nothing', steps: [make, remove(A, { gracePeriodSeconds: -1 })] },
  {
    name: 'preconditions that hold',
    steps: [
      post(VOLUMES, volume('a'), { save: { rv: 'metadata.resourceVersion', uid: 'metadata.uid' } }),
      remove(A, { preconditions: { uid: '{uid}', resourceVersion: '{rv}' } }),
    ],
  },
  {
    name: 'delete options of another kind',
    steps: [
      make,
      remove(A, { kind: 'Volume', apiVersion: 'storage.clawbernetes.io/v1alpha1' }),
      remove(A, { kind: 'DeleteOptions', apiVersion: 'v1' }),
    ],
  },
  { name: 'delete options that are nonsense', steps: [make, { method: 'DELETE', path: A, raw: 'nonsense' }] },
  { name: 'unknown delete options', steps: [make, remove(A, { foo: 1 })] },
  {
    name: 'a collection with finalizers',
    steps: [
      held('a', 'x/a'),
      post(VOLUMES, volume('b')),
      remove(VOLUMES),
      get(VOLUMES),
      merge(A, { metadata: { finalizers: null } }),
      get(VOLUMES, PARTIAL_LIST),
    ],
  },
  {
    name: 'a collection by field',
    steps: [
      make,
      post(VOLUMES, volume('b')),
      remove(`${VOLUMES}?fieldSelector=metadata.name%3Da`),
      get(VOLUMES, PARTIAL_LIST),
    ],
  },
  {
    name: 'a collection in pages',
    steps: [
      ...['a', 'b', 'c'].map((name) => post(MAPS, map(name))),
      remove(`${MAPS}?limit=2`),
      { ...get(`${MAPS}?fieldSelector=metadata.name!%3Dkube-root-ca.crt`, PARTIAL_LIST) },
    ],
  },
  {
    name: 'a collection by a bad selector',
    steps: [remove(`${VOLUMES}?labelSelector=%3D`), remove(`${VOLUMES}?fieldSelector=spec.x%3Dy`)],
  },
  { name: 'a collection with preconditions', steps: [make, remove(VOLUMES, { preconditions: { uid: 'x' } }), get(A)] },
  {
    name: 'a collection over all namespaces is not deleted',
    steps: [remove('/apis/storage.clawbernetes.io/v1alpha1/volumes')],
  },
  { name: 'namespaces are not deleted all at once', steps: [remove('/api/v1/namespaces')] },
  {
    name: 'what a delete of each kind answers',
    steps: [
      post(MAPS, map('m')),
      remove(`${MAPS}/m`),
      secret({}),
      remove(`${SECRETS}/s`),
      post(LEASES, lease({})),
      remove(`${LEASES}/l`),
    ],
  },
];

const CORE: readonly Case[] = [
  {
    name: 'a config map with data twice',
    steps: [post(MAPS, map('m', { data: { a: 'b' }, binaryData: { a: 'ZA==' } }))],
  },
  {
    name: 'a config map with a bad key',
    steps: [post(MAPS, map('m', { data: { 'a b': 'c' }, binaryData: { '..': 'ZA==' } }))],
  },
  { name: 'a config map that is too large', steps: [post(MAPS, map('m', { data: { a: 'x'.repeat(1_048_577) } }))] },
  {
    name: 'a config map with a wrong type',
    steps: [
      post(MAPS, map('m', { data: { a: 5 } })),
      post(MAPS, map('m', { data: 'x' })),
      post(MAPS, map('m', { immutable: 'yes' })),
    ],
  },
  {
    name: 'null in a config map',
    steps: [post(MAPS, map('m', { data: { a: null, b: 'x' } })), merge(`${MAPS}/m`, { data: null })],
  },
  {
    name: 'an immutable config map stays so',
    steps: [
      post(MAPS, map('m', { immutable: true })),
      merge(`${MAPS}/m`, { immutable: false }),
      merge(`${MAPS}/m`, { immutable: null }),
      merge(`${MAPS}/m`, { metadata: { labels: { a: 'b' } } }),
    ],
  },
  {
    name: 'an immutable secret',
    steps: [
      secret({ immutable: true, data: { a: 'ZA==' } }),
      merge(`${SECRETS}/s`, { data: { a: 'ZQ==' } }),
      merge(`${SECRETS}/s`, { stringData: { a: 'x' } }),
    ],
  },
  {
    name: 'stringData wins over data',
    steps: [secret({ data: { a: 'ZA==' }, stringData: { a: 'x' } }), merge(`${SECRETS}/s`, { stringData: { b: 'y' } })],
  },
  {
    name: 'a secret of a known type without its keys',
    steps: [
      secret({ type: 'kubernetes.io/basic-auth' }),
      secret({ type: 'kubernetes.io/tls' }),
      secret({ type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': 'ZA==' } }),
      secret({ type: 'kubernetes.io/ssh-auth' }),
    ],
  },
  { name: 'a secret that is too large', steps: [secret({ stringData: { a: 'x'.repeat(1_048_577) } })] },
  {
    name: 'strategic merge of a secret',
    steps: [
      secret({ data: { a: 'ZA==', b: 'ZA==' } }),
      patch(`${SECRETS}/s`, STRATEGIC, { data: { a: null }, stringData: { c: 'x' } }),
    ],
  },
  {
    name: 'strategic merge with directives',
    steps: [
      post(MAPS, map('m', { data: { a: 'b', c: 'd' } })),
      patch(`${MAPS}/m`, STRATEGIC, { data: { $patch: 'replace', x: 'y' } }),
      patch(`${MAPS}/m`, STRATEGIC, { metadata: { finalizers: ['x/y'] } }),
      patch(`${MAPS}/m`, STRATEGIC, { metadata: { '$deleteFromPrimitiveList/finalizers': ['x/y'] } }),
    ],
  },
  {
    name: 'strategic merge of owner references',
    steps: [
      post(MAPS, map('o'), { save: { uid: 'metadata.uid' } }),
      post(MAPS, map('m')),
      patch(`${MAPS}/m`, STRATEGIC, {
        metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid: '{uid}' }] },
      }),
      patch(`${MAPS}/m`, STRATEGIC, { metadata: { ownerReferences: [{ $patch: 'delete', uid: '{uid}' }] } }),
    ],
  },
  {
    name: 'strategic merge with an unknown field, strict',
    steps: [post(MAPS, map('m')), patch(`${MAPS}/m?fieldValidation=Strict`, STRATEGIC, { foo: 1 })],
  },
  {
    name: 'a lease is renewed',
    steps: [
      post(
        LEASES,
        lease({
          holderIdentity: 'a',
          leaseDurationSeconds: 15,
          acquireTime: '2026-01-01T00:00:00.123456Z',
          renewTime: '2026-01-01T00:00:00.123456Z',
          leaseTransitions: 1,
        }),
        { save: { rv: 'metadata.resourceVersion' } },
      ),
      put(`${LEASES}/l`, {
        ...lease({ holderIdentity: 'b', leaseDurationSeconds: 10, leaseTransitions: 2 }),
        metadata: { name: 'l', resourceVersion: '{rv}' },
      }),
      patch(`${LEASES}/l`, STRATEGIC, { spec: { holderIdentity: 'c' } }),
      merge(`${LEASES}/l`, { spec: { holderIdentity: null } }),
    ],
  },
  {
    name: 'a lease with bad values',
    steps: [
      post(LEASES, lease({ leaseTransitions: -1 })),
      post(LEASES, lease({ leaseDurationSeconds: -5 })),
      post(LEASES, lease({ renewTime: 'now' })),
      post(LEASES, lease({ holderIdentity: 5 })),
    ],
  },
  {
    name: 'a lease with strategy and preference',
    steps: [post(LEASES, lease({ strategy: 'OldestEmulationVersion' })), post(LEASES, lease({ preferredHolder: 'x' }))],
  },
  {
    name: 'an event of the new sort',
    steps: [
      post(
        NEW_EVENTS,
        named('Event', 'events.k8s.io/v1', 'e', {
          regarding: involved,
          reason: 'Made',
          note: 'x',
          type: 'Normal',
          action: 'Make',
          eventTime: '2026-01-01T00:00:00.000000Z',
          reportingController: 'a.b/c',
          reportingInstance: 'me',
        }),
      ),
      get(`${EVENTS}/e`),
      patch(`${NEW_EVENTS}/e`, STRATEGIC, { series: { count: 2, lastObservedTime: '2026-01-01T00:00:01.000000Z' } }),
    ],
  },
  {
    name: 'an event of the new sort that lacks something',
    steps: [
      post(
        NEW_EVENTS,
        named('Event', 'events.k8s.io/v1', 'e', {
          regarding: involved,
          reason: 'Made',
          type: 'Normal',
          eventTime: '2026-01-01T00:00:00.000000Z',
        }),
      ),
      post(
        NEW_EVENTS,
        named('Event', 'events.k8s.io/v1', 'e', {
          regarding: involved,
          reason: 'Made',
          type: 'Odd',
          action: 'x',
          eventTime: '2026-01-01T00:00:00.000000Z',
          reportingController: 'a.b/c',
          reportingInstance: 'me',
        }),
      ),
    ],
  },
  {
    name: 'an event is counted on',
    steps: [
      post(
        EVENTS,
        named('Event', 'v1', 'e', { involvedObject: involved, reason: 'Made', message: 'x', type: 'Normal', count: 1 }),
      ),
      patch(`${EVENTS}/e`, STRATEGIC, { count: 2, message: 'y' }),
      merge(`${EVENTS}/e`, { count: 3 }),
    ],
  },
  {
    name: 'an event without an object',
    steps: [
      post(EVENTS, named('Event', 'v1', 'e', { reason: 'Made', message: 'x', type: 'Normal' })),
      post(
        EVENTS,
        named('Event', 'v1', 'e', {
          involvedObject: { kind: 'StorageNode', name: 'n' },
          reason: 'Made',
          message: 'x',
          type: 'Normal',
        }),
      ),
    ],
  },
  {
    name: 'events by field',
    steps: [
      post(
        EVENTS,
        named('Event', 'v1', 'e', {
          involvedObject: { ...involved, uid: 'u', apiVersion: 'x/v1', fieldPath: 'spec', resourceVersion: '5' },
          reason: 'Made',
          message: 'x',
          type: 'Warning',
          source: { component: 'me' },
        }),
      ),
      ...[
        'involvedObject.uid=u',
        'involvedObject.apiVersion=x/v1',
        'involvedObject.fieldPath=spec',
        'involvedObject.resourceVersion=5',
        'reason=Made',
        'type=Warning',
        'source=me',
        'type=Normal',
        'message=x',
        'reportingComponent=me',
      ].map((text) => get(`${EVENTS}?fieldSelector=${encodeURIComponent(text)}`, PARTIAL_LIST)),
      get(`${NEW_EVENTS}?fieldSelector=regarding.name%3Da`, PARTIAL_LIST),
    ],
  },
];

const NAMESPACES: readonly Case[] = [
  {
    name: 'a namespace keeps its finalizer',
    steps: [merge(NAMESPACE, { spec: { finalizers: null } }), merge(NAMESPACE, { spec: { finalizers: ['x/y'] } })],
  },
  {
    name: 'a namespace without its name label',
    steps: [
      merge(NAMESPACE, { metadata: { labels: { 'kubernetes.io/metadata.name': null, a: 'b' } } }),
      merge(NAMESPACE, { metadata: { labels: { 'kubernetes.io/metadata.name': 'other' } } }),
    ],
  },
  {
    name: 'the phase of a namespace is not for everybody',
    steps: [merge(NAMESPACE, { status: { phase: 'Terminating' } })],
  },
  { name: 'a namespace of two labels', steps: [post('/api/v1/namespaces', named('Namespace', 'v1', 'a.b'))] },
  {
    name: 'a namespace from a prefix',
    steps: [post('/api/v1/namespaces?dryRun=All', { metadata: { generateName: 'gen-' } }, { select: withoutNames })],
  },
  {
    name: 'a namespace that ends: nothing new, but what is held may change and go',
    steps: [
      held('a', 'x/y'),
      remove(A),
      remove(NAMESPACE),
      post(MAPS, map('n')),
      apply(`${VOLUMES}/n?fieldManager=a`, volume('n')),
      merge(A, { metadata: { labels: { a: 'b' } } }),
      merge(A, { metadata: { finalizers: null } }),
      { ...get(NAMESPACE), until: 404 },
      post(VOLUMES, volume('n')),
    ],
  },
  {
    name: 'a namespace that ends is finalized through its subresource',
    steps: [
      put(`${NAMESPACE}/finalize`, {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: '{ns}' },
        spec: { finalizers: ['kubernetes'] },
      }),
    ],
  },
  { name: 'a dry run of the end of a namespace', steps: [remove(`${NAMESPACE}?dryRun=All`), get(NAMESPACE)] },
];

function withoutNames(body: unknown): unknown {
  const text = JSON.stringify(body);
  const name = (body as { readonly metadata: { readonly name: string } }).metadata.name;
  return JSON.parse(text.replaceAll(name, 'gen-x')) as unknown;
}

/** Who may do everything is told so for reasons of its own. */
function withoutReason(body: unknown): unknown {
  const { status, ...rest } = body as Json;
  if (typeof status !== 'object') return body;
  return { ...rest, status: { allowed: (status as Json)['allowed'] } };
}

const REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
const review = (spec: Json): Step =>
  post(
    REVIEWS,
    { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec },
    {
      select: withoutReason,
    },
  );
const ACCESS: readonly Case[] = [
  { name: 'may I do everything?', steps: [review({ resourceAttributes: { verb: '*', resource: '*', group: '*' } })] },
  { name: 'may I see a path?', steps: [review({ nonResourceAttributes: { path: '/healthz', verb: 'get' } })] },
  {
    name: 'a question about both',
    steps: [review({ nonResourceAttributes: { path: '/healthz', verb: 'get' }, resourceAttributes: { verb: 'get' } })],
  },
  { name: 'a question about nothing', steps: [review({})] },
  { name: 'questions are not listed', steps: [get(REVIEWS)] },
];

/** Protobuf as clients write it: `k8s\0` and a runtime.Unknown around the object. */
const varint = (value: number): Buffer => {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest > 127 ? (rest % 128) | 128 : rest);
    if (rest <= 127) return Buffer.from(bytes);
  }
};
const field = (index: number, body: Buffer | string): Buffer => {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from([(index << 3) | 2]), varint(bytes.length), bytes]);
};
/** A number of less than 2^31. */
const number = (index: number, value: number): Buffer => Buffer.concat([Buffer.from([index << 3]), varint(value)]);
const envelope = (apiVersion: string, kind: string, ...parts: readonly Buffer[]): Buffer =>
  Buffer.concat([
    Buffer.from('k8s\0'),
    field(1, Buffer.concat([field(1, apiVersion), field(2, kind)])),
    field(2, Buffer.concat(parts)),
    field(3, ''),
    field(4, ''),
  ]);
const metadata = (name: string): Buffer => field(1, field(1, name));
const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const send = (path: string, binary: (namespace: string) => Buffer): Step => ({
  method: 'POST',
  path,
  binary,
  type: PROTOBUF,
});
const PROTOBUFS: readonly Case[] = [
  {
    name: 'protobuf: a namespace as kubectl makes it',
    steps: [
      {
        ...send('/api/v1/namespaces?dryRun=All', (ns) =>
          envelope('v1', 'Namespace', metadata(`${ns}-p`), field(2, ''), field(3, '')),
        ),
      },
    ],
  },
  {
    name: 'protobuf: a namespace with labels',
    steps: [
      {
        ...send('/api/v1/namespaces?dryRun=All', (ns) =>
          envelope(
            'v1',
            'Namespace',
            field(1, Buffer.concat([field(1, `${ns}-p`), field(11, Buffer.concat([field(1, 'a'), field(2, 'b')]))])),
            field(2, ''),
            field(3, ''),
          ),
        ),
      },
    ],
  },
  {
    name: 'protobuf: a review as kubectl auth can-i asks it',
    steps: [
      {
        ...send(REVIEWS, () =>
          envelope(
            'authorization.k8s.io/v1',
            'SelfSubjectAccessReview',
            field(1, ''),
            field(
              2,
              field(
                1,
                Buffer.concat([
                  field(1, 'default'),
                  field(2, 'create'),
                  field(3, 'storage.clawbernetes.io'),
                  field(4, '*'),
                  field(5, 'volumes'),
                  field(6, ''),
                  field(7, ''),
                ]),
              ),
            ),
            field(3, ''),
          ),
        ),
        select: withoutReason,
      },
    ],
  },
  {
    name: 'protobuf: a lease as a leader election of client-go writes it',
    steps: [
      {
        ...send(LEASES, (ns) =>
          envelope(
            'coordination.k8s.io/v1',
            'Lease',
            field(1, Buffer.concat([field(1, 'l'), field(3, ns)])),
            field(
              2,
              Buffer.concat([
                field(1, 'me'),
                number(2, 15),
                field(3, Buffer.concat([number(1, 1_767_225_600), number(2, 123_456_000)])),
                field(4, number(1, 1_767_225_600)),
                number(5, 0),
              ]),
            ),
          ),
        ),
        save: { rv: 'metadata.resourceVersion' },
      },
      put(`${LEASES}/l`, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: 'l', resourceVersion: '{rv}' },
        spec: { holderIdentity: '', leaseDurationSeconds: 1 },
      }),
    ],
  },
  {
    name: 'protobuf: an event',
    steps: [
      send(EVENTS, (ns) =>
        envelope(
          'v1',
          'Event',
          field(1, Buffer.concat([field(1, 'e'), field(3, ns), field(4, ''), number(7, 0), field(8, '')])),
          field(2, Buffer.concat([field(1, 'Volume'), field(2, ns), field(3, 'a'), field(4, ''), field(5, '')])),
          field(3, 'Made'),
          field(4, 'it is made'),
          field(5, Buffer.concat([field(1, 'me'), field(2, '')])),
          field(6, number(1, 1_767_225_600)),
          field(7, number(1, 1_767_225_600)),
          number(8, 3),
          field(9, 'Normal'),
          field(10, ''),
          field(12, ''),
          field(14, ''),
          field(15, ''),
        ),
      ),
    ],
  },
  {
    name: 'protobuf: a config map and a secret',
    steps: [
      send(MAPS, () =>
        envelope('v1', 'ConfigMap', metadata('m'), field(2, Buffer.concat([field(1, 'a'), field(2, 'b')]))),
      ),
      send(SECRETS, () =>
        envelope(
          'v1',
          'Secret',
          metadata('s'),
          field(2, Buffer.concat([field(1, 'a'), field(2, 'b')])),
          field(3, 'my/type'),
        ),
      ),
    ],
  },
  { name: 'protobuf: no magic', steps: [send('/api/v1/namespaces', () => Buffer.from('nonsense'))] },
  {
    name: 'protobuf: delete options',
    steps: [
      post(MAPS, map('m')),
      { ...send(`${MAPS}/m`, () => envelope('v1', 'DeleteOptions', field(4, 'Background'))), method: 'DELETE' },
      get(`${MAPS}/m`),
    ],
  },
];

export const core: Subject = { name: 'core', cases: [...DELETION, ...CORE, ...NAMESPACES, ...ACCESS, ...PROTOBUFS] };
