import { expect } from 'chai';
import { describe, it } from 'mocha';
import { markerOf, metadataOf, noteKeyOf } from '../../../src/drivers/s3/marker.ts';

const BEGUN = { restoreUID: 'r-1', restoreName: 'back', snapshotUID: 's-1', snapshotName: 'moment' };

describe('the marker of a prefix', () => {
  it('says whose it is, and whether all has arrived', () => {
    expect(markerOf(metadataOf('uid', undefined))).to.deep.equal({ uid: 'uid', isComplete: true, revert: undefined });
    expect(markerOf(metadataOf('uid', 'incomplete'))).to.include({ isComplete: false, revert: undefined });
    expect(markerOf(metadataOf('uid', 'complete'))).to.include({ isComplete: true, revert: undefined });
  });

  it('tells what goes back from what has not arrived, and says to what', () => {
    expect(markerOf(metadataOf('uid', BEGUN))).to.deep.equal({ uid: 'uid', isComplete: true, revert: BEGUN });
  });

  it('says nothing of a revert that has ended, where a server keeps what is not named', () => {
    const kept = { ...metadataOf('uid', BEGUN), ...metadataOf('uid', 'complete') };
    expect(markerOf(kept)).to.deep.equal({ uid: 'uid', isComplete: true, revert: undefined });
  });

  it('believes no names that are none, and the revert all the same', () => {
    const forged = { restoreUID: '../r', restoreName: 'a\nb', snapshotUID: 's 1', snapshotName: 'https://x' };
    const nothing = { restoreUID: '', restoreName: '', snapshotUID: '', snapshotName: '' };
    expect(markerOf(metadataOf('uid', forged)).revert).to.deep.equal(nothing);
    expect(markerOf({ 'clawstore-state': 'reverting' }).revert).to.deep.equal(nothing);
    expect(markerOf(undefined)).to.deep.equal({ uid: undefined, isComplete: true, revert: undefined });
  });

  it('lies beside the snapshots where the prefix is not ours, under a name that no snapshot has', () => {
    expect(noteKeyOf('uid-1')).to.equal('.clawstore-snapshots/reverting-uid-1');
    expect(() => noteKeyOf('../x')).to.throw();
  });
});
