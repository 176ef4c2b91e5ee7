/** What a schema asks for: types, limits, formats, null, defaults, lists and maps, and rules about old and new. */
import {
  type Case,
  get,
  type Json,
  jsonPatch,
  merge,
  post,
  put,
  S,
  SPECIMENS,
  type Step,
  type Subject,
  sortedCauses,
  specimen,
} from './support.ts';

const create = (spec: Json): Step => post(SPECIMENS, specimen(spec));
const made = (spec: Json): Step => post(SPECIMENS, specimen(spec), { save: { rv: 'metadata.resourceVersion' } });
/** One case for each value: accepted or refused, and how. */
const each = (field: string, ...values: readonly unknown[]): Case => ({
  name: `${field}: ${values.map((value) => JSON.stringify(value)).join(', ')}`,
  steps: values.map((value, i) => post(SPECIMENS, specimen({ [field]: value }, { name: `s${i}` }))),
});

const VALUES: readonly Case[] = [
  each('color', 'red', 'pink', 5),
  each('count', 0, 100, -1, 101, 1.5, '5', 1e2, true),
  each('even', 2, 3),
  each('above', 1, 0),
  each('big', 9007199254740991, -9007199254740991),
  each('small', 2147483647, 2147483648),
  each('ratio', 1, 1.5, 1e-7, 1e21, 'x'),
  each('flag', true, 'true', 0),
  each('word', 'abc', 'a', 'abcde', 'AB', ''),
  each('when', '2026-01-01T00:00:00Z', '2026-01-01', 'yesterday'),
  each('day', '2026-01-01', '2026-13-01'),
  each('address', '10.0.0.1', '10.0.0', '::1'),
  each('net', '10.0.0.0/8', '10.0.0.0'),
  each('id', '123e4567-e89b-12d3-a456-426614174000', 'x'),
  each('span', '1h30m', '1 day', 'x'),
  each('blob', 'ZA==', 'Z'),
  each('mail', 'a@b.c', 'a'),
  each('uri', 'https://a/b', ':'),
  each('port', 80, 'http', 1.5, true, null, -5),
  each('percent', 5, '5%', '5', -1),
  each('amount', 1, '1Gi', '500m', '1.5', '1GB', ''),
  each('quantity', '1Gi', '500m', '0', '-1', 'x', '2Ti', '1e3', ''),
  each('plain', '', 'x', null, 5, {}, []),
  each('note', null, 'x', 5),
  each('noteOr', null, 'x'),
  each('size', null, 5),
  each('defaulted', null, {}, { a: 'y' }, { a: null, c: 'z' }),
  each('maybe', {}, null, { a: 'y' }),
  each(
    'tags',
    [],
    ['a', 'b'],
    ['a', 'a'],
    ['a', 'b', 'a', 'b'],
    ['1', '2', '3', '4', '5', '6'],
    ['this is too long'],
    null,
    [null],
  ),
  each('numbers', [1, 2], [1, 1]),
  each('args', [], ['a'], ['a', 'a']),
  each(
    'items',
    [{ name: 'a' }, { name: 'b' }],
    [{ name: 'a' }, { name: 'a' }],
    [{}],
    [{ name: 'a', foo: 1 }],
    [{ name: 'a', parts: [{ id: 1 }, { id: 1 }] }],
    [null],
    {},
  ),
  each(
    'ports',
    [{ port: 80 }, { port: 80, protocol: 'UDP' }],
    [{ port: 80 }, { port: 80 }],
    [{ port: 80 }, { port: 80, protocol: 'TCP' }],
  ),
  each('limits', { a: '1' }, {}, { a: '1', b: '2', c: '3', d: '4' }, { a: 1 }, { a: null }),
  each('groups', { g: { x: 'a', foo: 1 } }, { g: null }, { g: 5 }),
  each('free', { a: { b: [null, 1, { c: null }] } }, 5, null),
  each('half', { known: 1, other: { a: null } }, { known: 'x' }),
  each('choice', { one: 'a' }, { one: 'a', two: 'b' }, {}),
  each('neither', { good: 'a' }, { bad: 'a' }),
  each('deep', { list: [{ value: 'a' }, { value: 'c' }], map: { x: 1 } }, { map: { 'a.b': 'x' } }),
  each('broken', 5, 11, 10),
];

const RULES: readonly Case[] = [
  {
    name: 'a rule over two fields with fieldPath and reason',
    steps: [create({ low: 2, high: 1 }), create({ low: 1, high: 2 })],
  },
  {
    name: 'a message by an expression',
    steps: [create({ low: 1, high: 2, sum: 4 }), create({ low: 1, high: 2, sum: 3 })],
  },
  {
    name: 'several rules at once',
    steps: [{ ...create({ low: 2, high: 1, sum: 9, quantity: '0', percent: 'x' }), select: sortedCauses }],
  },
  { name: 'rules wait until the schema holds', steps: [create({ low: 2, high: 1, count: -1 })] },
  {
    name: 'oldSelf: an immutable field',
    steps: [
      create({ fixed: 'a' }),
      merge(S, { spec: { fixed: 'b' } }),
      merge(S, { spec: { fixed: null } }),
      merge(S, { spec: { fixed: 'c' } }),
    ],
  },
  {
    name: 'oldSelf: a field that must stay',
    steps: [create({ kept: 'a' }), merge(S, { spec: { kept: null } }), merge(S, { spec: { kept: 'b' } })],
  },
  {
    name: 'oldSelf in items that are found again by key',
    steps: [
      create({
        items: [
          { name: 'x', size: 5 },
          { name: 'y', size: 1 },
        ],
      }),
      merge(S, {
        spec: {
          items: [
            { name: 'y', size: 1 },
            { name: 'x', size: 4 },
          ],
        },
      }),
      merge(S, {
        spec: {
          items: [
            { name: 'z', size: 0 },
            { name: 'x', size: 6 },
          ],
        },
      }),
    ],
  },
  {
    name: 'optionalOldSelf: a counter',
    steps: [
      create({ counter: 5 }),
      merge(S, { spec: { counter: 4 } }),
      merge(S, { spec: { counter: 6 } }),
      merge(S, { spec: { counter: null } }),
      merge(S, { spec: { counter: 1 } }),
    ],
  },
  {
    name: 'optionalOldSelf: a first value',
    steps: [create({ first: 'other' }), create({ first: 'initial' }), merge(S, { spec: { first: 'other' } })],
  },
  {
    name: 'optionalOldSelf: a first value that comes later',
    steps: [create({}), merge(S, { spec: { first: 'other' } }), merge(S, { spec: { first: 'initial' } })],
  },
  {
    name: 'a message expression that fails gives the plain message',
    steps: [create({ broken: 10 }), create({ broken: 12 })],
  },
  { name: 'rules are looked at in a dry run', steps: [post(`${SPECIMENS}?dryRun=All`, specimen({ low: 2, high: 1 }))] },
];

const LIFE: readonly Case[] = [
  { name: 'defaults of a create', steps: [create({}), get(S)] },
  {
    name: 'a spec is required',
    steps: [post(SPECIMENS, { ...specimen({}), spec: undefined }), post(SPECIMENS, { ...specimen({}), spec: null })],
  },
  {
    name: 'null in a patch of a field with a default',
    steps: [create({ size: 9, noteOr: 'x' }), merge(S, { spec: { size: null, noteOr: null } })],
  },
  {
    name: 'null by JSON patch',
    steps: [
      create({ plain: 'x', note: 'x', noteOr: 'x' }),
      jsonPatch(
        S,
        { op: 'replace', path: '/spec/note', value: null },
        { op: 'replace', path: '/spec/plain', value: null },
        { op: 'replace', path: '/spec/noteOr', value: null },
      ),
    ],
  },
  {
    name: 'null in a replace',
    steps: [
      made({ plain: 'x', note: 'x', size: 5 }),
      put(S, specimen({ plain: null, note: null, size: null }, { resourceVersion: '{rv}' })),
    ],
  },
  {
    name: 'what is unchanged and was invalid before stays',
    steps: [create({ count: 5 }), merge(S, { spec: { count: 5, plain: 'x' } }), merge(S, { spec: { count: 500 } })],
  },
  {
    name: 'unknown fields are pruned at every depth',
    steps: [
      create({
        foo: 1,
        items: [{ name: 'x', foo: 1, parts: [{ id: 1, foo: 1 }] }],
        groups: { g: { foo: 1 } },
        half: { foo: { bar: 1 } },
        maybe: { foo: 1 },
      }),
    ],
  },
  {
    name: 'very long and very odd text',
    steps: [create({ plain: '\u0000\u2028😀"\\<&>' }), create({ plain: 'x'.repeat(300_000) })],
  },
];

export const schema: Subject = { name: 'schema', cases: [...VALUES, ...RULES, ...LIFE] };
