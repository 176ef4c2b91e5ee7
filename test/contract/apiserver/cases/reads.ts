/** Lists, pages, versions, selectors, tables and other forms of answers. */
import {
  A,
  type Case,
  EVENTS,
  GROUP,
  get,
  type Json,
  LEASES,
  MAPS,
  make,
  merge,
  named,
  PARTIAL,
  PARTIAL_LIST,
  PLAINS,
  post,
  remove,
  S,
  SECRETS,
  SPECIMENS,
  type Step,
  type Subject,
  specimen,
  TABLE,
  VOLUMES,
  volume,
} from './support.ts';

const three: readonly Step[] = ['a', 'b', 'c'].map((name) => post(VOLUMES, volume(name)));
const HUGE = '9007199254740991';
const list = (query: string): Step => get(`${VOLUMES}?${query}`, PARTIAL_LIST);
const saved = (step: Step): Step => ({ ...step, save: { rv: 'metadata.resourceVersion', token: 'metadata.continue' } });

const PAGES: readonly Case[] = [
  {
    name: 'pages to the end',
    steps: [...three, saved(list('limit=2')), list('limit=2&continue={token}')],
  },
  {
    name: 'a page goes on with another limit',
    steps: [...three, saved(list('limit=1')), list('continue={token}')],
  },
  {
    name: 'a page of a selection',
    steps: [
      ...three,
      ...['a', 'c'].map((name) => merge(`${VOLUMES}/${name}`, { metadata: { labels: { x: 'y' } } })),
      saved(list('limit=1&labelSelector=x')),
      list('limit=1&labelSelector=x&continue={token}'),
    ],
  },
  { name: 'as many as there are', steps: [...three, list('limit=3')] },
  { name: 'a limit of nothing', steps: [...three, list('limit=0')] },
  { name: 'a limit below nothing', steps: [...three, list('limit=-1')] },
  { name: 'a limit that is no number', steps: [list('limit=x')] },
  {
    name: 'a page and a version together',
    steps: [...three, saved(list('limit=2')), list('limit=2&continue={token}&resourceVersion=5')],
  },
  { name: 'a page at version 0', steps: [...three, list('limit=2&resourceVersion=0')] },
  {
    name: 'a page with a match',
    steps: [...three, saved(list('limit=2')), list('continue={token}&resourceVersionMatch=Exact')],
  },
  {
    name: 'a page of an exact version',
    steps: [
      ...three,
      saved(list('limit=3')),
      remove(`${VOLUMES}/c`),
      saved(list('limit=2&resourceVersion={rv}&resourceVersionMatch=Exact')),
      list('limit=2&continue={token}'),
    ],
  },
  {
    name: 'a table in pages',
    steps: [
      ...three,
      { ...get(`${VOLUMES}?limit=2`, TABLE), save: { token: 'metadata.continue' } },
      get(`${VOLUMES}?limit=2&continue={token}`, TABLE),
    ],
  },
  {
    name: 'pages of config maps',
    steps: [
      ...['a', 'b', 'c'].map((name) => post(MAPS, named('ConfigMap', 'v1', name))),
      { ...get(`${MAPS}?limit=2`, PARTIAL_LIST), save: { token: 'metadata.continue' } },
      get(`${MAPS}?limit=2&continue={token}`, PARTIAL_LIST),
    ],
  },
];

const VERSIONS: readonly Case[] = [
  { name: 'get at version 0', steps: [make, get(`${A}?resourceVersion=0`)] },
  {
    name: 'get not older than',
    steps: [{ ...make, save: { rv: 'metadata.resourceVersion' } }, get(`${A}?resourceVersion={rv}`)],
  },
  { name: 'get at a bad version', steps: [make, get(`${A}?resourceVersion=abc`)] },
  { name: 'get with a match', steps: [make, get(`${A}?resourceVersion=1&resourceVersionMatch=Exact`)] },
  {
    name: 'list at version 0',
    steps: [...three, saved(list('limit=1')), list('resourceVersion=0&resourceVersionMatch=NotOlderThan')],
  },
  {
    name: 'list not older than',
    steps: [
      { ...make, save: { rv: 'metadata.resourceVersion' } },
      list('resourceVersion={rv}&resourceVersionMatch=NotOlderThan'),
    ],
  },
  {
    name: 'list at least at a version',
    steps: [{ ...make, save: { rv: 'metadata.resourceVersion' } }, list('resourceVersion={rv}')],
  },
  {
    name: 'list exactly as it was',
    steps: [
      make,
      saved(list('limit=10')),
      post(VOLUMES, volume('b')),
      remove(A),
      list('resourceVersion={rv}&resourceVersionMatch=Exact'),
      list('limit=10'),
    ],
  },
  {
    name: 'list exactly a version of the future',
    steps: [make, list(`resourceVersion=${HUGE}&resourceVersionMatch=Exact`)],
  },
  { name: 'list below no version', steps: [make, list('resourceVersion=-5')] },
  {
    name: 'list is consistent with the writes before it',
    steps: [make, list('limit=500'), remove(A), list('limit=500')],
  },
  {
    name: 'a match that is not for watches',
    steps: [get(`${VOLUMES}?watch=1&resourceVersion=1&resourceVersionMatch=Exact`)],
  },
  {
    name: 'a match without a version in a watch',
    steps: [get(`${VOLUMES}?watch=1&resourceVersionMatch=NotOlderThan`)],
  },
  {
    name: 'initial events with a bad match',
    steps: [get(`${VOLUMES}?watch=1&sendInitialEvents=true&resourceVersionMatch=Exact`)],
  },
  {
    name: 'initial events without bookmarks',
    steps: [get(`${VOLUMES}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1`)],
  },
  { name: 'a watch at a bad version', steps: [get(`${VOLUMES}?watch=1&resourceVersion=abc`)] },
  { name: 'a watch of a page', steps: [get(`${VOLUMES}?watch=1&continue=abc`)] },
  { name: 'a timeout that is no number', steps: [get(`${VOLUMES}?watch=1&timeoutSeconds=x`)] },
];

const selected = ['color=red', 'color!=red', 'color==blue', 'count=5', 'flag=true', 'flag=false', 'flag='].map(
  (text) => `spec.${text}`,
);
const SELECTORS: readonly Case[] = [
  {
    name: 'selectable fields of every type',
    steps: [
      post(SPECIMENS, specimen({ color: 'red', count: 5, flag: true })),
      post(SPECIMENS, specimen({ color: 'blue' }, { name: 't' })),
      ...selected.map((text) => get(`${SPECIMENS}?fieldSelector=${encodeURIComponent(text)}`, PARTIAL_LIST)),
      merge(`${S}/status`, { status: { phase: 'Good' } }),
      get(`${SPECIMENS}?fieldSelector=status.phase%3DGood`, PARTIAL_LIST),
      get(`${SPECIMENS}?fieldSelector=status.phase%3DGood,spec.color%3Dred,metadata.name%3Ds`, PARTIAL_LIST),
      get(`${SPECIMENS}?fieldSelector=status.phase%3DGood,spec.color%3Dblue`, PARTIAL_LIST),
    ],
  },
  { name: 'a field that is not selectable', steps: [get(`${SPECIMENS}?fieldSelector=spec.word%3Dx`)] },
  {
    name: 'field selectors of the namespace',
    steps: [make, list('fieldSelector=metadata.namespace%3D{ns}'), list('fieldSelector=metadata.namespace%3Dother')],
  },
  {
    name: 'field selectors over all namespaces',
    steps: [make, get(`${GROUP}/volumes?fieldSelector=metadata.namespace%3D{ns}`, PARTIAL_LIST)],
  },
  {
    name: 'an escaped field selector',
    steps: [make, list('fieldSelector=metadata.name%3D%5C%2C'), list('fieldSelector=metadata.name%3Da%5C')],
  },
  { name: 'an empty field selector', steps: [make, list('fieldSelector=')] },
  ...[
    'x in ()',
    'x in (a',
    'x notin a',
    'x=a,,y',
    '=a',
    'x>5',
    'x<abc',
    'x>3,x<7',
    '!x=5',
    'a b',
    '-x',
    `${'l'.repeat(70)}=a`,
    'x=a b',
    'x in (a,)',
    'x,!y',
    '',
  ].map(
    (text): Case => ({
      name: `label selector ${text === '' ? 'of nothing' : text}`,
      steps: [
        post(VOLUMES, volume('a', {}, { labels: { x: '5' } })),
        make,
        list(`labelSelector=${encodeURIComponent(text)}`),
      ],
    }),
  ),
  {
    name: 'both selectors',
    steps: [
      post(VOLUMES, volume('a', {}, { labels: { x: 'y' } })),
      list('labelSelector=x%3Dy&fieldSelector=metadata.name%3Da'),
      list('labelSelector=x%3Dy&fieldSelector=metadata.name%3Db'),
    ],
  },
  {
    name: 'secrets by type',
    steps: [
      post(SECRETS, named('Secret', 'v1', 's', { type: 'my/type' })),
      get(`${SECRETS}?fieldSelector=type%3Dmy/type`, PARTIAL_LIST),
      get(`${SECRETS}?fieldSelector=type%3DOpaque`, PARTIAL_LIST),
      get(`${SECRETS}?fieldSelector=data%3Dx`),
    ],
  },
  { name: 'config maps have no other field', steps: [get(`${MAPS}?fieldSelector=data%3Dx`)] },
  {
    name: 'namespaces by phase',
    steps: [
      get('/api/v1/namespaces?fieldSelector=status.phase%3DActive,metadata.name%3D{ns}', PARTIAL_LIST),
      get('/api/v1/namespaces?fieldSelector=status.phase%3DTerminating,metadata.name%3D{ns}', PARTIAL_LIST),
    ],
  },
];

const full: Json = {
  color: 'red',
  count: 7,
  ratio: 2.5,
  flag: true,
  when: '2026-01-01T00:00:00Z',
  tags: ['a', 'b'],
  port: 'http',
  items: [{ name: 'one' }, { name: 'two' }],
};
const TABLES: readonly Case[] = [
  {
    name: 'a table of every type of column',
    steps: [
      post(SPECIMENS, specimen(full)),
      post(SPECIMENS, specimen({ port: 80 }, { name: 't' })),
      get(SPECIMENS, TABLE),
      merge(`${S}/status`, { status: { conditions: [{ type: 'Ready', status: 'True' }] } }),
      get(S, TABLE),
    ],
  },
  {
    name: 'a table without columns of its own',
    steps: [
      post(PLAINS, named('Plain', 'conformance.clawstore.test/v1', '{ns}', {})),
      get(`${PLAINS}/{ns}`, TABLE),
      remove(`${PLAINS}/{ns}`),
    ],
  },
  { name: 'a table of nothing', steps: [get(SPECIMENS, TABLE), get(S, TABLE)] },
  { name: 'a table that shows metadata', steps: [make, get(`${VOLUMES}?includeObject=Metadata`, TABLE)] },
  { name: 'a table that shows a bad part', steps: [make, get(`${VOLUMES}?includeObject=Some`, TABLE)] },
  {
    name: 'a table of a create and of a patch',
    steps: [
      { ...make, accept: TABLE },
      { ...merge(A, { metadata: { labels: { a: 'b' } } }), accept: TABLE },
    ],
  },
  {
    name: 'a table of another version',
    steps: [
      make,
      get(A, 'application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json'),
      get(A, 'application/json;as=Table;v=v2;g=meta.k8s.io'),
    ],
  },
  {
    name: 'a table of secrets',
    steps: [post(SECRETS, named('Secret', 'v1', 's', { data: { a: 'ZA==', b: 'ZA==' } })), get(SECRETS, TABLE)],
  },
  {
    name: 'a table of events',
    steps: [
      post(EVENTS, {
        ...named('Event', 'v1', 'e', {
          involvedObject: { kind: 'Volume', name: 'a', namespace: '{ns}' },
          reason: 'Made',
          message: 'it is made',
          type: 'Normal',
          count: 2,
          source: { component: 'me', host: 'there' },
          firstTimestamp: '2026-01-01T00:00:00Z',
          lastTimestamp: '2026-01-01T00:00:00Z',
        }),
      }),
      { ...get(EVENTS, TABLE), select: withoutAges },
    ],
  },
  {
    name: 'a table of leases',
    steps: [
      post(LEASES, named('Lease', 'coordination.k8s.io/v1', 'l', { spec: { holderIdentity: 'me' } })),
      get(LEASES, TABLE),
    ],
  },
  { name: 'a table of namespaces', steps: [get('/api/v1/namespaces?fieldSelector=metadata.name%3D{ns}', TABLE)] },
  {
    name: 'metadata of a create, a list and a table',
    steps: [{ ...make, accept: PARTIAL }, get(VOLUMES, PARTIAL_LIST), get(A, PARTIAL_LIST)],
  },
  {
    name: 'an answer in YAML',
    steps: [
      post(MAPS, named('ConfigMap', 'v1', 'm', { data: { a: 'b' } })),
      { ...get('/api/v1/namespaces/{ns}/configmaps/none', 'application/yaml') },
    ],
  },
  { name: 'an indented answer', steps: [get(`${A}?pretty=true`)] },
  {
    name: 'anything will do',
    steps: [get(A, '*/*'), get(A, 'application/*'), get(A, 'text/html,application/json;q=0.5')],
  },
];

/** The ages of events grow while a test runs. */
function withoutAges(body: unknown): unknown {
  const table = body as {
    readonly columnDefinitions: readonly { readonly name: string }[];
    readonly rows: readonly { readonly cells: readonly unknown[] }[];
  };
  const ages = new Set(['Last Seen', 'First Seen']);
  return {
    ...table,
    rows: table.rows.map((row) => ({
      ...row,
      cells: row.cells.map((cell, i) => (ages.has(table.columnDefinitions[i]?.name ?? '') ? 'AGE' : cell)),
    })),
  };
}

export const reads: Subject = { name: 'reads', cases: [...PAGES, ...VERSIONS, ...SELECTORS, ...TABLES] };
