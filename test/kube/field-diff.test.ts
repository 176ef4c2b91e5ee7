import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { needsApply, sameValue } from '../../src/kube/field-diff.ts';
import type { FieldsV1 } from '../../src/kube/ownership.ts';
import { forCache, ownedStatus } from '../../src/kube/ownership.ts';
import type { Widget } from './scripted-server.ts';
import { WIDGETS } from './scripted-server.ts';

const OWNED: FieldsV1 = {
  'f:phase': {},
  'f:usage': { 'f:usedBytes': {}, 'f:observedAt': {} },
  'f:conditions': { 'k:{"type":"Ready"}': { '.': {}, 'f:type': {}, 'f:status': {} } },
  'f:names': { 'v:"a"': {}, 'v:"b"': {} },
  'f:busyBy': {},
};

const LIVE = {
  phase: 'Bound',
  usage: { usedBytes: '1', observedAt: 't', theirs: 1 },
  conditions: [
    { type: 'Theirs', status: 'True' },
    { type: 'Ready', status: 'True' },
  ],
  names: ['theirs', 'b', 'a'],
  busyBy: [{ pid: 1 }, { pid: 2 }],
  theirs: true,
};

const WANTED = {
  phase: 'Bound',
  usage: { observedAt: 't', usedBytes: '1' },
  conditions: [{ type: 'Ready', status: 'True' }],
  names: ['a', 'b'],
  busyBy: [{ pid: 1 }, { pid: 2 }],
};

describe('needsApply', () => {
  it('is false when everything wanted is there and ours, whatever others have beside it', () => {
    expect(needsApply(WANTED, LIVE, OWNED)).to.equal(false);
    expect(needsApply({ ...WANTED, absent: undefined }, LIVE, OWNED)).to.equal(false);
  });

  const changes: Readonly<Record<string, object>> = {
    'a value differs': { phase: 'Failed' },
    'an inner value differs': { usage: { usedBytes: '2', observedAt: 't' } },
    'a field is added': { capacity: '1Gi' },
    'an inner field is added': { usage: { usedBytes: '1', observedAt: 't', more: 1 } },
    'a field of others is wanted': { theirs: true },
    'a field is given up': { phase: undefined },
    'an inner field is given up': { usage: { usedBytes: '1' } },
    'an item of a keyed list differs': { conditions: [{ type: 'Ready', status: 'False' }] },
    'an item of a keyed list is added': {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'Stalled', status: 'True' },
      ],
    },
    'an item of a keyed list is given up': { conditions: [] },
    'an item of a keyed list is another': { conditions: [{ type: 'Stalled', status: 'True' }] },
    'an item of a set is added': { names: ['a', 'b', 'c'] },
    'an item of a set is given up': { names: ['a'] },
    'an atomic list has another order': { busyBy: [{ pid: 2 }, { pid: 1 }] },
    'a map becomes a text': { usage: 'much' },
  };
  for (const [what, change] of Object.entries(changes)) {
    it(`is true when ${what}`, () => {
      expect(needsApply({ ...WANTED, ...change }, LIVE, OWNED)).to.equal(true);
    });
  }

  it('is true when a live value is gone or changed', () => {
    expect(needsApply(WANTED, { ...LIVE, phase: undefined }, OWNED)).to.equal(true);
    expect(needsApply(WANTED, { ...LIVE, conditions: [] }, OWNED)).to.equal(true);
    expect(needsApply(WANTED, undefined, OWNED)).to.equal(true);
  });
});

describe('sameValue', () => {
  it('agrees with JSON on what is equal', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        expect(sameValue(a, JSON.parse(JSON.stringify(a)))).to.equal(true);
        expect(sameValue(a, b)).to.equal(sameValue(b, a));
      }),
    );
    expect(sameValue({ a: 1, b: undefined }, { a: 1 })).to.equal(true);
    expect(sameValue({ a: 1 }, { a: 1, b: 2 })).to.equal(false);
    expect(sameValue([1], { 0: 1 })).to.equal(false);
    expect(sameValue(null, undefined)).to.equal(false);
  });
});

describe('ownership', () => {
  const widget = (
    name: string,
    fieldsV1: FieldsV1,
    subresource = 'status',
    operation: 'Apply' | 'Update' = 'Apply',
  ): Widget => ({
    apiVersion: 'example.com/v1',
    kind: 'Widget',
    metadata: { name, managedFields: [{ manager: 'me', operation, subresource, fieldsV1 }] },
  });

  it('outlives the removal of managedFields, and only for status fields that were applied', () => {
    const fields = { 'f:status': { 'f:phase': {} } };
    const cached = forCache(widget('a', fields), WIDGETS);
    expect(cached.metadata).to.deep.equal({ name: 'a' });
    expect(ownedStatus(cached, 'me')).to.deep.equal({ 'f:phase': {} });
    expect(ownedStatus(cached, 'other')).to.deep.equal({});
    expect(ownedStatus(forCache(widget('a', fields, 'scale'), WIDGETS), 'me')).to.deep.equal({});
    expect(ownedStatus(forCache(widget('a', fields, 'status', 'Update'), WIDGETS), 'me')).to.deep.equal({});
  });

  it('shares equal sets between objects', () => {
    const one = forCache(widget('a', { 'f:status': { 'f:phase': {} } }), WIDGETS);
    const two = forCache(widget('b', { 'f:status': { 'f:phase': {} } }), WIDGETS);
    expect(ownedStatus(one, 'me')).to.equal(ownedStatus(two, 'me'));
  });

  it('says that it knows nothing about an object without managedFields', () => {
    expect(ownedStatus({ apiVersion: 'v1', kind: 'Widget', metadata: { name: 'a' } }, 'me')).to.equal(undefined);
  });
});
