import { expect } from 'chai';
import { describe, it } from 'mocha';
import { featuresOf, parseVersion } from '../../src/backup/restic/version.ts';

describe('versions of restic', () => {
  it('are read from what it says', () => {
    expect(parseVersion('restic 0.14.0 compiled with go1.19.8 on linux/amd64\n')).to.equal('0.14.0');
    expect(parseVersion('restic 1.0 (v1.0-0-gabcdef)')).to.equal('1.0');
    expect(parseVersion('rclone v1.60')).to.equal(undefined);
  });

  it('lack what came later, and nothing when they are new', () => {
    expect(featuresOf('0.13.1').lacking.map(({ feature }) => feature)).to.deep.equal(['Engine']);
    expect(featuresOf('0.16.4').lacking.map(({ feature }) => feature)).not.to.contain('RestoreSparse');
    expect(featuresOf('0.16.4').lacking[0]?.message).to.contain('older than 0.17');
    for (const version of ['0.17.0', '0.19.1', '1.0.0']) expect(featuresOf(version).lacking).to.deep.equal([]);
  });
});
