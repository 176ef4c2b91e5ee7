import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { DriverSnapshot, DriverVolume, LongCall, SnapshotCalls } from '../../../src/drivers/driver.ts';
import { forkHelper } from '../../../src/node/fork-helper.ts';
import type { NodeLayer } from '../../../src/node/layer.ts';
import { disturbed, makePlace, type Place, rejection, soon } from '../../node/support.ts';
import { mountDisk } from '../../node/trees/disk.ts';
import { fillOddly, seenOf } from '../../node/trees/odd-tree.ts';
import { shareOf } from '../../support/harness/run.ts';
import { hostPathDriver, hostPathVolume } from './support.ts';

const HIDDEN = '.clawstore-snapshots';

describe('hostPath snapshots', function () {
  this.timeout(120_000);
  let place: Place;
  let count = 0;
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

  const driverOf = (node: NodeLayer = place.layer) => {
    const driver = hostPathDriver(node);
    const { snapshots, fill } = driver;
    if (snapshots === undefined || fill === undefined) throw new Error('the driver has no snapshots');
    return { driver, snapshots, fill };
  };
  const named = (path: string, prefix = place.data, overrides: Parameters<typeof hostPathVolume>[3] = {}) => {
    count += 1;
    return hostPathVolume(`v${count}`, path, [prefix], overrides);
  };
  const snapshotOf = (volume: DriverVolume, changes: Partial<DriverSnapshot> = {}): DriverSnapshot => {
    count += 1;
    const uid = `snapshot-${count}`;
    return { uid, name: uid, volume, consistency: undefined, freezeTimeoutMs: 10_000, ...changes };
  };
  const filled = (path: string): string => {
    mkdirSync(path, { recursive: true });
    fillOddly(path);
    return path;
  };
  const factsOf = async (snapshots: SnapshotCalls, snapshot: DriverSnapshot) =>
    (await snapshots.observe(snapshot, soon())).facts;
  const disk = (name: string, filesystem: 'xfs' | 'ext4', ...rest: [number?, (readonly string[])?]): string => {
    const directory = join(place.dir, name);
    ends.push(mountDisk(directory, filesystem, ...rest));
    return directory;
  };

  describe('where they lie', () => {
    it('is below the prefix where only there blocks can be shared, out of reach of others', async () => {
      const root = disk('shares', 'xfs');
      const source = filled(join(root, 'team/volume'));
      const before = seenOf(source);
      const { snapshots } = driverOf();
      const snapshot = snapshotOf(named(source, root));
      await snapshots.take(snapshot, long());
      const [listed] = await snapshots.leftovers(soon());
      expect(listed?.path).to.equal(join(root, HIDDEN, snapshot.uid));
      expect((await factsOf(snapshots, snapshot))?.method).to.equal('ReflinkTree');
      expect(seenOf(listed?.path ?? '')).to.deep.equal(before);
      expect(statSync(join(root, HIDDEN)).mode & 0o777).to.equal(0o700);
      await snapshots.delete(snapshot, soon());
      expect(readdirSync(root)).to.deep.equal(['team']);
    });

    it('is never part of a volume that is the prefix itself, nor a volume', async () => {
      const root = disk('whole', 'xfs');
      filled(root);
      const before = seenOf(root);
      const { snapshots, driver } = driverOf();
      const [first, second] = [snapshotOf(named(root, root)), snapshotOf(named(root, root))];
      await snapshots.take(first, long());
      await snapshots.take(second, long());
      for (const snapshot of [first, second]) {
        const data = seenOf(join(root, HIDDEN, snapshot.uid));
        // Its time of change is that of the making of our directory in it.
        expect(withoutTime(data)).to.deep.equal(withoutTime(before));
        expect((await factsOf(snapshots, snapshot))?.consistent).to.include({ reason: 'Unchanged' });
      }
      const inside = named(join(root, HIDDEN, first.uid), root);
      expect(await rejection(driver.provision(inside, soon()))).to.include({
        reason: 'HostPathNotAllowed',
        terminal: true,
      });
      for (const snapshot of [first, second]) await snapshots.delete(snapshot, soon());
      expect(existsSync(join(root, HIDDEN))).to.equal(false);
    });

    it('is the state directory where nothing can be shared', async () => {
      const root = disk('plain', 'ext4', 40);
      const { snapshots } = driverOf();
      const snapshot = snapshotOf(named(filled(join(root, 'volume')), root));
      await snapshots.take(snapshot, long());
      const facts = await factsOf(snapshots, snapshot);
      expect(facts?.method).to.equal('Copy');
      expect(existsSync(join(place.layer.stateDir, 'snapshots-data', snapshot.uid, 'file'))).to.equal(true);
      expect(existsSync(join(root, HIDDEN))).to.equal(false);
      await snapshots.delete(snapshot, soon());
    });
  });

  it('keeps what was written to meanwhile and says so, unless all must be of one moment', async () => {
    const source = filled(join(place.data, 'busy'));
    const { snapshots } = driverOf();
    const [any, strict] = [snapshotOf(named(source)), snapshotOf(named(source), { consistency: 'Filesystem' })];
    const writer = setInterval(() => writeFileSync(join(source, 'written'), 'again'), 1);
    try {
      const consistent = await disturbed(async () => {
        await snapshots.delete(any, soon());
        await snapshots.take(any, long());
        const facts = await factsOf(snapshots, any);
        return facts?.consistent.consistent === false ? facts.consistent : undefined;
      });
      expect(consistent).to.include({ reason: 'ChangedDuringCopy' });
      const error = await disturbed(async () => {
        await snapshots.delete(strict, soon());
        return snapshots.take(strict, long()).then(
          () => undefined,
          (thrown: unknown) => thrown as Error,
        );
      });
      expect(error).to.include({ reason: 'ChangedDuringCopy', terminal: false });
      expect(error.message).to.include('"written"');
    } finally {
      clearInterval(writer);
    }
    expect(await factsOf(snapshots, strict)).to.equal(undefined);
    expect(readdirSync(join(place.layer.stateDir, 'snapshots-data'))).to.deep.equal([any.uid]);
    await snapshots.take(strict, long());
    expect((await factsOf(snapshots, strict))?.consistent).to.include({ consistent: true, reason: 'Unchanged' });
    for (const snapshot of [any, strict]) await snapshots.delete(snapshot, soon());
  });

  it('takes nothing of a directory that is not there, or empty and mounted nowhere', async () => {
    const { snapshots, driver } = driverOf();
    const path = join(place.data, 'disk');
    const volume = named(path);
    const snapshot = snapshotOf(volume);
    expect(await rejection(snapshots.take(snapshot, long()))).to.include({ reason: 'DataMissing' });
    mkdirSync(path);
    expect(await rejection(snapshots.take(snapshot, long()))).to.include({ reason: 'DataMissing' });
    expect(await factsOf(snapshots, snapshot)).to.equal(undefined);
    const mount = { uid: 'm', targetRoot: place.layer.mountRoot, targetPath: 'ns/empty/data', readOnly: false };
    await driver.publish(volume, mount, soon());
    await snapshots.take(snapshot, long());
    expect(await factsOf(snapshots, snapshot)).to.not.equal(undefined);
    await snapshots.delete(snapshot, soon());
    await driver.unpublish(volume, mount, soon());
  });

  it('leaves nothing when there is no room', async () => {
    const small = disk('no-room', 'ext4', 40, ['-N', '1024']);
    const layer = { ...place.layer, stateDir: small };
    const source = join(place.data, 'many');
    mkdirSync(source);
    for (let i = 0; i < 1_500; i += 1) writeFileSync(join(source, `file${i}`), 'content');
    const { snapshots } = driverOf(layer);
    const snapshot = snapshotOf(named(source));
    expect(await rejection(snapshots.take(snapshot, long()))).to.include({ reason: 'InsufficientCapacity' });
    expect(await factsOf(snapshots, snapshot)).to.equal(undefined);
    expect(await snapshots.leftovers(soon())).to.deep.equal([]);
    expect(readdirSync(join(small, 'snapshots-data'))).to.deep.equal([]);
  });

  it('is not there while its name is not, and is made again', async () => {
    const source = filled(join(place.data, 'record'));
    const snapshot = snapshotOf(named(source));
    const lost = new Error('the agent was killed here');
    const dying: NodeLayer = {
      ...place.layer,
      call: (operation, ...rest) =>
        operation === 'nameTree' ? Promise.reject(lost) : place.layer.call(operation, ...rest),
    };
    await rejection(driverOf(dying).snapshots.take(snapshot, long()));
    const { snapshots } = driverOf();
    expect(await factsOf(snapshots, snapshot)).to.equal(undefined);
    expect((await snapshots.leftovers(soon())).map(({ snapshotUID }) => snapshotUID)).to.deep.equal([snapshot.uid]);
    await snapshots.take(snapshot, long());
    expect(await factsOf(snapshots, snapshot)).to.not.equal(undefined);
    await snapshots.delete(snapshot, soon());
    expect(existsSync(join(place.layer.stateDir, 'snapshots-data'))).to.equal(false);
  });

  describe('volumes made from them', () => {
    const taken = async (): Promise<{ readonly snapshot: DriverSnapshot; readonly seen: Record<string, unknown> }> => {
      const source = filled(join(place.data, 'source'));
      const snapshot = snapshotOf(named(source));
      await driverOf().snapshots.take(snapshot, long());
      return { snapshot, seen: seenOf(source) };
    };
    const from = (snapshot: DriverSnapshot, path: string, overrides: Parameters<typeof hostPathVolume>[3] = {}) =>
      named(path, place.data, { content: { from: 'snapshot', snapshot }, ...overrides });

    it('appear whole where there was nothing, parents too', async () => {
      const { driver, fill, snapshots } = driverOf();
      const { snapshot, seen } = await taken();
      const volume = from(snapshot, join(place.data, 'a/b/clone'));
      expect((await driver.observeVolume(volume, soon())).provisioned).to.equal(false);
      await fill(volume, long());
      expect(seenOf(join(place.data, 'a/b/clone'))).to.deep.equal(seen);
      expect(readdirSync(join(place.data, 'a/b'))).to.deep.equal(['clone']);
      expect(statSync(join(place.data, 'a/b')).mode & 0o777).to.equal(0o755);
      expect((await driver.observeVolume(volume, soon())).provisioned).to.equal(true);
      await driver.release?.(volume, soon());
      expect(existsSync(join(place.data, 'a/b/clone/file'))).to.equal(true);
      await snapshots.delete(snapshot, soon());
    });

    it('fill a directory that is empty, and never one that is not', async () => {
      const { driver, fill, snapshots } = driverOf();
      const { snapshot, seen } = await taken();
      const [empty, full] = [join(place.data, 'empty'), join(place.data, 'full')];
      mkdirSync(empty);
      mkdirSync(join(full, 'theirs'), { recursive: true });
      const volume = from(snapshot, empty, { pathType: 'Directory' });
      expect((await driver.observeVolume(volume, soon())).provisioned).to.equal(false);
      await fill(volume, long());
      expect(withoutTime(seenOf(empty))).to.deep.equal(withoutTime(seen));
      expect((await driver.observeVolume(volume, soon())).provisioned).to.equal(true);
      const error = await rejection(fill(from(snapshot, full), long()));
      expect(error).to.include({ reason: 'CloneFailed' });
      expect(error.message).to.include('"theirs"');
      expect(readdirSync(full)).to.deep.equal(['theirs']);
      const missing = from(snapshot, join(place.data, 'missing'), { pathType: 'Directory' });
      expect(await rejection(fill(missing, long()))).to.include({ reason: 'HostPathNotFound' });
      await snapshots.delete(snapshot, soon());
    });

    it('say when the volume they were copied from was written to, and refuse to lie in it', async () => {
      const { driver, fill } = driverOf();
      const source = filled(join(place.data, 'source'));
      const origin = named(source);
      const content = { from: 'volume', volume: origin } as const;
      const writer = setInterval(() => writeFileSync(join(source, 'written'), 'again'), 1);
      let clones = 0;
      const note = await disturbed(async () => {
        clones += 1;
        const volume = named(join(place.data, `clone-${clones}`), place.data, { content });
        await fill(volume, long());
        return (await driver.observeVolume(volume, soon())).note;
      }).finally(() => clearInterval(writer));
      expect(note).to.include('written to meanwhile');
      const inside = named(join(source, 'in'), place.data, { content: { from: 'volume', volume: origin } });
      expect(await rejection(fill(inside, long()))).to.include({ reason: 'DataSourceMismatch', terminal: true });
    });

    it('leave nothing when they are given up, and nothing when the snapshot is gone', async () => {
      const { driver, fill, snapshots } = driverOf();
      const { snapshot } = await taken();
      const lost = new Error('the agent was killed here');
      const dying: NodeLayer = {
        ...place.layer,
        call: (operation, ...rest) =>
          operation === 'nameTree' ? Promise.reject(lost) : place.layer.call(operation, ...rest),
      };
      const empty = join(place.data, 'given-up');
      mkdirSync(empty);
      chmodSync(empty, 0o700);
      for (const path of [empty, join(place.data, 'beside')]) {
        const volume = from(snapshot, path);
        await rejection(driverOf(dying).fill(volume, long()));
        expect((await driver.observeVolume(volume, soon())).provisioned).to.equal(false);
        await driver.delete(volume, soon());
      }
      expect(readdirSync(empty)).to.deep.equal([]);
      expect(readdirSync(place.data)).to.have.members(['source', 'given-up']);
      await snapshots.delete(snapshot, soon());
      expect(await rejection(fill(from(snapshot, empty), long()))).to.include({ reason: 'DataMissing' });
    });
  });

  describe('killed at a crash point', () => {
    const points = ['tree.after-mkdir', 'tree.after-copy', 'tree.before-rename', 'tree.after-rename'];
    const all = [
      ...points,
      'tree.before-rename:2',
      'tree.after-move:3',
      'remove-tree.first-entry',
      'remove-tree.first-entry:4',
    ];
    for (const point of shareOf('trees', all)) {
      it(`${point}: a whole snapshot or none, a whole clone or none, and nothing leaks`, async () => {
        let forks = 0;
        const place = await makePlace({
          fork: (environment) => {
            forks += 1;
            return forkHelper(forks === 1 ? { CLAWSTORE_CRASH_AT: point } : environment);
          },
        });
        const { layer, data } = place;
        try {
          const { driver, snapshots, fill } = driverOf(layer);
          const volume = hostPathVolume('source', filled(join(data, 'source')), [data]);
          const seen = seenOf(join(data, 'source'));
          const snapshot = snapshotOf(volume);
          const path = join(layer.stateDir, 'snapshots-data', snapshot.uid);
          await again(
            () => snapshots.take(snapshot, long()),
            async () => {
              const facts = await factsOf(snapshots, snapshot);
              if (facts !== undefined) expect(seenOf(path)).to.deep.equal(seen);
              expect(existsSync(path), 'a name without its facts').to.equal(facts !== undefined);
            },
          );
          expect(seenOf(path)).to.deep.equal(seen);
          mkdirSync(join(data, 'empty'));
          for (const name of ['clone', 'empty']) {
            const content = { from: 'snapshot', snapshot } as const;
            const clone = hostPathVolume(name, join(data, name), [data], { content });
            await again(
              () => fill(clone, long()),
              async () => {
                const { provisioned } = await driver.observeVolume(clone, soon());
                if (provisioned) expect(Object.keys(seenOf(join(data, name)))).to.deep.equal(Object.keys(seen));
              },
            );
            expect(Object.keys(seenOf(join(data, name)))).to.deep.equal(Object.keys(seen));
          }
          await again(
            () => snapshots.delete(snapshot, soon()),
            async () => expect(await factsOf(snapshots, snapshot)).to.equal(undefined),
          );
          expect(layer.helperRestarts, 'the crash point was passed').to.equal(1);
          expect(existsSync(join(layer.stateDir, 'snapshots-data'))).to.equal(false);
          expect(readdirSync(data)).to.have.members(['source', 'clone', 'empty']);
          expect(readFileSync(join(data, 'source/file'), 'utf8')).to.include('content');
        } finally {
          await place.dispose();
        }
      });
    }
  });
});

/** Calls until the helper survives it; after each death, what it left is looked at. */
async function again(call: () => Promise<void>, look: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if ((error as { reason?: string }).reason !== 'HelperUnavailable') throw error;
      await look();
    }
  }
}

function long(): LongCall {
  return { signal: soon(), onProgress: () => undefined };
}

/** But for the time of the top directory. */
function withoutTime(seen: Record<string, unknown>): Record<string, unknown> {
  return { ...seen, '.': { ...(seen['.'] as object), mtimeNs: 0n } };
}
