import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isAtOrBelow, isReadOnly, orderStack, parseMountinfo, parseMountinfoLine } from '../../src/node/mount-entry.ts';

const LINE = '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue';

describe('mount entry', () => {
  it('reads the example of proc(5)', () => {
    expect(parseMountinfoLine(LINE)).to.deep.equal({
      id: 36,
      parentId: 35,
      device: '98:0',
      root: '/mnt1',
      target: '/mnt2',
      options: ['rw', 'noatime'],
      propagation: { shared: undefined, master: 1, unbindable: false },
      fsType: 'ext3',
      source: '/dev/root',
      superOptions: ['rw', 'errors=continue'],
    });
  });

  it('reads any number of optional fields, known or not', () => {
    const fields = (optional: string) => parseMountinfoLine(`1 2 0:1 / /a rw ${optional}- tmpfs none rw`)?.propagation;
    expect(fields('')).to.deep.equal({ shared: undefined, master: undefined, unbindable: false });
    expect(fields('shared:7 master:3 propagate_from:2 ')).to.deep.equal({ shared: 7, master: 3, unbindable: false });
    expect(fields('unbindable new:thing ')).to.deep.equal({ shared: undefined, master: undefined, unbindable: true });
  });

  it('undoes the escapes of space, tab, newline and backslash', () => {
    const entry = parseMountinfoLine('1 2 0:1 /a\\040b /c\\011d\\012e\\134f rw - tmpfs so\\040urce rw');
    expect(entry).to.deep.include({ root: '/a b', target: '/c\td\ne\\f', source: 'so urce' });
  });

  it('takes a separator-like field of the source for what it is', () => {
    expect(parseMountinfoLine('1 2 0:1 / /- rw - tmpfs - rw')).to.deep.include({ target: '/-', source: '-' });
  });

  it('leaves out malformed lines', () => {
    expect(parseMountinfo(`\n1 2 3\n${LINE}\n36 35 98:0 /mnt1 /mnt2 rw - ext3\n`)).to.have.length(1);
  });

  it('reads every line of this kernel', () => {
    const text = readFileSync('/proc/self/mountinfo', 'utf8');
    expect(parseMountinfo(text)).to.have.length(text.trimEnd().split('\n').length);
  });

  it('tells a path below from one that only begins alike', () => {
    expect(isAtOrBelow('/a/b', '/a')).to.equal(true);
    expect(isAtOrBelow('/a', '/a')).to.equal(true);
    expect(isAtOrBelow('/ab', '/a')).to.equal(false);
    expect(isAtOrBelow('/', '/a')).to.equal(false);
    expect(isAtOrBelow('/x', '/')).to.equal(true);
  });

  it('counts a read-only filesystem as read-only, however it is mounted', () => {
    const entry = (options: string, superOptions: string) =>
      parseMountinfo(`1 2 0:1 / /a ${options} - ext4 /dev/a ${superOptions}`)[0]!;
    expect(isReadOnly(entry('rw', 'rw'))).to.equal(false);
    expect(isReadOnly(entry('ro', 'rw'))).to.equal(true);
    expect(isReadOnly(entry('rw', 'ro'))).to.equal(true);
  });

  it('orders mounts on one path by what they sit on, whatever their IDs', () => {
    const entries = parseMountinfo(
      ['9 5 0:1 / /a rw - tmpfs middle rw', '3 9 0:2 / /a rw - tmpfs top rw', '5 1 0:3 / /a rw - tmpfs bottom rw'].join(
        '\n',
      ),
    );
    expect(orderStack(entries).map(({ source }) => source)).to.deep.equal(['bottom', 'middle', 'top']);
  });
});
