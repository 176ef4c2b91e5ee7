import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { DriverMount, DriverSnapshot, DriverVolume, LongCall } from '../../../src/drivers/driver.ts';
import { EmptyDirDriver } from '../../../src/drivers/emptydir/emptydir-driver.ts';
import type { CrashPoint } from '../../../src/node/crash-points.ts';
import { DEFAULT_POOL, type Pool, Pools } from '../../../src/node/pools/pools.ts';
import { makePlace, type Place, rejection, soon, until } from '../../node/support.ts';
import { shareOf } from '../../support/harness/run.ts';
import { runKilledAgent } from '../killed-agent.ts';

const REVERT = join(import.meta.dirname, 'revert-volume.ts');

const MIB = 1024n * 1024n;
/** In memory instead of on disk. */
const MEMORY: Partial<DriverVolume> = { source: { type: 'emptyDir', medium: 'Memory' } };
/** Where a helper is killed, of what volume, and what that has then. */
const HELPER_POINTS: readonly (readonly [point: CrashPoint, of: Partial<DriverVolume>, has: 'old' | 'new'])[] = [
  ['clone.after-sync', {}, 'new'],
  ['clone.after-rename', {}, 'old'],
  ['tree.after-exchange', MEMORY, 'old'],
];
const AGENT_POINTS: readonly CrashPoint[] = [
  'revert.after-clone',
  'revert.after-record',
  'revert.after-name',
  'revert.after-done',
];

describe('emptyDir volumes that go back to a snapshot', function () {
  this.timeout(120_000);
  let place: Place;
  let pools: Pools;
  let pool: Pool;
  let driver: EmptyDirDriver;
  let count = 0;
  const made: DriverVolume[] = [];
  const taken: DriverSnapshot[] = [];

  before(async () => {
    place = await makePlace();
    pools = new Pools({ node: place.layer, directory: join(place.layer.stateDir, 'pools') });
    pool = await pools.open(DEFAULT_POOL, soon());
    driver = new EmptyDirDriver({ node: place.layer, pools });
  });

  afterEach(async () => {
    for (const snapshot of taken.splice(0)) await driver.snapshots.delete(snapshot, soon());
    for (const volume of made.splice(0)) {
      expect((await driver.unpublish(volume, mountOf(volume), soon())).outcome).to.equal('done');
      await driver.delete(volume, soon());
    }
    expect(readdirSync(pool.directory), 'files of the pool').to.deep.equal([]);
    for (const folder of ['reverts', 'reverts-copies']) {
      expect(readdirSync(join(place.layer.stateDir, folder)), folder).to.deep.equal([]);
    }
  });

  after(async () => {
    if (pool?.file !== undefined) {
      const { target } = pool.file;
      const mountId = place.layer.table.at(join(target.root, target.path))?.id;
      await place.layer.unmount({ target, mountId, scope: 'device' }, soon());
    }
    expect(await place.dispose()).to.deep.equal([]);
  });

  const long = (): LongCall => ({ signal: soon(), onProgress: () => undefined });
  const restoreOf = (name: string) => ({ uid: `restore-${name}`, name });
  const mountOf = ({ name }: DriverVolume): DriverMount => ({
    uid: `mount-${name}`,
    targetRoot: place.layer.mountRoot,
    targetPath: `ns/${name}/data`,
    readOnly: false,
  });
  const fileOf = (volume: DriverVolume): string => join(place.layer.mountRoot, mountOf(volume).targetPath, 'file');

  async function publish(volume: DriverVolume): Promise<void> {
    await driver.stage(volume, soon());
    await driver.publish(volume, mountOf(volume), soon());
  }
  async function unpublish(volume: DriverVolume): Promise<void> {
    expect((await driver.unpublish(volume, mountOf(volume), soon())).outcome).to.equal('done');
    expect((await driver.unstage(volume, soon())).outcome).to.equal('done');
  }
  async function write(volume: DriverVolume, content: string): Promise<void> {
    await publish(volume);
    writeFileSync(fileOf(volume), content);
    await unpublish(volume);
  }
  async function content(volume: DriverVolume): Promise<string> {
    await publish(volume);
    const text = readFileSync(fileOf(volume), 'utf8');
    await unpublish(volume);
    return text;
  }

  /** A volume with `new` in it, a snapshot of the time when it had `old`. */
  async function changed(changes: Partial<DriverVolume> = {}) {
    count += 1;
    const volume: DriverVolume = {
      uid: `uid-${count}`,
      namespace: 'ns',
      name: `v${count}`,
      source: { type: 'emptyDir', medium: '' },
      capacityBytes: 16n * MIB,
      capacityPolicy: undefined,
      provisioning: 'Thin',
      pool: DEFAULT_POOL,
      wasProvisioned: true,
      mayLoseData: false,
      mountOptions: ['nosuid', 'nodev'],
      ...changes,
    };
    made.push(volume);
    await driver.provision(volume, soon());
    await write(volume, 'old');
    const name = `snap-${count}`;
    const snapshot = { uid: name, name, volume, consistency: undefined, freezeTimeoutMs: 10_000 };
    taken.push(snapshot);
    await driver.snapshots.take(snapshot, long());
    await write(volume, 'new');
    return { volume, snapshot, restore: restoreOf(volume.name) };
  }

  for (const provisioning of ['Thin', 'Thick'] as const) {
    it(`have the old content, and the snapshot too (${provisioning})`, async () => {
      const { volume, snapshot, restore } = await changed({ provisioning });
      await driver.revert(volume, snapshot, restore, long());
      expect(await content(volume)).to.equal('old');
      await write(volume, 'newer');
      expect((await driver.snapshots.observe(snapshot, soon())).facts).to.not.equal(undefined);
      await driver.revert(volume, snapshot, restoreOf('again'), long());
      expect(await content(volume)).to.equal('old');
    });
  }

  it('go back once for each Restore, whatever was written since', async () => {
    const { volume, snapshot, restore } = await changed();
    const later = restoreOf(`${volume.name}-later`);
    await driver.revert(volume, snapshot, restore, long());
    await write(volume, 'precious');
    await driver.revert(volume, snapshot, restore, long());
    expect(await content(volume)).to.equal('precious');
    await driver.revert(volume, snapshot, later, long());
    await write(volume, 'more precious');
    // The image is not the one that the first made any more.
    for (const again of [restore, later]) await driver.revert(volume, snapshot, again, long());
    expect(await content(volume)).to.equal('more precious');
  });

  it('keep the size that they have grown to', async () => {
    const { volume, snapshot, restore } = await changed();
    const larger = { ...volume, capacityBytes: 32n * MIB };
    await driver.provision(larger, soon());
    await driver.revert(larger, snapshot, restore, long());
    await driver.provision(larger, soon());
    expect(await content(larger)).to.equal('old');
    expect((await driver.observeVolume(larger, soon())).enforcedBytes).to.equal(32n * MIB);
  });

  it('are refused while they are mounted, and not touched', async () => {
    const { volume, snapshot, restore } = await changed();
    await publish(volume);
    const thrown = await rejection(driver.revert(volume, snapshot, restore, long()));
    expect(thrown).to.have.property('reason', 'VolumeInUse');
    expect(readFileSync(fileOf(volume), 'utf8')).to.equal('new');
    await unpublish(volume);
    expect(await content(volume)).to.equal('new');
    expect(readdirSync(pool.directory).filter((name) => name.endsWith('.new'))).to.deep.equal([]);
  });

  it('are not touched when the snapshot is not there', async () => {
    const { volume, snapshot, restore } = await changed();
    const thrown = await rejection(driver.revert(volume, { ...snapshot, uid: 'gone' }, restore, long()));
    expect(thrown).to.have.property('reason', 'SnapshotNotReady');
    expect(await content(volume)).to.equal('new');
  });

  it('need no room in memory but their own: the limit is as before, and what was there is gone', async () => {
    const { volume, snapshot, restore } = await changed(MEMORY);
    await publish(volume);
    writeFileSync(`${fileOf(volume)}-large`, Buffer.alloc(Number(12n * MIB), 1));
    await unpublish(volume);
    await driver.revert(volume, snapshot, restore, long());
    expect(await content(volume)).to.equal('old');
    expect((await driver.observeVolume(volume, soon())).enforcedBytes).to.equal(16n * MIB);
    const stage = join(place.layer.mountRoot, '.volumes', volume.uid);
    expect(readdirSync(stage)).to.deep.equal(['data']);
  });

  describe('when the helper is killed', () => {
    for (const [point, changes, has] of HELPER_POINTS) {
      it(`${point}: have all of the old or all of the new, and go back when it is tried again`, async () => {
        const { volume, snapshot, restore } = await changed(changes);
        const restarts = await place.armHelper(point);
        await rejection(driver.revert(volume, snapshot, restore, long()));
        await until(() => place.layer.helperRestarts > restarts);
        expect(await content(volume)).to.equal(has);
        await driver.revert(volume, snapshot, restore, long());
        expect(await content(volume)).to.equal('old');
      });
    }
  });

  describe('for a Restore that is gone', () => {
    for (const [of, changes] of Object.entries({ 'on disk': {}, 'in memory': MEMORY })) {
      it(`are as they were, with nothing beside them, once that is tidied (${of})`, async () => {
        const { volume, snapshot, restore } = await changed(changes);
        expect(await runKilledAgent(REVERT, place.layer, { snapshot, restore }, 'revert.after-clone')).to.equal(
          'SIGKILL',
        );
        expect((await driver.observeVolume(volume, soon())).copyFor).to.equal(restore.uid);
        await driver.tidy(volume, soon());
        expect(await content(volume)).to.equal('new');
        expect(await driver.observeVolume(volume, soon())).to.include({ copyFor: undefined, enforcedBytes: 16n * MIB });
        expect(readdirSync(pool.directory).filter((name) => name.endsWith('.new'))).to.deep.equal([]);
        const stage = join(place.layer.mountRoot, '.volumes', volume.uid);
        if (of === 'in memory') expect(readdirSync(stage)).to.deep.equal(['data']);
        await driver.tidy(volume, soon());
        await driver.revert(volume, snapshot, { uid: `${restore.uid}-next`, name: 'next' }, long());
        expect(await content(volume)).to.equal('old');
      });
    }
  });

  describe('when the agent is killed', () => {
    for (const [of, changes] of Object.entries({ 'on disk': {}, 'in memory': MEMORY })) {
      for (const point of shareOf(`agent ${of}`, AGENT_POINTS)) {
        it(`${point}: have all of the old or all of the new, and go back once (${of})`, async () => {
          const { volume, snapshot, restore } = await changed(changes);
          expect(await runKilledAgent(REVERT, place.layer, { snapshot, restore }, point)).to.equal('SIGKILL');
          const isDone = point === 'revert.after-name' || point === 'revert.after-done';
          expect(await content(volume)).to.equal(isDone ? 'old' : 'new');
          if (isDone) await write(volume, 'precious');
          await driver.revert(volume, snapshot, restore, long());
          expect(await content(volume)).to.equal(isDone ? 'precious' : 'old');
          expect(statSync(join(place.layer.stateDir, 'reverts', `${restore.uid}.json`)).isFile()).to.equal(true);
        });
      }
    }
  });
});
