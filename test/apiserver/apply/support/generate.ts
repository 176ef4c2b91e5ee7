import type { JsonObject } from '../../../../src/apiserver/apply/index.ts';
import { API_VERSION, KIND } from './kind.ts';

/** A small seeded generator (mulberry32), so that cases can be repeated. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed;
  }

  /** A number in [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.next() * values.length)] as T;
  }

  some<T>(values: readonly T[], probability: number): T[] {
    const out = values.filter(() => this.chance(probability));
    for (let i = out.length - 1; i > 0; i--) {
      const j = Math.floor(this.next() * (i + 1));
      [out[i], out[j]] = [out[j] as T, out[i] as T];
    }
    return out;
  }
}

type Make = (random: Random) => unknown;

const word: Make = (random) => random.pick(['one', 'two', 'a<b', 'ü"\\']);
const number: Make = (random) => random.pick([0, 1, 2, 10]);

function record(fields: { readonly [name: string]: Make }, probability: number): Make {
  return (random) =>
    Object.fromEntries(random.some(Object.entries(fields), probability).map(([name, make]) => [name, make(random)]));
}

function listOf(keys: readonly JsonObject[], rest: Make): Make {
  return (random) => random.some(keys, 0.5).map((key) => ({ ...key, ...(rest(random) as JsonObject) }));
}

const anything: Make = (random) =>
  random.pick<unknown>([
    1,
    'x',
    true,
    null,
    {},
    [],
    { a: 1 },
    { a: { b: 'x' }, c: [1, 2] },
    { a: { d: 'y' } },
    [{ a: 1 }],
    ['p', 'q'],
  ]);

const words = record({ a: word, b: word, 'x.y/z': word, constructor: word }, 0.5);

/** A set of some of these words, in any order. */
function wordsOf(...all: readonly string[]): Make {
  return (random) => random.some(all, 0.5);
}

const SPEC: { readonly [name: string]: Make } = {
  capacity: word,
  count: number,
  ratio: (random) => random.pick([0.5, 1, 1e-7, 2.25]),
  flag: (random) => random.chance(0.5),
  port: (random) => random.pick<unknown>([80, 'http', '80']),
  when: (random) => random.pick(['2020-01-01T00:00:00Z', '2021-01-01T00:00:00Z']),
  nested: record({ a: record({ b: word, c: word }, 0.6), d: word }, 0.7),
  selector: words,
  limits: record({ cpu: word, memory: word }, 0.7),
  groups: record({ g: record({ x: word, y: number }, 0.6), h: record({ x: word, y: number }, 0.6) }, 0.7),
  tags: (random) => random.some(['a', 'b', 'c', '10', '9', '<&>'], 0.5),
  numbers: (random) => random.some([1, 2, 10, 9, -3], 0.5),
  args: (random) => random.some(['x', 'y', 'z'], 0.5),
  steps: (random) => random.some([{ run: 'a' }, { run: 'b' }, {}], 0.5),
  items: listOf(
    ['a', 'b', 'c', 'd"e'].map((name) => ({ name })),
    record(
      { size: number, labels: words, parts: listOf([{ id: 1 }, { id: 2 }, { id: 10 }], record({ value: word }, 0.7)) },
      0.5,
    ),
  ),
  ports: listOf(
    [
      { port: 80 },
      { port: 443, protocol: 'UDP' },
      { port: 443, protocol: 'TCP' },
      { port: 8080 },
      { protocol: 'SCTP' },
    ],
    record({ name: word }, 0.6),
  ),
  matrix: (random) => random.pick([[], [[]], [[1, 2], [3]], [[1], [3]]]),
  zones: record(
    {
      north: listOf([{ id: 1 }, { id: 2 }], record({ weight: number, hosts: wordsOf('h1', 'h2', 'h3') }, 0.6)),
      south: listOf([{ id: 2 }, { id: 3 }], record({ weight: number, hosts: wordsOf('h1', 'h4') }, 0.6)),
    },
    0.6,
  ),
  roles: listOf(
    ['reader', 'writer', 'ä'].map((role) => ({ role })),
    record(
      {
        verbs: wordsOf('get', 'list', 'watch'),
        exact: words,
        when: record({ from: word, to: word }, 0.6),
        args: wordsOf('x', 'y'),
      },
      0.6,
    ),
  ),
  maybe: (random) => random.pick<unknown>([null, 'one', 'two']),
  free: (random) => random.pick<unknown>([{}, { a: 1 }, { a: { b: [1], c: 'x' } }, { a: { c: 'y' }, d: null }]),
  half: record({ known: word, other: anything }, 0.7),
  anything,
};

const STATUS = record(
  {
    phase: word,
    observed: number,
    conditions: listOf(
      [{ type: 'Ready' }, { type: 'Stalled' }],
      record({ status: word, reason: word, message: word }, 0.7),
    ),
  },
  0.6,
);

const METADATA = record(
  {
    labels: words,
    annotations: words,
    finalizers: (random) => random.some(['f/one', 'f/two', 'f/three'], 0.5),
    ownerReferences: listOf(
      [
        { uid: 'u1', apiVersion: 'v1', kind: 'A', name: 'a' },
        { uid: 'u2', apiVersion: 'v1', kind: 'B', name: 'b' },
      ],
      record({ controller: (random) => random.chance(0.5) }, 0.5),
    ),
  },
  0.3,
);

/** Values that a schema may or may not take: the wrong shape, null, empty. */
const ODD: readonly unknown[] = [
  null,
  {},
  [],
  'text',
  5,
  true,
  { a: 'b' },
  [{ name: 'a' }, { name: 'a' }],
  ['a', 'a'],
  [null],
  [{}],
];

/** A random object of the sample kind. `odd` is the probability of a value that may not fit. */
export function randomObject(random: Random, density: number, odd: number): JsonObject {
  const spec: Record<string, unknown> = {};
  for (const [name, make] of random.some(Object.entries(SPEC), density)) {
    spec[name] = random.chance(odd) ? random.pick(ODD) : make(random);
  }
  if (random.chance(odd / 2)) spec.unheard = 'of';
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { name: 'x', namespace: 'default', ...(METADATA(random) as JsonObject) },
    ...(random.chance(0.1) ? {} : { spec: random.chance(odd) ? random.pick(ODD) : spec }),
    ...(random.chance(0.4) ? { status: STATUS(random) } : {}),
  };
}

/** Another version of an object, as a client would send it back: parts taken from elsewhere, parts dropped. */
export function mutate(random: Random, object: JsonObject, donor: JsonObject): JsonObject {
  const out: Record<string, unknown> = { ...object };
  for (const part of ['spec', 'status', 'metadata']) {
    const from = donor[part] as JsonObject | null | undefined;
    if (typeof from !== 'object' || from === null || Array.isArray(from)) continue;
    const target = (
      typeof out[part] === 'object' && out[part] !== null ? { ...(out[part] as JsonObject) } : {}
    ) as Record<string, unknown>;
    for (const key of Object.keys(from)) if (random.chance(0.5)) target[key] = from[key];
    for (const key of Object.keys(target)) {
      if (!['name', 'namespace', 'managedFields', 'uid'].includes(key) && random.chance(0.15)) delete target[key];
    }
    out[part] = target;
  }
  return out;
}
