import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { AccessMode, VolumeAttachment } from '../../../src/api/volume.ts';
import type { VolumeMount } from '../../../src/api/volume-mount.ts';
import { decideGrants } from '../../../src/controllers/placement/grants.ts';
import { mount, volume } from '../support/objects.ts';

interface Given {
  readonly mode?: AccessMode;
  readonly nodeName?: string | undefined;
  readonly mountNode?: string;
  readonly held?: readonly VolumeAttachment[];
  readonly nodeLocal?: boolean;
  readonly fenced?: readonly string[];
  readonly deleting?: boolean;
}

function decide(mounts: readonly VolumeMount[], given: Given = {}) {
  const metadata = given.deleting === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {};
  const attachments = given.held ?? [];
  const { attachments: granted, decisions } = decideGrants({
    restore: undefined,
    volume: volume('data', { accessModes: [given.mode ?? 'ReadWriteOnce'] }, { attachments }, metadata),
    nodeName: 'nodeName' in given ? given.nodeName : 'a',
    mountNode: given.mountNode ?? ('nodeName' in given ? given.nodeName : 'a'),
    unplaced: undefined,
    nodeLocal: given.nodeLocal ?? true,
    mounts,
    isKnownNode: (name) => name !== 'ghost',
    isFenced: ({ metadata: { name } }) => given.fenced?.includes(name) === true,
  });
  const reasons = [...decisions].map(([uid, decision]) => [
    uid.replace('uid-', ''),
    decision.granted ? 'granted' : decision.reason,
  ]);
  return { granted, uids: granted.map(({ mountUID }) => mountUID), reasons: Object.fromEntries(reasons), decisions };
}

const held = (name: string, nodeName = 'a', workloadId = `workload-${name}`): VolumeAttachment => ({
  mountUID: `uid-${name}`,
  workloadId,
  nodeName,
  readOnly: false,
});
const gone = { deletionTimestamp: '2026-01-01T00:00:00Z' };

describe('decideGrants', () => {
  it('gives a mount without a wish the node of the volume', () => {
    expect(decide([mount('m')]).granted).to.deep.equal([held('m')]);
  });

  it('gives nothing while the volume has no node', () => {
    expect(decide([mount('m')], { nodeName: undefined }).reasons).to.deep.equal({ m: 'VolumeNotReady' });
  });

  it('sends a mount without a wish elsewhere when the node of the volume takes nothing new', () => {
    const given = { mode: 'ReadWriteMany', nodeLocal: false, mountNode: 'b' } as const;
    const { granted } = decide([mount('m'), mount('n', { nodeName: 'a' })], given);
    expect(granted.map(({ nodeName }) => nodeName)).to.deep.equal(['b', 'a']);
  });

  it('refuses another node than the one the data lies on', () => {
    const { reasons, decisions } = decide([mount('m', { nodeName: 'b' })]);
    expect(reasons).to.deep.equal({ m: 'NodeMismatch' });
    expect(decisions.get('uid-m')).to.deep.include({ stalled: true });
  });

  it('ReadWriteOnce: many mounts on one node, none on a second, and says who holds it', () => {
    const { reasons, decisions } = decide([mount('x'), mount('y'), mount('z', { nodeName: 'b' })], {
      nodeLocal: false,
    });
    expect(reasons).to.deep.equal({ x: 'granted', y: 'granted', z: 'AccessModeConflict' });
    const refused = decisions.get('uid-z');
    expect(refused).to.have.property('message').that.includes('"x"').and.includes('workload-x').and.includes('"a"');
  });

  it('ReadWriteOncePod: one workload, which may mount it twice', () => {
    const mounts = [mount('x'), mount('y', { workloadId: 'workload-x' }), mount('z')];
    const { reasons } = decide(mounts, { mode: 'ReadWriteOncePod' });
    expect(reasons).to.deep.equal({ x: 'granted', y: 'granted', z: 'AccessModeConflict' });
  });

  it('ReadOnlyMany: read-only unless said, and never writable', () => {
    const mounts = [mount('x'), mount('y', { readOnly: true }), mount('z', { readOnly: false })];
    const { reasons, granted } = decide(mounts, { mode: 'ReadOnlyMany' });
    expect(reasons).to.deep.equal({ x: 'granted', y: 'granted', z: 'ReadOnlyVolume' });
    expect(granted.map(({ readOnly }) => readOnly)).to.deep.equal([true, true]);
  });

  it('ReadWriteMany: any number on any node', () => {
    const mounts = [mount('x'), mount('y', { nodeName: 'b' })];
    expect(decide(mounts, { mode: 'ReadWriteMany', nodeLocal: false }).uids).to.deep.equal(['uid-x', 'uid-y']);
  });

  it('sends a mount without a wish to the node that holds the volume', () => {
    const { granted } = decide([mount('x', { nodeName: 'b' }), mount('y')], { nodeLocal: false });
    expect(granted.map(({ nodeName }) => nodeName)).to.deep.equal(['b', 'b']);
  });

  it('grants nothing on a node that nobody knows', () => {
    const given = { mode: 'ReadWriteMany', nodeLocal: false } as const;
    expect(decide([mount('m', { nodeName: 'ghost' })], given).reasons).to.deep.equal({ m: 'NodeNotFound' });
  });

  it('serves the older mount first, whatever the order of the list', () => {
    const older = mount('z', {}, {}, { creationTimestamp: '2025-01-01T00:00:00Z' });
    const { reasons } = decide([mount('a'), older], { mode: 'ReadWriteOncePod' });
    expect(reasons).to.deep.equal({ z: 'granted', a: 'AccessModeConflict' });
  });

  it('keeps a grant that was given, even against an older mount', () => {
    const older = mount('z', {}, {}, { creationTimestamp: '2025-01-01T00:00:00Z' });
    const { uids } = decide([older, mount('m')], { mode: 'ReadWriteOncePod', held: [held('m')] });
    expect(uids).to.deep.equal(['uid-m']);
  });

  it('keeps the grant of a mount that is being taken down until it is gone', () => {
    const leaving = mount('m', {}, {}, gone);
    const given = { mode: 'ReadWriteOncePod', held: [held('m')] } as const;
    expect(decide([leaving, mount('n')], given).uids).to.deep.equal(['uid-m']);
    expect(decide([mount('n')], given).uids).to.deep.equal(['uid-n']);
  });

  it('gives nothing to a mount that is being deleted without ever having had a grant', () => {
    expect(decide([mount('m', {}, {}, gone)]).granted).to.deep.equal([]);
  });

  it('gives nothing new on a volume that is being deleted, and takes nothing away', () => {
    const { reasons } = decide([mount('m'), mount('n')], { deleting: true, held: [held('m')] });
    expect(reasons).to.deep.equal({ m: 'granted', n: 'VolumeDeleting' });
  });

  it('releases the grant on a lost node only when it is fenced', () => {
    const given = { nodeLocal: false, held: [held('m', 'b')] };
    const mounts = [mount('m', { nodeName: 'b' }), mount('n', { nodeName: 'a' })];
    expect(decide(mounts, given).uids).to.deep.equal(['uid-m']);
    const fenced = decide(mounts, { ...given, fenced: ['m'] });
    expect(fenced.uids).to.deep.equal(['uid-n']);
    expect(fenced.reasons).to.deep.equal({ m: 'NodeLost', n: 'granted' });
  });
});
