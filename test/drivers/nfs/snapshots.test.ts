import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { DriverSnapshot, DriverVolume, LongCall } from '../../../src/drivers/driver.ts';
import { NfsDriver } from '../../../src/drivers/nfs/driver.ts';
import { isNfsRecord } from '../../../src/drivers/nfs/record.ts';
import { Reverts } from '../../../src/drivers/reverts.ts';
import { snapshotRecords } from '../../../src/drivers/snapshot-record.ts';
import { fillRecords } from '../../../src/drivers/trees/fill.ts';
import { copiesIn } from '../../../src/node/network/mount-nfs.ts';
import { NodeError } from '../../../src/node/node-error.ts';
import { Records } from '../../../src/node/records.ts';
import { rejection, soon } from '../../node/support.ts';
import { ScriptedNode, SILENT } from './scripted-node.ts';

const DATA = '/run/mounts/.volumes/snap/dir';
const KEPT = '/run/mounts/.volumes/snap/.clawstore-snapshots/snap';

describe('snapshots of nfs volumes', () => {
  let directory: string;
  let node: ScriptedNode;
  let driver: NfsDriver;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-nfs-'));
    node = new ScriptedNode();
    node.trees.add(DATA);
    driver = driverAgain();
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** As after a restart. */
  const driverAgain = (): NfsDriver =>
    new NfsDriver({
      node,
      records: new Records(join(directory, 'nfs'), isNfsRecord),
      snapshots: snapshotRecords(directory),
      fills: fillRecords(directory),
      reverts: new Reverts(directory),
    });
  const volumeOf = (
    name: string,
    subPath: string | undefined,
    overrides: Partial<DriverVolume> = {},
  ): DriverVolume => ({
    uid: `uid-${name}`,
    namespace: 'ns',
    name,
    source: { type: 'nfs', server: 's', path: '/x', subPath },
    capacityBytes: undefined,
    capacityPolicy: undefined,
    provisioning: 'Thin',
    pool: 'default',
    mountOptions: ['nosuid', 'nodev'],
    mayLoseData: false,
    wasProvisioned: false,
    ...overrides,
  });
  const volume = volumeOf('v', 'dir');
  const snapshot: DriverSnapshot = { uid: 'snap', name: 'snap', volume, consistency: undefined, freezeTimeoutMs: 1 };
  const facts = async () => (await driver.snapshots.observe(snapshot, soon())).facts;

  it('writes out what workloads wrote, and copies below the export through a mount of its own', async () => {
    await driver.stage(volume, soon());
    node.calls.length = 0;
    await driver.snapshots.take(snapshot, long());
    expect(node.calls).to.deep.equal([
      'syncFilesystem .volumes/uid-v',
      'mountNfs .volumes/snap',
      'copyTree .volumes/snap/dir to .volumes/snap/.clawstore-snapshots/snap.new',
      'nameTree .volumes/snap/.clawstore-snapshots/snap.new',
      'unmount .volumes/snap',
    ]);
    expect(await facts()).to.deep.include({ restoreBytes: 7n, method: 'Copy', takenAt: new Date(1_000) });
    expect(await driver.snapshots.leftovers(soon())).to.deep.equal([
      { snapshotUID: 'snap', path: 's:/x/.clawstore-snapshots/snap', bytes: undefined },
    ]);
  });

  it('says when the server made the copies by itself', async () => {
    node.copies = 3;
    await driver.snapshots.take(snapshot, long());
    expect((await facts())?.method).to.equal('ServerSideCopy');
  });

  it('are described while their server is silent, and not deleted then', async () => {
    await driver.snapshots.take(snapshot, long());
    node.failures.set('mountNfs', SILENT);
    node.calls.length = 0;
    driver = driverAgain();
    expect(await facts()).to.include({ restoreBytes: 7n });
    expect(node.calls).to.deep.equal([]);
    expect(await rejection(driver.snapshots.delete(snapshot, soon()))).to.include({ reason: 'ServerUnreachable' });
    expect(await facts()).to.include({ restoreBytes: 7n });
    node.failures.clear();
    await driver.snapshots.delete(snapshot, soon());
    expect(await facts()).to.equal(undefined);
    expect([...node.trees]).to.deep.equal([DATA]);
    expect(node.entries).to.deep.equal([]);
  });

  it('are not there until they have their name, and are made again', async () => {
    node.failures.set('nameTree', new NodeError('HelperLost', 'it was killed'));
    expect(await rejection(driver.snapshots.take(snapshot, long()))).to.include({ reason: 'HelperUnavailable' });
    expect(await facts()).to.equal(undefined);
    expect(node.entries, 'mounts').to.deep.equal([]);
    node.failures.clear();
    driver = driverAgain();
    await driver.snapshots.take(snapshot, long());
    expect(await facts()).to.include({ restoreBytes: 7n });
    expect([...node.trees]).to.deep.equal([DATA, KEPT]);
  });

  it('are there when a kill came between the name and the note of it', async () => {
    await driver.snapshots.take(snapshot, long());
    const records = snapshotRecords(directory);
    const record = records.read('snap');
    if (record === undefined) throw new Error('nothing is recorded');
    records.write('snap', { ...record, path: `${record.path}.new` });
    expect(await facts()).to.equal(undefined);
    node.calls.length = 0;
    await driver.snapshots.take(snapshot, long());
    expect(node.calls.filter((call) => call.startsWith('copyTree'))).to.deep.equal([]);
    expect(await facts()).to.include({ restoreBytes: 7n });
  });

  it('are refused where all must be of one moment and somebody wrote', async () => {
    node.changes = { count: 1, examples: ['"file"'] };
    const strict = { ...snapshot, consistency: 'Filesystem' } as const;
    expect(await rejection(driver.snapshots.take(strict, long()))).to.include({ reason: 'ChangedDuringCopy' });
    expect([...node.trees]).to.deep.equal([DATA]);
    await driver.snapshots.take(snapshot, long());
    expect((await facts())?.consistent).to.include({ consistent: false, reason: 'ChangedDuringCopy' });
  });

  it('take nothing of a directory that is not there', async () => {
    node.trees.clear();
    expect(await rejection(driver.snapshots.take(snapshot, long()))).to.include({ reason: 'DataMissing' });
    expect(await facts()).to.equal(undefined);
  });

  it('fill the directory of a new volume, which is then ours', async () => {
    await driver.snapshots.take(snapshot, long());
    node.trees.add('/run/mounts/.volumes/uid-c-from/.clawstore-snapshots/snap');
    const clone = volumeOf('c', 'clone', { content: { from: 'snapshot', snapshot } });
    expect((await driver.observeVolume(clone, soon())).provisioned).to.equal(false);
    node.directories.set('clone', 7n);
    await driver.fill(clone, long());
    expect(node.calls).to.include(
      'copyTree .volumes/uid-c-from/.clawstore-snapshots/snap to .volumes/uid-c-fill/.clawstore-fill-uid-c.new',
    );
    expect(node.trees.has('/run/mounts/.volumes/uid-c-fill/clone')).to.equal(true);
    expect(await driver.observeVolume(clone, soon())).to.include({ provisioned: true, ownedByUs: true });
    expect(node.entries.map(({ target }) => target)).to.deep.equal(['/run/mounts/.volumes/uid-c']);
  });

  describe('that fill a volume which is given up', () => {
    const clone = volumeOf('c', 'clone', { content: { from: 'snapshot', snapshot } });
    const unfinished = '/run/mounts/.volumes/uid-c-forget/.clawstore-fill-uid-c.new';

    beforeEach(async () => {
      await driver.snapshots.take(snapshot, long());
      node.trees.add('/run/mounts/.volumes/uid-c-from/.clawstore-snapshots/snap');
    });

    it('leave nothing on the server when a kill came between the note of the copy and its name', async () => {
      node.failures.set('nameTree', new NodeError('HelperLost', 'it was killed'));
      await rejection(driver.fill(clone, long()));
      node.failures.clear();
      expect(fillRecords(directory).read('uid-c')).to.include({ isComplete: true });
      // The same directory of the server, through the mount that removing it makes.
      node.trees.add(unfinished);
      driver = driverAgain();
      node.failures.set('mountNfs', SILENT);
      expect(await rejection(driver.release(clone, soon()))).to.include({ reason: 'ServerUnreachable' });
      node.failures.clear();
      driver = driverAgain();
      await driver.release(clone, soon());
      expect(node.trees.has(unfinished)).to.equal(false);
      expect(fillRecords(directory).read('uid-c')).to.equal(undefined);
    });

    it('are not looked for on a server that is silent once the content has its place', async () => {
      node.directories.set('clone', 7n);
      await driver.fill(clone, long());
      node.calls.length = 0;
      node.failures.set('mountNfs', SILENT);
      await driver.release(clone, soon());
      expect(node.calls).to.deep.equal([]);
    });
  });

  describe('that a volume goes back to', () => {
    const restore = { uid: 'restore', name: 'back' };
    const swapped = 'swapTree .volumes/uid-v-revert/dir with revert-restore';
    const revert = () => driver.revert(volume, snapshot, restore, long());

    beforeEach(async () => {
      await driver.snapshots.take(snapshot, long());
      await driver.provision({ ...volume, wasProvisioned: false }, soon());
      node.trees.add('/run/mounts/.volumes/uid-v-from/.clawstore-snapshots/snap');
      node.trees.add('/run/mounts/.volumes/uid-v-revert/dir');
      node.calls.length = 0;
    });

    it('are copied inside its directory and swapped in, with the stage taken down, once', async () => {
      await driver.stage(volume, soon());
      await revert();
      const from = '.volumes/uid-v-from/.clawstore-snapshots/snap';
      expect(node.calls.filter((call) => /^(?:copyTree|swapTree)/.test(call))).to.deep.equal([
        `copyTree ${from} to .volumes/uid-v-revert/dir/.clawstore-snapshots/revert-restore.new`,
        swapped,
      ]);
      expect(node.entries, 'mounts').to.deep.equal([]);
      node.calls.length = 0;
      await revert();
      expect(node.calls).to.not.include(swapped);
    });

    it('leave nothing in its directory where they were not copied to the end and the Restore is gone', async () => {
      node.failures.set('nameTree', new NodeError('HelperLost', 'it was killed'));
      await rejection(revert());
      node.failures.clear();
      driver = driverAgain();
      expect(await driver.observeVolume(volume, soon())).to.include({ copyFor: 'restore' });
      for (const [through, remove] of [
        ['uid-v-tidy', () => driver.tidy(volume, soon())],
        ['uid-v-forget', () => driver.release(volume, soon())],
      ] as const) {
        new Reverts(directory).noteCopy('uid-v', 'restore');
        const unfinished = `/run/mounts/.volumes/${through}/dir/.clawstore-snapshots/revert-restore.new`;
        node.trees.add(unfinished);
        await remove();
        expect(node.trees.has(unfinished), through).to.equal(false);
        expect(new Reverts(directory).copyOf('uid-v')).to.equal(undefined);
      }
    });

    it('are refused for good while it is in use', async () => {
      await driver.stage(volume, soon());
      node.outcome = { outcome: 'busy', holders: [{ pid: 1, comm: 'writer' }] };
      expect(await rejection(revert())).to.include({ reason: 'VolumeInUse', terminal: true });
      expect(node.calls.filter((call) => call.startsWith('copyTree'))).to.deep.equal([]);
    });

    it('are said to be there in part when the server went meanwhile, until the next try', async () => {
      node.failures.set('swapTree', SILENT);
      expect(await rejection(revert())).to.include({ reason: 'ServerUnreachable', terminal: false });
      driver = driverAgain();
      expect((await driver.observeVolume(volume, soon())).problem).to.include({ reason: 'RevertIncomplete' });
      const reading = { uid: 'reading', elsewhere: [], most: 1 };
      const read = driver.reading.read(volume, reading, () => Promise.resolve(), soon());
      expect(await rejection(read)).to.include({ reason: 'RevertIncomplete' });
      node.failures.clear();
      node.calls.length = 0;
      await revert();
      expect(node.calls.filter((call) => call.startsWith('copyTree'))).to.deep.equal([]);
      expect(node.calls).to.include(swapped);
      expect((await driver.observeVolume(volume, soon())).problem).to.equal(undefined);
    });
  });

  describe('that a node which is lost was going back to', () => {
    const HALF = ['.clawstore-snapshots/revert-r-1', '.clawstore-snapshots/revert-r-1.aside'];
    const MOVING_UP = ['.clawstore-snapshots/revert-r-1.up', '.clawstore-snapshots/revert-r-1.aside'];
    const NOTHING_MOVED = ['.clawstore-snapshots/revert-r-1', '.clawstore-snapshots/revert-r-2.new'];
    const given = { ...volume, wasProvisioned: true };
    /** What lies in the directory of the volume, as it is seen through a mount of ours. */
    const put = (through: string, names: readonly string[]): void => {
      const directory = `/run/mounts/.volumes/${through}/dir`;
      for (const tree of node.trees) if (tree.startsWith(directory)) node.trees.delete(tree);
      for (const name of ['', ...names]) node.trees.add(name === '' ? directory : `${directory}/${name}`);
    };
    const problem = async () => (await driver.observeVolume(given, soon())).problem;
    const mount = { uid: 'm', targetRoot: '/run/mounts', targetPath: 'ns/m/data', readOnly: false };
    const bound = () => node.calls.filter((call) => call.startsWith('bindOwn'));

    beforeEach(() => node.directories.set('dir', 7n));

    for (const [what, names] of [
      ['the old names were moved aside', HALF],
      ['the new ones were moved up', MOVING_UP],
    ] as const) {
      it(`are there in part for the next node, which finds that ${what}, and for nobody's backup`, async () => {
        put('uid-v', names);
        await driver.provision(given, soon());
        driver = driverAgain();
        expect(await problem()).to.include({ reason: 'RevertIncomplete', terminal: false });
        expect((await problem())?.message).to.include('UID r-1');
        const reading = { uid: 'reading', elsewhere: [], most: 1 };
        const read = driver.reading.read(given, reading, () => Promise.resolve(), soon());
        expect(await rejection(read)).to.include({ reason: 'RevertIncomplete' });
        expect(node.entries.map(({ target }) => target)).to.deep.equal(['/run/mounts/.volumes/uid-v']);
      });
    }

    it('are there in part for a new volume too that finds them so, and not for one whose directory is made', async () => {
      put('uid-v', HALF);
      await driver.provision(volume, soon());
      expect(await problem()).to.include({ reason: 'RevertIncomplete' });
      const made = volumeOf('made', 'new');
      node.calls.length = 0;
      await driver.provision(made, soon());
      expect(node.calls.filter((call) => call.startsWith('halfSwaps'))).to.deep.equal([]);
    });

    it('are not filled from anything, although their names may all lie aside', async () => {
      await driver.snapshots.take(snapshot, long());
      node.trees.add('/run/mounts/.volumes/uid-v-from/.clawstore-snapshots/snap');
      put('uid-v-fill', HALF);
      const filled = volumeOf('v', 'dir', { content: { from: 'snapshot', snapshot } });
      node.calls.length = 0;
      expect(await rejection(driver.fill(filled, long()))).to.include({ reason: 'RevertIncomplete' });
      expect(node.calls.filter((call) => call.startsWith('copyTree'))).to.deep.equal([]);
    });

    it('are not there in part where nothing had been moved, or somebody else made the name', async () => {
      put('uid-v', [...NOTHING_MOVED, '.clawstore-snapshots/revert-..up', '.clawstore-snapshots/other.up']);
      await driver.provision(given, soon());
      expect(await driver.observeVolume(given, soon())).to.deep.include({ provisioned: true, problem: undefined });
    });

    it('are looked for before the next node says that it has the volume', async () => {
      put('uid-v', HALF);
      node.failures.set('halfSwaps', SILENT);
      expect(await rejection(driver.provision(given, soon()))).to.include({ reason: 'ServerUnreachable' });
      expect((await driverAgain().observeVolume(given, soon())).provisioned).to.equal(false);
    });

    it('are whole again when a node has ended it, which the directory says', async () => {
      put('uid-v', HALF);
      await driver.provision(given, soon());
      put('uid-v-look', HALF);
      expect(await problem()).to.include({ reason: 'RevertIncomplete' });
      node.failures.set('mountNfs', SILENT);
      driver = driverAgain();
      expect(await problem(), 'while the server is silent').to.include({ reason: 'RevertIncomplete' });
      node.failures.clear();
      driver = driverAgain();
      put('uid-v-look', []);
      expect(await problem()).to.equal(undefined);
      expect(new Reverts(directory).begunOf('uid-v')).to.equal(undefined);
    });

    it('are not whole because their directory is not there', async () => {
      put('uid-v', HALF);
      await driver.provision(given, soon());
      expect(await problem()).to.include({ reason: 'RevertIncomplete' });
    });

    it('are mounted by no node, whoever has the volume, until that has ended', async () => {
      put('uid-v', HALF);
      await driver.stage(given, soon());
      expect((await driver.observeVolume(given, soon())).problem, 'on a node without a note of it').to.equal(undefined);
      expect(await rejection(driver.publish(given, mount, soon()))).to.include({ reason: 'RevertIncomplete' });
      expect(bound()).to.deep.equal([]);
      put('uid-v', []);
      await driver.publish(given, mount, soon());
      expect(bound()).to.have.length(1);
    });

    it('are no content of another volume', async () => {
      put('uid-c-from', HALF);
      const clone = volumeOf('c', 'clone', { content: { from: 'volume', volume: given } });
      expect(await rejection(driver.fill(clone, long()))).to.include({ reason: 'RevertIncomplete' });
      expect(node.calls.filter((call) => call.startsWith('copyTree'))).to.deep.equal([]);
    });

    it('are ended first by the next Restore, which builds on no half', async () => {
      await driver.snapshots.take(snapshot, long());
      node.trees.add('/run/mounts/.volumes/uid-v-from/.clawstore-snapshots/snap');
      put('uid-v-revert', HALF);
      await driver.revert(given, snapshot, { uid: 'restore', name: 'back' }, long());
      expect(node.calls.filter((call) => call.startsWith('swapTree'))).to.deep.equal([
        'swapTree .volumes/uid-v-revert/dir with revert-r-1',
        'swapTree .volumes/uid-v-revert/dir with revert-restore',
      ]);
      expect(new Reverts(directory).begunOf('uid-v')).to.equal(undefined);
    });
  });

  it('cannot be volumes themselves, nor filled into what they are of', async () => {
    const inside = volumeOf('i', '.clawstore-snapshots/snap');
    expect(await rejection(driver.provision(inside, soon()))).to.include({ reason: 'InvalidSpec', terminal: true });
    const below = volumeOf('b', 'dir/below', { content: { from: 'volume', volume } });
    expect(await rejection(driver.fill(below, long()))).to.include({ reason: 'DataSourceMismatch', terminal: true });
    const of = (path: string) => ({ source: { type: 'nfs', server: 's', path, subPath: undefined } }) as const;
    for (const [one, other] of [
      ['/', '/x'],
      ['/x', '/'],
    ] as const) {
      const from = volumeOf('whole', undefined, of(other));
      const into = volumeOf('into', undefined, { ...of(one), content: { from: 'volume', volume: from } });
      const refused = await rejection(driver.fill(into, long()));
      expect(refused, `${other} into ${one}`).to.include({ reason: 'DataSourceMismatch', terminal: true });
    }
  });

  it('reads the copies of one mount from the counters of the kernel', () => {
    const of = (path: string, counts: string) =>
      `device s:/x mounted on ${path} with fstype nfs4 statvers=1.1\n\topts:\trw\n\tper-op statistics\n\t        NULL: 1 1 0 44 24 0 0 0 0\n\t        COPY: ${counts}\n\tOFFLOAD_CANCEL: 0 0 0 0 0 0 0 0 0\n`;
    const text = [
      'device proc mounted on /proc with fstype proc\n',
      of('/none', '0 0 0 0 0 0 0 0 0'),
      of('/a b', '4 4 0 1 2 3 4 5 0'),
      of('/two', '2 2 0 504 320 0 0 6 0'),
      // nfs-ganesha 4.3 has none, and says so to the first request.
      of('/refused', '1 1 0 284 112 0 0 0 1'),
      of('/partly', '3 3 0 756 480 0 0 6 1'),
      of('/old', '2 2 0 504 320 0 0 6'),
    ].join('');
    const found = ['/none', '/two', '/refused', '/partly', '/old', '/proc'].map((path) => copiesIn(text, path));
    expect(found).to.deep.equal([0, 2, 0, 2, 0, 0]);
    expect(copiesIn('', '/two')).to.equal(0);
  });
});

function long(): LongCall {
  return { signal: soon(), onProgress: () => undefined };
}
