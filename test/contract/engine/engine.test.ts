/** What every version of the engine promises, with what it declares not to have. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { BackupProgress, RepositoryAccess, SnapshotRecord, TreeEntry } from '../../../src/backup/engine.ts';
import { makePlace, type Place, rejection, soon } from '../../node/support.ts';
import { full, turns } from '../../support/harness/run.ts';
import { filesOf, makeHostileTree } from '../hostile-tree.ts';
import type { TreeFeature } from '../snapshot-contract.ts';
import { EngineWorld, type ResticVersion, SOURCE, VERSIONS } from './support.ts';

const NEWEST: readonly ResticVersion[] = ['0.19'];

for (const version of VERSIONS) {
  describe(`engine contract: restic ${version}`, function () {
    this.timeout(120_000);
    let place: Place;
    let world: EngineWorld;
    let shared: RepositoryAccess & { readonly path: string };
    /**
     * What is asked of restic in one way whatever its version is asked of the newest; of others what they are asked in
     * their own way, what they answer in their own words, and each command once: half of it in one run, half in another.
     * All of all is for the full run.
     */
    const itIn = (versions: readonly ResticVersion[], title: string, test: () => Promise<void>): void => {
      const isAsked = versions.includes(version) && (NEWEST.includes(version) || isTurn());
      if (full || isAsked) it(title, test);
    };
    const isTurn = turns(`restic ${version}`);

    before(async () => {
      place = await makePlace();
      world = new EngineWorld(place, version);
      shared = await world.repository();
    });

    after(async () => {
      expect(await place.dispose(), 'mounts that no call took down').to.deep.equal([]);
    });

    it('says what it is and what it lacks', async () => {
      const { version: said, lacking } = await world.engine.probe(soon());
      expect(said).to.match(new RegExp(`^${version.replace('.', String.raw`\.`)}`));
      expect(lacking.map(({ feature }) => feature)).to.deep.equal(
        world.isOld
          ? ['RestoreSparse', 'RestoreProgress', 'RestoreSkip', 'RestoreMirror', 'RestoreDryRun', 'SnapshotSummary']
          : [],
      );
    });

    itIn(NEWEST, 'makes a repository once, whoever asks, and knows it again', async () => {
      const access = world.access(world.fresh('made'));
      expect(await rejection(world.engine.open(access, soon()))).to.include({ code: 'DirectoryUnusable' });
      const made = await world.engine.initialize(access, soon());
      expect(made.id).to.match(/^[0-9a-f]{64}$/);
      expect(made.formatVersion).to.equal(2);
      expect(await world.engine.initialize(access, soon())).to.deep.equal(made);
      expect(await world.engine.open(access, soon())).to.deep.equal(made);
    });

    it('brings back everything that a tree has', async () => {
      const source = world.directory('hostile');
      const lacks: readonly TreeFeature[] = world.isOld ? ['holes'] : [];
      makeHostileTree(source.path, lacks);
      const told: number[] = [];
      const summary = await world.backup(
        shared,
        source.path,
        { tags: { kind: 'volume', backup: 'b-1' } },
        { onProgress: ({ filesDone }) => told.push(filesDone) },
      );
      expect(summary.errors, JSON.stringify(summary.errors)).to.deep.equal({ count: 0, examples: [] });
      expect(summary.complete).to.equal(true);
      expect(summary.snapshotId).to.match(/^[0-9a-f]{64}$/);
      const target = world.directory('restored');
      const restored = await world.restore(shared, summary.snapshotId, target.path);
      expect(restored.errors).to.deep.equal({ count: 0, examples: [] });
      expect(restored.complete).to.equal(true);
      expect(filesOf(target.path, lacks)).to.deep.equal(filesOf(source.path, lacks));
    });

    itIn(NEWEST, 'reads nothing again that did not change, and adds nothing', async () => {
      const source = world.directory('unchanged');
      for (const name of ['a', 'b', 'c']) writeFileSync(join(source.path, name), name.repeat(1000));
      const first = await world.backup(shared, source.path);
      expect(first).to.include({ filesNew: 3, filesChanged: 0, filesUnmodified: 0, files: 3, bytesProcessed: 3000n });
      writeFileSync(join(source.path, 'c'), 'changed');
      const second = await world.backup(shared, source.path, { parent: first.snapshotId });
      expect(second).to.include({ filesNew: 0, filesChanged: 1, filesUnmodified: 2 });
      const third = await world.backup(shared, source.path);
      expect(third).to.include({ filesNew: 0, filesChanged: 0, filesUnmodified: 3, bytesAdded: 0n });
    });

    itIn(NEWEST, 'takes the word of who has counted for how much there is, and reads what there is', async () => {
      const source = world.directory('counted');
      for (const name of ['a', 'b', 'c']) writeFileSync(join(source.path, name), randomBytes(2_000_000));
      const told: BackupProgress[] = [];
      const content = { files: 2, bytes: 4_000_000n };
      const made = await world.backup(shared, source.path, { content }, { onProgress: (one) => told.push(one) });
      expect(made).to.include({ complete: true, files: 3, bytesProcessed: 6_000_000n });
      for (const { bytesDone, bytesTotal, filesDone, filesTotal } of told) {
        expect(bytesTotal).to.equal(bytesDone > content.bytes ? bytesDone : content.bytes);
        expect(filesTotal).to.equal(Math.max(filesDone, content.files));
      }
    });

    itIn(
      NEWEST,
      'leaves out what it is told to, by its whole name and with all that is below, and nothing else',
      async () => {
        const source = world.directory('excluded');
        for (const name of ['.own*', '.own-not', 'sub/.own*']) {
          mkdirSync(join(source.path, name), { recursive: true });
          writeFileSync(join(source.path, name, 'file'), 'content');
        }
        const { snapshotId, files } = await world.backup(shared, source.path, { exclude: ['data/.own*'] });
        expect(files).to.equal(2);
        const target = world.directory('without');
        await world.restore(shared, snapshotId, target.path);
        expect(readdirSync(target.path).sort()).to.deep.equal(['.own-not', 'sub']);
        expect(readdirSync(join(target.path, 'sub'))).to.deep.equal(['.own*']);
      },
    );

    itIn(
      ['0.18', '0.19'],
      'adds nothing when the same files lie on another device, as clones of images do',
      async () => {
        const image = join(place.data, world.fresh('image'));
        const mounted = world.directory('mounted');
        execFileSync('truncate', ['-s', '32M', image]);
        execFileSync('mkfs.ext4', ['-q', image]);
        const loops: string[] = [];
        const attach = (): string => {
          const loop = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
          loops.push(loop);
          return loop;
        };
        const onLoop = async <T>(loop: string, work: () => Promise<T>): Promise<T> => {
          execFileSync('mount', [loop, mounted.path]);
          try {
            return await work();
          } finally {
            execFileSync('umount', [mounted.path]);
          }
        };
        try {
          const first = attach();
          await onLoop(first, async () => {
            for (let index = 0; index < 50; index += 1) writeFileSync(join(mounted.path, `f${index}`), String(index));
            linkSync(join(mounted.path, 'f0'), join(mounted.path, 'linked'));
            await world.backup(shared, mounted.path);
          });
          const again = await onLoop(attach(), () => world.backup(shared, mounted.path));
          expect(again).to.include({ filesNew: 0, filesChanged: 0, filesUnmodified: 52 - 1 });
          // What has hard links needs the number of its device.
          if (!world.isOld) expect(Number(again.bytesAdded)).to.be.below(60_000);
        } finally {
          for (const loop of loops) execFileSync('losetup', ['--detach', loop]);
        }
      },
    );

    itIn(NEWEST, 'backs up nothing that the repository lies in, whatever that is called', async () => {
      const own = await world.repository();
      const again = world.directory('again');
      execFileSync('mount', ['--bind', place.data, again.path]);
      try {
        expect(await rejection(world.backup(own, again.path))).to.include({
          code: 'DestinationInVolume',
          retryable: false,
        });
      } finally {
        execFileSync('umount', [again.path]);
      }
    });

    itIn(['0.14', '0.19'], 'keeps documents from memory beside the data, and reads them back', async () => {
      const source = world.directory('with-document');
      writeFileSync(join(source.path, 'file'), 'data');
      const document = Buffer.from('{"spec":{}}');
      const own = { root: place.data, path: source.own.path };
      const { snapshotId } = await world.backup(shared, source.path, {
        source: {
          path: SOURCE,
          entries: [
            { name: 'data', directory: { own } },
            { name: 'volume.json', content: document },
          ],
        },
      });
      const read = (path: string, most = 1000): Promise<Buffer> =>
        world.engine.readContent(shared, snapshotId, path, most, soon());
      expect((await read('/volume.json')).toString()).to.equal(document.toString());
      expect(await rejection(read('/volume.json', 3))).to.include({ code: 'TooLarge' });
      expect(await rejection(read('/no.json'))).to.include({ code: 'NotFound' });
      const files = new Map([
        ['backup.json', Buffer.from('{}')],
        ['manifests/Volume.a.json', Buffer.from('manifest')],
      ]);
      const content = await world.engine.backupContent(
        shared,
        { path: `${SOURCE}-documents`, files, host: 'node-a', tags: { kind: 'backup' } },
        soon(),
      );
      expect(content).to.include({ files: 2, complete: true });
      const manifest = await world.engine.readContent(
        shared,
        content.snapshotId,
        '/manifests/Volume.a.json',
        100,
        soon(),
      );
      expect(manifest.toString()).to.equal('manifest');
    });

    itIn(['0.14', '0.19'], 'lists snapshots by all of their tags, with everything that was said of them', async () => {
      const own = await world.repository();
      const source = world.directory('tagged');
      writeFileSync(join(source.path, 'file'), 'x');
      const one = await world.backup(own, source.path, { tags: { kind: 'volume', id: '1=a b' } });
      const two = await world.backup(own, source.path, { tags: { kind: 'volume', id: '2' }, host: 'node-b' });
      const all = await world.engine.snapshots(own, {}, soon());
      expect(all.map(({ id }) => id)).to.deep.equal([one.snapshotId, two.snapshotId]);
      expect(all[0]).to.deep.include({ host: 'node-a', tags: { kind: 'volume', id: '1=a b' }, paths: [SOURCE] });
      if (!world.isOld) expect(all[0]?.summary).to.deep.include({ files: 1, bytesProcessed: 1n });
      const found = await world.engine.snapshots(own, { tags: { kind: 'volume', id: '2' } }, soon());
      expect(found.map(({ host }) => host)).to.deep.equal(['node-b']);
      expect(await world.engine.snapshots(own, { tags: { kind: 'volume', id: '3' } }, soon())).to.deep.equal([]);
      const refused = world.backup(own, source.path, { tags: { 'a,b': '1' } });
      expect(await rejection(refused)).to.include({ code: 'InvalidRequest' });

      const renamed = await world.engine.tag(
        own,
        [one.snapshotId],
        { add: { id: '9', x: 'y' }, remove: ['kind'] },
        soon(),
      );
      const now = renamed.get(one.snapshotId) ?? '';
      const after = await world.engine.snapshots(own, {}, soon());
      expect(after.find(({ id }) => id === now)?.tags).to.deep.equal({ id: '9', x: 'y' });
      expect(after.map(({ id }) => id)).to.have.members([now, two.snapshotId]);

      await world.engine.forget(own, [two.snapshotId, 'f'.repeat(64)], soon());
      expect((await world.engine.snapshots(own, {}, soon())).map(({ id }) => id)).to.deep.equal([now]);
      const pruned = await world.engine.prune(own, {}, () => undefined, soon());
      expect(pruned.bytesAfter <= pruned.bytesBefore).to.equal(true);
      expect(await world.engine.size(own, soon())).to.equal(pruned.bytesAfter);
    });

    itIn(
      ['0.14', '0.19'],
      'opens a repository no more often than something has happened in it, and misses nothing',
      async () => {
        const own = await world.repository();
        const source = world.directory('known');
        writeFileSync(join(source.path, 'file'), 'x');
        const tags = { kind: 'volume', id: '1' };
        const list = (): Promise<readonly SnapshotRecord[]> => world.engine.snapshots(own, { tags }, soon());
        expect(await list()).to.deep.equal([]);
        world.runs.length = 0;
        const { snapshotId } = await world.backup(own, source.path, { tags });
        const listed = await list();
        expect(listed.map(({ id }) => id)).to.deep.equal([snapshotId]);
        // 0.14 does not say when it began.
        if (world.isOld) expect(world.runs).to.include('snapshots');
        else expect(world.runs).to.deep.equal(['backup']);
        world.runs.length = 0;
        expect(await list()).to.deep.equal(listed);
        expect(await world.engine.locks(own, soon())).to.deep.equal([]);
        expect(world.runs).to.deep.equal([]);

        const other = new EngineWorld(place, version);
        expect(await other.engine.snapshots(own, { tags }, soon())).to.deep.equal(listed);
        const theirs = await other.backup(own, source.path, { tags });
        await other.engine.forget(own, [snapshotId], soon());
        expect((await list()).map(({ id }) => id)).to.deep.equal([theirs.snapshotId]);
        const guess = { ...own, password: 'a guess' };
        expect(await rejection(world.engine.snapshots(guess, {}, soon()))).to.include({ code: 'WrongPassword' });
      },
    );

    itIn(NEWEST, 'lists what is in a snapshot, whole or below some paths', async () => {
      const source = world.directory('listed');
      mkdirSync(join(source.path, 'a/b'), { recursive: true });
      for (const name of ['a/one', 'a/b/two', 'ab', 'z\nz']) writeFileSync(join(source.path, name), name);
      const bytes = Buffer.concat([Buffer.from(`${source.path}/a/`), Buffer.from([0x66, 0xff])]);
      writeFileSync(bytes, 'odd');
      const { snapshotId } = await world.backup(shared, source.path);
      const list = async (...paths: readonly string[]): Promise<readonly string[]> => {
        const found: TreeEntry[] = [];
        await world.engine.list(shared, snapshotId, paths, (entries) => void found.push(...entries), soon());
        return found.map(({ path, type, size }) => `${type} ${path} ${type === 'file' ? size : ''}`.trim()).toSorted();
      };
      expect(await list('/data/a')).to.deep.equal([
        'dir /data/a',
        'dir /data/a/b',
        'file /data/a/b/two 7',
        'file /data/a/f\uFFFD 3',
        'file /data/a/one 5',
      ]);
      expect(await list('/data/a/f\uFFFD')).to.deep.equal(['file /data/a/f\uFFFD 3']);
      expect(await list('/data/z\nz', '/data/a/b/two')).to.deep.equal(['file /data/a/b/two 7', 'file /data/z\nz 3']);
      expect(await list()).to.have.length(8);
      expect(await list('/nowhere')).to.deep.equal([]);
      const unknown = world.engine.list(shared, 'f'.repeat(64), [], () => undefined, soon());
      expect(await rejection(unknown)).to.include({ code: 'NotFound' });
    });

    itIn(['0.14', '0.19'], 'restores chosen paths and no others, whatever their names', async () => {
      const source = world.directory('chosen');
      mkdirSync(join(source.path, 'dir[1]'));
      chmodSync(join(source.path, 'dir[1]'), 0o2750);
      const names = ['*', 'a*b', 'aXb', '[ab]', 'a', '\\', 'new\nline', '!x', ' x', 'dir[1]/inner', '?'];
      for (const name of names) writeFileSync(join(source.path, name), name);
      for (const byte of [0xfe, 0xff]) {
        writeFileSync(Buffer.concat([Buffer.from(`${source.path}/odd`), Buffer.from([byte])]), 'odd');
      }
      writeFileSync(join(source.path, 'oddx'), 'not odd');
      const { snapshotId } = await world.backup(shared, source.path);
      const restored = async (...include: readonly string[]): Promise<readonly string[]> => {
        const target = world.directory('some');
        const { complete } = await world.restore(shared, snapshotId, target.path, { include });
        expect(complete).to.equal(true);
        return filesOf(target.path, ['times', 'owners', 'modes', 'xattrs'])
          .slice(1)
          .map((line) => line.split(' | ')[0]?.slice(2) ?? '');
      };
      const odd = [' x', '!x', '*', '?', '[ab]', '\\', 'new\nline'];
      expect(await restored(...odd)).to.have.members(odd);
      for (const name of full ? [...odd, 'a*b'] : ['a*b']) expect(await restored(name), name).to.deep.equal([name]);
      expect(await restored('dir[1]/inner', 'a')).to.deep.equal(['a', 'dir[1]', 'dir[1]/inner']);
      expect(await restored('odd\uFFFD')).to.deep.equal(['odd\xfe', 'odd\xff']);
      const target = world.directory('none');
      for (const include of full ? [['nowhere'], ['a', 'nowhere'], ['dir[1]/nowhere']] : [['a', 'nowhere']]) {
        const refused = world.restore(shared, snapshotId, target.path, { include });
        expect(await rejection(refused), include.join()).to.include({ code: 'NotFound' });
      }
      expect(await rejection(world.restore(shared, snapshotId, target.path, { include: ['../x'] }))).to.include({
        code: 'InvalidRequest',
      });
      const elsewhere = world.restore(shared, snapshotId, target.path, { sourcePath: '/nowhere' });
      expect(await rejection(elsewhere)).to.include({ code: 'NotFound' });
      const unknown = world.restore(shared, 'f'.repeat(64), target.path);
      expect(await rejection(unknown)).to.include({ code: 'NotFound' });
      expect(filesOf(target.path, ['times'])).to.have.length(1);
    });

    it('keeps, overwrites or mirrors what is in the target already, or says that it cannot', async () => {
      const source = world.directory('existing');
      mkdirSync(join(source.path, 'dir'));
      for (const name of ['same', 'changed', 'missing', 'dir/inner'])
        writeFileSync(join(source.path, name), 'backed up');
      const { snapshotId } = await world.backup(shared, source.path);
      const prepare = (): string => {
        const { path } = world.directory('target');
        mkdirSync(join(path, 'more'));
        writeFileSync(join(path, 'changed'), 'newer');
        writeFileSync(join(path, 'more/extra'), 'extra');
        return path;
      };
      const content = (path: string): readonly string[] =>
        filesOf(path, ['times', 'owners', 'modes', 'xattrs'])
          .slice(1)
          .map((line) => line.split(' | ')[0]?.slice(2) ?? '');

      const overwritten = prepare();
      await world.restore(shared, snapshotId, overwritten, { existingFiles: 'Overwrite' });
      expect(readFileSync(join(overwritten, 'changed'), 'utf8')).to.equal('backed up');
      expect(content(overwritten)).to.include.members(['more/extra', 'dir/inner', 'missing']);

      const others = prepare();
      if (world.isOld) {
        for (const existingFiles of ['Skip', 'Mirror'] as const) {
          const refused = world.restore(shared, snapshotId, others, { existingFiles });
          expect(await rejection(refused)).to.include({ code: 'Unsupported' });
        }
        const dry = world.restore(shared, snapshotId, others, { dryRun: true });
        expect(await rejection(dry)).to.include({ code: 'Unsupported' });
        return;
      }
      const dry = await world.restore(shared, snapshotId, others, { dryRun: true, existingFiles: 'Mirror' });
      expect(dry.filesTotal).to.be.above(3);
      expect(content(others)).to.deep.equal(['changed', 'more', 'more/extra']);
      const skipped = await world.restore(shared, snapshotId, others, { existingFiles: 'Skip' });
      expect(skipped.filesSkipped).to.equal(1);
      expect(readFileSync(join(others, 'changed'), 'utf8')).to.equal('newer');
      expect(readFileSync(join(others, 'missing'), 'utf8')).to.equal('backed up');
      const mirrored = await world.restore(shared, snapshotId, others, { existingFiles: 'Mirror' });
      expect(mirrored.filesDeleted).to.be.above(0);
      expect(content(others)).to.deep.equal(content(source.path));
    });

    it('writes through no link that lies in its way', async () => {
      const source = world.directory('linked');
      mkdirSync(join(source.path, 'sub'));
      for (const name of ['file', 'sub/file']) writeFileSync(join(source.path, name), 'backed up');
      const { snapshotId } = await world.backup(shared, source.path);
      const victim = world.directory('victim');
      writeFileSync(join(victim.path, 'file'), 'precious');
      const target = world.directory('trap');
      symlinkSync(join(victim.path, 'file'), join(target.path, 'file'));
      symlinkSync(victim.path, join(target.path, 'sub'));
      const { complete } = await world.restore(shared, snapshotId, target.path).catch(() => ({ complete: false }));
      expect(readFileSync(join(victim.path, 'file'), 'utf8')).to.equal('precious');
      if (!world.isOld) {
        expect(complete).to.equal(true);
        expect(readFileSync(join(target.path, 'sub/file'), 'utf8')).to.equal('backed up');
      } else expect(complete).to.equal(false);
    });

    itIn(NEWEST, 'finds nothing wrong where nothing is', async () => {
      for (const readDataPercent of [0, 100]) {
        const result = await world.engine.check(shared, { readDataPercent }, () => undefined, soon());
        expect(result, JSON.stringify(result)).to.deep.include({ ok: true, damagedPacks: [], damagedSnapshots: [] });
        expect(result.errors.count).to.equal(0);
      }
    });

    itIn(NEWEST, 'only reads where that is all it may', async () => {
      const readOnly = { ...shared, readOnly: true };
      expect((await world.engine.snapshots(readOnly, {}, soon())).length).to.be.above(0);
      const source = world.directory('read-only');
      writeFileSync(join(source.path, 'file'), 'x');
      expect(await rejection(world.backup(readOnly, source.path))).to.include({ code: 'InvalidRequest' });
    });
  });
}
