import { expect } from 'chai';
import { describe, it } from 'mocha';
import { lintStatus } from '../../../src/api/conditions.ts';
import type { StoragePool } from '../../../src/api/storage-node.ts';
import type { NodeFacts } from '../../../src/controllers/node/observe.ts';
import { findOrphans } from '../../../src/controllers/node/orphans.ts';
import { deriveNodeStatus } from '../../../src/controllers/node/status.ts';
import { mountEntry } from '../support/fake-driver.ts';
import { NOW, storageNode } from '../support/objects.ts';

const root = '/run/mounts';
const now = new Date(NOW);
const supported = { supported: true, reason: 'Supported', message: '', features: [] };

function factsWith(overrides: Partial<NodeFacts> = {}): NodeFacts {
  return {
    info: { clawstoreVersion: '1', kernelVersion: '6', osImage: 'Debian', architecture: 'x64', bootID: 'b' },
    mountRoot: root,
    drivers: new Map([['hostPath', supported]]),
    features: [],
    pools: [],
    orphans: { listed: [], count: 0 },
    ...overrides,
  };
}

describe('findOrphans', () => {
  const find = (targets: readonly string[], hasMount = (_: string) => false) =>
    findOrphans({
      mountRoot: root,
      mounted: targets.map((target) => mountEntry(target)),
      leftovers: [
        { volumeUID: 'known', path: '/pool/known', bytes: 1n },
        { volumeUID: 'lost', path: '/pool/lost', bytes: 1n },
        { volumeUID: 'named', volume: { namespace: 'team', name: 'v' }, path: 's:/x/v', bytes: undefined },
      ],
      hasMount: (namespace, name) => hasMount(`${namespace}/${name}`),
      snapshots: [
        { snapshotUID: 'known', path: '/snapshots/known', bytes: undefined },
        { snapshotUID: 'lost', path: '/snapshots/lost', bytes: undefined },
      ],
      hasVolume: (uid) => uid === 'known',
      hasSnapshot: (uid) => uid === 'known',
    });

  it('lists mounts, storage and snapshots without an object', () => {
    expect(find([`${root}/team/m/data`]).listed).to.deep.equal([
      { kind: 'Volume', uid: 'lost', namespace: '', name: '', path: '/pool/lost' },
      { kind: 'VolumeMount', uid: '', namespace: 'team', name: 'm', path: `${root}/team/m/data` },
      { kind: 'Snapshot', uid: 'lost', namespace: '', name: '', path: '/snapshots/lost' },
      { kind: 'Volume', uid: 'named', namespace: 'team', name: 'v', path: 's:/x/v' },
    ]);
  });

  it('leaves out what has an object and what is not a target', () => {
    const others = [`${root}/.pools/default`, `${root}/team/m/data/sub`, `${root}/team/m`, '/elsewhere/a/b/data'];
    expect(find([`${root}/team/m/data`, ...others], (key) => key === 'team/m').count).to.equal(3);
  });

  it('lists twenty and counts all', () => {
    const { listed, count } = find(Array.from({ length: 30 }, (_, index) => `${root}/team/m${index}/data`));
    expect([listed.length, count]).to.deep.equal([20, 33]);
  });
});

describe('deriveNodeStatus', () => {
  const node = storageNode('a', { conditions: [], pools: [] });
  const pool = (free: string, reserved = '0', capacity = '100Gi'): StoragePool => {
    return { name: 'default', path: '/p', filesystem: 'xfs', capacity, free, reserved };
  };

  it('says what is supported and why the rest is not', () => {
    const status = deriveNodeStatus(node, { facts: factsWith() }, now);
    expect(lintStatus({ ...node, status })).to.deep.equal([]);
    expect(status.types).to.deep.equal([
      { name: 'emptyDir', supported: false, reason: 'Disabled', message: 'This agent has no driver for the type.' },
      { name: 'hostPath', supported: true },
      { name: 'nfs', supported: false, reason: 'Disabled', message: 'This agent has no driver for the type.' },
      { name: 's3', supported: false, reason: 'Disabled', message: 'This agent has no driver for the type.' },
    ]);
  });

  it('does not follow small changes of space, but every change of what is reserved', () => {
    const first = deriveNodeStatus(node, { facts: factsWith({ pools: [pool('50Gi')] }) }, now);
    const again = (pools: readonly StoragePool[]) =>
      deriveNodeStatus({ ...node, status: first }, { facts: factsWith({ pools }) }, now);
    expect(again([pool('49Gi')])).to.deep.equal(first);
    expect(again([pool('46Gi')])).to.deep.equal(first);
    expect(again([pool('45Gi')]).free).to.equal('45Gi');
    // Somebody else wrote on the host: the pool could grow less far.
    expect(again([pool('49Gi', '0', '99Gi')])).to.deep.equal(first);
    expect(again([pool('48Gi', '0', '80Gi')])).to.deep.include({ capacity: '80Gi', free: '48Gi' });
    expect(again([pool('49Gi', '1Gi')])).to.deep.include({ free: '49Gi', reserved: '1Gi' });
  });

  it('keeps what was known when the node does not answer', () => {
    const first = deriveNodeStatus(node, { facts: factsWith({ pools: [pool('50Gi')] }) }, now);
    const failure = { reason: 'HelperUnavailable', message: 'no answer', stalled: false } as const;
    const status = deriveNodeStatus({ ...node, status: first }, { failure }, now);
    expect(status.pools).to.deep.equal(first.pools);
    expect(status.conditions?.map(({ type, status: is }) => `${type}=${is}`)).to.deep.equal([
      'Ready=False',
      'Reconciling=True',
    ]);
  });

  it('lists a feature once', () => {
    const feature = { name: 'Reflink', available: false, reason: 'KernelFeatureMissing', message: 'no' };
    const drivers = new Map([['hostPath', { ...supported, features: [feature] }]] as const);
    const { features } = deriveNodeStatus(
      node,
      { facts: factsWith({ features: [{ ...feature, available: true, reason: '', message: '' }], drivers }) },
      now,
    );
    expect(features).to.deep.equal([{ name: 'Reflink', available: true }]);
  });
});
