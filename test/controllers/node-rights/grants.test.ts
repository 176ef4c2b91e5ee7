import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { KubeObjectBase } from '../../../src/api/meta.ts';
import type { Volume } from '../../../src/api/volume.ts';
import type { VolumeClass } from '../../../src/api/volume-class.ts';
import {
  BY_RIGHTS,
  contribution,
  type NodeObject,
  rightsOf,
  rulesFor,
} from '../../../src/controllers/node-rights/grants.ts';
import { Store } from '../../../src/runtime/store.ts';

const apiVersion = 'storage.clawbernetes.io/v1alpha1';

function object(kind: string, key: string, spec: object, status: object = { nodeName: 'n1' }): NodeObject {
  const [namespace = '', name = ''] = key.split('/');
  return { apiVersion, kind, metadata: { namespace, name }, spec, status };
}

function storeOf<T extends KubeObjectBase>(...objects: readonly KubeObjectBase[]): Store<T> {
  const store = new Store<T>(() => undefined);
  for (const one of objects) store.set(one as T, true);
  return store;
}

function rules(kinds: Readonly<Record<string, readonly NodeObject[]>>, classes: readonly KubeObjectBase[] = []) {
  const stores = new Map(
    Object.entries(kinds).map(([plural, objects]) => {
      const store = storeOf<NodeObject>(...objects);
      store.addIndex(BY_RIGHTS, rightsOf);
      return [plural, store] as const;
    }),
  );
  const volumes = storeOf<Volume>(...(kinds['volumes'] ?? []));
  return rulesFor('team/n1', { kinds: stores, volumes, classes: storeOf<VolumeClass>(...classes) });
}

const s3 = (name: string): object => ({ s3: { bucket: 'b', credentialsSecretRef: { name } } });
const READ = ['get', 'list', 'watch'];
const secrets = (...names: readonly string[]) => ({
  apiGroups: [''],
  resources: ['secrets'],
  verbs: READ,
  resourceNames: names,
});

describe('rights of a node', () => {
  it('are none where its objects name nothing', () => {
    expect(rules({ volumes: [object('Volume', 'team/a', { emptyDir: {} })] })).to.deep.equal([]);
  });

  it('are the names in its own objects of that namespace, each once and in order', () => {
    const volumes = [
      object('Volume', 'team/b', s3('keys-b')),
      object('Volume', 'team/a', s3('keys-a')),
      object('Volume', 'team/c', s3('keys-a')),
      object('Volume', 'team/other', s3('keys-other'), { nodeName: 'n2' }),
      object('Volume', 'team/unplaced', s3('keys-unplaced'), {}),
      object('Volume', 'elsewhere/a', s3('keys-elsewhere')),
    ];
    expect(rules({ volumes })).to.deep.equal([secrets('keys-a', 'keys-b')]);
  });

  it("take in another node's volume for as long as it is mounted here", () => {
    const volumes = [object('Volume', 'team/shared', s3('keys'), { nodeName: 'n2' })];
    const mount = object('VolumeMount', 'team/here', { volumeRef: { name: 'shared' } });
    expect(rules({ volumes, volumemounts: [mount] })).to.deep.equal([secrets('keys')]);
    expect(rules({ volumes, volumemounts: [] })).to.deep.equal([]);
  });

  it('take in what the class names for a volume', () => {
    const volumes = [object('Volume', 'team/a', { s3: { bucket: 'b' }, volumeClassName: 'fast' })];
    const spec = { defaults: { s3: { credentialsSecretRef: { name: 'of-class' } } } };
    const fast = { apiVersion, kind: 'VolumeClass', metadata: { name: 'fast' }, spec } as KubeObjectBase;
    expect(rules({ volumes }, [fast])).to.deep.equal([secrets('of-class')]);
  });

  it('let it fill the Secret of its restore, and tend its repositories', () => {
    const restore = object('Restore', 'team/r', {}, { nodeName: 'n1', manifestSecretRef: { name: 'out' } });
    const repository = object('BackupRepository', 'team/repo', {
      s3: { bucket: 'b', caBundleRef: { name: 'ca', key: 'ca.crt' } },
      encryption: { secretRef: { name: 'key' } },
    });
    expect(rules({ restores: [restore], backuprepositories: [repository] })).to.deep.equal([
      secrets('key', 'out'),
      { apiGroups: [''], resources: ['secrets'], verbs: ['patch'], resourceNames: ['out'] },
      { apiGroups: [''], resources: ['configmaps'], verbs: READ, resourceNames: ['ca'] },
      {
        apiGroups: ['storage.clawbernetes.io'],
        resources: ['backuprepositories'],
        verbs: ['tend'],
        resourceNames: ['repo'],
      },
    ]);
  });

  it('are looked at again only when what an object contributes has changed', () => {
    const before = object('Volume', 'team/a', s3('keys'));
    const says = (change: object) => contribution('volumes', { ...before, ...change });
    const same = contribution('volumes', before);
    expect(says({ status: { nodeName: 'n1', usage: { usedBytes: 1 } } })).to.equal(same);
    expect(says({ status: { nodeName: 'n2' } })).to.not.equal(same);
    expect(says({ spec: s3('other') })).to.not.equal(same);
    expect(says({ spec: { ...s3('keys'), volumeClassName: 'fast' } })).to.not.equal(same);
  });
});
