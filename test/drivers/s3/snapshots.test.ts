import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as sdk from '@aws-sdk/client-s3';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { DriverMount, DriverSnapshot, DriverVolume, LongCall } from '../../../src/drivers/driver.ts';
import { copyObjects } from '../../../src/drivers/s3/copies.ts';
import type { S3Driver } from '../../../src/drivers/s3/driver.ts';
import { S3Objects } from '../../../src/drivers/s3/objects.ts';
import type { CrashPoint } from '../../../src/node/crash-points.ts';
import type { SubjectContext } from '../../contract/driver-contract.ts';
import { describeReading, type ReadingSubject } from '../../contract/reading-contract.ts';
import { describeReverts } from '../../contract/revert-contract.ts';
import { describeSnapshots } from '../../contract/snapshot-contract.ts';
import { disturbed, makePlace, type Place, rejection, soon } from '../../node/support.ts';
import { S3Server } from '../../support/harness/s3-server.ts';
import { runKilledAgent } from '../killed-agent.ts';
import { s3Driver, s3Volume } from './support.ts';

const REVERT = join(import.meta.dirname, 'revert-volume.ts');

function useRclone(): void {
  const { RCLONE = '', PATH } = process.env;
  process.env['PATH'] = `${dirname(RCLONE)}:${PATH}`;
}

const subject = async ({ layer }: SubjectContext): Promise<ReadingSubject> => {
  useRclone();
  const server = await S3Server.start();
  await server.createBucket('moments');
  return {
    driver: s3Driver(layer),
    volume: (name) => s3Volume(name, server.location('moments', `${name}/`)),
    // docs/s3.md
    lacks: [
      'hardLinks',
      'holes',
      'xattrs',
      'owners',
      'modes',
      'symlinks',
      'fifos',
      'times',
      'linkTimes',
      'emptyDirectories',
      'newlines',
    ],
    hasSize: false,
    consistentReason: 'Unchanged',
    isElsewhere: true,
    method: 'Bucket',
    dispose: () => server.end(),
  };
};

describeSnapshots('s3', subject);
describeReading('s3', subject);
describeReverts('s3', subject);

describe('snapshots of buckets', function () {
  this.timeout(120_000);
  let place: Place;
  let server: S3Server;
  let driver: S3Driver;
  let client: sdk.S3Client;
  let count = 0;
  const long = (): LongCall => ({ signal: soon(), onProgress: () => undefined });
  const filling = (volume: DriverVolume, by = driver): Promise<void> => by['fill'](volume, long());

  before(async () => {
    useRclone();
    place = await makePlace();
    server = await S3Server.start();
    await server.createBucket('snaps');
    driver = s3Driver(place.layer);
    client = server.client;
  });

  after(async () => {
    await server?.end();
    await place?.dispose();
  });

  const put = (Key: string, Body: string | Uint8Array, more: Partial<sdk.PutObjectCommandInput> = {}) =>
    client.send(new sdk.PutObjectCommand({ Bucket: 'snaps', Key, Body, ...more }));
  const read = async (Key: string): Promise<string> => {
    const { Body } = await client.send(new sdk.GetObjectCommand({ Bucket: 'snaps', Key }));
    return (await Body?.transformToString()) ?? '';
  };
  const keys = async (Prefix: string): Promise<readonly string[]> => {
    const { Contents = [] } = await client.send(new sdk.ListObjectsV2Command({ Bucket: 'snaps', Prefix }));
    return Contents.map(({ Key = '' }) => Key).filter((key) => key.startsWith(Prefix));
  };
  const volumeAt = (prefix: string): DriverVolume => s3Volume(`at-${(count += 1)}`, server.location('snaps', prefix));
  const snapshotOf = (volume: DriverVolume, changes: Partial<DriverSnapshot> = {}): DriverSnapshot => ({
    uid: `snap-${(count += 1)}`,
    name: 'moment',
    volume,
    consistency: undefined,
    freezeTimeoutMs: 10_000,
    ...changes,
  });
  const factsOf = async (snapshot: DriverSnapshot) => (await driver.snapshots.observe(snapshot, soon())).facts;

  it('copies more than a page of objects, names and notes as they are, and nothing of its neighbours', async () => {
    const names = Array.from({ length: 1_005 }, (_, index) => `many/${index}`);
    for (let from = 0; from < names.length; from += 50) {
      await Promise.all(names.slice(from, from + 50).map((name) => put(`data/${name}`, name)));
    }
    const strange = ['a b', 'ü/é+%2F', 'quote\'s "x"', '100% $(id)', 'dir/=&?#'];
    for (const name of strange) await put(`data/${name}`, name, { Metadata: { mtime: '1234.5' } });
    await put('data-2/other', 'other');
    const snapshot = snapshotOf(volumeAt('data/'));
    await driver.snapshots.take(snapshot, long());
    expect(await factsOf(snapshot)).to.deep.include({ method: 'ServerSideCopy' });
    const held = `.clawstore-snapshots/${snapshot.uid}/`;
    for (const name of [...strange, 'many/0', 'many/1004']) expect(await read(`${held}${name}`)).to.equal(name);
    const head = await client.send(new sdk.HeadObjectCommand({ Bucket: 'snaps', Key: `${held}a b` }));
    expect(head.Metadata?.['mtime']).to.equal('1234.5');
    expect((await keys(held)).some((key) => key.includes('other'))).to.equal(false);
    await driver.snapshots.delete(snapshot, soon());
    expect(await keys(held)).to.deep.equal([]);
    expect(await read('data/a b')).to.equal('a b');
  });

  it('copies large objects in parts, whole and with what is noted of them', async () => {
    const body = new Uint8Array(12 * 1024 * 1024).map((_, index) => index % 251);
    await put('large/file', body, { Metadata: { mtime: '99' }, ContentType: 'text/x-large' });
    const from = await S3Objects.open(server.location('snaps', 'large/'));
    const to = await S3Objects.open(server.location('snaps', 'large-copy/'));
    const part = BigInt(5 * 1024 * 1024);
    const copied = await copyObjects(from, to, long(), { whole: part, part });
    expect(copied).to.deep.include({ bytes: BigInt(body.length), changed: [] });
    const answer = await client.send(new sdk.GetObjectCommand({ Bucket: 'snaps', Key: 'large-copy/file' }));
    expect(Buffer.from((await answer.Body?.transformToByteArray()) ?? []).equals(Buffer.from(body))).to.equal(true);
    expect(answer.Metadata?.['mtime']).to.equal('99');
    from.close();
    to.close();
  });

  it('says that it is of no one moment when somebody goes on writing, and refuses where it must be', async () => {
    await put('busy/file', '0');
    let written = 0;
    const over = new AbortController();
    const writer = (async () => {
      while (!over.signal.aborted) await put('busy/file', String((written += 1)));
    })();
    try {
      const volume = volumeAt('busy/');
      const snapshot = snapshotOf(volume);
      const consistent = await disturbed(async () => {
        await driver.snapshots.delete(snapshot, soon());
        await driver.snapshots.take(snapshot, long());
        const facts = await factsOf(snapshot);
        return facts?.consistent.consistent === false ? facts.consistent : undefined;
      });
      expect(consistent.reason).to.equal('ChangedDuringCopy');
      const strict = snapshotOf(volume, { consistency: 'Filesystem' });
      const error = await disturbed(async () => {
        await driver.snapshots.delete(strict, soon());
        return driver.snapshots.take(strict, long()).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
      });
      expect(error).to.include({ reason: 'ChangedDuringCopy' });
      expect(await factsOf(strict)).to.equal(undefined);
      expect(await keys(`.clawstore-snapshots/${strict.uid}/`)).to.deep.equal([]);
    } finally {
      over.abort();
      await writer;
    }
  });

  it('has what was written through a mount before it was asked for', async () => {
    const volume = volumeAt('mounted/');
    const mount: DriverMount = {
      uid: 'm',
      targetRoot: place.layer.mountRoot,
      targetPath: 'ns/m/data',
      readOnly: false,
    };
    await driver.provision(volume, soon());
    await driver.stage(volume, soon());
    await driver.publish(volume, mount, soon());
    const path = join(mount.targetRoot, mount.targetPath);
    for (let index = 0; index < 20; index++) writeFileSync(join(path, `file-${index}`), `content ${index}`);
    const snapshot = snapshotOf(volume);
    await driver.snapshots.take(snapshot, long());
    expect(await keys(`.clawstore-snapshots/${snapshot.uid}/file`)).to.have.length(20);
    expect(readFileSync(join(path, 'file-7'), 'utf8')).to.equal('content 7');
    await driver.unpublish(volume, mount, soon());
    expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
  });

  it('is not taken while the volume is written on another node, and names who does', async () => {
    const snapshot = snapshotOf(volumeAt('data/'), { elsewhere: ['workload "w" on node "b"'] });
    const error = await rejection(driver.snapshots.take(snapshot, long()));
    expect(error).to.include({ reason: 'UploadPending' });
    expect(error.message).to.include('workload "w" on node "b"');
    expect(await keys(`.clawstore-snapshots/${snapshot.uid}/`)).to.deep.equal([]);
  });

  it('goes on after a kill in the middle, and is not there before it is whole', async () => {
    await put('killed/file', 'content');
    const snapshot = snapshotOf(volumeAt('killed/'));
    const place = server.location('snaps', `.clawstore-snapshots/${snapshot.uid}/`);
    // As a process leaves it that was killed while it copied.
    const objects = await S3Objects.open(place);
    await objects.claim(snapshot.uid, soon(), 'incomplete');
    objects.close();
    await put(`.clawstore-snapshots/${snapshot.uid}/stale`, 'of the first try');
    expect(await factsOf(snapshot)).to.equal(undefined);
    await driver.snapshots.take(snapshot, long());
    expect((await factsOf(snapshot))?.consistent.consistent).to.equal(true);
    expect(await keys(`.clawstore-snapshots/${snapshot.uid}/`)).to.have.members([
      `.clawstore-snapshots/${snapshot.uid}/`,
      `.clawstore-snapshots/${snapshot.uid}/file`,
    ]);
  });

  it('goes back as far as it came when it is given up, says so, removes last, and ends with the next try', async () => {
    const names = Array.from({ length: 40 }, (_, index) => `file-${index}`);
    for (const name of names) await put(`half/${name}`, 'old');
    const volume = volumeAt('half/');
    const snapshot = snapshotOf(volume);
    await driver.snapshots.take(snapshot, long());
    for (const name of names) await put(`half/${name}`, 'newer');
    await put('half/added', 'added');
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, soon()]);
    const restore = { uid: `restore-${volume.uid}`, name: 'back' };
    // As the stop of an agent ends it, after a few objects.
    const given = driver.revert(volume, snapshot, restore, { signal, onProgress: () => over.abort() });
    await rejection(given);
    const { problem, provisioned } = await driver.observeVolume(volume, soon());
    expect({ reason: problem?.reason, provisioned }).to.deep.equal({ reason: 'RevertIncomplete', provisioned: true });
    expect(await read('half/added'), 'removed last').to.equal('added');
    const contents = await Promise.all(names.map((name) => read(`half/${name}`)));
    expect(contents).to.include('old').and.include('newer');
    await driver.revert(volume, snapshot, restore, long());
    expect(await Promise.all(names.map((name) => read(`half/${name}`)))).to.deep.equal(names.map(() => 'old'));
    expect((await keys('half/')).toSorted()).to.deep.equal(names.map((name) => `half/${name}`).toSorted());
    expect((await driver.observeVolume(volume, soon())).problem).to.equal(undefined);
    await put('half/file-0', 'precious');
    await driver.revert(volume, snapshot, restore, long());
    expect(await read('half/file-0')).to.equal('precious');
    await driver.snapshots.delete(snapshot, soon());
  });

  it('does not go back where another volume lies within, whose marker no copy carries', async () => {
    const [outer, inner] = [volumeAt('nest/'), volumeAt('nest/in/')];
    for (const volume of [outer, inner]) await driver.provision(volume, soon());
    await put('nest/file', 'old');
    await put('nest/in/theirs', 'theirs');
    const snapshot = snapshotOf(outer);
    await driver.snapshots.take(snapshot, long());
    const copy = await client.send(
      new sdk.HeadObjectCommand({ Bucket: 'snaps', Key: `.clawstore-snapshots/${snapshot.uid}/in/` }),
    );
    expect(copy.Metadata ?? {}).to.not.have.property('clawstore-volume');
    await put('nest/in/theirs', 'newer');
    const refused = await rejection(driver.revert(outer, snapshot, { uid: 'restore-nest', name: 'back' }, long()));
    expect(refused).to.include({ reason: 'VolumeInUse', terminal: true });
    expect(refused.message).to.include('s3://snaps/nest/in/');
    expect(await read('nest/in/theirs')).to.equal('newer');
    expect((await driver.observeVolume(outer, soon())).problem).to.equal(undefined);
    expect((await driver.delete(outer, soon())).kept).to.include('"s3://snaps/nest/in/" belong to other volumes');
    expect(await keys('nest/')).to.have.members(['nest/in/', 'nest/in/theirs']);
    await driver.snapshots.delete(snapshot, soon());
    expect(await keys('.clawstore-snapshots/')).to.not.include(`.clawstore-snapshots/${snapshot.uid}/in/`);
  });

  it('are no place for volumes', async () => {
    await put('.clawstore-snapshots/snap-1/file', 'content');
    for (const prefix of ['.clawstore-snapshots/', '.clawstore-snapshots/snap-1/']) {
      const volume = volumeAt(prefix);
      const { problem } = await driver.observeVolume(volume, soon());
      expect(problem).to.deep.include({ reason: 'InvalidSpec', terminal: true });
      expect(await rejection(driver.provision(volume, soon()))).to.include({ reason: 'InvalidSpec', terminal: true });
      const content = { from: 'volume', volume: volumeAt('origin/') } as const;
      expect(await rejection(filling({ ...volume, content }))).to.include({ reason: 'InvalidSpec' });
    }
  });

  describe('that a node which is lost was going back to', () => {
    let elsewhere: Place;
    let next: S3Driver;

    before(async () => {
      elsewhere = await makePlace();
      next = s3Driver(elsewhere.layer);
      for (const bucket of ['lost', 'lost-whole']) await server.createBucket(bucket);
    });

    after(async () => {
      expect(await elsewhere?.dispose()).to.deep.equal([]);
    });

    const mountOf = (volume: DriverVolume): DriverMount => ({
      uid: `mount-${volume.uid}`,
      targetRoot: elsewhere.layer.mountRoot,
      targetPath: `ns/${volume.name}/data`,
      readOnly: false,
    });
    const publishing = async (volume: DriverVolume): Promise<void> => {
      await next.stage(volume, soon());
      await next.publish(volume, mountOf(volume), soon());
    };
    const unmounted = async (volume: DriverVolume): Promise<void> => {
      await next.unpublish(volume, mountOf(volume), soon());
      expect(await next.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
    };
    const problemOn = async (node: S3Driver, volume: DriverVolume) =>
      (await node.observeVolume(volume, soon())).problem?.reason;
    const places: readonly (readonly [what: string, bucket: string, prefix: string, isMade: boolean])[] = [
      ['a prefix that was made for the volume', 'lost', 'made/', true],
      ['a prefix that had objects before', 'lost', 'found/', false],
      ['a whole bucket', 'lost-whole', '', false],
    ];

    for (const [what, bucket, prefix, isMade] of places) {
      it(`are there in part for every node, until one ends it: ${what}`, async () => {
        const names = Array.from({ length: 20 }, (_, index) => `${prefix}file-${index}`);
        const write = (Body: string) =>
          Promise.all(names.map((Key) => client.send(new sdk.PutObjectCommand({ Bucket: bucket, Key, Body }))));
        const volume = s3Volume(`lost-${(count += 1)}`, server.location(bucket, prefix), { wasProvisioned: true });
        if (isMade) await driver.provision(volume, soon());
        await write('old');
        const snapshot = snapshotOf(volume);
        await driver.snapshots.take(snapshot, long());
        await write('newer');
        const before = await server.keys(bucket);
        // Both have looked, and remember that all was well.
        for (const node of [driver, next]) expect(await problemOn(node, volume)).to.equal(undefined);
        const over = new AbortController();
        const signal = AbortSignal.any([over.signal, soon()]);
        const restore = { uid: `restore-${volume.uid}`, name: 'back' };
        await rejection(driver.revert(volume, snapshot, restore, { signal, onProgress: () => over.abort() }));

        expect(await rejection(publishing(volume))).to.include({ reason: 'RevertIncomplete', terminal: false });
        const { problem, ownedByUs } = await next.observeVolume(volume, soon());
        expect({ reason: problem?.reason, ownedByUs }).to.deep.equal({ reason: 'RevertIncomplete', ownedByUs: isMade });
        expect(problem?.message).to.include('Restore back').and.include('snapshot moment');
        const reading = { uid: 'reading', elsewhere: [], most: 1 };
        const read = next.reading.read(volume, reading, () => Promise.resolve(), soon());
        expect(await rejection(read)).to.include({ reason: 'RevertIncomplete' });
        const clone: DriverVolume = {
          ...s3Volume('clone', server.location(bucket, 'clone/')),
          content: { from: 'volume', volume },
        };
        expect(await rejection(filling(clone, next))).to.include({ reason: 'RevertIncomplete' });

        await driver.revert(volume, snapshot, restore, long());
        for (const node of [driver, next]) expect(await problemOn(node, volume)).to.equal(undefined);
        expect((await next.observeVolume(volume, soon())).ownedByUs).to.equal(isMade);
        expect(await server.keys(bucket), 'nothing of ours is left').to.deep.equal(before);
        expect(await server.read(bucket, names[7] ?? '')).to.equal('old');
        await publishing(volume);
        await unmounted(volume);
        await driver.snapshots.delete(snapshot, soon());
      });
    }

    for (const [point, then] of [
      ['revert.after-record', 'RevertIncomplete'],
      ['revert.after-clone', 'RevertIncomplete'],
      ['revert.after-name', undefined],
      ['revert.after-done', undefined],
    ] as const satisfies readonly (readonly [CrashPoint, string | undefined])[]) {
      it(`are ${then === undefined ? 'whole' : 'there in part'} for every node when its agent is killed: ${point}`, async () => {
        await put('agent/file', 'old');
        const volume = volumeAt('agent/');
        const snapshot = snapshotOf(volume);
        await driver.snapshots.take(snapshot, long());
        await put('agent/file', 'newer');
        const restore = { uid: `restore-${volume.uid}`, name: 'back' };
        expect(await runKilledAgent(REVERT, place.layer, { snapshot, restore }, point)).to.equal('SIGKILL');
        for (const node of [driver, next]) expect(await problemOn(node, volume)).to.equal(then);
        await driver.revert(volume, snapshot, restore, long());
        for (const node of [driver, next]) expect(await problemOn(node, volume)).to.equal(undefined);
        expect(await read('agent/file')).to.equal('old');
        await driver.snapshots.delete(snapshot, soon());
        for (const node of [driver, next]) await node.release(volume, soon());
        expect(await keys('.clawstore-snapshots/reverting-')).to.deep.equal([]);
      });
    }

    it('are bound nowhere on a node that has them staged already', async () => {
      await put('staged/file', 'old');
      const volume = volumeAt('staged/');
      await next.stage(volume, soon());
      const objects = await S3Objects.open(server.location('snaps', 'staged/'));
      const begun = { restoreUID: 'r-1', restoreName: 'back', snapshotUID: 's-1', snapshotName: 'moment' };
      await objects.beginRevert(volume.uid, begun, soon());
      expect(await rejection(next.publish(volume, mountOf(volume), soon()))).to.include({ reason: 'RevertIncomplete' });
      await objects.endRevert(volume.uid, soon());
      await objects.endRevert(volume.uid, soon());
      objects.close();
      await publishing(volume);
      await unmounted(volume);
    });

    it('are whole for a node that had begun it, once another has ended it', async () => {
      await put('ended/file', 'old');
      const volume = volumeAt('ended/');
      const snapshot = snapshotOf(volume);
      await driver.snapshots.take(snapshot, long());
      const over = new AbortController();
      const restore = { uid: `restore-${volume.uid}`, name: 'back' };
      const call = { signal: AbortSignal.any([over.signal, soon()]), onProgress: () => over.abort() };
      await rejection(driver.revert(volume, snapshot, restore, call));
      expect(await problemOn(driver, volume)).to.equal('RevertIncomplete');
      const other = snapshotOf(volume);
      await next.snapshots.take(other, long());
      await next.revert(volume, other, { uid: `next-${volume.uid}`, name: 'next' }, long());
      expect(await problemOn(driver, volume)).to.equal(undefined);
      for (const [node, of] of [
        [driver, snapshot],
        [next, other],
      ] as const) {
        await node.snapshots.delete(of, soon());
        await node.release(volume, soon());
      }
    });

    it('leave nothing beside the snapshots when the volume goes first', async () => {
      await put('gone/file', 'old');
      const volume = volumeAt('gone/');
      const snapshot = snapshotOf(volume);
      await driver.snapshots.take(snapshot, long());
      const over = new AbortController();
      const call = { signal: AbortSignal.any([over.signal, soon()]), onProgress: () => over.abort() };
      await rejection(driver.revert(volume, snapshot, { uid: `restore-${volume.uid}`, name: 'back' }, call));
      await driver.snapshots.delete(snapshot, soon());
      expect(await keys('.clawstore-snapshots/reverting-')).to.deep.equal([
        `.clawstore-snapshots/reverting-${volume.uid}`,
      ]);
      await next.release(volume, soon());
      expect(await keys('.clawstore-snapshots/reverting-')).to.deep.equal([]);
      await driver.release(volume, soon());
    });
  });

  it('fills no prefix where somebody has objects, and no whole bucket', async () => {
    await put('origin/file', 'content');
    await put('taken/mine', 'mine');
    await server.createBucket('whole');
    const content = { from: 'volume', volume: volumeAt('origin/') } as const;
    const taken: DriverVolume = { ...volumeAt('taken/'), content };
    expect((await driver.observeVolume(taken, soon())).provisioned).to.equal(false);
    expect(await rejection(filling(taken))).to.include({ reason: 'InvalidSpec', terminal: true });
    expect(await keys('taken/')).to.deep.equal(['taken/mine']);
    const whole: DriverVolume = { ...s3Volume('whole', server.location('whole', '')), content };
    expect(await rejection(filling(whole))).to.include({ reason: 'InvalidSpec', terminal: true });
  });

  it('shows its snapshots to nobody who mounts the whole bucket, and copies none into another', async () => {
    await server.createBucket('all');
    await client.send(new sdk.PutObjectCommand({ Bucket: 'all', Key: 'file', Body: 'content' }));
    const volume = s3Volume('all', server.location('all', ''));
    const first = snapshotOf(volume);
    await driver.snapshots.take(first, long());
    const second = snapshotOf(volume);
    await driver.snapshots.take(second, long());
    const { Contents = [] } = await client.send(
      new sdk.ListObjectsV2Command({ Bucket: 'all', Prefix: `.clawstore-snapshots/${second.uid}/` }),
    );
    expect(Contents.map(({ Key }) => Key)).to.have.members([
      `.clawstore-snapshots/${second.uid}/`,
      `.clawstore-snapshots/${second.uid}/file`,
    ]);
    const mount: DriverMount = { uid: 'n', targetRoot: place.layer.mountRoot, targetPath: 'ns/n/data', readOnly: true };
    await driver.stage(volume, soon());
    await driver.publish(volume, mount, soon());
    expect(readdirSync(join(mount.targetRoot, mount.targetPath))).to.deep.equal(['file']);
    await driver.unpublish(volume, mount, soon());
    expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
  });
});
