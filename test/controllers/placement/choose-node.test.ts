import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { StorageNode } from '../../../src/api/storage-node.ts';
import type { VolumeSpec } from '../../../src/api/volume.ts';
import { chooseNode } from '../../../src/controllers/placement/choose-node.ts';
import { resolveVolume } from '../../../src/controllers/policy/resolve-volume.ts';
import { condition, lostNode, storageNode, volume, volumeClass } from '../support/objects.ts';

interface Given {
  readonly nodes?: readonly StorageNode[];
  readonly preferred?: readonly string[];
  readonly counts?: Readonly<Record<string, number>>;
  readonly promised?: bigint;
  readonly thick?: boolean;
}

function choose(spec: Partial<VolumeSpec>, given: Given = {}) {
  const wanted = volume('data', spec);
  const defaults = given.thick === true ? { provisioning: 'Thick' as const } : {};
  const volumeClasses = volumeClass('default', { allowedHostPathPrefixes: ['/data'], defaults });
  const resolution = resolveVolume({
    volume: wanted,
    classNamed: () => volumeClasses,
    namespaceLabels: {},
    node: { hostPathAllow: undefined },
  });
  if (!resolution.ok) throw new Error(resolution.refusal.message);
  const placement = chooseNode({
    volume: wanted,
    resolved: resolution.resolved,
    nodes: given.nodes ?? [storageNode('b'), storageNode('a')],
    onlyNode: wanted.spec.nodeName,
    preferred: given.preferred ?? [],
    volumesOn: (name) => given.counts?.[name] ?? 0,
    promisedOn: () => given.promised ?? 0n,
  });
  return placement.placed ? placement.nodeName : placement.why;
}

describe('chooseNode', () => {
  it('takes the emptiest node, and the first by name among equals', () => {
    expect(choose({})).to.equal('a');
    expect(choose({}, { counts: { a: 3, b: 1 } })).to.equal('b');
  });

  it('goes where a mount of the volume has to be', () => {
    expect(choose({}, { preferred: ['b'], counts: { b: 100 } })).to.equal('b');
  });

  it('obeys nodeName and says when it has no node', () => {
    expect(choose({ nodeName: 'b' })).to.equal('b');
    expect(choose({ nodeName: 'z' })).to.deep.include({ reason: 'NodeNotFound', stalled: false });
  });

  it('places nothing new on a node that is unschedulable, unless it is named', () => {
    const nodes = [{ ...storageNode('a'), spec: { unschedulable: true } }, storageNode('b')];
    expect(choose({}, { nodes, counts: { b: 100 } })).to.equal('b');
    expect(choose({}, { nodes, preferred: ['a'] })).to.equal('b');
    expect(choose({ nodeName: 'a' }, { nodes })).to.equal('a');
    expect(choose({}, { nodes: nodes.slice(0, 1) })).to.deep.include({ reason: 'NodeUnschedulable', stalled: false });
  });

  it('obeys nodeSelector', () => {
    const nodes = [storageNode('a'), storageNode('b', {}, { labels: { gpu: 'h100' } })];
    expect(choose({ nodeSelector: { gpu: 'h100' } }, { nodes })).to.equal('b');
    expect(choose({ nodeSelector: { gpu: 'none' } }, { nodes })).to.deep.include({ reason: 'NoMatchingNode' });
  });

  it('waits for the first node', () => {
    expect(choose({}, { nodes: [] })).to.deep.include({ reason: 'NoMatchingNode', stalled: false });
  });

  it('waits for a node that is lost or not ready', () => {
    const notReady = storageNode('a', { conditions: [condition('Ready', 'False', 'HelperUnavailable')] });
    expect(choose({ nodeName: 'a' }, { nodes: [lostNode('a')] })).to.deep.include({ reason: 'NodeLost' });
    expect(choose({ nodeName: 'a' }, { nodes: [notReady] })).to.deep.include({ reason: 'NodeNotReady' });
  });

  it('says what a node lacks for the type', () => {
    const types = [{ name: 'hostPath' as const, supported: false, message: 'no koffi' }];
    const refused = choose({ nodeName: 'a', hostPath: { path: '/data/x' } }, { nodes: [storageNode('a', { types })] });
    expect(refused).to.deep.include({ reason: 'TypeNotSupported', stalled: true });
    expect(refused).to.have.property('message').that.includes('no koffi');
  });

  it('needs the pool of the volume, but not for memory', () => {
    const nodes = [storageNode('a', { pools: [] })];
    expect(choose({ nodeName: 'a' }, { nodes })).to.deep.include({ reason: 'PoolNotFound' });
    expect(choose({ nodeName: 'a', emptyDir: { medium: 'Memory' } }, { nodes })).to.equal('a');
  });

  it('counts free, reserved and promised space for Thick volumes only', () => {
    expect(choose({ capacity: '50Gi' }, { thick: true })).to.equal('a');
    expect(choose({ capacity: '51Gi' }, { thick: true })).to.deep.include({ reason: 'InsufficientCapacity' });
    expect(choose({ capacity: '50Gi' }, { thick: true, promised: 1n })).to.deep.include({
      reason: 'InsufficientCapacity',
      stalled: false,
    });
    expect(choose({ capacity: '500Gi' })).to.equal('a');
  });

  it('counts the reasons when no node fits', () => {
    const why = choose({}, { nodes: [lostNode('a'), storageNode('b', { pools: [] })] });
    expect(why).to.have.property('message').that.includes('1 NodeLost').and.includes('1 PoolNotFound');
  });
});
