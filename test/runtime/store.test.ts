import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import type { Delta } from '../../src/runtime/store.ts';
import { Store } from '../../src/runtime/store.ts';
import type { Widget } from '../kube/scripted-server.ts';

let version = 0;

function widget(name: string, size = 1, uid = `uid-${name}`): Widget {
  return {
    apiVersion: 'example.com/v1',
    kind: 'Widget',
    metadata: { name, namespace: 'ns', uid, resourceVersion: String(++version) },
    spec: { size },
  };
}

describe('Store', () => {
  let store: Store<Widget>;
  let deltas: Delta<Widget>[];

  beforeEach(() => {
    store = new Store<Widget>();
    deltas = [];
    store.subscribe((delta) => deltas.push(delta));
  });

  const bySize = ({ spec }: Widget): readonly string[] => [String(spec?.size)];

  it('tells listeners the old and the new object', () => {
    const one = widget('a');
    const two = widget('a', 2);
    store.set(one);
    store.set(two);
    store.delete('ns/a');
    store.delete('ns/a');
    expect(deltas).to.deep.equal([
      { type: 'added', key: 'ns/a', object: one, initial: false },
      { type: 'updated', key: 'ns/a', object: two, old: one },
      { type: 'deleted', key: 'ns/a', old: two },
    ]);
  });

  it('says nothing when the same version comes again', () => {
    const one = widget('a');
    store.set(one);
    store.set({ ...one });
    expect(deltas).to.have.length(1);
    expect(store.get('ns/a')).to.equal(one);
  });

  it('tells a late listener what is there', () => {
    store.set(widget('a'));
    const late: string[] = [];
    const stop = store.subscribe((delta) => late.push(delta.type));
    expect(late).to.deep.equal(['added']);
    stop();
    store.set(widget('b'));
    expect(late).to.have.length(1);
  });

  it('finds objects by index through changes and removals', () => {
    store.set(widget('a', 1));
    store.addIndex('size', bySize);
    store.addIndex('size', bySize);
    store.set(widget('b', 1));
    expect(store.byIndex('size', '1').map(({ metadata }) => metadata.name)).to.deep.equal(['a', 'b']);
    store.set(widget('a', 2));
    expect(store.byIndex('size', '1')).to.have.length(1);
    expect(store.byIndex('size', '2')).to.have.length(1);
    expect(['1', '2', '3'].map((size) => store.countByIndex('size', size))).to.deep.equal([1, 1, 0]);
    store.delete('ns/b');
    expect(store.byIndex('size', '1')).to.deep.equal([]);
    expect(() => store.byIndex('color', 'red')).to.throw(RangeError);
    expect(() => store.countByIndex('color', 'red')).to.throw(RangeError);
    expect(() => store.addIndex('size', () => [])).to.throw(RangeError);
  });

  it('tells only the differences of a new list', () => {
    const stays = widget('stays');
    store.set(stays);
    store.set(widget('goes'));
    store.set(widget('changes'));
    deltas = [];
    store.replace([stays, widget('changes', 3), widget('comes')], store.beginList());
    expect(deltas.map(({ type, key }) => `${type} ${key}`)).to.deep.equal([
      'updated ns/changes',
      'added ns/comes',
      'deleted ns/goes',
    ]);
  });

  it('waits for a write of ours to become visible', async () => {
    const object = widget('a');
    const waiting = store.waitFor('ns/a', object.metadata.resourceVersion ?? '', 5000);
    store.set(widget('b'));
    store.set(object);
    expect(await waiting).to.equal(true);
    expect(await store.waitFor('ns/a', object.metadata.resourceVersion ?? '', 5000)).to.equal(true);
  });

  it('stops waiting at a deletion and at a list that began later, but not at one that began before', async () => {
    const deletion = store.waitFor('ns/a', 'x', 5000);
    store.delete('ns/a');
    expect(await deletion).to.equal(true);
    const before = store.beginList();
    let done = false;
    const listed = store.waitFor('ns/a', 'x', 5000).then((seen) => {
      done = seen;
    });
    store.replace([], before);
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).to.equal(false);
    store.replace([], store.beginList());
    await listed;
    expect(done).to.equal(true);
  });

  it('gives up waiting at the timeout and at an abort', async () => {
    expect(await store.waitFor('ns/a', 'x', 5)).to.equal(false);
    expect(await store.waitFor('ns/a', 'x', 60_000, AbortSignal.abort())).to.equal(false);
  });
});
