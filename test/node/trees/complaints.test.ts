import { expect } from 'chai';
import { describe, it } from 'mocha';
import { failureOf, onlyVanished } from '../../../src/node/trees/complaints.ts';

const GONE = "cp: cannot stat './a': No such file or directory";

describe('what cp and find complain about', () => {
  it('is no failure when files of the source went away, and nothing else is wrong', () => {
    expect(onlyVanished([GONE, "find: './b': No such file or directory"], 2)).to.equal(true);
    expect(onlyVanished(["cp: skipping file './a', as it was replaced while being copied"], 1)).to.equal(true);
    for (const other of [
      "cp: cannot open './b' for reading: Permission denied",
      "cp: cannot create regular file '/proc/self/fd/4/./a': No such file or directory",
      'setpriv: failed to execute cp: No such file or directory',
      'xargs: cp: No such file or directory',
    ]) {
      expect(onlyVanished([GONE, other], 2), other).to.equal(false);
    }
    expect(onlyVanished([GONE], 101), 'there is more than was kept').to.equal(false);
    expect(onlyVanished([], 0), 'it was killed').to.equal(false);
  });

  it('names the first files, without our way to them', () => {
    const lines = ['a', 'b', 'c', 'd'].map((name) => `cp: cannot open './${name}' for reading: Input/output error`);
    const { code, message } = failureOf('cp', 'could not be copied', lines, 4);
    expect(code).to.equal('CommandFailed');
    expect(message).to.equal(
      "4 could not be copied: cannot open 'a' for reading: Input/output error; cannot open 'b' for reading: Input/output error; cannot open 'c' for reading: Input/output error and 1 more",
    );
    expect(failureOf('cp', 'could not be copied', [], 0).message).to.include('ended before');
  });

  it('says that there is no room, whatever else there is', () => {
    const full = "cp: error writing '/proc/self/fd/4/./deep/file': No space left on device";
    expect(failureOf('cp', '', [GONE, full], 2)).to.include({ code: 'NoSpace' });
    expect(failureOf('cp', '', [full.replace('No space left on device', 'Disk quota exceeded')], 1)).to.include({
      code: 'NoSpace',
      message: "there is no room for the copy (error writing 'the copy/deep/file': Disk quota exceeded)",
    });
  });
});
