/** What the admission policies say of the StorageNode of a node; all else they say: test/contract/node-access. */
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { readPolicies, refusalsOf } from '../support/admission-policies.ts';

const documents = readPolicies('agent-policies.yaml').filter(
  ({ metadata }) => metadata.name === 'clawstore-node-objects',
);
const NODE = {
  username: 'system:serviceaccount:clawstore-nodes:n1',
  groups: ['system:serviceaccounts:clawstore-nodes', 'system:authenticated'],
};
const HOSTNAME = 'kubernetes.io/hostname';

const storageNode = (metadata: object): object => ({ kind: 'StorageNode', metadata: { name: 'n1', ...metadata } });
const labelled = (labels: object): object => storageNode({ labels });

function refusals(object: object, old?: object): readonly string[] {
  const write = { resource: 'storagenodes', object, ...(old === undefined ? {} : { old }) };
  return refusalsOf(documents, write, NODE).map(({ message }) => message);
}

describe('the policy for the StorageNode of a node', () => {
  it('lets it be made and labelled with what the node is', () => {
    const own = labelled({ [HOSTNAME]: 'n1', 'kubernetes.io/arch': 'amd64', 'kubernetes.io/os': 'linux' });
    expect(refusals(own)).to.deep.equal([]);
    expect(refusals(storageNode({}))).to.deep.equal([]);
    expect(refusals(own, storageNode({}))).to.deep.equal([]);
    // What a person has added stays.
    expect(refusals(labelled({ [HOSTNAME]: 'n1', gpu: 'a' }), labelled({ gpu: 'a' }))).to.deep.equal([]);
  });

  it('lets it have no other node’s host name, by which it would be given volumes of that', () => {
    const anothers = labelled({ [HOSTNAME]: 'n2' });
    expect(refusals(anothers)).to.deep.equal(['a node may have its own host name only']);
    expect(refusals(anothers, labelled({ [HOSTNAME]: 'n1' }))).to.deep.equal([
      'a node may have its own host name only',
    ]);
  });

  it('lets it have no labels that people place volumes by', () => {
    const message = 'a node may set the labels of its host name and system only, not other metadata.labels';
    expect(refusals(labelled({ zone: 'a' }))).to.deep.equal([message]);
    expect(refusals(labelled({ zone: 'a' }), labelled({ zone: 'b' }))).to.deep.equal([message]);
    expect(refusals(storageNode({}), labelled({ zone: 'b' }))).to.deep.equal([message]);
  });

  for (const more of [
    { annotations: { 'storage.clawbernetes.io/node-fenced': 'uid' } },
    { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'u' }] },
    { finalizers: ['storage.clawbernetes.io/volume'] },
  ]) {
    it(`lets it not be made with ${Object.keys(more).join()}`, () => {
      expect(refusals(storageNode(more))).to.deep.equal(['a node may create its StorageNode with labels only']);
    });
  }
});
