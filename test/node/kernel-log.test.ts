import { writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { complaintWords, followComplaints } from '../../src/node/helper/kernel-log.ts';
import { loadLibc, type PollHandle } from '../../src/node/helper/libc.ts';

describe('what the kernel complains of', () => {
  it('names the device, in the words of every filesystem', () => {
    for (const text of [
      '2,340,488086496,-;EXT4-fs error (device loop7): ext4_lookup:1857: inode #2: comm ls: bad block',
      '3,341,488086497,-;I/O error, dev loop7, sector 8 op 0x0:(READ)',
      '1,342,491525550,-;XFS (loop7): Log I/O Error (0x6) detected.  Shutting down filesystem.',
      '3,343,491525551,-;BTRFS error (device loop7 state EA): forced readonly\n SUBSYSTEM=block\n DEVICE=b7:7',
    ]) {
      expect(complaintWords(text), text).to.include('loop7');
    }
  });

  it('is not what it says in passing, nor what is no record', () => {
    expect(complaintWords('5,344,491452600,-;XFS (loop7): Mounting V5 Filesystem')).to.deep.equal([]);
    expect(complaintWords('6,345,491452600,-;loop7: detected capacity change')).to.deep.equal([]);
    expect(complaintWords('loop7')).to.deep.equal([]);
  });

  it('is told as it comes, and not what was there before', async () => {
    const mark = `${process.pid}x${Date.now()}`;
    const before = `before-${mark}`;
    const after = `after-${mark}`;
    writeFileSync('/dev/kmsg', `<3>clawstore-test: ${before}\n`);
    const heard: string[] = [];
    let handle: PollHandle | undefined;
    await new Promise<void>((resolve) => {
      handle = followComplaints(loadLibc(), (words) => {
        heard.push(...words);
        if (heard.includes(after)) resolve();
      });
      writeFileSync('/dev/kmsg', `<6>clawstore-test: passing-${mark}\n`);
      writeFileSync('/dev/kmsg', `<3>clawstore-test: ${after}\n`);
    });
    handle?.close();
    expect(heard).to.include(after).and.to.not.include(before).and.to.not.include(`passing-${mark}`);
  });
});
