/** Server-side apply: merging, owners, conflicts, taking over, giving up, the status, and clients that do not apply. */
import {
  A,
  apply,
  type Case,
  get,
  JSON_PATCH,
  type Json,
  jsonPatch,
  LEASES,
  MAPS,
  make,
  merge,
  named,
  patch,
  post,
  put,
  remove,
  S,
  SECRETS,
  SPECIMENS,
  type Step,
  type Subject,
  sortedCauses,
  specimen,
  VOLUMES,
  volume,
} from './support.ts';

const as = (manager: string, spec: Json, metadata: Json = {}): Step =>
  apply(`${S}?fieldManager=${manager}`, specimen(spec, metadata));
const force = (manager: string, spec: Json, metadata: Json = {}): Step =>
  apply(`${S}?fieldManager=${manager}&force=true`, specimen(spec, metadata));
const statusAs = (manager: string, status: Json, query = ''): Step =>
  apply(`${S}/status?fieldManager=${manager}${query}`, {
    apiVersion: 'conformance.clawstore.test/v1',
    kind: 'Specimen',
    metadata: { name: 's' },
    status,
  });
const item = (name: string, more: Json = {}): Json => ({ name, ...more });
const lease = (spec: Json): Json => named('Lease', 'coordination.k8s.io/v1', 'l', { spec });
const saved = { save: { rv: 'metadata.resourceVersion', uid: 'metadata.uid' } };
const LAST = 'kubectl.kubernetes.io/last-applied-configuration';

const MERGING: readonly Case[] = [
  {
    name: 'list-map items of two owners stand together',
    steps: [as('a', { items: [item('x', { size: 1 })] }), as('b', { items: [item('y', { size: 2 })] })],
  },
  {
    name: 'fields of one item of two owners',
    steps: [
      as('a', { items: [item('x', { size: 1 })] }),
      as('b', { items: [item('x', { parts: [{ id: 1, value: 'v' }] })] }),
    ],
  },
  {
    name: 'an item that its only owner drops is removed',
    steps: [as('a', { items: [item('x'), item('y')] }), as('a', { items: [item('y')] })],
  },
  {
    name: 'an item that one of two owners drops stays',
    steps: [
      as('a', { items: [item('x'), item('y')] }),
      as('b', { items: [item('x')] }),
      as('a', { items: [item('y')] }),
    ],
  },
  {
    name: 'nested list-maps',
    steps: [
      as('a', { items: [item('x', { parts: [{ id: 1, value: 'a' }, { id: 2 }] })] }),
      as('b', { items: [item('x', { parts: [{ id: 3, value: 'c' }] })] }),
      as('a', { items: [item('x', { parts: [{ id: 2, value: 'b' }] })] }),
    ],
  },
  {
    name: 'the order of items is that of who applies',
    steps: [
      as('a', { items: [item('x'), item('y'), item('z')] }),
      as('a', { items: [item('z'), item('x'), item('y')] }),
      as('b', { items: [item('y'), item('new'), item('x')] }),
    ],
  },
  {
    name: 'a list-map with two keys and a default',
    steps: [
      as('a', { ports: [{ port: 80, name: 'web' }] }),
      as('b', { ports: [{ port: 80, protocol: 'UDP' }] }),
      as('c', { ports: [{ port: 80, protocol: 'TCP', name: 'web' }] }),
    ],
  },
  { name: 'an item twice', steps: [as('a', { items: [item('x'), item('x')] })] },
  { name: 'an item without its key', steps: [as('a', { items: [{ size: 1 }] })] },
  {
    name: 'sets of two owners',
    steps: [
      as('a', { tags: ['x', 'y'] }),
      as('b', { tags: ['y', 'z'] }),
      as('a', { tags: ['y'] }),
      as('b', { tags: [] }),
    ],
  },
  { name: 'a set with a value twice', steps: [as('a', { tags: ['x', 'x'] })] },
  {
    name: 'an atomic list belongs to one',
    steps: [as('a', { args: ['x'] }), as('b', { args: ['x'] }), as('b', { args: ['x', 'y'] })],
  },
  {
    name: 'an atomic map belongs to one',
    steps: [as('a', { selector: { x: '1' } }), as('b', { selector: { y: '1' } })],
  },
  {
    name: 'a map is merged by key',
    steps: [as('a', { limits: { x: '1' } }), as('b', { limits: { y: '1' } }), as('a', { limits: { z: '1' } })],
  },
  {
    name: 'maps of objects are merged',
    steps: [as('a', { groups: { g: { x: '1' } } }), as('b', { groups: { g: { count: 1 }, h: { x: '2' } } })],
  },
  {
    name: 'free fields are merged as far as they are objects',
    steps: [
      as('a', { free: { a: { b: 1 }, l: [1] } }),
      as('b', { free: { a: { c: 2 } } }),
      as('b', { free: { l: [2] } }),
    ],
  },
  { name: 'an empty object is owned', steps: [as('a', { maybe: {} }), as('b', { free: {} })] },
  { name: 'a null leaves a field out', steps: [as('a', { plain: null, note: null })] },
  {
    name: 'numbers are equal however they are written',
    steps: [
      apply(`${S}?fieldManager=a`, specimen({ ratio: 1, count: 5 })),
      {
        ...apply(`${S}?fieldManager=b`, undefined),
        raw: '{"apiVersion":"conformance.clawstore.test/v1","kind":"Specimen","metadata":{"name":"s"},"spec":{"ratio":1.0,"count":5}}',
      },
    ],
  },
  {
    name: 'an apply in YAML',
    steps: [
      {
        method: 'PATCH',
        path: `${S}?fieldManager=a`,
        type: 'application/apply-patch+yaml',
        raw: 'apiVersion: conformance.clawstore.test/v1\nkind: Specimen\nmetadata: {name: s}\nspec:\n  items:\n  - name: x\n    size: 0x10\n',
      },
    ],
  },
];

const CONFLICTS: readonly Case[] = [
  { name: 'a conflict names field and owner', steps: [as('a', { color: 'red' }), as('b', { color: 'blue' })] },
  {
    name: 'the same value is no conflict but shared',
    steps: [as('a', { color: 'red' }), as('b', { color: 'red' }), as('a', { color: 'blue' })],
  },
  {
    name: 'conflicts with several owners in several fields',
    steps: [
      as('a', { color: 'red', count: 1, items: [item('x', { size: 1 })] }),
      as('b', { limits: { x: '1' } }),
      {
        ...as('c', { color: 'blue', count: 2, items: [item('x', { size: 2 })], limits: { x: '2' } }),
        select: sortedCauses,
      },
    ],
  },
  { name: 'force takes over', steps: [as('a', { color: 'red', count: 1 }), force('b', { color: 'blue' })] },
  {
    name: 'who was forced out gets a conflict',
    steps: [as('a', { color: 'red' }), force('b', { color: 'blue' }), as('a', { color: 'red' })],
  },
  {
    name: 'a conflict with an update',
    steps: [post(`${SPECIMENS}?fieldManager=maker`, specimen({ color: 'red' })), as('b', { color: 'blue' })],
  },
  {
    name: 'a conflict with an update of the status',
    steps: [
      post(SPECIMENS, specimen({})),
      merge(`${S}/status?fieldManager=writer`, { status: { phase: 'Good' } }),
      statusAs('b', { phase: 'Bad' }),
    ],
  },
  {
    name: 'a conflict about an item in a set is none',
    steps: [as('a', { tags: ['x'] }), as('b', { tags: ['x', 'y'] })],
  },
  {
    name: 'a conflict about a label',
    steps: [as('a', {}, { labels: { x: '1' } }), as('b', {}, { labels: { x: '2' }, annotations: { x: '2' } })],
  },
  {
    name: 'a conflict in a dry run',
    steps: [
      as('a', { color: 'red' }),
      apply(`${S}?fieldManager=b&dryRun=All`, specimen({ color: 'blue' })),
      apply(`${S}?fieldManager=b&dryRun=All&force=true`, specimen({ color: 'blue' })),
      get(S),
    ],
  },
  {
    name: 'hand-over: shared first, then given up',
    steps: [
      as('a', { color: 'red', count: 1 }),
      as('b', { color: 'red' }),
      as('a', { count: 1 }),
      as('b', { color: 'blue' }),
    ],
  },
  {
    name: 'hand-over to an updater',
    steps: [
      as('a', { color: 'red', count: 1 }),
      merge(`${S}?fieldManager=b`, { spec: { color: 'blue' } }),
      as('a', { count: 1 }),
    ],
  },
  {
    name: 'an updater that writes the same does not own',
    steps: [as('a', { color: 'red' }), merge(`${S}?fieldManager=b`, { spec: { color: 'red' } })],
  },
  { name: 'a bad force', steps: [apply(`${S}?fieldManager=a&force=perhaps`, specimen({}))] },
  {
    name: 'a manager with odd letters',
    steps: [
      apply(`${S}?fieldManager=${encodeURIComponent('ü"x')}`, specimen({ color: 'red' })),
      apply(`${S}?fieldManager=b`, specimen({ color: 'blue' })),
    ],
  },
  {
    name: 'a manager that cannot be printed',
    steps: [apply(`${S}?fieldManager=${encodeURIComponent('a\u0007')}`, specimen({}))],
  },
];

const REMOVAL: readonly Case[] = [
  {
    name: 'a field that its only owner drops is removed',
    steps: [as('a', { color: 'red', count: 1 }), as('a', { count: 1 })],
  },
  {
    name: 'a field that one of two owners drops stays',
    steps: [as('a', { color: 'red' }), as('b', { color: 'red' }), as('a', {}), as('b', {})],
  },
  {
    name: 'a field that an updater shares stays',
    steps: [
      post(`${SPECIMENS}?fieldManager=maker`, specimen({ color: 'red' })),
      as('a', { color: 'red' }),
      as('a', {}),
    ],
  },
  { name: 'a dropped field gets its default again', steps: [as('a', { size: 9, noteOr: 'own' }), as('a', {})] },
  {
    name: 'everything dropped',
    steps: [as('a', { color: 'red', items: [item('x')], limits: { x: '1' } }, { labels: { a: 'b' } }), as('a', {})],
  },
  {
    name: 'a parent that is left empty',
    steps: [as('a', { limits: { x: '1' }, maybe: { a: 'y' } }), as('a', { color: 'red' })],
  },
  {
    name: 'a finalizer is dropped',
    steps: [
      as('a', {}, { finalizers: ['x/a'] }),
      as('b', {}, { finalizers: ['x/b'] }),
      as('a', {}),
      merge(S, { metadata: { finalizers: null } }),
    ],
  },
  {
    name: 'an owner reference is dropped',
    steps: [
      post(MAPS, named('ConfigMap', 'v1', 'o'), saved),
      as('a', {}, { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid: '{uid}' }] }),
      as('a', {}),
    ],
  },
  {
    name: 'an updater removes what was applied',
    steps: [
      as('a', { color: 'red', count: 1 }),
      jsonPatch(`${S}?fieldManager=b`, { op: 'remove', path: '/spec/color' }),
      as('a', { color: 'red', count: 1 }),
    ],
  },
  {
    name: 'an updater removes an item',
    steps: [
      as('a', { items: [item('x', { size: 1 }), item('y')] }),
      jsonPatch(`${S}?fieldManager=b`, { op: 'remove', path: '/spec/items/0' }),
    ],
  },
];

const STATUS: readonly Case[] = [
  {
    name: 'the status has owners of its own',
    steps: [
      as('a', { color: 'red' }),
      statusAs('agent', { phase: 'Good' }),
      as('a', { color: 'blue' }),
      statusAs('agent', {}),
    ],
  },
  {
    name: 'the same manager in main and status',
    steps: [
      as('a', { color: 'red' }),
      statusAs('a', { phase: 'Good' }),
      as('a', { count: 1 }),
      statusAs('a', { count: 1 }),
    ],
  },
  {
    name: 'conditions of two managers',
    steps: [
      as('a', {}),
      statusAs('x', { conditions: [{ type: 'Ready', status: 'True' }] }),
      statusAs('y', { conditions: [{ type: 'Stalled', status: 'False' }] }),
      statusAs('x', { conditions: [] }),
    ],
  },
  {
    name: 'a status through the main resource is left out',
    steps: [apply(`${S}?fieldManager=a`, specimen({ color: 'red' }, {}, { status: { phase: 'Good' } }))],
  },
  {
    name: 'a spec through the status is left out',
    steps: [
      as('a', { color: 'red' }),
      apply(
        `${S}/status?fieldManager=b`,
        specimen({ color: 'blue' }, { labels: { a: 'b' } }, { status: { phase: 'Good' } }),
      ),
    ],
  },
  { name: 'an invalid status', steps: [as('a', {}), statusAs('b', { phase: 'Ugly' })] },
  { name: 'a status with a dry run', steps: [as('a', {}), statusAs('b', { phase: 'Good' }, '&dryRun=All'), get(S)] },
  {
    name: 'a forced status',
    steps: [
      as('a', {}),
      statusAs('b', { phase: 'Good' }),
      statusAs('c', { phase: 'Bad' }),
      statusAs('c', { phase: 'Bad' }, '&force=true'),
    ],
  },
];

const OTHERS: readonly Case[] = [
  {
    name: 'client-side apply becomes server-side: kubectl takes its own fields over',
    steps: [
      post(
        `${SPECIMENS}?fieldManager=kubectl-client-side-apply`,
        specimen(
          { color: 'red', count: 1 },
          {
            annotations: {
              [LAST]:
                '{"apiVersion":"conformance.clawstore.test/v1","kind":"Specimen","metadata":{"annotations":{},"name":"s"},"spec":{"color":"red","count":1}}\n',
            },
          },
        ),
      ),
      apply(`${S}?fieldManager=kubectl`, specimen({ color: 'blue' })),
      apply(`${S}?fieldManager=kubectl`, specimen({ color: 'green', count: 1 })),
    ],
  },
  {
    name: 'client-side apply after server-side: the annotation follows what is applied',
    steps: [
      apply(`${S}?fieldManager=kubectl`, specimen({ color: 'red' }, { annotations: { [LAST]: '{"x":1}' } })),
      apply(`${S}?fieldManager=kubectl`, specimen({ color: 'blue' })),
      apply(`${S}?fieldManager=kubectl-two`, specimen({ count: 2 })),
    ],
  },
  {
    name: 'an apply creates only what is complete',
    steps: [
      apply(`${A}?fieldManager=me`, {
        apiVersion: 'storage.clawbernetes.io/v1alpha1',
        kind: 'Volume',
        metadata: { name: 'a' },
        spec: {},
      }),
    ],
  },
  { name: 'an apply with a version of nothing', steps: [as('a', {}, { resourceVersion: '5' })] },
  {
    name: 'an apply with an old version',
    steps: [
      { ...as('a', { color: 'red' }), ...saved },
      as('a', { color: 'blue' }),
      as('a', { color: 'green' }, { resourceVersion: '{rv}' }),
    ],
  },
  {
    name: 'an apply with the current version',
    steps: [{ ...as('a', { color: 'red' }), ...saved }, as('a', { color: 'blue' }, { resourceVersion: '{rv}' })],
  },
  { name: 'an apply with a uid of nothing', steps: [as('a', {}, { uid: 'x' })] },
  { name: 'an apply with another uid', steps: [as('a', {}), as('a', {}, { uid: 'x' })] },
  {
    name: 'an apply of managedFields',
    steps: [
      as(
        'a',
        {},
        {
          managedFields: [{ manager: 'x', operation: 'Apply', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: {} }],
        },
      ),
    ],
  },
  { name: 'an apply under another name', steps: [apply(`${S}?fieldManager=a`, specimen({}, { name: 'other' }))] },
  {
    name: 'an apply without a name',
    steps: [
      apply(`${S}?fieldManager=a`, {
        apiVersion: 'conformance.clawstore.test/v1',
        kind: 'Specimen',
        spec: { color: 'red' },
      }),
    ],
  },
  { name: 'an apply in another namespace', steps: [as('a', {}, { namespace: 'default' })] },
  {
    name: 'an apply of another version',
    steps: [apply(`${S}?fieldManager=a`, { ...specimen({}), apiVersion: 'conformance.clawstore.test/v2' })],
  },
  {
    name: 'an apply without kind',
    steps: [
      apply(`${S}?fieldManager=a`, { apiVersion: 'conformance.clawstore.test/v1', metadata: { name: 's' }, spec: {} }),
    ],
  },
  {
    name: 'an apply of nonsense',
    steps: [
      { method: 'PATCH', path: `${S}?fieldManager=a`, type: 'application/apply-patch+yaml', raw: 'a: b: c' },
      { method: 'PATCH', path: `${S}?fieldManager=a`, type: 'application/apply-patch+yaml', raw: '' },
      { method: 'PATCH', path: `${S}?fieldManager=a`, type: 'application/apply-patch+yaml', raw: '[]' },
    ],
  },
  {
    name: 'an apply of a field twice',
    steps: [
      {
        method: 'PATCH',
        path: `${S}?fieldManager=a`,
        type: 'application/apply-patch+yaml',
        raw: 'apiVersion: conformance.clawstore.test/v1\nkind: Specimen\nmetadata: {name: s}\nspec:\n  color: red\n  color: blue\n',
      },
      {
        method: 'PATCH',
        path: `${S}?fieldManager=a&fieldValidation=Strict`,
        type: 'application/apply-patch+yaml',
        raw: 'apiVersion: conformance.clawstore.test/v1\nkind: Specimen\nmetadata: {name: s}\nspec:\n  color: red\n  color: blue\n',
      },
    ],
  },
  {
    name: 'an apply of an unknown field, ignored',
    steps: [
      apply(`${S}?fieldManager=a&fieldValidation=Ignore`, specimen({ foo: 1 })),
      apply(`${S}?fieldManager=a`, specimen({ color: 'red', maybe: { foo: 1 } })),
    ],
  },
  {
    name: 'an apply of a wrong type',
    steps: [as('a', { count: 'many' }), as('a', { items: { a: 'b' } }), as('a', { limits: ['x'] })],
  },
  { name: 'an apply of an invalid value', steps: [as('a', { color: 'pink' })] },
  {
    name: 'an apply while deleting',
    steps: [
      as('a', { color: 'red' }, { finalizers: ['x/y'] }),
      remove(S),
      as('a', { color: 'blue' }, { finalizers: ['x/y'] }),
      as('a', { color: 'blue' }),
    ],
  },
  {
    name: 'an apply of config map data, shared and dropped',
    steps: [
      apply(`${MAPS}/m?fieldManager=a`, named('ConfigMap', 'v1', 'm', { data: { x: '1', y: '2' } })),
      apply(`${MAPS}/m?fieldManager=b`, named('ConfigMap', 'v1', 'm', { data: { y: '2', z: '3' } })),
      apply(`${MAPS}/m?fieldManager=a`, named('ConfigMap', 'v1', 'm', { data: { x: '9' } })),
      apply(`${MAPS}/m?fieldManager=b`, named('ConfigMap', 'v1', 'm', { data: { x: '1' } })),
    ],
  },
  {
    name: 'an apply of a secret with stringData',
    steps: [
      apply(`${SECRETS}/s?fieldManager=a`, named('Secret', 'v1', 's', { stringData: { x: 'plain' } })),
      apply(`${SECRETS}/s?fieldManager=a`, named('Secret', 'v1', 's', { data: { y: 'ZA==' } })),
    ],
  },
  {
    name: 'an apply of an unknown field of a config map',
    steps: [apply(`${MAPS}/m?fieldManager=a`, named('ConfigMap', 'v1', 'm', { dota: {} }))],
  },
  {
    name: 'an apply of a namespace',
    steps: [
      apply('/api/v1/namespaces/{ns}?fieldManager=a', named('Namespace', 'v1', '{ns}', {})),
      apply('/api/v1/namespaces/{ns}?fieldManager=a', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: '{ns}', labels: { a: 'b' } },
      }),
    ],
  },
  {
    name: 'managers of a create, patches, a replace and an apply',
    steps: [
      { ...post(`${VOLUMES}?fieldManager=one`, volume('a')), ...saved },
      merge(`${A}?fieldManager=two`, { metadata: { labels: { x: 'y' } } }),
      patch(`${A}?fieldManager=three`, JSON_PATCH, [{ op: 'add', path: '/spec/capacity', value: '1Gi' }]),
      { ...merge(`${A}?fieldManager=two`, { spec: { capacity: '2Gi' } }), ...saved },
      put(
        `${A}?fieldManager=four`,
        volume('a', { spec: { hostPath: { path: '/data/x' }, capacity: '3Gi' } }, { resourceVersion: '{rv}' }),
      ),
      apply(
        `${A}?fieldManager=five&force=true`,
        volume('a', { spec: { hostPath: { path: '/data/x' }, capacity: '3Gi' } }),
      ),
    ],
  },
  {
    name: 'the first apply to a lease whose owners were forgotten, and an update after it',
    steps: [
      post(LEASES, lease({ holderIdentity: 'a', leaseDurationSeconds: 15 })),
      merge(`${LEASES}/l`, { metadata: { managedFields: [{}] } }),
      {
        ...apply(`${LEASES}/l?fieldManager=me&force=true`, lease({ holderIdentity: 'b' })),
        save: { rv: 'metadata.resourceVersion' },
      },
      merge(`${LEASES}/l`, { spec: { leaseDurationSeconds: 15 } }),
    ],
  },
  {
    name: 'an apply to what was made by hand',
    steps: [
      make,
      apply(`${A}?fieldManager=me`, volume('a', {}, { labels: { a: 'b' } })),
      apply(`${A}?fieldManager=me`, volume('a')),
    ],
  },
];

export const applies: Subject = { name: 'apply', cases: [...MERGING, ...CONFLICTS, ...REMOVAL, ...STATUS, ...OTHERS] };
