import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { VolumeAttachment, VolumeStatus } from '../../../src/api/volume.ts';
import { rivalKeys, volumeToMountKeys } from '../../../src/controllers/mount/keys.ts';
import { BY_TARGET, BY_VOLUME, volumeOfMount } from '../../../src/controllers/support/indexes.ts';
import { gatherFor } from '../../../src/controllers/support/wide.ts';
import { condition, mount, volume } from '../support/objects.ts';
import { World } from '../support/world.ts';

const grant = (mountUID: string): VolumeAttachment => {
  return { mountUID, workloadId: 'w', nodeName: 'n', readOnly: false };
};

describe('what a change of a volume means to the mounts on a node', () => {
  const world = new World().add(mount('a'), mount('b'));
  world.mounts.addIndex(BY_VOLUME, volumeOfMount);
  const [a, b] = ['a', 'b'].map((name) => world.mounts.get(`team/${name}`)?.metadata.uid ?? '') as [string, string];
  const keys = (before: VolumeStatus, after: VolumeStatus): readonly string[] => {
    const [old, object] = [volume('data', {}, before), volume('data', {}, after)];
    return volumeToMountKeys({ type: 'updated', key: 'team/data', old, object }, world).map(({ key }) => key);
  };

  it('is nothing when mounts of other nodes are granted or go', () => {
    const own = [grant(a), grant(b)];
    expect(keys({ attachments: own }, { attachments: [...own, grant('elsewhere')] })).to.deep.equal([]);
    expect(keys({ attachments: [grant('elsewhere'), ...own] }, { attachments: own })).to.deep.equal([]);
  });

  it('is a look at the one whose grant came, went or changed', () => {
    expect(keys({ attachments: [grant(a)] }, { attachments: [grant(a), grant(b)] })).to.deep.equal(['team/b']);
    expect(keys({ attachments: [grant(a), grant(b)] }, { attachments: [grant(b)] })).to.deep.equal(['team/a']);
    const readOnly = { ...grant(a), readOnly: true };
    expect(keys({ attachments: [grant(a)] }, { attachments: [readOnly] })).to.deep.equal(['team/a']);
  });

  it('is a look at all of them when the storage is there', () => {
    const conditions = [condition('Provisioned', 'True', 'Provisioned')];
    expect(keys({}, { conditions })).to.deep.equal(['team/a', 'team/b']);
  });
});

describe('what the end of a mount means to others', () => {
  const at = (name: string, hostPath?: string) => mount(name, hostPath === undefined ? {} : { hostPath });
  const world = new World().add(at('waits', '/data'), at('elsewhere', '/other'), at('nowhere'));
  world.mounts.addIndex(BY_TARGET, ({ spec }) => [spec.hostPath ?? '']);

  it('is a look at those that want its target, of whatever volume', () => {
    const old = at('gone', '/data');
    const keys = rivalKeys({ type: 'deleted', key: 'team/gone', old }, world, '/mounts').map(({ key }) => key);
    expect(keys).to.deep.equal(['team/waits']);
    expect(rivalKeys({ type: 'updated', key: 'team/gone', old, object: old }, world, '/mounts')).to.deep.equal([]);
  });
});

describe('a volume with very many mounts', () => {
  const withGrants = (count: number) => {
    return volume('data', {}, { attachments: Array.from({ length: count }, (_, index) => grant(`m${index}`)) });
  };

  it('gathers their changes for one write, the longer the more there are, and never for long', () => {
    expect([0, 16, 17, 100, 1000, 5000].map((count) => gatherFor(withGrants(count)))).to.deep.equal([
      0, 0, 34, 200, 2000, 2000,
    ]);
    expect(gatherFor(undefined)).to.equal(0);
  });
});
