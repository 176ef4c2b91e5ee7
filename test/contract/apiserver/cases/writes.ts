/** Rules of every write: names, dry run, unknown fields, versions, generation, status, and the two plain patches. */
import {
  A,
  type Case,
  get,
  type Json,
  jsonPatch,
  MAPS,
  MERGE,
  make,
  merge,
  named,
  PLAINS,
  patch,
  post,
  put,
  remove,
  type Subject,
  VOLUMES,
  volume,
} from './support.ts';

const unknown: Json = { spec: { hostPath: { path: '/data/x' }, foo: 1 } };
const current = '{rv}';
const saved = { save: { rv: 'metadata.resourceVersion', uid: 'metadata.uid' } };
const made = post(VOLUMES, volume('a'), saved);
const P = `${PLAINS}/{ns}`;
const plain = (more: Json): Json => named('Plain', 'conformance.clawstore.test/v1', '{ns}', more);

const NAMES: readonly Case[] = [
  { name: 'a name from a prefix', steps: [post(VOLUMES, { ...volume('x'), metadata: { generateName: 'gen-' } })] },
  {
    name: 'a name wins over a prefix',
    steps: [post(VOLUMES, volume('a', {}, { generateName: 'gen-' }))],
  },
  { name: 'a bad prefix', steps: [post(VOLUMES, { ...volume('x'), metadata: { generateName: 'Gen_' } })] },
  {
    name: 'a prefix that is too long is cut',
    steps: [post(MAPS, { metadata: { generateName: `gen-${'x'.repeat(200)}` } })],
  },
  { name: 'a name that is too long', steps: [post(VOLUMES, volume('x'.repeat(254)))] },
  { name: 'a name of two labels', steps: [post(VOLUMES, volume('a.b-c.d'))] },
  {
    name: 'a prefix with dry run',
    steps: [post(`${VOLUMES}?dryRun=All`, { ...volume('x'), metadata: { generateName: 'gen-' } })],
  },
  { name: 'a name in the body and none in the path of a replace', steps: [put(`${VOLUMES}/`, volume('a'))] },
  {
    name: 'annotations that are too large',
    steps: [post(MAPS, { metadata: { name: 'm', annotations: { a: 'x'.repeat(262_200) } } })],
  },
  {
    name: 'labels that are too long',
    steps: [post(VOLUMES, volume('a', {}, { labels: { a: 'x'.repeat(64) } }))],
  },
  {
    name: 'annotation keys that are not qualified',
    steps: [
      post(VOLUMES, volume('a', {}, { annotations: { 'a b': 'c' } })),
      post(VOLUMES, volume('a', {}, { annotations: { '/x': 'y' } })),
    ],
  },
  {
    name: 'owner references without what they need',
    steps: [post(VOLUMES, volume('a', {}, { ownerReferences: [{ apiVersion: '', kind: '', name: '', uid: '' }] }))],
  },
  {
    name: 'two owners that control',
    steps: [
      post(
        VOLUMES,
        volume(
          'a',
          {},
          {
            ownerReferences: ['x', 'y'].map((name) => ({
              apiVersion: 'v1',
              kind: 'ConfigMap',
              name,
              uid: name,
              controller: true,
            })),
          },
        ),
      ),
    ],
  },
  {
    name: 'an owner reference twice',
    steps: [
      post(
        VOLUMES,
        volume(
          'a',
          {},
          { ownerReferences: [1, 2].map(() => ({ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'x' })) },
        ),
      ),
    ],
  },
  {
    name: 'system metadata from a client is replaced',
    steps: [
      post(
        VOLUMES,
        volume(
          'a',
          {},
          {
            uid: 'mine',
            creationTimestamp: '2001-01-01T00:00:00Z',
            generation: 7,
            selfLink: '/x',
            deletionTimestamp: '2001-01-01T00:00:00Z',
            deletionGracePeriodSeconds: 5,
          },
        ),
      ),
    ],
  },
];

const VALIDATION: readonly Case[] = [
  ...['Ignore', 'Warn', 'Strict'].flatMap((level): Case[] => [
    {
      name: `replace with an unknown field, ${level}`,
      steps: [made, put(`${A}?fieldValidation=${level}`, volume('a', unknown, { resourceVersion: current }))],
    },
    {
      name: `merge patch with an unknown field, ${level}`,
      steps: [make, merge(`${A}?fieldValidation=${level}`, { spec: { foo: 1 }, status: { foo: 1 } })],
    },
    {
      name: `JSON patch with an unknown field, ${level}`,
      steps: [make, jsonPatch(`${A}?fieldValidation=${level}`, { op: 'add', path: '/spec/foo', value: 1 })],
    },
    {
      name: `unknown fields everywhere, ${level}`,
      steps: [
        post(`${VOLUMES}?fieldValidation=${level}`, {
          ...volume('a', { spec: { hostPath: { path: '/data/x', foo: 1 }, bar: { baz: 1 } } }, { foo: 1 }),
          top: 1,
        }),
      ],
    },
    {
      name: `duplicate fields at two depths, ${level}`,
      steps: [
        {
          method: 'POST',
          path: `${VOLUMES}?fieldValidation=${level}`,
          raw: '{"apiVersion":"storage.clawbernetes.io/v1alpha1","kind":"Volume","metadata":{"name":"a","name":"b"},"spec":{"hostPath":{"path":"/data/x"}},"spec":{"hostPath":{"path":"/data/x","path":"/data/y"},"foo":1}}',
        },
      ],
    },
    {
      name: `duplicate and unknown fields in YAML, ${level}`,
      steps: [
        {
          method: 'POST',
          path: `${VOLUMES}?fieldValidation=${level}`,
          type: 'application/yaml',
          raw: 'apiVersion: storage.clawbernetes.io/v1alpha1\nkind: Volume\nmetadata:\n  name: a\nspec:\n  foo: 1\n  hostPath:\n    path: /data/x\n    path: /data/y\n',
        },
      ],
    },
    {
      name: `an unknown field of a config map, ${level}`,
      steps: [
        post(`${MAPS}?fieldValidation=${level}`, named('ConfigMap', 'v1', 'm', { dota: { a: 'b' }, data: { a: 'b' } })),
      ],
    },
    {
      name: `a field of a config map in other case, ${level}`,
      steps: [post(`${MAPS}?fieldValidation=${level}`, named('ConfigMap', 'v1', 'm', { Data: { a: 'b' } }))],
    },
  ]),
  { name: 'a bad fieldValidation of a patch', steps: [make, merge(`${A}?fieldValidation=strict`, {})] },
  { name: 'two dry runs', steps: [post(`${VOLUMES}?dryRun=All&dryRun=All`, volume('a')), get(A)] },
  {
    name: 'a dry run of a replace stores nothing',
    steps: [
      made,
      put(
        `${A}?dryRun=All`,
        volume('a', { spec: { hostPath: { path: '/data/x' }, capacity: '1Gi' } }, { resourceVersion: current }),
      ),
      get(A),
    ],
  },
  {
    name: 'a dry run of a patch stores nothing',
    steps: [make, merge(`${A}?dryRun=All`, { metadata: { labels: { a: 'b' } } }), get(A)],
  },
  {
    name: 'a dry run of a status patch stores nothing',
    steps: [make, merge(`${A}/status?dryRun=All`, { status: { phase: 'Bound' } }), get(A)],
  },
  { name: 'a dry run of a collection stores nothing', steps: [make, remove(`${VOLUMES}?dryRun=All`), get(A)] },
  { name: 'a dry run is validated', steps: [post(`${VOLUMES}?dryRun=All`, volume('a', { spec: {} }))] },
  { name: 'a dry run in the body of a delete', steps: [make, remove(A, { dryRun: ['All'] }), get(A)] },
];

const REPLACE: readonly Case[] = [
  {
    name: 'replace at its version',
    steps: [made, put(A, volume('a', {}, { resourceVersion: current, labels: { x: 'y' } }))],
  },
  { name: 'replace with the same', steps: [made, put(A, volume('a', {}, { resourceVersion: current })), get(A)] },
  {
    name: 'replace after somebody else',
    steps: [
      made,
      merge(A, { metadata: { labels: { x: 'y' } } }),
      put(A, volume('a', {}, { resourceVersion: current })),
    ],
  },
  {
    name: 'replace of another incarnation',
    steps: [made, remove(A), make, put(A, volume('a', {}, { resourceVersion: current, uid: '{uid}' }))],
  },
  { name: 'replace with version 0', steps: [make, put(A, volume('a', {}, { resourceVersion: '0' }))] },
  {
    name: 'replace in another namespace',
    steps: [made, put(A, volume('a', {}, { resourceVersion: current, namespace: 'default' }))],
  },
  {
    name: 'replace without finalizers, labels and annotations removes them',
    steps: [
      post(VOLUMES, volume('a', {}, { finalizers: ['x/y'], labels: { a: 'b' }, annotations: { c: 'd' } }), saved),
      put(A, volume('a', {}, { resourceVersion: current })),
    ],
  },
  {
    name: 'replace leaves the status',
    steps: [
      make,
      patch(`${A}/status`, MERGE, { status: { phase: 'Bound' } }, saved),
      put(A, volume('a', { status: { phase: 'Pending' } }, { resourceVersion: current })),
    ],
  },
  {
    name: 'replace of the status leaves the rest',
    steps: [
      made,
      put(
        `${A}/status`,
        volume(
          'a',
          { spec: { hostPath: { path: '/elsewhere' } }, status: { phase: 'Bound' } },
          { resourceVersion: current, labels: { a: 'b' }, finalizers: ['x/y'] },
        ),
      ),
    ],
  },
  {
    name: 'replace of the status without a version',
    steps: [made, put(`${A}/status`, volume('a', { status: { phase: 'Bound' } }))],
  },
  {
    name: 'replace of a status that is invalid',
    steps: [made, put(`${A}/status`, volume('a', { status: { phase: 'No' } }, { resourceVersion: current }))],
  },
  {
    name: 'replace of the generation',
    steps: [made, put(A, volume('a', {}, { resourceVersion: current, generation: 9 }))],
  },
  {
    name: 'replace of the creation time',
    steps: [made, put(A, volume('a', {}, { resourceVersion: current, creationTimestamp: '2001-01-01T00:00:00Z' }))],
  },
  {
    name: 'replace with a finalizer while deleting',
    steps: [
      post(VOLUMES, volume('a', {}, { finalizers: ['x/y'] })),
      { ...remove(A), ...saved },
      put(A, volume('a', {}, { resourceVersion: current, finalizers: ['x/y', 'x/z'] })),
    ],
  },
];

const PATCHES: readonly Case[] = [
  {
    name: 'JSON patch: add, replace, copy, move, test and remove',
    steps: [
      post(VOLUMES, volume('a', {}, { labels: { a: '1', b: '2' } })),
      jsonPatch(
        A,
        { op: 'test', path: '/metadata/labels/a', value: '1' },
        { op: 'replace', path: '/metadata/labels/a', value: '3' },
        { op: 'copy', from: '/metadata/labels/a', path: '/metadata/labels/c' },
        { op: 'move', from: '/metadata/labels/b', path: '/metadata/labels/d' },
        { op: 'add', path: '/metadata/annotations', value: { x_y: 'z' } },
        { op: 'remove', path: '/metadata/labels/c' },
      ),
    ],
  },
  {
    name: 'JSON patch with escaped names',
    steps: [
      post(VOLUMES, volume('a', {}, { labels: { 'x.y/z': '1' } })),
      jsonPatch(A, { op: 'replace', path: '/metadata/labels/x.y~1z', value: '2' }),
    ],
  },
  {
    name: 'JSON patch at the end of a list',
    steps: [
      post(VOLUMES, volume('a', {}, { finalizers: ['x/a'] })),
      jsonPatch(A, { op: 'add', path: '/metadata/finalizers/-', value: 'x/b' }),
      jsonPatch(A, { op: 'add', path: '/metadata/finalizers/0', value: 'x/c' }),
      jsonPatch(A, { op: 'remove', path: '/metadata/finalizers/1' }),
    ],
  },
  {
    name: 'JSON patch past the end of a list',
    steps: [
      post(VOLUMES, volume('a', {}, { finalizers: ['x/a'] })),
      jsonPatch(A, { op: 'add', path: '/metadata/finalizers/5', value: 'x/b' }),
    ],
  },
  { name: 'JSON patch of an unknown operation', steps: [make, jsonPatch(A, { op: 'frob', path: '/spec' })] },
  { name: 'JSON patch without a path', steps: [make, jsonPatch(A, { op: 'add', value: 1 })] },
  {
    name: 'JSON patch that replaces what is not there',
    steps: [make, jsonPatch(A, { op: 'replace', path: '/spec/capacity', value: '1Gi' })],
  },
  {
    name: 'JSON patch below what is not there',
    steps: [make, jsonPatch(A, { op: 'add', path: '/metadata/labels/a', value: 'b' })],
  },
  {
    name: 'JSON patch whose test succeeds changes nothing',
    steps: [make, jsonPatch(A, { op: 'test', path: '/metadata/name', value: 'a' })],
  },
  {
    name: 'JSON patch that tests the version',
    steps: [
      made,
      jsonPatch(
        A,
        { op: 'test', path: '/metadata/resourceVersion', value: '1' },
        { op: 'add', path: '/metadata/labels', value: { a: 'b' } },
      ),
    ],
  },
  {
    name: 'JSON patch of the version',
    steps: [make, jsonPatch(A, { op: 'replace', path: '/metadata/resourceVersion', value: '1' })],
  },
  { name: 'JSON patch that is no list', steps: [make, patch(A, 'application/json-patch+json', { op: 'add' })] },
  {
    name: 'JSON patch that is nonsense',
    steps: [make, { method: 'PATCH', path: A, type: 'application/json-patch+json', raw: 'nonsense' }],
  },
  { name: 'JSON patch of the kind', steps: [make, jsonPatch(A, { op: 'replace', path: '/kind', value: 'Other' })] },
  { name: 'JSON patch that empties', steps: [make, jsonPatch(A, { op: 'remove', path: '/spec' })] },
  {
    name: 'JSON patch with many operations',
    steps: [
      make,
      patch(
        A,
        'application/json-patch+json',
        Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/kind', value: 'Volume' })),
      ),
    ],
  },
  {
    name: 'merge patch that removes a label by null',
    steps: [
      post(VOLUMES, volume('a', {}, { labels: { a: 'b', c: 'd' } })),
      merge(A, { metadata: { labels: { a: null, x: null } } }),
    ],
  },
  {
    name: 'merge patch that removes all labels',
    steps: [post(VOLUMES, volume('a', {}, { labels: { a: 'b' } })), merge(A, { metadata: { labels: null } })],
  },
  {
    name: 'merge patch replaces lists',
    steps: [
      post(VOLUMES, volume('a', {}, { finalizers: ['x/a', 'x/b'] })),
      merge(A, { metadata: { finalizers: ['x/c'] } }),
    ],
  },
  { name: 'merge patch replaces a value by an object', steps: [make, merge(A, { spec: { capacity: { a: 'b' } } })] },
  { name: 'merge patch that is a list', steps: [make, patch(A, MERGE, [])] },
  { name: 'merge patch that is a text', steps: [make, patch(A, MERGE, 'x')] },
  { name: 'merge patch that is null', steps: [make, { method: 'PATCH', path: A, type: MERGE, raw: 'null' }] },
  { name: 'merge patch that is nonsense', steps: [make, { method: 'PATCH', path: A, type: MERGE, raw: '{' }] },
  { name: 'merge patch of the whole spec away', steps: [make, merge(A, { spec: null })] },
  { name: 'merge patch of managedFields away', steps: [make, merge(A, { metadata: { managedFields: null } })] },
  {
    name: 'merge patch of managedFields to one empty entry',
    steps: [make, merge(A, { metadata: { managedFields: [{}] } }), merge(A, { metadata: { labels: { a: 'b' } } })],
  },
  {
    name: 'merge patch with the current version',
    steps: [made, merge(A, { metadata: { resourceVersion: current, labels: { a: 'b' } } })],
  },
  { name: 'merge patch of the apiVersion', steps: [make, merge(A, { apiVersion: 'v1' })] },
  {
    name: 'merge patch of the creation time',
    steps: [make, merge(A, { metadata: { creationTimestamp: '2001-01-01T00:00:00Z' } })],
  },
  {
    name: 'merge patch of the deletion time',
    steps: [make, merge(A, { metadata: { deletionTimestamp: '2001-01-01T00:00:00Z' } }), get(A)],
  },
  { name: 'merge patch of the generation', steps: [make, merge(A, { metadata: { generation: 9 } })] },
  { name: 'merge patch of the namespace', steps: [make, merge(A, { metadata: { namespace: 'default' } })] },
  { name: 'patch with a manager', steps: [make, merge(`${A}?fieldManager=me`, { metadata: { labels: { a: 'b' } } })] },
];

const GENERATION: readonly Case[] = [
  {
    name: 'the generation counts changes of the spec alone',
    steps: [
      make,
      merge(A, { metadata: { annotations: { a: 'b' } } }),
      merge(`${A}/status`, { status: { phase: 'Bound' } }),
      merge(A, { spec: { capacity: '1Gi' } }),
      merge(A, { spec: { capacity: '1Gi' } }),
      merge(A, { spec: { capacity: '2Gi' } }),
    ],
  },
  {
    name: 'the generation counts the beginning of a deletion',
    steps: [
      post(VOLUMES, volume('a', {}, { finalizers: ['x/y'] })),
      remove(A),
      remove(A),
      merge(A, { spec: { capacity: '1Gi' } }),
    ],
  },
  {
    name: 'without a status subresource the status counts as everything else',
    steps: [
      post(PLAINS, plain({ spec: { value: 'a' }, status: { phase: 'x' } })),
      merge(P, { status: { phase: 'y' } }),
      merge(P, { metadata: { labels: { a: 'b' } } }),
      get(`${P}/status`),
      merge(`${P}/status`, { status: { phase: 'z' } }),
      remove(P),
    ],
  },
  {
    name: 'a rule about the name',
    steps: [post(PLAINS, named('Plain', 'conformance.clawstore.test/v1', 'other', {}))],
  },
  {
    name: 'core kinds have no generation',
    steps: [post(MAPS, named('ConfigMap', 'v1', 'm', { data: { a: 'b' } })), merge(`${MAPS}/m`, { data: { a: 'c' } })],
  },
  {
    name: 'status isolation: a create through the status is no path',
    steps: [
      post(`${A}/status`, volume('a')),
      put(`${A}/status`, volume('a')),
      merge(`${A}/status`, {}),
      get(`${A}/status`),
    ],
  },
  {
    name: 'status isolation: labels, annotations and finalizers of a status patch are left out',
    steps: [
      make,
      merge(`${A}/status`, {
        metadata: { labels: { a: 'b' }, annotations: { a: 'b' }, finalizers: ['x/y'] },
        status: { phase: 'Bound' },
      }),
    ],
  },
  {
    name: 'status isolation: JSON patch of the spec through the status',
    steps: [
      make,
      jsonPatch(
        `${A}/status`,
        { op: 'add', path: '/spec/capacity', value: '1Gi' },
        { op: 'add', path: '/status', value: { phase: 'Bound' } },
      ),
    ],
  },
];

export const writes: Subject = {
  name: 'writes',
  cases: [...NAMES, ...VALIDATION, ...REPLACE, ...PATCHES, ...GENERATION],
};
