import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { DriverMount, DriverSnapshot, DriverVolume, LongCall } from '../../../src/drivers/driver.ts';
import { EmptyDirDriver } from '../../../src/drivers/emptydir/emptydir-driver.ts';
import { snapshotRecords } from '../../../src/drivers/snapshot-record.ts';
import type { CrashPoint } from '../../../src/node/crash-points.ts';
import { DEFAULT_POOL, type Pool, type PoolSpace, Pools } from '../../../src/node/pools/pools.ts';
import { SpaceGuard } from '../../../src/node/pools/space-guard.ts';
import { disturbed, end, makePlace, meet, type Place, rejection, soon, until } from '../../node/support.ts';
import { full, shareOf } from '../../support/harness/run.ts';
import { runKilledAgent } from '../killed-agent.ts';
import { verifyBlocks } from './numbered-writer.ts';

const TAKE = join(import.meta.dirname, 'take-snapshot.ts');

const MIB = 1024n * 1024n;
const GIB = 1024n * MIB;
const MOMENTS = full ? 50 : 5;
/** Where the helper can be killed while a snapshot is taken. */
const HELPER_POINTS: readonly CrashPoint[] = [
  'clone.after-watchdog',
  'clone.after-freeze',
  'clone.after-clone',
  'clone.after-thaw',
  'clone.after-sync',
  'clone.after-rename',
];
/** A volume is filled by the same steps: once while writers are held, and on both sides of the name. */
const FILL_POINTS: readonly CrashPoint[] = ['clone.after-freeze', 'clone.after-sync', 'clone.after-rename'];
const AGENT_POINTS: readonly CrashPoint[] = ['snapshot.before-record', 'snapshot.after-record', 'snapshot.after-name'];

describe('snapshots of emptyDir volumes', function () {
  this.timeout(120_000);
  let place: Place;
  let pools: Pools;
  let pool: Pool;
  let driver: EmptyDirDriver;
  let isHeld = false;
  let count = 0;
  const made: DriverVolume[] = [];

  before(async () => {
    place = await makePlace();
    pools = new Pools({ node: place.layer, directory: join(place.layer.stateDir, 'pools') });
    pool = await pools.open(DEFAULT_POOL, soon());
    driver = new EmptyDirDriver({ node: place.layer, pools, isHeld: () => isHeld });
  });
  afterEach(async () => {
    isHeld = false;
    for (const { snapshotUID } of await driver.snapshots.leftovers(soon())) await remove(snapshotUID);
    for (const volume of made.splice(0)) {
      const path = join(place.layer.mountRoot, '.volumes', volume.uid);
      expect(spawnSync('fsfreeze', ['--unfreeze', path]).status, 'a filesystem was left frozen').to.not.equal(0);
      expect((await driver.unpublish(volume, mountOf(volume), soon())).outcome).to.equal('done');
      await driver.delete(volume, soon());
    }
    expect(readdirSync(pool.directory)).to.deep.equal([]);
    expect([...snapshotRecords(place.layer.stateDir).all().keys()]).to.deep.equal([]);
  });
  after(async () => {
    if (pool?.file !== undefined) {
      const { target } = pool.file;
      const mountId = place.layer.table.at(join(target.root, target.path))?.id;
      await place.layer.unmount({ target, mountId, scope: 'device' }, soon());
    }
    expect(await place.dispose()).to.deep.equal([]);
  });

  const taken = new Map<string, DriverSnapshot>();
  const remove = async (uid: string): Promise<void> => {
    const snapshot = taken.get(uid);
    if (snapshot === undefined) throw new Error(`${uid} was never taken`);
    await driver.snapshots.delete(snapshot, soon());
  };
  const volumeOf = (capacityBytes: bigint, changes: Partial<DriverVolume> = {}): DriverVolume => {
    count += 1;
    const volume: DriverVolume = {
      uid: `uid-${count}`,
      namespace: 'ns',
      name: `v${count}`,
      source: { type: 'emptyDir', medium: '' },
      capacityBytes,
      capacityPolicy: undefined,
      provisioning: 'Thin',
      pool: DEFAULT_POOL,
      wasProvisioned: false,
      mayLoseData: false,
      mountOptions: ['nosuid', 'nodev'],
      ...changes,
    };
    made.push(volume);
    return volume;
  };
  const mountOf = ({ name }: DriverVolume): DriverMount => ({
    uid: `mount-${name}`,
    targetRoot: place.layer.mountRoot,
    targetPath: `ns/${name}/data`,
    readOnly: false,
  });
  const publish = async (volume: DriverVolume): Promise<string> => {
    await driver.stage(volume, soon());
    await driver.publish(volume, mountOf(volume), soon());
    return join(place.layer.mountRoot, mountOf(volume).targetPath);
  };
  const inUse = async (capacityBytes: bigint, changes: Partial<DriverVolume> = {}) => {
    const volume = volumeOf(capacityBytes, changes);
    await driver.provision(volume, soon());
    return { volume, path: await publish(volume) };
  };
  const snapshotOf = (volume: DriverVolume, changes: Partial<DriverSnapshot> = {}): DriverSnapshot => {
    count += 1;
    const name = `snap-${count}`;
    const snapshot = { uid: name, name, volume, consistency: undefined, freezeTimeoutMs: 10_000, ...changes };
    taken.set(name, snapshot);
    return snapshot;
  };
  const restore = async (snapshot: DriverSnapshot, changes: Partial<DriverVolume> = {}) => {
    const { capacityBytes = 0n, source } = snapshot.volume;
    const volume = volumeOf(capacityBytes, { source, content: { from: 'snapshot', snapshot }, ...changes });
    await driver.fill(volume, long());
    return { volume, path: await publish(volume) };
  };
  const drop = async (volume: DriverVolume): Promise<void> => {
    expect((await driver.unpublish(volume, mountOf(volume), soon())).outcome).to.equal('done');
    await driver.delete(volume, soon());
    made.splice(made.indexOf(volume), 1);
  };
  const observe = (snapshot: DriverSnapshot) => driver.snapshots.observe(snapshot, soon());
  /** A driver on a pool that has this much room, whatever it really has. */
  const driverWith = (space: Pick<PoolSpace, 'freeBytes'> & Partial<PoolSpace>, changes: Partial<Pool> = {}) => {
    const told: PoolSpace = { totalBytes: 100n * GIB, growableBytes: 0n, ...space };
    const fake = {
      names: () => pools.names(),
      open: async (name: string, signal: AbortSignal) => ({ ...(await pools.open(name, signal)), ...changes }),
      space: () => Promise.resolve(told),
      makeRoom: () => Promise.resolve(told),
      hasRoom: (seen: PoolSpace, wanted: bigint) => pools.hasRoom(seen, wanted),
    } as unknown as Pools;
    return new EmptyDirDriver({ node: place.layer, pools: fake });
  };

  it(`are of one moment each: ${MOMENTS} of them under a writer that never syncs`, async function () {
    this.timeout(MOMENTS * 20_000);
    const { volume, path } = await inUse(320n * MIB);
    const writer = await startWriter(path);
    try {
      let before = 0;
      for (let moment = 0; moment < MOMENTS; moment += 1) {
        const snapshot = snapshotOf(volume, { consistency: 'Filesystem' });
        // On a busy machine the writer may not have had its turn since the last one.
        const written = bytesWritten(writer.pid ?? 0);
        await until(() => bytesWritten(writer.pid ?? 0) > written + 100_000);
        await driver.snapshots.take(snapshot, long());
        const restored = await restore(snapshot);
        const last = verifyBlocks(restored.path);
        expect(last, 'the writer went on between two moments').to.be.greaterThan(before);
        before = last;
        await drop(restored.volume);
        await remove(snapshot.uid);
      }
      expect(writer.exitCode).to.equal(null);
    } finally {
      await end(writer);
    }
  });

  describe('after a kill of the helper', () => {
    // The clone itself is killed at each of these in every run: test/node/images/clone.test.ts.
    for (const point of shareOf('helper', HELPER_POINTS)) {
      it(`${point}: are whole or not there, nothing is left frozen, and the next attempt takes them`, async () => {
        const { volume, path } = await inUse(320n * MIB);
        writeFileSync(join(path, 'file'), 'content');
        const snapshot = snapshotOf(volume);
        await place.armHelper(point);
        const error = await rejection(driver.snapshots.take(snapshot, long()));
        expect(error).to.include({ reason: 'HelperUnavailable' });
        writeFileSync(join(path, 'file'), 'later');
        const { facts } = await observe(snapshot);
        const left = await driver.snapshots.leftovers(soon());
        expect(left.length).to.equal(facts === undefined ? 0 : 1);
        expect(facts !== undefined).to.equal(point === 'clone.after-rename');
        expect(readdirSync(pool.directory).filter((name) => name.endsWith('.new'))).to.deep.equal([]);
        await driver.snapshots.take(snapshot, long());
        const restored = await restore(snapshot);
        expect(readFileSync(join(restored.path, 'file'), 'utf8')).to.equal(facts === undefined ? 'later' : 'content');
      });
    }

    for (const point of shareOf('fill', FILL_POINTS)) {
      it(`${point}: a volume that was being filled is whole or not there`, async () => {
        const { volume, path } = await inUse(320n * MIB);
        writeFileSync(join(path, 'file'), 'content');
        const copy = volumeOf(320n * MIB, { content: { from: 'volume', volume } });
        await place.armHelper(point);
        expect(await rejection(driver.fill(copy, long()))).to.include({ reason: 'HelperUnavailable' });
        const { provisioned } = await driver.observeVolume(copy, soon());
        expect(provisioned).to.equal(point === 'clone.after-rename');
        await driver.fill(copy, long());
        expect(readFileSync(join(await publish(copy), 'file'), 'utf8')).to.equal('content');
      });
    }
  });

  describe('after a kill of the agent', () => {
    for (const medium of ['', 'Memory'] as const) {
      for (const point of shareOf(`agent ${medium}`, AGENT_POINTS)) {
        it(`${point}, medium "${medium}": are whole or not there, and nothing half is left`, async () => {
          const { volume, path } = await inUse(16n * MIB, { source: { type: 'emptyDir', medium } });
          writeFileSync(join(path, 'file'), 'content');
          const snapshot = snapshotOf(volume);
          expect(await runKilledAgent(TAKE, place.layer, { snapshot }, point)).to.equal('SIGKILL');
          const { facts } = await observe(snapshot);
          expect(facts !== undefined).to.equal(point === 'snapshot.after-name');
          const left = await driver.snapshots.leftovers(soon());
          expect(left.map(({ snapshotUID }) => snapshotUID)).to.deep.equal(facts === undefined ? [] : [snapshot.uid]);
          const records = snapshotRecords(place.layer.stateDir).all();
          expect([...records.keys()]).to.deep.equal(facts === undefined ? [] : [snapshot.uid]);
          await driver.snapshots.take(snapshot, long());
          expect(readFileSync(join((await restore(snapshot)).path, 'file'), 'utf8')).to.equal('content');
        });
      }
    }
  });

  it('that a kill left frozen are thawed at the next start, Thick and Thin', async () => {
    const mounts = [await inUse(16n * MIB, { provisioning: 'Thick' }), await inUse(16n * MIB)];
    const stages = mounts.map(({ volume }) => join(place.layer.mountRoot, '.volumes', volume.uid));
    for (const stage of stages) execFileSync('fsfreeze', ['--freeze', stage]);
    const guard = new SpaceGuard({
      node: place.layer,
      pools,
      recordFile: join(place.layer.stateDir, 'held'),
      thinMounts: (one) => driver.thinMounts(one),
      thickMounts: (one) => driver.thickMounts(one),
      reservedBytes: (one) => driver.reservedBytes(one),
      onError: (thrown) => {
        throw thrown;
      },
    });
    await guard.look(soon());
    for (const stage of stages) expect(spawnSync('fsfreeze', ['--unfreeze', stage]).status).to.not.equal(0);
  });

  it('of a volume that is mounted nowhere are complete, and say so', async () => {
    const { volume, path } = await inUse(16n * MIB);
    writeFileSync(join(path, 'file'), 'content');
    await driver.unpublish(volume, mountOf(volume), soon());
    expect((await driver.unstage(volume, soon())).outcome).to.equal('done');
    const snapshot = snapshotOf(volume, { consistency: 'Filesystem' });
    await driver.snapshots.take(snapshot, long());
    expect((await observe(snapshot)).facts?.consistent).to.deep.include({ reason: 'FilesystemConsistent' });
    expect(readFileSync(join((await restore(snapshot)).path, 'file'), 'utf8')).to.equal('content');
  });

  it('that would hold writers for too long are as after a power cut, or refused, as is asked', async () => {
    const { volume, path } = await inUse(16n * MIB);
    writeFileSync(join(path, 'file'), 'content');
    const short = { freezeTimeoutMs: 0 };
    const refused = snapshotOf(volume, { ...short, consistency: 'Filesystem' });
    expect(await rejection(driver.snapshots.take(refused, long()))).to.include({
      reason: 'FreezeTimeout',
      terminal: true,
    });
    expect((await observe(refused)).facts).to.equal(undefined);
    for (const consistency of [undefined, 'Crash'] as const) {
      const snapshot = snapshotOf(volume, { ...short, consistency });
      await driver.snapshots.take(snapshot, long());
      const { facts } = await observe(snapshot);
      expect(facts?.consistent).to.deep.include({ consistent: false, reason: 'CrashConsistent' });
      expect(readFileSync(join((await restore(snapshot)).path, 'file'), 'utf8')).to.equal('content');
    }
  });

  it('say what deleting them would give back', async () => {
    const { volume, path } = await inUse(64n * MIB);
    writeFileSync(join(path, 'file'), Buffer.alloc(Number(16n * MIB), 1));
    const snapshot = snapshotOf(volume);
    await driver.snapshots.take(snapshot, long());
    expect(Number((await observe(snapshot)).usedBytes)).to.be.lessThan(Number(4n * MIB));
    writeFileSync(join(path, 'file'), Buffer.alloc(Number(16n * MIB), 2));
    execFileSync('sync', ['-f', path]);
    const fresh = new EmptyDirDriver({ node: place.layer, pools });
    // ext4 may write the file to other blocks than before, and gives the old ones back with discard, later.
    await until(async () => {
      const { usedBytes } = await new EmptyDirDriver({ node: place.layer, pools }).snapshots.observe(snapshot, soon());
      return Number(usedBytes) >= Number(8n * MIB);
    });
    expect((await fresh.snapshots.observe(snapshot, soon())).facts).to.deep.equal((await observe(snapshot)).facts);
  });

  it('of Thick volumes reserve what the volume can still overwrite, for as long as they live', async () => {
    const reserved = (): Promise<bigint> => new EmptyDirDriver({ node: place.layer, pools }).reservedBytes(pool);
    // XFS: the kernel goes on writing to a new ext4, and makes holes.
    const { volume, path } = await inUse(320n * MIB, { provisioning: 'Thick' });
    writeFileSync(join(path, 'file'), Buffer.alloc(Number(64n * MIB), 1));
    execFileSync('sync', ['-f', path]);
    expect(await reserved()).to.equal(0n);
    const snapshot = snapshotOf(volume);
    await driver.snapshots.take(snapshot, long());
    expect(Number(await driver.reservedBytes(pool))).to.be.within(Number(64n * MIB), Number(300n * MIB));
    await remove(snapshot.uid);
    // XFS gives the blocks of a file back a moment after it is gone.
    await until(async () => (await reserved()) === 0n);
  });

  it('of Thick volumes are refused where not every later overwrite fits, and leave nothing', async () => {
    const { volume, path } = await inUse(8n * GIB, { provisioning: 'Thin' });
    writeFileSync(join(path, 'file'), Buffer.alloc(Number(32n * MIB), 1));
    const tight = driverWith({ freeBytes: 5n * GIB });
    const content = { from: 'volume', volume } as const;
    const thick = volumeOf(8n * GIB, { provisioning: 'Thick', content });
    const error = await rejection(tight.fill(thick, long()));
    expect(error).to.include({ reason: 'InsufficientCapacity', terminal: false });
    expect((await driver.observeVolume(thick, soon())).provisioned).to.equal(false);
    const other = await inUse(320n * MIB, { provisioning: 'Thick' });
    writeFileSync(join(other.path, 'file'), Buffer.alloc(Number(200n * MIB), 1));
    execFileSync('sync', ['-f', other.path]);
    const snapshot = snapshotOf(other.volume);
    const less = driverWith({ freeBytes: 180n * MIB, totalBytes: 100n * MIB });
    expect(await rejection(less.snapshots.take(snapshot, long()))).to.include({ reason: 'InsufficientCapacity' });
    expect((await observe(snapshot)).facts).to.equal(undefined);
  });

  it('of Thick volumes that are asked for at once are not all promised the same room', async () => {
    const volumes = [
      await inUse(320n * MIB, { provisioning: 'Thick' }),
      await inUse(320n * MIB, { provisioning: 'Thick' }),
    ];
    for (const { path } of volumes) {
      writeFileSync(join(path, 'file'), Buffer.alloc(Number(200n * MIB), 1));
      execFileSync('sync', ['-f', path]);
    }
    const oneFits = driverWith({ freeBytes: 400n * MIB, totalBytes: 100n * MIB });
    const wanted = volumes.map(({ volume }) => snapshotOf(volume));
    const ends = await Promise.allSettled(wanted.map((snapshot) => oneFits.snapshots.take(snapshot, long())));
    const refused = ends.filter((end) => end.status === 'rejected').map(({ reason }) => reason as { reason: string });
    expect(refused.map(({ reason }) => reason)).to.deep.equal(['InsufficientCapacity']);
  });

  it('of Thick volumes need no room for what was never written', async () => {
    const { volume } = await inUse(320n * MIB, { provisioning: 'Thick' });
    const snapshot = snapshotOf(volume);
    const small = { totalBytes: 100n * MIB, freeBytes: 200n * MIB };
    await driverWith(small).snapshots.take(snapshot, long());
    expect((await observe(snapshot)).facts).to.not.equal(undefined);
  });

  it('are the first to be refused when the pool gets short of space, and while writers are held', async () => {
    const { volume } = await inUse(16n * MIB);
    const short = driverWith({ freeBytes: 3n * GIB });
    expect(await rejection(short.snapshots.take(snapshotOf(volume), long()))).to.include({ reason: 'PoolLowSpace' });
    const another = volumeOf(16n * MIB);
    await short.provision(another, soon());
    isHeld = true;
    expect(await rejection(driver.snapshots.take(snapshotOf(volume), long()))).to.include({ reason: 'PoolLowSpace' });
  });

  it('count when Thin volumes were promised more than the pool has', async () => {
    const { volume, path } = await inUse(64n * MIB);
    writeFileSync(join(path, 'file'), Buffer.alloc(Number(32n * MIB), 1));
    const exact = { totalBytes: 64n * MIB, freeBytes: 64n * MIB };
    const reason = async () => (await driverWith(exact).observeVolume(volume, soon())).capacity.reason;
    expect(await reason()).to.equal('CapacityEnforced');
    const snapshot = snapshotOf(volume);
    await driver.snapshots.take(snapshot, long());
    expect(await reason()).to.equal('Overcommitted');
  });

  it('are copies where the pool cannot clone: sparse, with writers held, and none when they cannot be', async () => {
    const { volume, path } = await inUse(64n * MIB);
    writeFileSync(join(path, 'file'), 'content');
    const copying = driverWith({ freeBytes: 50n * GIB }, { cloneable: false });
    const snapshot = snapshotOf(volume);
    await copying.snapshots.take(snapshot, long());
    const { facts } = await observe(snapshot);
    expect(facts).to.deep.include({ method: 'Copy' });
    expect(facts?.consistent.reason).to.equal('FilesystemConsistent');
    const [left] = await driver.snapshots.leftovers(soon());
    expect(statSync(left?.path ?? '').blocks * 512).to.be.lessThan(Number(32n * MIB));
    expect(readFileSync(join((await restore(snapshot)).path, 'file'), 'utf8')).to.equal('content');
    const torn = copying.snapshots.take(snapshotOf(volume, { freezeTimeoutMs: 0 }), long());
    expect(await rejection(torn)).to.include({ reason: 'FreezeTimeout' });
  });

  for (const by of ['cloned', 'copied'] as const) {
    it(`for which the pool gets full half way (${by}) are whole or not there, and leave nothing`, async () => {
      const { volume, path } = await inUse(320n * MIB);
      execFileSync('dd', ['if=/dev/urandom', `of=${join(path, 'file')}`, 'bs=1M', 'count=64', 'status=none']);
      execFileSync('sync', ['-f', path]);
      const believing = driverWith({ freeBytes: 50n * GIB }, { cloneable: by === 'cloned' });
      const ballast = join(pool.directory, 'ballast');
      const { freeBytes } = await pools.space(pool, soon());
      execFileSync('fallocate', ['-l', String(freeBytes - 8n * MIB), ballast]);
      const snapshot = snapshotOf(volume);
      try {
        const taking = believing.snapshots.take(snapshot, long());
        if (by === 'copied') expect(await rejection(taking)).to.include({ reason: 'InsufficientCapacity' });
        else await taking;
        const left = readdirSync(pool.directory).filter((name) => name.includes(snapshot.uid));
        expect(left.length).to.equal(by === 'copied' ? 0 : 1);
      } finally {
        rmSync(ballast);
      }
      expect((await observe(snapshot)).facts !== undefined).to.equal(by === 'cloned');
    });
  }

  it('that were given up while they are copied leave nothing', async () => {
    const { volume, path } = await inUse(1024n * MIB);
    execFileSync('dd', ['if=/dev/urandom', `of=${join(path, 'file')}`, 'bs=1M', 'count=400', 'status=none']);
    const copying = driverWith({ freeBytes: 50n * GIB }, { cloneable: false });
    const snapshot = snapshotOf(volume);
    // Given up as soon as it has begun; on a busy machine it may be whole before that is seen, and is then taken anew.
    await disturbed(async () => {
      await driver.snapshots.delete(snapshot, soon());
      const given = new AbortController();
      const { running } = await meet(
        () =>
          copying.snapshots.take(snapshot, { signal: given.signal, onProgress: () => undefined }).then(
            () => 'whole',
            () => 'given up',
          ),
        () => readdirSync(pool.directory).some((name) => name.endsWith('.new')),
      );
      given.abort();
      return (await running) === 'given up' || undefined;
    });
    await until(async () => {
      await driver.snapshots.leftovers(soon());
      return readdirSync(pool.directory).length === 1;
    });
    expect((await observe(snapshot)).facts).to.equal(undefined);
  });

  it('fill no volume of another medium', async () => {
    const { volume } = await inUse(16n * MIB);
    const content = { from: 'volume', volume } as const;
    const other = volumeOf(16n * MIB, { source: { type: 'emptyDir', medium: 'Memory' }, content });
    expect(await rejection(driver.fill(other, long()))).to.include({ reason: 'DataSourceMismatch', terminal: true });
    expect((await driver.observeVolume(other, soon())).provisioned).to.equal(false);
  });

  it('whose record was lost are refused, not overwritten', async () => {
    const { volume } = await inUse(16n * MIB);
    const snapshot = snapshotOf(volume);
    await driver.snapshots.take(snapshot, long());
    rmSync(join(place.layer.stateDir, 'snapshots', `${snapshot.uid}.json`));
    expect((await observe(snapshot)).facts).to.equal(undefined);
    expect(await rejection(driver.snapshots.take(snapshot, long()))).to.include({ terminal: true });
    expect(await driver.snapshots.leftovers(soon())).to.have.length(1);
  });

  it('are mounted by no name that a volume has: neither listed nor counted as one', async () => {
    const { volume } = await inUse(16n * MIB, { provisioning: 'Thick' });
    await driver.snapshots.take(snapshotOf(volume), long());
    expect((await driver.leftovers(soon())).map(({ volumeUID }) => volumeUID)).to.deep.equal([volume.uid]);
    expect(driver.thickMounts(pool)).to.have.length(1);
    expect(driver.thinMounts(pool)).to.deep.equal([]);
  });

  it('of volumes in memory say when files were changed while they were copied', async () => {
    const { volume, path } = await inUse(64n * MIB, { source: { type: 'emptyDir', medium: 'Memory' } });
    for (let index = 0; index < 200; index += 1)
      writeFileSync(join(path, `file-${index}`), Buffer.alloc(100_000, index));
    const script = 'i=0; while :; do i=$((i + 1)); echo $i >"$1/changing"; done';
    const writer = spawn('sh', ['-c', script, 'sh', path], { stdio: 'ignore' });
    try {
      await until(() => readdirSync(path).includes('changing'));
      const changed = await disturbed(async () => {
        const snapshot = snapshotOf(volume);
        await driver.snapshots.take(snapshot, long());
        const { facts } = await observe(snapshot);
        return facts?.consistent.consistent === false ? facts : undefined;
      });
      expect(changed.consistent.reason).to.equal('ChangedDuringCopy');
      await disturbed(async () => {
        const strict = snapshotOf(volume, { consistency: 'Filesystem' });
        const refused = await driver.snapshots.take(strict, long()).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        if (refused === undefined) return undefined;
        expect(refused).to.include({ reason: 'ChangedDuringCopy' });
        expect((await observe(strict)).facts).to.equal(undefined);
        return true;
      });
    } finally {
      await end(writer);
    }
  });
});

function long(): LongCall {
  return { signal: soon(), onProgress: () => undefined };
}

/** As proc_pid_io(5) counts them. */
function bytesWritten(pid: number): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}

async function startWriter(path: string): Promise<ChildProcess> {
  const writer = spawn(process.execPath, [join(import.meta.dirname, 'numbered-writer.ts'), path], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const first = join(path, 'blocks-0');
  await until(() => (statSync(first, { throwIfNoEntry: false })?.size ?? 0) > 1_000_000);
  return writer;
}
