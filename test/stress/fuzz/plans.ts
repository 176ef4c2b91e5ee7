/** Plans of requests, as fast-check makes and shrinks them; `requests.ts` turns one into bytes with what is stored then. */
import fc from 'fast-check';
import type { Json } from '../../../src/apiserver/schema/json-value.ts';
import { KINDS } from './kinds.ts';
import { type Mutation, mutation, type TextMutation, textMutation, values } from './mutations.ts';

/** One operation of a JSON patch; `at` and `fromAt` choose pointers of the stored object. */
export interface PatchOperation {
  readonly op: string;
  readonly at: number;
  readonly fromAt: number;
  readonly suffix: string;
  readonly value: Json;
}

/** The query, as names and values that are not encoded yet. */
export type Query = readonly (readonly [string, string])[];

interface Common {
  readonly kind: number;
  readonly name: string;
  readonly query: Query;
  readonly headers: readonly (readonly [string, string])[];
  readonly accept: string;
}

export interface WritePlan extends Common {
  readonly type: 'create' | 'replace' | 'merge' | 'strategic' | 'apply';
  /** From which valid body, or (negative) from what is stored. */
  readonly base: number;
  readonly bits: number;
  readonly subresource: string;
  readonly mutations: readonly Mutation[];
  readonly text: readonly TextMutation[];
  readonly contentType: string;
  readonly form: 'json' | 'yaml';
}

export interface JsonPatchPlan extends Common {
  readonly type: 'jsonPatch';
  readonly subresource: string;
  readonly operations: readonly PatchOperation[];
  readonly text: readonly TextMutation[];
}

export interface DeletePlan extends Common {
  readonly type: 'delete';
  readonly many: boolean;
  readonly options: Json;
}

export interface ReadPlan extends Common {
  readonly type: 'get' | 'list' | 'watch';
  readonly subresource: string;
}

/** A request with a path and a method from anywhere. */
export interface StrayPlan extends Common {
  readonly type: 'stray';
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

/** Bytes that may be no HTTP at all. */
export interface NoisePlan extends Common {
  readonly type: 'noise';
  readonly edits: readonly { readonly at: number; readonly bytes: string }[];
}

export type Plan = WritePlan | JsonPatchPlan | DeletePlan | ReadPlan | StrayPlan | NoisePlan;

/** Our own kinds most often: theirs is the largest part of the server. */
const kind = fc.oneof(
  { weight: 3, arbitrary: fc.nat(3) },
  { weight: 2, arbitrary: fc.nat(8) },
  { weight: 1, arbitrary: fc.nat(KINDS.length - 1) },
);
const name = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom('a', 'b', 'c') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('', '..', '%2e%2e', 'A', 'x'.repeat(64), 'x'.repeat(300), 'a%2Fb', 'a b', '__proto__'),
  },
);

const LABELS = [
  'a=b',
  'a',
  '!a',
  'a!=b',
  'a in (b,c)',
  'a notin (b)',
  'a>1',
  'a<x',
  'a in (',
  ',,',
  '=',
  'a==b,c!=d,!e',
  `a in (${'x,'.repeat(500)}y)`,
  'a=b,'.repeat(300),
  '((((',
  '__proto__=x',
  '\u0000',
  'x'.repeat(400),
];

const FIELD_VALUES = ['', 'a', 'n1', 'x\\,y', 'x\\', '\\=', '__proto__', 'é', 'x'.repeat(3000)];
const field = fc.tuple(
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('metadata.name', 'metadata.namespace', '@field') },
    {
      weight: 1,
      arbitrary: fc.constantFrom('', 'metadata', 'spec.x', '__proto__', 'metadata.labels', 'status..x', '.', '[0]'),
    },
  ),
  fc.constantFrom('=', '==', '!=', '', '=!'),
  fc.constantFrom(...FIELD_VALUES),
);

const versions = ['', '0', '1', '@rv', '@head', '-1', '1.5', 'x', '99999999999999999999', '9007199254740993'];
const booleans = ['true', 'false', '', '1', 'x'];

const option = (key: string, ...from: readonly string[]): fc.Arbitrary<readonly [string, string]> =>
  fc.constantFrom(...from).map((value) => [key, value]);

const readOption: fc.Arbitrary<readonly [string, string]> = fc.oneof(
  option('limit', '1', '2', '0', '-1', '9999999999999', 'x'),
  option(
    'continue',
    '@continue',
    '@continue',
    '',
    'x',
    'e30',
    'eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIifQ',
  ),
  option('resourceVersion', ...versions),
  option('resourceVersionMatch', 'Exact', 'NotOlderThan', '', 'x'),
  option('labelSelector', ...LABELS),
  fc
    .array(field, { minLength: 1, maxLength: 3 })
    .map((terms): readonly [string, string] => ['fieldSelector', terms.map((term) => term.join('')).join(',')]),
  option('sendInitialEvents', ...booleans),
  option('allowWatchBookmarks', ...booleans),
  option('timeoutSeconds', '1', '0', '-1', 'x', '99999999999999999999'),
  option('includeObject', 'None', 'Metadata', 'Object', 'x', ''),
  option('pretty', 'true', '1', 'x'),
  option('watch', 'false', '0'),
);

const writeOption: fc.Arbitrary<readonly [string, string]> = fc.oneof(
  option('fieldManager', 'm1', 'm2', 'm3', '', 'x'.repeat(129), '\u0001', 'é😀'),
  option('fieldManager', 'm1', 'm2', 'm3', 'm4'),
  option('fieldValidation', 'Strict', 'Warn', 'Ignore', '', 'x'),
  option('dryRun', 'All', '', 'x'),
  option('force', 'true', 'true', 'false', 'x'),
  option('pretty', 'true'),
  option('propagationPolicy', 'Orphan', 'Foreground', 'Background', 'x'),
  option('orphanDependents', ...booleans),
);

const query = (from: fc.Arbitrary<readonly [string, string]>): fc.Arbitrary<Query> => fc.array(from, { maxLength: 4 });

const headers = fc.oneof(
  { weight: 12, arbitrary: fc.constant<readonly (readonly [string, string])[]>([]) },
  {
    weight: 1,
    arbitrary: fc.array(
      fc.constantFrom<readonly [string, string]>(
        ['Accept-Encoding', 'gzip'],
        ['User-Agent', 'curl/8.0'],
        ['User-Agent', ''],
        ['User-Agent', `${'x'.repeat(200)}/1 é`],
        ['Content-Encoding', 'gzip'],
        ['Expect', '100-continue'],
        ['Expect', 'x'],
        ['X-Http-Method-Override', 'DELETE'],
        ['Impersonate-User', 'x'],
        ['Accept', 'x'],
        ['Cookie', 'a=b'],
        ['Authorization', 'Bearer x'],
        ['Upgrade', 'websocket'],
        ['Connection', 'Upgrade'],
        ['If-None-Match', '*'],
        ['Range', 'bytes=0-1'],
        ['__proto__', 'x'],
      ),
      { minLength: 1, maxLength: 3 },
    ),
  },
);

const accept = fc.oneof(
  { weight: 10, arbitrary: fc.constant('application/json') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
      'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
      'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
      'application/yaml',
      'application/vnd.kubernetes.protobuf, application/json',
      'application/vnd.kubernetes.protobuf',
      'text/html',
      '*/*',
      ';;;,,,',
      'application/json;as=Table;v=v2;g=meta.k8s.io',
      'application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io',
    ),
  },
);

const mutations = fc.oneof(
  { weight: 6, arbitrary: fc.constant<readonly Mutation[]>([]) },
  { weight: 6, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(mutation, { minLength: 4, maxLength: 12 }) },
);

const text = fc.oneof(
  { weight: 12, arbitrary: fc.constant<readonly TextMutation[]>([]) },
  { weight: 1, arbitrary: fc.array(textMutation, { minLength: 1, maxLength: 2 }) },
);

const subresource = fc.oneof(
  { weight: 8, arbitrary: fc.constant('') },
  { weight: 3, arbitrary: fc.constant('status') },
  { weight: 1, arbitrary: fc.constantFrom('finalize', 'scale', 'x', 'status/x') },
);

const write: fc.Arbitrary<WritePlan> = fc.record({
  type: fc.constantFrom(
    'create',
    'create',
    'replace',
    'replace',
    'merge',
    'merge',
    'strategic',
    'apply',
    'apply',
    'apply',
  ),
  kind,
  name,
  query: query(writeOption),
  headers,
  accept,
  base: fc.integer({ min: -2, max: 3 }),
  bits: fc.nat(2 ** 24 - 1),
  subresource,
  mutations,
  text,
  contentType: fc.oneof(
    { weight: 15, arbitrary: fc.constant('') },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'application/json',
        'application/json; charset=utf-8',
        'application/yaml',
        'text/plain',
        'application/vnd.kubernetes.protobuf',
        'application/apply-patch+yaml',
        'application/apply-patch+cbor',
        'x',
      ),
    },
  ),
  form: fc.constantFrom('json', 'json', 'yaml'),
});

const jsonPatchPlan: fc.Arbitrary<JsonPatchPlan> = fc.record({
  type: fc.constant('jsonPatch'),
  kind,
  name,
  query: query(writeOption),
  headers,
  accept,
  subresource,
  text,
  operations: fc.array(
    fc.record({
      op: fc.oneof(
        { weight: 10, arbitrary: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test') },
        { weight: 1, arbitrary: fc.constantFrom('', 'ADD', 'toString', '__proto__') },
      ),
      at: fc.nat(100),
      fromAt: fc.nat(100),
      suffix: fc.oneof(
        { weight: 5, arbitrary: fc.constant('') },
        {
          weight: 4,
          arbitrary: fc.constantFrom(
            '/-',
            '/0',
            '/-1',
            '/99',
            '/01',
            '/1e1',
            '/a',
            '/~2',
            '/',
            '//',
            '/a~1b',
            '/__proto__',
          ),
        },
      ),
      value: values,
    }),
    { minLength: 1, maxLength: 4 },
  ),
});

const deletePlan: fc.Arbitrary<DeletePlan> = fc.record({
  type: fc.constant('delete'),
  kind,
  name,
  query: fc.oneof(query(writeOption), query(readOption)),
  headers,
  accept,
  many: fc.nat(19).map((one) => one === 0),
  options: fc.oneof(
    { weight: 5, arbitrary: fc.constant<Json>(null) },
    {
      weight: 3,
      arbitrary: fc.constantFrom<Json>(
        {},
        { kind: 'DeleteOptions', apiVersion: 'v1' },
        { propagationPolicy: 'Foreground' },
        { propagationPolicy: 'Orphan' },
        { preconditions: { uid: '@uid' } },
        { preconditions: { resourceVersion: '@rv' } },
        { preconditions: { uid: 'x' } },
        { preconditions: 5 },
        { dryRun: ['All'] },
        { dryRun: 'All' },
        { gracePeriodSeconds: -1 },
        { kind: 'Volume' },
        [],
      ),
    },
    { weight: 1, arbitrary: values },
  ),
});

const readPlan: fc.Arbitrary<ReadPlan> = fc.record({
  type: fc.oneof(
    { weight: 10, arbitrary: fc.constantFrom('get', 'list') },
    { weight: 1, arbitrary: fc.constant('watch' as const) },
  ),
  kind,
  name,
  query: query(readOption),
  headers,
  accept,
  subresource,
});

const segment = fc.constantFrom(
  '',
  'api',
  'apis',
  'v1',
  'v1alpha1',
  'storage.clawbernetes.io',
  'namespaces',
  'default',
  'volumes',
  'status',
  'configmaps',
  'openapi',
  'v2',
  'v3',
  'healthz',
  'version',
  'metrics',
  'authorization.k8s.io',
  'selfsubjectaccessreviews',
  'selfsubjectrulesreviews',
  '..',
  '.',
  '%00',
  '%ff',
  '%',
  '%2F',
  '__proto__',
  'constructor',
  '*',
  'x'.repeat(2000),
);

const stray: fc.Arbitrary<StrayPlan> = fc.record({
  type: fc.constant('stray'),
  kind,
  name,
  query: fc.oneof(query(readOption), query(writeOption)),
  headers,
  accept,
  method: fc.constantFrom(
    'GET',
    'GET',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'HEAD',
    'OPTIONS',
    'TRACE',
    'PROPFIND',
    'QUERY',
  ),
  path: fc.oneof(
    fc.array(segment, { maxLength: 7 }).map((parts) => `/${parts.join('/')}`),
    fc.constantFrom(
      '/',
      '/api',
      '/apis',
      '/api/v1',
      '/apis/storage.clawbernetes.io/v1alpha1',
      '/openapi/v2',
      '/openapi/v3',
      '/openapi/v3/apis/storage.clawbernetes.io/v1alpha1',
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
      '/metrics',
      '/version',
      '*',
      'http://x/api',
      '//api//v1',
      '/api/v1/namespaces/default/volumes/a/status/x/y',
      '?',
      '/\u0001',
      '/é',
    ),
  ),
  body: fc.constantFrom(
    '',
    '{}',
    '[]',
    'x',
    'null',
    '{"spec":{"resourceAttributes":{"verb":"get","resource":"volumes"}}}',
    '{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{"resourceAttributes":[]}}',
    'k8s\0',
    `k8s\0${'\n\u0003abc'.repeat(20)}`,
  ),
});

const noise: fc.Arbitrary<NoisePlan> = fc.record({
  type: fc.constant('noise'),
  kind,
  name,
  query: query(readOption),
  headers,
  accept,
  edits: fc.array(
    fc.record({
      at: fc.nat(400),
      bytes: fc.constantFrom(
        '\r\n',
        '\n',
        '\0',
        ' ',
        ':',
        '\u00ff',
        'Content-Length: 5\r\n',
        '\r\nContent-Length: -1',
        '\r\nContent-Length: 99999999999999999999',
        '\r\nTransfer-Encoding: chunked',
        '\r\nTransfer-Encoding: chunked, identity',
        '\r\n\r\nzz\r\n',
        'HTTP/9.9',
        'GET / HTTP/1.0\r\n\r\n',
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        '\u0016\u0003\u0001\u0002',
      ),
    }),
    { minLength: 1, maxLength: 3 },
  ),
});

export const plan: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 55, arbitrary: write },
  { weight: 15, arbitrary: jsonPatchPlan },
  { weight: 4, arbitrary: deletePlan },
  { weight: 14, arbitrary: readPlan },
  { weight: 5, arbitrary: stray },
  { weight: 1, arbitrary: noise },
);
