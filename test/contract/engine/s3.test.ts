/** Repositories in a bucket, over networks and servers that fail. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { RepositoryAccess, RepositoryLocation } from '../../../src/backup/engine.ts';
import { makePlace, type Place, rejection, soon } from '../../node/support.ts';
import { S3Proxy } from '../../support/harness/s3-proxy.ts';
import { S3Server } from '../../support/harness/s3-server.ts';
import { filesOf } from '../hostile-tree.ts';
import { EngineWorld, PASSWORD } from './support.ts';

type S3RepositoryLocation = Extract<RepositoryLocation, { type: 's3' }>;

const BUCKET = 'backups';
const USER = { accessKeyId: 'only-user', secretAccessKey: 'only-user-secret-7' };

describe('engine with repositories in a bucket', function () {
  this.timeout(120_000);
  let place: Place;
  let server: S3Server;
  let proxy: S3Proxy;
  let world: EngineWorld;
  let shared: RepositoryAccess;
  let source: string;

  before(async () => {
    place = await makePlace();
    server = await S3Server.start();
    await server.createBucket(BUCKET);
    await server.createUser(USER, 'user');
    proxy = await S3Proxy.start(server);
    world = new EngineWorld(place, '0.19');
    source = world.directory('source').path;
    for (let index = 0; index < 4; index += 1) writeFileSync(join(source, `file-${index}`), randomBytes(1_000_000));
    shared = access({ prefix: 'shared' });
    await world.engine.initialize(shared, soon());
    await server.cheapenKeys(BUCKET, 'shared', PASSWORD);
  });

  after(async () => {
    await proxy?.end();
    await server?.end();
    expect(await place.dispose(), 'mounts that no call took down').to.deep.equal([]);
  });

  function access(
    location: Partial<S3RepositoryLocation> = {},
    overrides: Partial<RepositoryAccess> = {},
  ): RepositoryAccess {
    const { endpoint, region, root } = server;
    return {
      location: {
        type: 's3',
        endpoint,
        bucket: BUCKET,
        prefix: 'shared',
        region,
        forcePathStyle: true,
        credentials: { ...root, sessionToken: undefined },
        caBundle: server.ca,
        ...location,
      },
      password: PASSWORD,
      cacheDirectory: { root: place.layer.stateDir, path: 'cache' },
      ...overrides,
    };
  }

  for (const version of ['0.14', '0.19'] as const) {
    it(`keeps what it is given below an odd prefix, and brings it back (restic ${version})`, async () => {
      const own = new EngineWorld(place, version);
      const prefix = `a b/ü%20+&=;/${version}`;
      const there = access({ prefix }, { cacheDirectory: { root: place.layer.stateDir, path: `cache-${version}` } });
      const made = await own.engine.initialize(there, soon());
      await server.cheapenKeys(BUCKET, prefix, PASSWORD);
      expect(await own.engine.open(there, soon())).to.deep.equal(made);
      const { snapshotId, bytesAdded } = await own.backup(there, source);
      const target = own.directory('back');
      await own.restore(there, snapshotId, target.path);
      expect(filesOf(target.path, ['times'])).to.deep.equal(filesOf(source, ['times']));
      expect((await own.engine.size(there, soon())) > bytesAdded).to.equal(true);
      for (const key of await server.keys(BUCKET, 'a b/')) expect(key).to.match(/^a b\/ü%20\+&=;\/0\.1[49]\//);
      expect(await own.engine.locks(there, soon())).to.deep.equal([]);
    });
  }

  it('says within seconds what is wrong, and no secrets', async () => {
    const wrong = { accessKeyId: server.root.accessKeyId, secretAccessKey: 'wrong-secret-8', sessionToken: undefined };
    const cases: readonly (readonly [string, Partial<S3RepositoryLocation>])[] = [
      ['CredentialsRejected', { credentials: wrong }],
      ['CredentialsRejected', { credentials: { ...wrong, accessKeyId: 'nobody' } }],
      ['AccessDenied', { credentials: { ...USER, sessionToken: undefined } }],
      ['NoBucket', { bucket: 'no-such-bucket' }],
      ['Unreachable', { endpoint: 'http://127.0.0.1:9' }],
      ['NameNotResolved', { endpoint: 'http://no-such-name.invalid' }],
      ['NoRepository', { prefix: 'nothing/here' }],
      // A prefix that another one begins with is none.
      ['NoRepository', { prefix: 'share' }],
    ];
    for (const [code, location] of cases) {
      const error = await rejection(world.engine.open(access(location), soon()));
      expect(error, error.message).to.include({ name: 'BackupError', code });
      const said = `${error.message} ${error.stack} ${JSON.stringify(error)}`;
      for (const secret of ['wrong-secret-8', USER.secretAccessKey, server.root.secretAccessKey, PASSWORD]) {
        expect(said).not.to.contain(secret);
      }
    }
    const password = world.engine.open({ ...shared, password: 'another' }, soon());
    expect(await rejection(password)).to.include({ code: 'WrongPassword' });
  });

  it('makes no repository over anything, and finishes one that was begun', async () => {
    await server.put(BUCKET, 'photos/2026/photo.jpg', 'begun/keys/' + 'a'.repeat(64));
    const photos = await rejection(world.engine.initialize(access({ prefix: 'photos' }), soon()));
    expect(photos).to.include({ code: 'NotEmpty' });
    expect(photos.message).to.contain('2026/photo.jpg');
    const begun = access({ prefix: 'begun' });
    expect(await rejection(world.engine.initialize(begun, soon()))).to.include({ code: 'Locked', retryable: true });
    const late = new EngineWorld(place, '0.19', { initializeMs: 0 });
    const made = await late.engine.initialize(begun, soon());
    expect(await late.engine.open(begun, soon())).to.deep.equal(made);
    expect(await server.keys(BUCKET, 'photos/')).to.deep.equal(['photos/2026/photo.jpg']);
  });

  it('trusts the authority that it is given, and no other', async () => {
    const tls = await S3Server.start({ tls: true });
    try {
      await tls.createBucket(BUCKET);
      const trusting = access({ endpoint: tls.endpoint, caBundle: tls.ca, prefix: '' });
      const made = await world.engine.initialize(trusting, soon());
      expect(made.formatVersion).to.equal(2);
      const untrusting = access({ endpoint: tls.endpoint, caBundle: undefined });
      expect(await rejection(world.engine.open(untrusting, soon()))).to.include({ code: 'CertificateNotTrusted' });
    } finally {
      await tls.end();
    }
  });

  const isData = (method: string, url: string): boolean => method === 'PUT' && url.includes('/data/');

  for (const [name, fault] of [
    ['answers 503', { kind: 'answer', status: 503 }],
    ['answers 500', { kind: 'answer', status: 500 }],
    ['resets the connection in the middle of an upload', { kind: 'reset-upload', afterBytes: 200 }],
    ['loses its answer', { kind: 'lose-answer' }],
    ['is slow', { kind: 'slow', ms: 1_000 }],
  ] as const) {
    it(`makes a whole backup through a server that ${name} for a while`, async () => {
      const fresh = world.directory('fresh').path;
      writeFileSync(join(fresh, 'file'), randomBytes(1_000_000));
      let times = 0;
      proxy.fault(({ method, url }) => {
        if (!isData(method, url) || times >= 2) return undefined;
        times += 1;
        return fault;
      });
      const through = access({ endpoint: proxy.endpoint });
      const { snapshotId, complete } = await world.backup(through, fresh);
      proxy.heal();
      expect({ times, complete }).to.deep.equal({ times: 2, complete: true });
      const target = world.directory('through');
      await world.restore(shared, snapshotId, target.path);
      expect(filesOf(target.path, ['times'])).to.deep.equal(filesOf(fresh, ['times']));
    });
  }

  it('gives up on a server that goes on failing, says why, and goes on when it is well', async () => {
    const fresh = world.directory('failing').path;
    writeFileSync(join(fresh, 'file'), randomBytes(1_000_000));
    proxy.fault(({ method, url }) => (isData(method, url) ? { kind: 'answer', status: 503 } : undefined));
    const through = access({ endpoint: proxy.endpoint }, { limits: { stallMs: 6_000 }, holder: 'node-a/run' });
    const error = await rejection(world.backup(through, fresh, {}, { signal: AbortSignal.timeout(100_000) }));
    proxy.heal();
    expect(error, error.message).to.include({ code: 'Stalled', retryable: true });
    expect(error.message).to.match(/503|Service Unavailable|retrying/i);
    expect(await world.engine.locks(shared, soon())).to.deep.equal([]);
    expect((await world.backup(access({ endpoint: proxy.endpoint }), fresh)).complete).to.equal(true);
    const result = await world.engine.check(shared, { readDataPercent: 100 }, () => undefined, soon());
    expect(result, JSON.stringify(result)).to.include({ ok: true });
  });

  it('removes a lock by its name', async () => {
    const id = 'b'.repeat(64);
    await server.put(BUCKET, `shared/locks/${id}`);
    const [lock] = await world.engine.locks(shared, soon());
    expect(lock).to.include({ id, holder: '', time: '' });
    await world.engine.removeLocks(shared, [id], soon());
    expect(await world.engine.locks(shared, soon())).to.deep.equal([]);
  });
});
