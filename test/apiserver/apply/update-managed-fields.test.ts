import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  applyPatch,
  type JsonObject,
  settleTimestamps,
  type UpdateOptions,
  updateManagedFields,
} from '../../../src/apiserver/apply/index.ts';
import { API_VERSION, KIND, SAMPLE_SCHEMA } from './support/kind.ts';

const day = (n: number): Date => new Date(Date.UTC(2026, 0, n));

function object(spec: JsonObject, more: JsonObject = {}): JsonObject {
  return { apiVersion: API_VERSION, kind: KIND, metadata: { name: 'x', namespace: 'default' }, spec, ...more };
}

function update(
  old: JsonObject | null,
  next: JsonObject,
  manager: string,
  more: Partial<UpdateOptions> = {},
): JsonObject {
  return updateManagedFields({
    schema: SAMPLE_SCHEMA,
    apiVersion: API_VERSION,
    old,
    new: next,
    manager,
    time: day(1),
    resetFields: ['status'],
    ...more,
  });
}

const entriesOf = (of: JsonObject): readonly JsonObject[] =>
  ((of.metadata as JsonObject).managedFields ?? []) as readonly JsonObject[];

const ownedBy = (of: JsonObject, manager: string): unknown =>
  entriesOf(of).find((entry) => entry.manager === manager)?.fieldsV1;

const withSpec = (of: JsonObject, spec: JsonObject): JsonObject => ({ ...of, spec });

describe('managedFields of writes other than apply', () => {
  const created = update(null, object({ capacity: '1', count: 1, tags: ['a'] }), 'kubectl-create');

  it('a create is owned by its creator', () => {
    expect(entriesOf(created)).to.deep.equal([
      {
        manager: 'kubectl-create',
        operation: 'Update',
        apiVersion: API_VERSION,
        time: '2026-01-01T00:00:00Z',
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:spec': { '.': {}, 'f:capacity': {}, 'f:count': {}, 'f:tags': { '.': {}, 'v:"a"': {} } } },
      },
    ]);
  });

  it('a change hands the field over', () => {
    const next = update(created, withSpec(created, { capacity: '2', count: 1, tags: ['a'] }), 'edit', { time: day(2) });
    expect(ownedBy(next, 'edit')).to.deep.equal({ 'f:spec': { 'f:capacity': {} } });
    expect(ownedBy(next, 'kubectl-create')).to.deep.equal({
      'f:spec': { '.': {}, 'f:count': {}, 'f:tags': { '.': {}, 'v:"a"': {} } },
    });
    expect(entriesOf(next).map(({ time }) => time)).to.deep.equal(['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z']);
  });

  it('what is removed is nobody’s', () => {
    const next = update(created, withSpec(created, { capacity: '1', count: 1 }), 'edit', { time: day(2) });
    expect(entriesOf(next)).to.have.length(1);
    expect(ownedBy(next, 'kubectl-create')).to.deep.equal({ 'f:spec': { '.': {}, 'f:capacity': {}, 'f:count': {} } });
  });

  it('who has nothing left is gone', () => {
    const small = update(null, object({ capacity: '1' }), 'one');
    const more = update(small, withSpec(small, { capacity: '1', count: 1 }), 'two');
    const next = update(more, withSpec(more, { capacity: '1', count: 2 }), 'three');
    expect(entriesOf(next).map(({ manager }) => manager)).to.deep.equal(['one', 'three']);
  });

  it('a write that changes nothing leaves the entries as they are', () => {
    const next = update(created, structuredClone<JsonObject>(created), 'other', { time: day(9) });
    expect(next).to.deep.equal(created);
  });

  it('the same manager grows its entry, and has another one per subresource', () => {
    let live = update(created, withSpec(created, { capacity: '1', count: 1, tags: ['a', 'b'] }), 'kubectl-create', {
      time: day(2),
    });
    expect(ownedBy(live, 'kubectl-create')).to.deep.equal({
      'f:spec': { '.': {}, 'f:capacity': {}, 'f:count': {}, 'f:tags': { '.': {}, 'v:"a"': {}, 'v:"b"': {} } },
    });
    const status = { phase: 'Bound' };
    live = update(live, { ...live, status }, 'kubectl-create', {
      subresource: 'status',
      resetFields: ['spec'],
      time: day(3),
    });
    expect(entriesOf(live).map(({ manager, subresource }) => [manager, subresource])).to.deep.equal([
      ['kubectl-create', undefined],
      ['kubectl-create', 'status'],
    ]);
    expect(entriesOf(live)[1]?.fieldsV1).to.deep.equal({ 'f:status': { '.': {}, 'f:phase': {} } });
  });

  it('the main resource owns nothing of the status', () => {
    const next = update(created, { ...created, status: { phase: 'Bound' } }, 'other');
    expect(entriesOf(next)).to.deep.equal(entriesOf(created));
  });

  it('an updater takes a field from an applier, who then has a conflict', () => {
    const options = { schema: SAMPLE_SCHEMA, apiVersion: API_VERSION, kind: KIND, time: day(1), force: false };
    const live = applyPatch({ ...options, live: null, config: object({ capacity: '1' }), manager: 'flux' }).object;
    const edited = update(live, withSpec(live, { capacity: '2' }), 'kubectl-edit', { time: day(2) });
    expect(entriesOf(edited).map(({ manager }) => manager)).to.deep.equal(['kubectl-edit']);
    const again = (): unknown =>
      applyPatch({ ...options, live: edited, config: object({ capacity: '1' }), manager: 'flux' });
    expect(again).to.throw(
      `Apply failed with 1 conflict: conflict with "kubectl-edit" using ${API_VERSION}: .spec.capacity`,
    );
  });

  it('an empty manager is unknown', () => {
    expect(entriesOf(update(null, object({ count: 1 }), ''))[0]?.manager).to.equal('unknown');
  });
});

describe('managedFields sent by clients', () => {
  const created = update(null, object({ capacity: '1' }), 'one');
  const sending = (managedFields: unknown): JsonObject => ({
    ...created,
    metadata: { ...(created.metadata as JsonObject), managedFields },
    spec: { capacity: '1', count: 2 },
  });

  for (const reset of [[], [{}]]) {
    it(`${JSON.stringify(reset)} resets them until the next apply`, () => {
      const next = update(created, sending(reset), 'two');
      expect(next.metadata).not.to.have.property('managedFields');
      const later = update(next, withSpec(next, { capacity: '9' }), 'three');
      expect(later.metadata).not.to.have.property('managedFields');
    });
  }

  for (const lost of [undefined, null, [{ manager: 'x' }], 'text']) {
    it(`${JSON.stringify(lost)} does not: the stored ones count`, () => {
      const next = update(created, sending(lost), 'two');
      expect(entriesOf(next).map(({ manager }) => manager)).to.deep.equal(['one', 'two']);
    });
  }

  it('may be edited, but not through a subresource', () => {
    const renamed = [{ ...entriesOf(created)[0], manager: 'renamed' }];
    expect(entriesOf(update(created, sending(renamed), 'two')).map(({ manager }) => manager)).to.deep.equal([
      'renamed',
      'two',
    ]);
    const status = update(created, sending(renamed), 'two', { subresource: 'status', resetFields: ['spec'] });
    expect(entriesOf(status)).to.deep.equal(entriesOf(created));
  });

  it('are dropped with an object that does not fit its schema', () => {
    const next = update(created, withSpec(created, { capacity: 5 }), 'two');
    expect(next.metadata).not.to.have.property('managedFields');
  });
});

describe('many managers', () => {
  it('of updates are kept to ten, the oldest put together', () => {
    let live = update(null, object({ selector: { k0: 'v' } }), 'manager-0');
    for (let i = 1; i <= 12; i++) {
      const selector = Object.fromEntries(Array.from({ length: i + 1 }, (_, n) => [`k${n}`, 'v']));
      live = update(live, withSpec(live, { selector }), `manager-${i}`, { time: day(1 + i) });
    }
    const entries = entriesOf(live);
    expect(entries).to.have.length(10);
    expect(entries.map(({ manager }) => manager)).to.deep.equal([
      'ancient-changes',
      ...Array.from({ length: 9 }, (_, n) => `manager-${n + 4}`),
    ]);
    expect(entries[0]?.fieldsV1).to.deep.equal({
      'f:spec': { '.': {}, 'f:selector': { '.': {}, 'f:k0': {}, 'f:k1': {}, 'f:k2': {}, 'f:k3': {} } },
    });
    expect(entries[0]?.time).to.equal('2026-01-04T00:00:00Z');
  });

  it('are ordered: appliers, then by time, then by name', () => {
    const options = { schema: SAMPLE_SCHEMA, apiVersion: API_VERSION, kind: KIND, force: false };
    let live = update(null, object({ capacity: '1' }), 'z', { time: day(1) });
    live = update(live, withSpec(live, { capacity: '1', count: 1 }), 'a', { time: day(1) });
    live = update(live, withSpec(live, { capacity: '1', count: 1, flag: true }), 'm', { time: day(3) });
    live = applyPatch({ ...options, live, config: object({ args: ['x'] }), manager: 'y', time: day(9) }).object;
    live = applyPatch({ ...options, live, config: object({ tags: ['x'] }), manager: 'b', time: day(8) }).object;
    expect(entriesOf(live).map(({ manager }) => manager)).to.deep.equal(['b', 'y', 'a', 'z', 'm']);
  });
});

describe('settling of times', () => {
  const live = update(null, object({ capacity: '1' }), 'one');
  const later = (of: JsonObject): JsonObject => ({
    ...of,
    metadata: {
      ...(of.metadata as JsonObject),
      managedFields: entriesOf(of).map((entry) => ({ ...entry, time: '2030-01-01T00:00:00Z' })),
    },
  });

  it('a write that changed only times is the stored object', () => {
    expect(settleTimestamps(live, later(live))).to.equal(live);
  });

  it('any other change keeps the new times', () => {
    const next = later(withSpec(live, { capacity: '2' }));
    expect(settleTimestamps(live, next)).to.equal(next);
    const owned = update(live, withSpec(live, { capacity: '2' }), 'two');
    expect(settleTimestamps(live, owned)).to.equal(owned);
  });
});
