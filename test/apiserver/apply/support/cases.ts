import { ApplyError, applyPatch, type JsonObject, updateManagedFields } from '../../../../src/apiserver/apply/index.ts';
import { mutate, Random, randomObject } from './generate.ts';
import { API_VERSION, KIND, SAMPLE_SCHEMA } from './kind.ts';

/** One write, complete in itself. */
export interface ApplyCase {
  readonly schema: 'sample';
  readonly operation: 'Apply' | 'Update';
  readonly live: JsonObject | null;
  readonly object: JsonObject;
  readonly apiVersion: string;
  readonly kind: string;
  readonly manager: string;
  readonly subresource: string;
  readonly force: boolean;
  readonly resetFields: readonly string[];
}

/** What a write came to, with new times of managers as `NOW`. */
export interface Answer {
  readonly object?: JsonObject;
  readonly code?: number;
  readonly message?: string;
  readonly causes?: readonly unknown[];
  /** fieldsV1 of each entry, with its order. */
  readonly fields?: readonly string[];
}

/** Answers a case with the code under test. */
export function answer(
  given: ApplyCase,
  time = new Date('2020-06-01T00:00:00Z'),
): Answer & { readonly raw?: JsonObject } {
  const { live, object, manager, subresource, force, resetFields, apiVersion, kind } = given;
  const options = { schema: SAMPLE_SCHEMA, apiVersion, kind, manager, subresource, time, resetFields };
  try {
    const raw =
      given.operation === 'Apply'
        ? applyPatch({ ...options, live, config: object, force }).object
        : updateManagedFields({ ...options, old: live, new: object });
    return { ...normalize(given, raw), raw };
  } catch (error) {
    if (!(error instanceof ApplyError)) throw error;
    const causes = [...error.causes].sort((a, b) => (a.message + a.field < b.message + b.field ? -1 : 1));
    return { code: error.code, message: error.message, ...(causes.length === 0 ? {} : { causes }) };
  }
}

/** Replaces the times that a write has set, which differ from run to run. */
export function normalize(given: ApplyCase, object: JsonObject): Answer {
  const entries = entriesOf(object);
  if (entries === undefined) return { object };
  const known = new Set(
    [...(entriesOf(given.live) ?? []), ...(entriesOf(given.object) ?? [])].map((entry) => entry.time),
  );
  const managedFields = entries.map((entry) =>
    entry.time === undefined || known.has(entry.time) ? entry : { ...entry, time: 'NOW' },
  );
  return {
    object: { ...object, metadata: { ...(object.metadata as JsonObject), managedFields } },
    fields: entries.map((entry) => JSON.stringify(entry.fieldsV1)),
  };
}

function entriesOf(object: JsonObject | null): readonly JsonObject[] | undefined {
  const entries = (object?.metadata as JsonObject | undefined)?.managedFields;
  return Array.isArray(entries) ? entries : undefined;
}

const MANAGERS = ['kubectl', 'agent', 'controller', 'ü"x'];

/** Random histories of objects, as single cases. The same seed gives the same cases. */
export function randomCases(seed: number, count: number): ApplyCase[] {
  const random = new Random(seed);
  const cases: ApplyCase[] = [];
  let live: JsonObject | null = null;
  let step = 0;
  let applied = new Map<string, JsonObject>();
  while (cases.length < count) {
    if (step === 0 || random.chance(0.07)) {
      live = null;
      step = 0;
      applied = new Map();
    }
    const given = randomCase(random, live, step, applied);
    cases.push(given);
    const time = new Date(Date.UTC(2020, 0, 1 + step));
    const { raw } = answer(given, time);
    if (raw !== undefined) {
      live = settle(random, raw);
      if (given.operation === 'Apply') applied.set(`${given.manager} ${given.subresource}`, given.object);
    }
    step++;
  }
  return cases;
}

function randomCase(
  random: Random,
  live: JsonObject | null,
  step: number,
  applied: ReadonlyMap<string, JsonObject>,
): ApplyCase {
  const odd = random.chance(0.2) ? 0.08 : 0;
  const operation = random.chance(0.6) ? 'Apply' : 'Update';
  const status = live !== null && random.chance(0.3);
  const fresh = randomObject(random, random.pick([0.1, 0.3, 0.6]), odd);
  let object: JsonObject = operation === 'Apply' || live === null ? fresh : mutate(random, live, fresh);
  if (operation === 'Apply' && random.chance(0.2) && live !== null) object = pickFrom(random, live);
  if (operation === 'Update' && live !== null && random.chance(0.05)) object = resetEntries(random, object);
  const known = random.pick(MANAGERS);
  const before = applied.get(`${known} ${status ? 'status' : ''}`);
  const again = operation === 'Apply' && before !== undefined && random.chance(0.4);
  // What people do most: the same configuration as before, with something changed, added or given up.
  if (again) object = mutate(random, before, random.chance(0.4) ? fresh : { apiVersion: API_VERSION });
  const many = random.chance(0.3) ? `manager-${step}-${Math.floor(random.next() * 5)}` : undefined;
  return {
    schema: 'sample',
    operation,
    live,
    object,
    apiVersion: API_VERSION,
    kind: KIND,
    manager: operation === 'Update' && many !== undefined ? many : again ? known : random.pick(MANAGERS),
    subresource: status ? 'status' : '',
    force: random.chance(0.4),
    resetFields: random.chance(0.3) ? [] : status ? ['spec'] : ['status'],
  };
}

/** A configuration that agrees with what is there: no conflict, shared ownership. */
function pickFrom(random: Random, live: JsonObject): JsonObject {
  const spec = (
    typeof live.spec === 'object' && live.spec !== null && !Array.isArray(live.spec) ? live.spec : {}
  ) as JsonObject;
  const chosen = random.some(Object.entries(spec), 0.5);
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { name: 'x', namespace: 'default' },
    spec: Object.fromEntries(chosen),
  };
}

function resetEntries(random: Random, object: JsonObject): JsonObject {
  const managedFields = random.pick<unknown>([[], [{}], undefined, [{ manager: 'broken' }]]);
  return { ...object, metadata: { ...(object.metadata as JsonObject), managedFields } };
}

/** Entries that a server of another age may have left: other schema, other version, other spelling. */
const STRANGERS: readonly JsonObject[] = [
  { 'f:spec': { 'f:limits': { '.': {}, 'f:cpu': {} }, 'f:args': { 'i:0': {} }, 'f:steps': { 'k:{"run":"a"}': {} } } },
  { 'f:spec': { 'f:items': { 'k:{"name": "a"}': { 'f:size': {}, '.': {} } }, 'f:capacity': {}, 'x:unknown': {} } },
  { 'f:metadata': { 'f:ownerReferences': { 'k:{"uid":"u1"}': { 'f:name': {} } }, 'f:labels': { '.': {}, 'f:a': {} } } },
].flatMap((fieldsV1) => [
  { manager: 'stranger', operation: 'Update', apiVersion: API_VERSION, fieldsType: 'FieldsV1', fieldsV1 },
  {
    manager: 'agent',
    operation: 'Update',
    apiVersion: API_VERSION,
    fieldsType: 'FieldsV1',
    fieldsV1,
    subresource: 'status',
  },
  {
    manager: 'old',
    operation: 'Apply',
    apiVersion: 'storage.clawbernetes.io/v1beta1',
    fieldsType: 'FieldsV1',
    fieldsV1,
  },
  { operation: 'Update', apiVersion: API_VERSION, fieldsType: 'FieldsV1' },
]);

/** Many updaters, so that the oldest are put together. */
function crowd(random: Random): JsonObject[] {
  return Array.from({ length: 8 + Math.floor(random.next() * 5) }, (_, i) => ({
    manager: random.chance(0.1) ? 'ancient-changes' : `updater-${i}`,
    operation: 'Update',
    apiVersion: API_VERSION,
    ...(random.chance(0.1) ? {} : { time: `2019-01-0${1 + Math.floor(random.next() * 9)}T00:00:00Z` }),
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:metadata': { 'f:annotations': { [`f:crowd-${i}`]: {} } } },
  }));
}

/** What a server may do between writes: give the object a uid, forget ownership, note what the client applied. */
function settle(random: Random, object: JsonObject): JsonObject {
  const metadata: Record<string, unknown> = { ...(object.metadata as JsonObject), uid: 'u' };
  if (random.chance(0.05)) delete metadata.managedFields;
  if (random.chance(0.1) && Array.isArray(metadata.managedFields)) {
    metadata.managedFields = [...metadata.managedFields, { ...random.pick(STRANGERS), time: '2019-01-01T00:00:00Z' }];
  }
  if (random.chance(0.05) && Array.isArray(metadata.managedFields)) {
    metadata.managedFields = [...metadata.managedFields, ...crowd(random)];
  }
  if (random.chance(0.15)) {
    const { managedFields: _, annotations: __, ...rest } = metadata;
    metadata.annotations = {
      ...(metadata.annotations as JsonObject | null | undefined),
      'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify({
        ...object,
        metadata: { ...rest, uid: undefined },
      }),
    };
  }
  return { ...object, metadata };
}
