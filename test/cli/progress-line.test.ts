import { expect } from 'chai';
import { describe, it } from 'mocha';
import { bytesOf, lineOf, progressLine } from '../../src/cli/progress-line.ts';

const GIB = 2 ** 30;
const half = { bytesDone: GIB, bytesTotal: 2 * GIB, filesDone: 3, filesTotal: 8, bytesPerSecond: 2 ** 26 };

describe('the line that shows how far a backup is', () => {
  it('has a bar, bytes, files, speed and what is left', () => {
    expect(lineOf('b', half)).to.equal(
      'b [############------------] 50 %  1.0 GiB of 2.0 GiB, 3 of 8 files, 64.0 MiB/s, 16 s left',
    );
  });

  it('promises nothing that is not known', () => {
    const nothing = { bytesDone: 0, bytesTotal: 0, filesDone: 0, filesTotal: 0, bytesPerSecond: 0 };
    expect(lineOf('b', nothing)).to.equal(`b [${'-'.repeat(24)}] 0 %  0 B of 0 B, 0 of 0 files`);
    expect(lineOf('b', { ...half, bytesDone: 3 * GIB }))
      .to.contain('] 100 %')
      .and.not.contain('left');
    expect(lineOf('b', { ...half, bytesPerSecond: 1000 })).to.match(/298 h \d+ min left$/);
  });

  it('is written over, fits the terminal, and is taken away', () => {
    const written: string[] = [];
    const show = progressLine({ columns: 21, write: (text: string) => written.push(text) > 0 });
    show('b', half);
    show('b', half);
    show('', undefined);
    show('', undefined);
    expect(written).to.deep.equal(['\r\u001b[Kb [############-----', '\r\u001b[K']);
  });

  it('counts in binary units', () => {
    expect([0, 1023, 1536, 2 ** 60].map(bytesOf)).to.deep.equal(['0 B', '1023 B', '1.5 KiB', '1024.0 PiB']);
  });
});
