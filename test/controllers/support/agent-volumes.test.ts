import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Volume } from '../../../src/api/volume.ts';
import type { VolumeMount } from '../../../src/api/volume-mount.ts';
import { AgentVolumes } from '../../../src/controllers/support/agent-volumes.ts';
import type { Cache } from '../../../src/runtime/source.ts';
import { Store } from '../../../src/runtime/store.ts';
import { mount, volume } from './objects.ts';

/** A cache that has synced, filled by hand. */
function cache<T extends Volume | VolumeMount>(...objects: readonly T[]) {
  const store = new Store<T>();
  for (const object of objects) store.set(object, true);
  const made = { name: 'c', store, hasSynced: true, synced: () => Promise.resolve() };
  return made satisfies Cache<T>;
}

/** Watches by name over a cluster that holds these volumes; with `answer` each is shown only when that resolves. */
function watches(cluster: ReadonlyMap<string, Volume>, answer?: Promise<void>) {
  const held: string[] = [];
  const made = {
    ...cache<Volume>(),
    held,
    hold(key: string) {
      held.push(key);
      const show = (): void => {
        const object = cluster.get(key);
        if (object !== undefined && held.includes(key)) made.store.set(object);
      };
      if (answer === undefined) show();
      const release = (): void => {
        held.splice(held.indexOf(key), 1);
        made.store.delete(key);
      };
      const synced = (): Promise<void> => answer?.then(show) ?? Promise.resolve();
      return { get: () => made.store.get(key), hasSynced: answer === undefined, synced, release };
    },
  };
  return made;
}

const signal = new AbortController().signal;
const onNode = (name: string, nodeName: string) => volume(name, {}, { nodeName });

function agent(own: readonly Volume[], mounts: readonly VolumeMount[], others: readonly Volume[]) {
  const ownCache = cache<Volume>(...own);
  const mountCache = cache<VolumeMount>(...mounts);
  const named = watches(new Map(others.map((other) => [`team/${other.metadata.name}`, other])));
  const volumes = new AgentVolumes({ own: ownCache, mounts: mountCache, named, onListenerError: () => undefined });
  return { own: ownCache.store, mounts: mountCache.store, named, volumes };
}
const refersTo = (name: string, volumeName: string) => mount(name, { volumeRef: { name: volumeName } });

describe('AgentVolumes', () => {
  it('shows what the node owns, and by name what its mounts refer to', async () => {
    const on = agent([onNode('mine', 'a')], [refersTo('m', 'mine'), refersTo('n', 'theirs')], [onNode('theirs', 'b')]);
    await on.volumes.synced(signal);
    expect(on.volumes.store.keys()).to.have.members(['team/mine', 'team/theirs']);
    expect(on.named.held).to.deep.equal(['team/theirs']);
  });

  it('watches one volume once, for as long as a mount refers to it', async () => {
    const on = agent([], [refersTo('m', 'theirs')], [onNode('theirs', 'b')]);
    await on.volumes.synced(signal);
    on.mounts.set(refersTo('n', 'theirs'));
    on.mounts.delete('team/m');
    expect(on.named.held).to.deep.equal(['team/theirs']);
    on.mounts.delete('team/n');
    expect([on.named.held, on.volumes.store.keys()]).to.deep.equal([[], []]);
  });

  it('goes over to its own watch when the volume comes to the node, and back', async () => {
    const on = agent([], [refersTo('m', 'data')], [onNode('data', 'b')]);
    await on.volumes.synced(signal);
    const seen: string[] = [];
    on.volumes.store.subscribe(({ type }) => seen.push(type));
    on.own.set(onNode('data', 'a'));
    expect(on.named.held).to.deep.equal([]);
    expect(on.volumes.store.get('team/data')?.status?.nodeName).to.equal('a');
    on.own.delete('team/data');
    expect(on.named.held).to.deep.equal(['team/data']);
    expect(on.volumes.store.get('team/data')?.status?.nodeName).to.equal('b');
    expect(seen[1]).to.equal('updated');
  });

  it('shows a volume that another node has now as it was, until it is known how that is', async () => {
    for (const [theirs, last] of [
      [new Map([['team/data', onNode('data', 'b')]]), 'b'],
      [new Map<string, Volume>(), undefined],
    ] as const) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const own = cache<Volume>(onNode('data', 'a'));
      const mounts = cache<VolumeMount>(refersTo('m', 'data'));
      const named = watches(theirs, promise);
      const volumes = new AgentVolumes({ own, mounts, named, onListenerError: () => undefined });
      await volumes.synced(signal);
      own.store.delete('team/data');
      expect(volumes.store.get('team/data')?.status?.nodeName).to.equal('a');
      resolve();
      await new Promise(setImmediate);
      expect(volumes.store.get('team/data')?.status?.nodeName).to.equal(last);
    }
  });

  it('forgets a volume that another node has now with the last mount of it', async () => {
    const own = cache<Volume>(onNode('data', 'a'));
    const mounts = cache<VolumeMount>(refersTo('m', 'data'));
    const named = watches(new Map(), new Promise(() => undefined));
    const volumes = new AgentVolumes({ own, mounts, named, onListenerError: () => undefined });
    await volumes.synced(signal);
    own.store.delete('team/data');
    mounts.store.delete('team/m');
    expect(volumes.store.keys()).to.deep.equal([]);
  });

  it('asks for nothing by name before it knows what is its own', async () => {
    const own = { ...cache<Volume>(), hasSynced: false };
    const named = watches(new Map());
    const mounts = cache<VolumeMount>(refersTo('m', 'mine'));
    const volumes = new AgentVolumes({ own, mounts, named, onListenerError: () => undefined });
    expect(named.held).to.deep.equal([]);
    own.store.set(onNode('mine', 'a'), true);
    own.hasSynced = true;
    await volumes.synced(signal);
    expect(named.held).to.deep.equal([]);
  });
});
