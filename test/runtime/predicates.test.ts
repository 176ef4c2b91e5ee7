import { expect } from 'chai';
import { describe, it } from 'mocha';
import { anyOf, changed, desiredStateChanged } from '../../src/runtime/predicates.ts';
import type { Delta } from '../../src/runtime/store.ts';
import type { Widget } from '../kube/scripted-server.ts';

const BASE: Widget = {
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: { name: 'a', uid: 'u', generation: 1, labels: { a: 'b' }, resourceVersion: '1' },
  spec: { size: 1 },
};

function update(change: Partial<Widget['metadata']>, rest: Partial<Widget> = {}): Delta<Widget> {
  return {
    type: 'updated',
    key: 'a',
    old: BASE,
    object: { ...BASE, ...rest, metadata: { ...BASE.metadata, ...change } },
  };
}

describe('predicates', () => {
  it('desiredStateChanged passes what was asked for, not what was observed', () => {
    for (const change of [
      { generation: 2 },
      { uid: 'v' },
      { labels: { a: 'c' } },
      { annotations: { x: 'y' } },
      { finalizers: ['f'] },
      { deletionTimestamp: '2026-01-01T00:00:00Z' },
    ]) {
      expect(desiredStateChanged(update(change)), JSON.stringify(change)).to.equal(true);
    }
    expect(desiredStateChanged(update({ resourceVersion: '2' }, { status: { phase: 'Bound' } }))).to.equal(false);
    expect(desiredStateChanged({ type: 'added', key: 'a', object: BASE, initial: false })).to.equal(true);
    expect(desiredStateChanged({ type: 'deleted', key: 'a', old: BASE })).to.equal(true);
  });

  it('changed looks at the selected part only, and anyOf joins', () => {
    const phase = changed<Widget>(({ status }) => status?.['phase']);
    const delta = update({}, { status: { phase: 'Bound' } });
    expect(phase(delta)).to.equal(true);
    expect(phase(update({}, { status: { usage: 1 } }))).to.equal(false);
    expect(anyOf<Widget>(desiredStateChanged, phase)(delta)).to.equal(true);
    expect(anyOf<Widget>()(delta)).to.equal(false);
  });
});
