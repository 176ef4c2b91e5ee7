import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { VolumeBackup } from '../../../src/api/backup.ts';
import type { ConfigMap, Secret } from '../../../src/api/core.ts';
import { API_VERSION } from '../../../src/api/group.ts';
import type { Volume } from '../../../src/api/volume.ts';
import { NamedDataWatch, volumeMentions, workMentions } from '../../../src/controllers/support/named-data.ts';
import type { KubeObjectBase } from '../../../src/kube/client.ts';
import { Store } from '../../../src/runtime/store.ts';
import { volume } from './objects.ts';

/** Watches by name over a cluster that a test fills; nothing is known of one until `answer`. */
function watches<T extends KubeObjectBase>() {
  const store = new Store<T>();
  const cluster = new Map<string, T>();
  const held: string[] = [];
  let synced = false;
  return {
    store,
    cluster,
    held,
    answer: () => {
      synced = true;
      for (const key of held) if (cluster.has(key)) store.set(cluster.get(key) as T);
    },
    hold(key: string) {
      held.push(key);
      return {
        get: () => store.get(key),
        get hasSynced() {
          return synced;
        },
        synced: () => new Promise<void>(() => undefined),
        release: () => void held.splice(held.indexOf(key), 1),
      };
    },
  };
}

function setUp() {
  const [secrets, configMaps] = [watches<Secret>(), watches<ConfigMap>()];
  return { secrets, configMaps, named: new NamedDataWatch({ secrets, configMaps }) };
}
const secret = (name: string, data: Readonly<Record<string, string>>): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { namespace: 'team', name },
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])),
});

describe('NamedDataWatch', () => {
  it('reads nothing that no volume asked for, and knows the rest only once it has been read', () => {
    const { secrets, named } = setUp();
    expect(secrets.held).to.deep.equal([]);
    expect(named.secret('team', 'keys')).to.deep.equal({ state: 'unknown' });
    expect(secrets.held).to.deep.equal(['team/keys']);
    secrets.answer();
    expect(named.secret('team', 'keys')).to.deep.equal({ state: 'absent' });
    secrets.store.set(secret('keys', { a: 'b\n' }));
    expect(named.secret('team', 'keys')).to.deep.equal({ state: 'found', data: { a: 'b' } });
    expect(secrets.held).to.deep.equal(['team/keys']);
  });

  it('queues the volumes when one of them changes', () => {
    const { secrets, named } = setUp();
    named.secret('team', 'keys');
    const queued: string[] = [];
    named.source('s', () => ['team/data']).start((key) => queued.push(key), new AbortController().signal);
    secrets.store.set(secret('other', {}));
    expect(queued).to.deep.equal([]);
    secrets.store.set(secret('keys', { a: 'b' }));
    expect(queued).to.deep.equal(['team/data']);
  });

  it('lets go of one with the last volume that may mean it', () => {
    const { secrets, named } = setUp();
    const store = new Store<Volume>();
    named.follow({ name: 'volumes', store, hasSynced: true, synced: () => Promise.resolve() }, volumeMentions);
    const s3 = { bucket: 'data', credentialsSecretRef: { name: 'keys' } };
    store.set(volume('a', { s3 }));
    store.set(volume('b', { s3 }));
    named.secret('team', 'keys');
    store.delete('team/a');
    expect(secrets.held).to.deep.equal(['team/keys']);
    store.delete('team/b');
    expect(secrets.held).to.deep.equal([]);
  });

  it('keeps what another kind of object still names', () => {
    const { secrets, named } = setUp();
    const [volumes, work] = [new Store<Volume>(), new Store<VolumeBackup>()];
    const cache = { name: 'c', hasSynced: true, synced: () => Promise.resolve() };
    named.follow({ ...cache, store: volumes }, volumeMentions);
    named.follow({ ...cache, store: work }, workMentions);
    const s3 = { bucket: 'data', credentialsSecretRef: { name: 'keys' } };
    volumes.set(volume('a', { s3 }));
    work.set({
      apiVersion: API_VERSION,
      kind: 'VolumeBackup',
      metadata: { namespace: 'team', name: 'w' },
      spec: { repository: { s3, encryption: { secretRef: { name: 'key' } } } },
    } as unknown as VolumeBackup);
    named.secret('team', 'keys');
    named.secret('team', 'key');
    volumes.delete('team/a');
    expect(secrets.held).to.deep.equal(['team/keys', 'team/key']);
    work.delete('team/w');
    expect(secrets.held).to.deep.equal([]);
  });
});
