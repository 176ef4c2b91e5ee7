/** Changes to JSON values and to their text, as plans that fast-check makes and shrinks. */
import fc from 'fast-check';
import { deepCopy, isObject, type Json, type JsonObject, setOwn } from '../../../src/apiserver/schema/json-value.ts';

/** One change to a JSON value. `at` chooses a place: modulo the number of places. */
export interface Mutation {
  readonly at: number;
  readonly how: 'replace' | 'remove' | 'add' | 'duplicate' | 'wrap' | 'rename' | 'swap';
  readonly key: string;
  readonly value: Json;
}

const MEDIUM = 'x'.repeat(300);

const strings = fc.constantFrom(
  '',
  'a',
  'b',
  'Ready',
  '10Gi',
  '5Gi',
  '-1',
  '1e99',
  '0x10',
  'true',
  'null',
  '2026-01-01T00:00:00Z',
  '2026-01-01T00:00:00.123456Z',
  '2026-13-99T99:99:99Z',
  '/',
  '/a/../b',
  '//',
  'A_B',
  'a.b-c',
  'example.com/x',
  'a/b/c',
  '__proto__',
  'constructor',
  'toString',
  '\u0000',
  '\u007f\u0080',
  '\ud800',
  'é😀\u2028',
  '%s%n',
  '${a}',
  'storage.clawbernetes.io/v1alpha1',
  'v1',
  'Volume',
  'orphan',
  'foregroundDeletion',
  MEDIUM,
  `${'a.'.repeat(120)}a`,
  'AAEC',
  '====',
  '@rv',
  '@uid',
  '@ns',
);

const numbers = fc.constantFrom(0, -0, 1, -1, 2, 0.5, 1.5e300, 2 ** 31, -(2 ** 31) - 1, 2 ** 53, 2 ** 63, 1e21, 5e-324);

const FIELDS: readonly JsonObject[] = [
  {},
  { '.': {} },
  { 'f:spec': { 'f:capacity': {} } },
  { 'f:spec': {}, 'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } } },
  { 'f:status': { 'f:conditions': { 'k:{"type":"Ready"}': { '.': {}, 'f:status': {} } } } },
  { 'f:metadata': { 'f:finalizers': { 'v:"a.example/b"': {}, '.': {} } } },
  { 'f:x': { 'i:0': {}, 'i:-1': {}, 'i:99999999999': {}, 'i:x': {} } },
  { 'k:{"a":1,"b":null}': {}, 'k:{': {}, 'v:': {}, 'k:[]': {}, 'v:{"b":1,"a":[{}]}': {} },
  { 'f:__proto__': { 'f:constructor': {} } },
  { 'f:': {}, f: {}, x: {}, ':': {} },
  { 'f:a': 1 },
  { 'f:a': [] },
];

/** Entries of `metadata.managedFields`, some of them right. */
const managed: fc.Arbitrary<Json> = fc.record(
  {
    manager: fc.constantFrom('m1', 'm2', '', MEDIUM, 'kubectl'),
    operation: fc.constantFrom<Json>('Apply', 'Update', '', 'Other', 1),
    apiVersion: fc.constantFrom<Json>('storage.clawbernetes.io/v1alpha1', 'v1', '', 'a/b/c', 'other/v2', null),
    time: fc.constantFrom<Json>('2026-01-01T00:00:00Z', 'x', null),
    fieldsType: fc.constantFrom<Json>('FieldsV1', '', 'FieldsV2', null),
    fieldsV1: fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom<Json>(...FIELDS) },
      { weight: 1, arbitrary: fc.constantFrom<Json>('x', 1, [], null) },
    ),
    subresource: fc.constantFrom<Json>('status', '', 'x', 1),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Json>;

const owner = fc.record(
  {
    apiVersion: fc.constantFrom<Json>('v1', 'storage.clawbernetes.io/v1alpha1', '', 1),
    kind: fc.constantFrom<Json>('Volume', 'ConfigMap', '', null),
    name: fc.constantFrom<Json>('a', 'none', ''),
    uid: fc.constantFrom<Json>('u', '', '@uid', 5),
    controller: fc.constantFrom<Json>(true, false, null, 'x'),
    blockOwnerDeletion: fc.constantFrom<Json>(true, false, 1),
  },
  { requiredKeys: ['kind', 'name', 'uid'] },
) as fc.Arbitrary<Json>;

const metadataValues: fc.Arbitrary<Json> = fc.oneof(
  managed.map((entry) => [entry]),
  fc.array(managed, { maxLength: 4 }),
  { weight: 1, arbitrary: fc.array(owner, { minLength: 1, maxLength: 2 }) },
  fc.constantFrom<Json>(
    { a: 'b' },
    { 'example.com/a': '', __proto__: 'x' },
    { a: null },
    { 'bad key': 'x' },
    ['a.example/b'],
    ['a.example/b', 'a.example/b', 'c.example/d'],
    ['orphan'],
    ['bad finalizer', 5],
  ),
);

export const values: fc.Arbitrary<Json> = fc.oneof(
  { weight: 6, arbitrary: strings },
  { weight: 3, arbitrary: numbers },
  { weight: 3, arbitrary: fc.constantFrom<Json>(null, true, false) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Json>([], {}, [null], [[]], [{}], { a: 'b' }, ['a', 'a'], [{ type: 'Ready' }], {
      '': '',
    }),
  },
  { weight: 3, arbitrary: metadataValues },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json> },
);

const keys = fc.constantFrom(
  '',
  'a',
  'name',
  'spec',
  'status',
  'metadata',
  'capacity',
  'hostPath',
  'emptyDir',
  'labels',
  'annotations',
  'finalizers',
  'ownerReferences',
  'managedFields',
  'resourceVersion',
  'uid',
  'generation',
  'generateName',
  'namespace',
  'deletionTimestamp',
  'creationTimestamp',
  'selfLink',
  'conditions',
  'attachments',
  'nodeName',
  'data',
  'stringData',
  'immutable',
  'kind',
  'apiVersion',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  '$patch',
  '$retainKeys',
  '$setElementOrder/finalizers',
  '$deleteFromPrimitiveList/finalizers',
  'é',
  'a.b/c',
  'a/b~c',
);

export const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.nat(200),
  how: fc.constantFrom('replace', 'replace', 'replace', 'remove', 'add', 'add', 'duplicate', 'wrap', 'rename', 'swap'),
  key: keys,
  value: values,
});

/** A place in a value: what holds it, and under which key. */
interface Place {
  readonly holder: JsonObject | Json[];
  readonly key: string | number;
}

function places(value: Json, found: Place[] = []): Place[] {
  if (Array.isArray(value)) {
    for (const [key, item] of value.entries()) {
      found.push({ holder: value, key });
      places(item, found);
    }
  } else if (isObject(value)) {
    for (const key of Object.keys(value)) {
      found.push({ holder: value, key });
      places(value[key] as Json, found);
    }
  }
  return found;
}

function read({ holder, key }: Place): Json {
  return (holder as Record<string, Json>)[key] as Json;
}

function put(holder: JsonObject | Json[], key: string | number, value: Json): void {
  if (Array.isArray(holder)) holder[Number(key)] = value;
  else setOwn(holder, String(key), value);
}

/** The value after the mutations; it is copied first. */
export function mutate(value: JsonObject, mutations: readonly Mutation[]): JsonObject {
  const copy = deepCopy(value);
  for (const { at, how, key, value: sent } of mutations) {
    const all = places(copy);
    const place = all[at % Math.max(1, all.length)];
    if (place === undefined) {
      setOwn(copy, key, sent);
      continue;
    }
    const { holder } = place;
    const now = read(place);
    if (how === 'replace') put(holder, place.key, deepCopy(sent));
    else if (how === 'wrap') put(holder, place.key, at % 2 === 0 ? [now] : { [key]: now });
    else if (how === 'remove') {
      if (Array.isArray(holder)) holder.splice(Number(place.key), 1);
      else delete holder[place.key];
    } else if (how === 'add') {
      const target = isObject(now) || Array.isArray(now) ? now : holder;
      if (Array.isArray(target)) target.push(deepCopy(sent));
      else setOwn(target, key, deepCopy(sent));
    } else if (how === 'duplicate') {
      if (Array.isArray(holder)) holder.push(deepCopy(now));
      else setOwn(holder, key, deepCopy(now));
    } else if (how === 'rename') {
      if (Array.isArray(holder)) continue;
      delete holder[place.key];
      setOwn(holder, key, now);
    } else {
      const other = all[(at + 7) % all.length] as Place;
      // A value must not come to lie inside itself.
      put(holder, place.key, deepCopy(read(other)));
    }
  }
  return copy;
}

/** The pointers (RFC 6901) of a value. */
export function pointers(value: Json, prefix = '', found: string[] = ['']): string[] {
  const below = (key: string, item: Json): void => {
    const pointer = `${prefix}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    found.push(pointer);
    pointers(item, pointer, found);
  };
  if (Array.isArray(value)) {
    for (const [key, item] of value.entries()) below(String(key), item);
  } else if (isObject(value)) {
    for (const key of Object.keys(value)) below(key, value[key] as Json);
  }
  return found;
}

/** The part of a value that the bits keep: how a client applies some fields, or patches them. */
export function subset(value: JsonObject, bits: number): JsonObject {
  let position = 0;
  const kept = (): boolean => ((bits >> (position++ % 24)) & 1) === 1;
  const walk = (part: JsonObject, depth: number): JsonObject => {
    const result: JsonObject = {};
    for (const [key, item] of Object.entries(part)) {
      const isHead = depth === 0 && (key === 'apiVersion' || key === 'kind');
      if (isHead) result[key] = item;
      else if (isObject(item) && depth < 2) {
        const inner = walk(item, depth + 1);
        if (Object.keys(inner).length > 0) setOwn(result, key, inner);
      } else if (kept()) setOwn(result, key, item);
    }
    return result;
  };
  return walk(value, 0);
}

/** One change to a text. */
export interface TextMutation {
  readonly at: number;
  readonly how: keyof typeof TEXT_MUTATIONS;
}

const DEEP = 3000;

/** What is done at a position of a text that is about to be sent. */
const TEXT_MUTATIONS = {
  duplicateKey: (text: string) => text.replace('{', '{"kind":"x","kind":"y",'),
  proto: (text: string) => text.replace('{', '{"__proto__":{"polluted":1},'),
  constructorKey: (text: string) => text.replace('{', '{"constructor":{"prototype":{"polluted":1}},'),
  hugeNumber: (text: string) => text.replace(/:("[^"]*"|\d+)/, ':1e999'),
  longNumber: (text: string) => text.replace(/:("[^"]*"|\d+)/, ':123456789012345678901234567890'),
  truncate: (text: string, at: number) => text.slice(0, at % Math.max(1, text.length)),
  badUtf8: (text: string, at: number) => splice(text, at, '\uffff'),
  nul: (text: string, at: number) => splice(text, at, '\0'),
  bracket: (text: string, at: number) => splice(text, at, ['{', '}', '[', ']', ',', ':', '"'][at % 7] as string),
  deepArray: (text: string) => text.replace(/:("[^"]*"|\d+)/, `:${'['.repeat(DEEP)}${']'.repeat(DEEP)}`),
  deepObject: (text: string) => text.replace(/:("[^"]*"|\d+)/, `:${'{"a":'.repeat(DEEP)}1${'}'.repeat(DEEP)}`),
  openBrackets: (text: string) => text + '['.repeat(DEEP),
  garbage: (text: string) => `${text} x`,
  bom: (text: string) => `\ufeff${text}`,
  documents: (text: string) => `${text}\n---\n${text}`,
  tag: (text: string) => text.replace(/: ?/, ': !!binary '),
  alias: (text: string) => `a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b, *c]\n${text}`,
  merge: (text: string) => `<<: {a: b}\n${text}`,
  empty: () => '',
} as const satisfies Readonly<Record<string, (text: string, at: number) => string>>;

function splice(text: string, at: number, what: string): string {
  const position = at % (text.length + 1);
  return text.slice(0, position) + what + text.slice(position);
}

export const textMutation: fc.Arbitrary<TextMutation> = fc.record({
  at: fc.nat(2000),
  how: fc.constantFrom(...(Object.keys(TEXT_MUTATIONS) as (keyof typeof TEXT_MUTATIONS)[])),
});

/** The bytes of a text after the mutations; U+FFFF becomes what is not UTF-8. */
export function bytesAfter(text: string, mutations: readonly TextMutation[]): Buffer {
  let result = text;
  for (const { at, how } of mutations) result = TEXT_MUTATIONS[how](result, at);
  const bytes = Buffer.from(result);
  for (let at = bytes.indexOf('\uffff'); at >= 0; at = bytes.indexOf('\uffff')) bytes.set([0xc3, 0x28, 0xff], at);
  return bytes;
}
