import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { CatalogueTags } from '../../src/backup/catalogue.ts';
import { backupTags, dismissedTag, readTags, tagsOf } from '../../src/backup/catalogue.ts';

const common = {
  backupID: 'daily-0f3a9b2c',
  clusterID: 'c1',
  namespace: 'team',
  scope: 'Full',
  nodeName: 'n1',
} as const;
const document: CatalogueTags = {
  kind: 'backup',
  ...common,
  backupName: 'daily',
  isComplete: true,
  volumes: 3,
  objects: 12,
  bytes: 4096,
  dismissedBy: [],
};

describe('tags of the catalogue', () => {
  it('read back what they were made of', () => {
    const part: CatalogueTags = { kind: 'volume', ...common, volumeName: 'data' };
    const full: CatalogueTags = { ...document, scheduleName: 'nightly', isComplete: false, dismissedBy: ['c1', 'c2'] };
    for (const tags of [part, document, full]) expect(readTags(tagsOf(tags))).to.deep.equal(tags);
  });

  it('know a backup that a cluster has dismissed by a tag added later', () => {
    const tags = { ...tagsOf(document), ...dismissedTag('c9') };
    expect(readTags(tags)).to.deep.equal({ ...document, dismissedBy: ['c9'] });
  });

  it('find all parts of a backup by those that they share', () => {
    const part = tagsOf({ kind: 'volume', ...common, volumeName: 'data' });
    for (const tags of [part, tagsOf(document)]) expect(tags).to.include(backupTags(common.backupID));
  });

  it('are nothing to us when somebody else made them, or when they lack what must be there', () => {
    expect(readTags({})).to.equal(undefined);
    for (const lacking of ['clawstore', 'id', 'cluster', 'ns', 'scope', 'name', 'kind']) {
      const { [lacking]: _, ...tags } = tagsOf(document);
      expect(readTags(tags), lacking).to.equal(undefined);
    }
    expect(readTags({ ...tagsOf(document), scope: 'All' })).to.equal(undefined);
  });

  it('take a number that is none as 0', () => {
    expect(readTags({ ...tagsOf(document), bytes: '-5' })).to.deep.equal({ ...document, bytes: 0 });
  });
});
