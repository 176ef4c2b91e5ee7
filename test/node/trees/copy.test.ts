import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { type CopyProgress, NO_DEADLINE_MS } from '../../../src/node/layer.ts';
import type { CopyTree } from '../../../src/node/trees/operations.ts';
import { disturbed, hold, killHelper, makePlace, meet, type Place, rejection, soon, until } from '../support.ts';
import { type DiskFilesystem, mountDisk } from './disk.ts';
import { fillOddly, seenOf } from './odd-tree.ts';

describe('copies of trees', function () {
  this.timeout(120_000);
  let place: Place;
  const ends: (() => void)[] = [];

  before(async () => {
    place = await makePlace();
  });

  after(async () => {
    for (const end of ends.splice(0).reverse()) end();
    expect(await place.dispose()).to.deep.equal([]);
  });

  afterEach(() => {
    rmSync(place.data, { recursive: true, force: true });
    mkdirSync(place.data);
  });

  const copy = (request: CopyTree, onProgress?: (progress: CopyProgress) => void, signal = soon()) => {
    const options = { signal, deadlineMs: NO_DEADLINE_MS, ...(onProgress === undefined ? {} : { onProgress }) };
    return place.layer.call('copyTree', request, options);
  };
  const fromUser = (path: string, prefix = place.data) => ({ user: { prefix, path } });
  const toOwn = (path: string) => ({ root: place.layer.stateDir, path });
  const disk = (name: string, filesystem: DiskFilesystem, ...rest: [number?, (readonly string[])?]): string => {
    const directory = join(place.dir, name);
    ends.push(mountDisk(directory, filesystem, ...rest));
    return directory;
  };

  it('keeps owners, times, links, holes, attributes, and every kind of file and name', async () => {
    const source = join(place.data, 'odd');
    mkdirSync(source);
    fillOddly(source);
    const before = seenOf(source);
    const copied = await copy({ source: fromUser(source), destination: toOwn('a/odd.new') });
    expect(seenOf(join(place.layer.stateDir, 'a/odd.new'))).to.deep.equal(before);
    expect(copied.changes).to.deep.equal({ count: 0, examples: [] });
    expect(copied.entries).to.equal(Object.keys(before).length);
    expect(seenOf(source), 'the source').to.deep.equal(before);
    await place.layer.removeTree(toOwn('a/odd.new'), soon());
    expect(readdirSync(join(place.layer.stateDir, 'a')), 'odd names can be removed').to.deep.equal([]);
  });

  it('takes nothing over from the directory in which it is made', async () => {
    const [source, above] = [join(place.data, 'plain'), join(place.data, 'above')];
    mkdirSync(join(source, 'deep'), { recursive: true });
    writeFileSync(join(source, 'deep/file'), '');
    mkdirSync(above);
    fillOddly(above);
    await copy({ source: fromUser(source), destination: { root: above, path: 'copy.new' } });
    expect(seenOf(join(above, 'copy.new'))).to.deep.equal(seenOf(source));
  });

  it('leaves out a name at the top, and keeps all else of it', async () => {
    const source = join(place.data, 'odd');
    mkdirSync(join(source, '.ours'), { recursive: true });
    writeFileSync(join(source, '.ours/file'), 'ours');
    fillOddly(source);
    const destination = toOwn('excluded.new');
    await copy({ source: fromUser(source), destination, exclude: '.ours' });
    expect(seenOf(join(place.layer.stateDir, 'excluded.new'))).to.deep.equal(seenOf(source, ['./.ours']));
    await place.layer.removeTree(destination, soon());
  });

  for (const filesystem of ['xfs', 'btrfs'] as const) {
    it(`shares blocks on ${filesystem}, and keeps everything`, async () => {
      const root = disk(`share-${filesystem}`, filesystem);
      const source = join(root, 'odd');
      mkdirSync(source);
      fillOddly(source, 12_000_000);
      const request = { source: fromUser(source, root), directory: { root, path: '.ours/copy' } };
      const probed = await place.layer.call('probeShare', request, { signal: soon() });
      expect(probed).to.deep.equal({ sameFilesystem: true, sharesBlocks: true });
      const used = () =>
        Number(execFileSync('df', ['-B1', '--output=used', root], { encoding: 'utf8' }).split('\n')[1]);
      execFileSync('sync', ['-f', root]);
      const usedBefore = used();
      const copied = await copy({ source: fromUser(source, root), destination: { root, path: '.ours/copy' } });
      expect(copied.sharesBlocks).to.equal(true);
      expect(seenOf(join(root, '.ours/copy'))).to.deep.equal(seenOf(source));
      expect(used() - usedBefore).to.be.below(8_000_000);
    });
  }

  it('says where blocks cannot be shared, and leaves no directory there', async () => {
    const source = join(place.data, 'plain');
    mkdirSync(source);
    writeFileSync(join(source, 'file'), 'content');
    const root = disk('no-share', 'ext4');
    const request = { source: fromUser(source), directory: { root, path: 'copy' } };
    const probed = await place.layer.call('probeShare', request, { signal: soon() });
    expect(probed).to.deep.equal({ sameFilesystem: false, sharesBlocks: false });
    expect(existsSync(join(root, 'copy'))).to.equal(false);
  });

  it('stays on one filesystem, and does not enter binds of the same one either', async () => {
    const source = join(place.data, 'one');
    for (const name of ['tmpfs', 'bind']) mkdirSync(join(source, name), { recursive: true });
    mkdirSync(join(place.data, 'elsewhere'));
    writeFileSync(join(place.data, 'elsewhere/foreign'), '');
    writeFileSync(join(source, 'own'), '');
    execFileSync('mount', ['-t', 'tmpfs', 'none', join(source, 'tmpfs')]);
    execFileSync('mount', ['--bind', join(place.data, 'elsewhere'), join(source, 'bind')]);
    try {
      writeFileSync(join(source, 'tmpfs/foreign'), '');
      await copy({ source: fromUser(source), destination: toOwn('one.new') });
      const names = readdirSync(join(place.layer.stateDir, 'one.new'), { recursive: true });
      expect(names).to.have.members(['bind', 'own', 'tmpfs']);
    } finally {
      execFileSync('umount', [join(source, 'tmpfs'), join(source, 'bind')]);
    }
  });

  it('follows no link to the source', async () => {
    mkdirSync(join(place.data, 'real'));
    symlinkSync('real', join(place.data, 'link'));
    const error = await rejection(copy({ source: fromUser(join(place.data, 'link')), destination: toOwn('x.new') }));
    expect(error.code).to.be.oneOf(['SymlinkInPath', 'HostPathNotADirectory']);
    expect(existsSync(join(place.layer.stateDir, 'x.new'))).to.equal(false);
  });

  it('names what changed while it was copied, and what went away', async () => {
    const source = join(place.data, 'busy');
    mkdirSync(source);
    for (let i = 0; i < 500; i += 1) writeFileSync(join(source, `file${i}`), 'content');
    const stop = new AbortController();
    const writer = (async () => {
      for (let i = 0; !stop.signal.aborted; i += 1) {
        writeFileSync(join(source, 'written'), `${i}`);
        rmSync(join(source, `file${i % 500}`), { force: true });
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const changes = await disturbed(async () => {
      const copied = await copy({ source: fromUser(source), destination: toOwn('busy.new') });
      await place.layer.removeTree(toOwn('busy.new'), soon());
      return copied.changes.examples.includes('"written"') ? copied.changes : undefined;
    }).finally(() => stop.abort());
    await writer;
    expect(changes.count).to.be.above(0);
  });

  it('takes a source that was written a moment ago for one that did not change', async () => {
    const source = join(place.data, 'fresh');
    mkdirSync(source);
    writeFileSync(join(source, 'file'), 'content');
    const { changes } = await copy({ source: fromUser(source), destination: toOwn('fresh.new') });
    expect(changes.count).to.equal(0);
  });

  it('leaves nothing when the disk is full half way', async () => {
    const source = join(place.data, 'many');
    mkdirSync(source);
    for (let i = 0; i < 1_500; i += 1) writeFileSync(join(source, `file${i}`), 'content');
    const root = disk('full', 'ext4', 40, ['-N', '1024']);
    const error = await rejection(copy({ source: fromUser(source), destination: { root, path: 'copy.new' } }));
    expect(error).to.include({ code: 'NoSpace' });
    expect(readdirSync(root)).to.deep.equal(['lost+found']);
  });

  it('does not begin what cannot fit', async () => {
    const source = join(place.data, 'big');
    mkdirSync(source);
    writeFileSync(join(source, 'file'), Buffer.alloc(40_000_000, 1));
    const root = disk('small', 'ext4', 40);
    const error = await rejection(copy({ source: fromUser(source), destination: { root, path: 'copy.new' } }));
    expect(error).to.include({ code: 'NoSpace' });
    expect(error.message).to.include('are free');
    expect(readdirSync(root)).to.deep.equal(['lost+found']);
  });

  it('tells how far it is, answers others meanwhile, and ends with its signal', async () => {
    const source = join(place.data, 'large');
    mkdirSync(source);
    writeFileSync(join(source, 'file'), Buffer.alloc(64_000_000, 1));
    const told: CopyProgress[] = [];
    const abort = new AbortController();
    const destination = toOwn('large.new');
    const { running } = await meet(
      () => copy({ source: fromUser(source), destination }, (each) => told.push(each), abort.signal),
      // Held once it has told something, so that it cannot be done before it is called off.
      () => told.length > 0 && copiersBelow(place.dir).some(hold),
    );
    await place.layer.call('ping', null, { signal: soon() });
    abort.abort();
    expect(await rejection(running)).to.include({ code: 'Aborted' });
    expect(told[0]).to.deep.equal({ bytesDone: 0n, bytesTotal: 64_000_000n });
    await until(() => copiersBelow(place.dir).length === 0);
    const copied = join(place.layer.stateDir, 'large.new/file');
    await copy({ source: fromUser(source), destination }, (each) => told.push(each));
    expect(told.at(-1)).to.deep.equal({ bytesDone: 64_000_000n, bytesTotal: 64_000_000n });
    expect(statSync(copied).size).to.equal(64_000_000);
  });

  it('ends with the helper that runs it', async () => {
    const source = join(place.data, 'orphan');
    mkdirSync(join(source, '.ours'), { recursive: true });
    for (let i = 0; i < 5_000; i += 1) writeFileSync(join(source, `file${i}`), 'content');
    const { running } = await meet(
      () => copy({ source: fromUser(source), destination: toOwn('orphan.new'), exclude: '.ours' }),
      // Held, so that it cannot be done before the helper is gone.
      () => copiersBelow(place.dir).some(hold),
    );
    killHelper(place.layer);
    expect(await rejection(running)).to.include({ code: 'HelperLost' });
    await until(() => copiersBelow(place.dir).length === 0);
  });

  it('moves a tree up into the directory that holds it, and overwrites nothing', async () => {
    const root = join(place.layer.stateDir, 'unfold');
    mkdirSync(join(root, 'inner'), { recursive: true });
    fillOddly(join(root, 'inner'));
    const before = seenOf(join(root, 'inner'));
    writeFileSync(join(root, 'file'), 'theirs');
    const unfold = () => place.layer.call('unfoldTree', { tree: { root, path: 'inner' } }, { signal: soon() });
    const error = await rejection(unfold());
    expect(error).to.include({ code: 'TargetNotEmpty' });
    expect(error.message).to.include('"file"');
    expect(readFileSync(join(root, 'file'), 'utf8')).to.equal('theirs');
    rmSync(join(root, 'file'));
    await unfold();
    await unfold();
    const withoutTime = (seen: Record<string, unknown>) => ({
      ...seen,
      '.': { ...(seen['.'] as object), mtimeNs: 0n },
    });
    expect(withoutTime(seenOf(root))).to.deep.equal(withoutTime(before));
  });
});

/** Processes of cp that copy into a directory. */
function copiersBelow(directory: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const isCopier = readFileSync(`/proc/${pid}/comm`, 'utf8') === 'cp\n';
        return isCopier && readlinkSync(`/proc/${pid}/fd/4`).startsWith(directory);
      } catch {
        return false; // it has ended
      }
    })
    .map(Number);
}
