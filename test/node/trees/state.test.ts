/** What a look over a tree says of it, and what a later one says has changed. */
import { execFileSync } from 'node:child_process';
import { closeSync, linkSync, mkdirSync, openSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import koffi from 'koffi';
import { after, before, beforeEach, describe, it } from 'mocha';
import type { TreeChanges, TreeState } from '../../../src/node/trees/operations.ts';
import { makePlace, type Place, soon } from '../support.ts';

const MANY = 3_000;
const PAGE = 4_096;

describe('the state of a tree', function () {
  this.timeout(120_000);
  let place: Place;
  let top: string;
  let count = 0;

  before(async () => {
    place = await makePlace();
  });

  beforeEach(() => {
    count += 1;
    top = join(place.data, `tree-${count}`);
    mkdirSync(join(top, 'below'), { recursive: true });
    mkdirSync(join(top, 'hidden'));
    writeFileSync(join(top, 'hidden/not-counted'), 'x'.repeat(100));
    writeFileSync(join(top, 'one'), 'x'.repeat(10));
    linkSync(join(top, 'one'), join(top, 'below/again | and again'));
    writeFileSync(join(top, 'below/holes'), '');
    truncateSync(join(top, 'below/holes'), 1_000_000);
    symlinkSync('one', join(top, 'link'));
  });

  after(async () => {
    expect(await place.dispose(), 'mounts that no call took down').to.deep.equal([]);
  });

  const source = () => ({ own: { root: place.data, path: `tree-${count}` } });
  const look = (): Promise<TreeState> =>
    place.layer.call('stateOfTree', { source: source(), exclude: 'hidden' }, { signal: soon(), deadlineMs: 50_000 });
  const changesSince = (since: TreeState): Promise<TreeChanges> => {
    const request = { source: source(), exclude: 'hidden', since, most: 20 };
    return place.layer.call('changesOfTree', request, { signal: soon(), deadlineMs: 50_000 });
  };

  it('counts files by all of their names, as long as they are, and nothing that is left out', async () => {
    const { content, entries } = await look();
    expect(content).to.deep.equal({ files: 3, bytes: 1_000_020n });
    expect(entries).to.equal(6);
  });

  it('counts each of many, in however many pieces they are told', async () => {
    for (let file = 0; file < MANY; file += 1) writeFileSync(join(top, `file-${file}`), 'abc');
    const state = await look();
    expect(state.content).to.deep.equal({ files: 3 + MANY, bytes: 1_000_020n + 3n * BigInt(MANY) });
    expect(await changesSince(state)).to.deep.equal({ count: 0, examples: [] });
  });

  it('names what was written, made, removed, or got another name since', async () => {
    const state = await look();
    writeFileSync(join(top, 'below/holes'), 'no more');
    const written = await changesSince(state);
    expect(written).to.deep.equal({ count: 1, examples: ['"below/holes"'] });
    rmSync(join(top, 'below/again | and again'));
    const removed = await changesSince(state);
    expect(removed.examples).to.include.members(['"below"', '"one"', '"below/holes"']);
  });

  it('names what is written through a mapping that was written to before', async () => {
    // In memory no write through a mapping sets a time.
    const image = join(place.data, `image-${count}`);
    execFileSync('truncate', ['-s', '16M', image]);
    execFileSync('mkfs.ext4', ['-q', image]);
    execFileSync('mount', ['-o', 'loop', image, top]);
    try {
      writeFileSync(join(top, 'mapped'), 'x'.repeat(PAGE));
      using file = mapFile(join(top, 'mapped'));
      file.write(1);
      const state = await look();
      expect(await changesSince(state)).to.deep.equal({ count: 0, examples: [] });
      file.write(2);
      expect(await changesSince(state)).to.deep.equal({ count: 1, examples: ['"mapped"'] });
    } finally {
      execFileSync('umount', [top]);
    }
  });

  it('passes over what is left out', async () => {
    const state = await look();
    writeFileSync(join(top, 'hidden/not-counted'), 'other');
    expect(await changesSince(state)).to.deep.equal({ count: 0, examples: [] });
  });
});

/** Writes the first byte of a file as programs do that have it in their memory. */
function mapFile(path: string): Disposable & { readonly write: (byte: number) => void } {
  const libc = koffi.load('libc.so.6');
  const mmap = libc.func('void *mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)');
  const munmap = libc.func('int munmap(void *addr, size_t length)');
  const [readWrite, shared] = [3, 1];
  const fd = openSync(path, 'r+');
  const address: unknown = mmap(null, PAGE, readWrite, shared, fd, 0);
  closeSync(fd);
  return {
    write: (byte) => koffi.encode(address, 'uint8_t', byte),
    [Symbol.dispose]: () => void munmap(address, PAGE),
  };
}
