import { Agent } from 'node:https';
import {
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { S3Objects } from '../../../src/drivers/s3/objects.ts';
import { cleanPrefix, type S3Location } from '../../../src/s3/location.ts';
import { rejection, soon } from '../../node/support.ts';
import { freePort } from '../../support/harness/ports.ts';
import { full } from '../../support/harness/run.ts';
import { S3Proxy } from '../../support/harness/s3-proxy.ts';
import { S3Server } from '../../support/harness/s3-server.ts';

const UID = 'uid-1';
/** Beyond the 15 minutes that S3 allows. */
const SKEW_MS = 20 * 60_000;

describe('objects of an S3 volume', function () {
  this.timeout(120_000);
  let server: S3Server;
  let serial = 0;

  before(async () => {
    server = await S3Server.start();
    await server.createBucket('data');
    await server.createBucket('whole');
  });

  const freshPrefix = (): string => {
    serial += 1;
    return `p${serial}/`;
  };
  const reason = async (location: S3Location): Promise<string | undefined> =>
    (await rejection((await S3Objects.open(location)).look(UID, soon()))).reason;

  describe('finding out what is wrong', () => {
    it('looks at an empty prefix of a bucket', async () => {
      const objects = await S3Objects.open(server.location('data', freshPrefix()));
      expect(await objects.look(UID, soon())).to.deep.include({ empty: true, ours: false });
    });

    it('names a missing bucket', async () => {
      expect(await reason(server.location('no-such-bucket', ''))).to.equal('BucketNotFound');
    });

    it('names wrong credentials: the key, the secret', async () => {
      const wrongKey = { accessKeyId: 'nobody', secretAccessKey: 'x', sessionToken: undefined };
      const wrongSecret = { ...server.root, secretAccessKey: 'wrong', sessionToken: undefined };
      expect(await reason(server.location('data', '', { credentials: wrongKey }))).to.equal('CredentialsRejected');
      const error = await rejection(
        (await S3Objects.open(server.location('data', '', { credentials: wrongSecret }))).look(UID, soon()),
      );
      expect(error.reason).to.equal('CredentialsRejected');
      expect(error.message).to.not.include('wrong');
    });

    it('names credentials that cannot be sent, and an address that is none', async () => {
      const odd = { ...server.root, accessKeyId: 'ro\u0001ot', sessionToken: undefined };
      expect(await reason(server.location('data', '', { credentials: odd }))).to.equal('CredentialsRejected');
      const error = await rejection(
        (await S3Objects.open(server.location('data', '', { endpoint: 'http://127.0.0.1:99999' }))).look(UID, soon()),
      );
      expect(error).to.include({ reason: 'InvalidSpec', terminal: true });
      expect(error.message).to.include('s3.endpoint');
    });

    it('names credentials that may not do it', async () => {
      const user = { accessKeyId: 'stranger', secretAccessKey: 'stranger-secret' };
      await server.createUser(user, 'user');
      const credentials = { ...user, sessionToken: undefined };
      expect(await reason(server.location('data', '', { credentials }))).to.equal('AccessDenied');
    });

    it('names a wrong region', async () => {
      expect(await reason(server.location('data', '', { region: 'eu-west-9' }))).to.equal('RegionMismatch');
    });

    it('names a clock that differs from the server’s', async () => {
      const RealDate = globalThis.Date;
      // The server judges by the time that the request is signed with.
      globalThis.Date = class extends RealDate {
        constructor(...args: [] | [number | string | Date]) {
          if (args.length === 0) super(RealDate.now() + SKEW_MS);
          else super(args[0]);
        }
        static override now(): number {
          return RealDate.now() + SKEW_MS;
        }
      } as DateConstructor;
      try {
        expect(await reason(server.location('data', ''))).to.equal('ClockSkew');
      } finally {
        globalThis.Date = RealDate;
      }
    });

    it('names a server that is not there', async () => {
      const endpoint = `http://127.0.0.1:${await freePort()}`;
      expect(await reason(server.location('data', '', { endpoint }))).to.equal('ServerUnreachable');
    });

    it('names a server that does not answer', async () => {
      server.signal('SIGSTOP');
      try {
        expect(await reason(server.location('data', ''))).to.equal('ServerUnreachable');
      } finally {
        server.signal('SIGCONT');
      }
    });

    it('names a server without an address, and thinks of the path style', async () => {
      const endpoint = 'http://s3.invalid:1234';
      const location = server.location('data', '', { endpoint, forcePathStyle: false });
      const error = await rejection((await S3Objects.open(location)).look(UID, soon()));
      expect(error.reason).to.equal('ServerNameNotResolved');
      expect(error.message).to.include('forcePathStyle');
    });

    it('trusts a private authority that it is told of, and names one that it does not know', async () => {
      const secure = await S3Server.start({ tls: true });
      await secure.createBucket('data');
      const objects = await S3Objects.open(secure.location('data', ''));
      expect(await objects.look(UID, soon())).to.deep.include({ empty: true, ours: false });
      expect(await reason(secure.location('data', '', { caBundle: undefined }))).to.equal('CertificateNotTrusted');
      expect(await reason(secure.location('data', '', { caBundle: new Agent().options.ca as undefined }))).to.equal(
        'CertificateNotTrusted',
      );
      await secure.end();
    });
  });

  describe('through a network that fails', () => {
    let proxy: S3Proxy;
    let objects: S3Objects;
    let prefix: string;

    before(async () => {
      proxy = await S3Proxy.start(server);
      prefix = freshPrefix();
      objects = await S3Objects.open(server.location('data', prefix, { endpoint: proxy.endpoint }));
      await objects.claim(UID, soon());
      await server.put('data', `${prefix}kept`);
    });

    for (const [title, fault, expected] of [
      ['500', { kind: 'answer', status: 500 }, 'ServerError'],
      ['503', { kind: 'answer', status: 503 }, 'ServerError'],
      [
        '200 with an error inside',
        { kind: 'answer', status: 200, body: '<Error><Code>InternalError</Code></Error>' },
        'ServerError',
      ],
      ['200 with an empty body', { kind: 'answer', status: 200, body: '' }, 'ServerError'],
      [
        '200 with a page of somebody else',
        { kind: 'answer', status: 200, body: '<html><body>Log in</body></html>' },
        'ServerError',
      ],
      ['an answer that breaks off', { kind: 'truncate-answer' }, 'ServerUnreachable'],
      ['a reset connection', { kind: 'reset-upload', afterBytes: 0 }, 'ServerUnreachable'],
      ['a lost answer', { kind: 'lose-answer' }, 'ServerUnreachable'],
    ] as const) {
      it(`never takes ${title} for an empty prefix, and deletes nothing`, async () => {
        proxy.fault(() => fault);
        expect((await rejection(objects.look(UID, soon()))).reason).to.equal(expected);
        expect((await rejection(objects.purge(UID, soon()))).reason).to.equal(expected);
        // The listing alone fails: the marker was read, and still nothing may go.
        proxy.fault(({ method, url }) =>
          method === 'GET' && /[?&](list-type|versions|uploads)/.test(url) ? fault : undefined,
        );
        expect((await rejection(objects.purge(UID, soon()))).reason).to.equal(expected);
        proxy.heal();
        expect(await server.read('data', `${prefix}kept`)).to.equal(`${prefix}kept`);
        expect(await objects.look(UID, soon())).to.deep.include({ empty: false, ours: true });
      });
    }

    it('goes on after an answer that comes late', async () => {
      proxy.fault(() => ({ kind: 'slow', ms: 300 }));
      expect((await objects.look(UID, soon())).ours).to.equal(true);
      proxy.heal();
    });

    it('does not call a deletion done while the server still lists objects', async () => {
      const own = freshPrefix();
      const stale = await S3Objects.open(server.location('data', own, { endpoint: proxy.endpoint }));
      await stale.claim(UID, soon());
      await server.put('data', `${own}a`);
      await stale.look(UID, soon());
      proxy.fault(({ method, url }) => (method === 'GET' && url.includes('list-type') ? { kind: 'stale' } : undefined));
      expect((await rejection(stale.purge(UID, soon()))).reason).to.equal('ServerError');
      proxy.heal();
      await stale.purge(UID, soon());
      expect(await server.keys('data', own)).to.deep.equal([]);
    });
  });

  describe('owning a prefix', () => {
    it('claims an empty one once, and knows it again', async () => {
      const prefix = freshPrefix();
      const objects = await S3Objects.open(server.location('data', prefix));
      expect(await objects.claim(UID, soon())).to.equal(true);
      expect(await objects.claim(UID, soon())).to.equal(true);
      expect(await objects.look(UID, soon())).to.deep.include({ empty: true, ours: true });
    });

    it('lets one of two volumes have it', async () => {
      const objects = await S3Objects.open(server.location('data', freshPrefix()));
      const won = await Promise.all(['uid-a', 'uid-b'].map((uid) => objects.claim(uid, soon())));
      expect(won.filter(Boolean)).to.have.lengthOf(1);
    });

    it('never owns a whole bucket', async () => {
      const objects = await S3Objects.open(server.location('whole', ''));
      expect(await objects.claim(UID, soon())).to.equal(false);
      expect(await server.keys('whole')).to.deep.equal([]);
    });
  });

  describe('saying that it is going back', () => {
    const BEGUN = { restoreUID: 'r-1', restoreName: 'back', snapshotUID: 's-1', snapshotName: 'moment' };
    const noted = (): Promise<readonly string[]> => server.keys('data', '.clawstore-snapshots/');

    it('is said by the marker of a prefix that was made for the volume, which stays its own and is complete', async () => {
      const prefix = freshPrefix();
      const objects = await S3Objects.open(server.location('data', prefix));
      await objects.claim(UID, soon());
      await objects.beginRevert(UID, BEGUN, soon());
      expect(await objects.look(UID, soon())).to.deep.equal({ empty: true, ours: true, complete: true, revert: BEGUN });
      expect((await objects.look('uid-2', soon())).revert, 'of another volume').to.equal(undefined);
      expect(await noted()).to.deep.equal([]);
      await objects.beginRevert(UID, { ...BEGUN, restoreUID: 'r-2' }, soon());
      expect((await objects.look(UID, soon())).revert?.restoreUID, 'the next one').to.equal('r-2');
      await objects.endRevert(UID, soon());
      await objects.endRevert(UID, soon());
      expect(await objects.look(UID, soon())).to.deep.include({ ours: true, complete: true, revert: undefined });
    });

    it('is said beside the snapshots where somebody else had objects, whose marker is not touched', async () => {
      const prefix = freshPrefix();
      const Metadata = { theirs: 'yes' };
      await server.client.send(
        new PutObjectCommand({ Bucket: 'data', Key: prefix, Body: new Uint8Array(0), Metadata }),
      );
      await server.put('data', `${prefix}theirs`);
      const objects = await S3Objects.open(server.location('data', prefix));
      await objects.beginRevert(UID, BEGUN, soon());
      expect(await objects.look(UID, soon())).to.deep.include({ ours: false, complete: true, revert: BEGUN });
      const head = await server.client.send(new HeadObjectCommand({ Bucket: 'data', Key: prefix }));
      expect(head.Metadata).to.deep.equal(Metadata);
      expect(await noted()).to.deep.equal([`.clawstore-snapshots/reverting-${UID}`]);
      await objects.endRevert(UID, soon());
      expect((await objects.look(UID, soon())).revert).to.equal(undefined);
      expect(await noted()).to.deep.equal([]);
    });

    it('is no less true where the server cannot be asked for it', async () => {
      const proxy = await S3Proxy.start(server);
      const prefix = freshPrefix();
      await server.put('data', `${prefix}theirs`);
      const objects = await S3Objects.open(server.location('data', prefix, { endpoint: proxy.endpoint }));
      proxy.fault(({ url }) => (url.includes('reverting-') ? { kind: 'answer', status: 500 } : undefined));
      expect(await rejection(objects.look(UID, soon()))).to.include({ reason: 'ServerError' });
      await proxy.end();
    });

    it('is not asked for again with credentials that may not see it', async () => {
      const proxy = await S3Proxy.start(server);
      const prefix = freshPrefix();
      await server.put('data', `${prefix}theirs`);
      const objects = await S3Objects.open(server.location('data', prefix, { endpoint: proxy.endpoint }));
      proxy.fault(({ url }) => (url.includes('reverting-') ? { kind: 'answer', status: 403 } : undefined));
      for (let look = 0; look < 3; look += 1) expect((await objects.look(UID, soon())).revert).to.equal(undefined);
      expect(proxy.seen.filter(({ url }) => url.includes('reverting-'))).to.have.length(1);
      await proxy.end();
    });
  });

  describe('deleting', () => {
    it('removes its own prefix and no neighbour whose name begins like it', async () => {
      const objects = await S3Objects.open(server.location('data', 'n/data/'));
      await objects.claim(UID, soon());
      await server.put('data', 'n/data/a', 'n/data/b/c', 'n/data-2/a', 'n/database', 'n/data.txt');
      expect(await objects.purge(UID, soon())).to.deep.include({ kept: 0 });
      expect(await server.keys('data', 'n/')).to.deep.equal(['n/data-2/a', 'n/data.txt', 'n/database']);
    });

    it('refuses what was not made for the volume, and a whole bucket', async () => {
      const prefix = freshPrefix();
      await server.put('data', `${prefix}theirs`);
      const adopted = await S3Objects.open(server.location('data', prefix));
      expect((await rejection(adopted.purge(UID, soon()))).reason).to.equal('DataRetained');
      const foreign = await S3Objects.open(server.location('data', freshPrefix()));
      await foreign.claim('uid-other', soon());
      expect((await rejection(foreign.purge(UID, soon()))).reason).to.equal('DataRetained');
      await server.put('whole', 'theirs');
      const whole = await S3Objects.open(server.location('whole', ''));
      expect((await rejection(whole.purge(UID, soon()))).reason).to.equal('DataRetained');
      expect(await server.read('whole', 'theirs')).to.equal('theirs');
      expect(await server.read('data', `${prefix}theirs`)).to.equal(`${prefix}theirs`);
    });

    it('keeps what was made for other volumes below its prefix, and says so', async () => {
      const prefix = freshPrefix();
      const [outer, inner] = [prefix, `${prefix}b/`].map((at) => S3Objects.open(server.location('data', at)));
      await (await outer)?.claim(UID, soon());
      await (await inner)?.claim('uid-other', soon());
      await server.put('data', `${prefix}a`, `${prefix}b/theirs`, `${prefix}b/c/theirs`, `${prefix}b-2/a`);
      const { client } = server;
      await client.send(new CreateMultipartUploadCommand({ Bucket: 'data', Key: `${prefix}b/big` }));
      await client.send(new CreateMultipartUploadCommand({ Bucket: 'data', Key: `${prefix}big` }));
      expect(await (await outer)?.purge(UID, soon())).to.deep.include({ kept: 0, others: [`${prefix}b/`] });
      expect(await server.keys('data', prefix)).to.deep.equal([
        `${prefix}b/`,
        `${prefix}b/c/theirs`,
        `${prefix}b/theirs`,
      ]);
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: 'data', Prefix: prefix }));
      expect(Uploads.map(({ Key }) => Key)).to.deep.equal([`${prefix}b/big`]);
      expect(await (await inner)?.purge('uid-other', soon())).to.deep.include({ others: [] });
      expect(await server.keys('data', prefix)).to.deep.equal([]);
    });

    it('keeps them in a bucket with versions, too', async () => {
      await server.createBucket('nested', { versions: true });
      const outer = await S3Objects.open(server.location('nested', 'v/'));
      const inner = await S3Objects.open(server.location('nested', 'v/b/'));
      await outer.claim(UID, soon());
      await inner.claim('uid-other', soon());
      await server.put('nested', 'v/a', 'v/b/theirs');
      expect(await outer.purge(UID, soon())).to.deep.include({ kept: 0, others: ['v/b/'] });
      expect(await server.keys('nested', 'v/')).to.deep.equal(['v/b/', 'v/b/theirs']);
      expect((await inner.look('uid-other', soon())).ours).to.equal(true);
    });

    // Two thousand requests to make and abort them.
    if (full) {
      it('aborts more unfinished uploads than one answer lists', async () => {
        const prefix = freshPrefix();
        const objects = await S3Objects.open(server.location('data', prefix));
        await objects.claim(UID, soon());
        const begin = (n: number) =>
          server.client.send(new CreateMultipartUploadCommand({ Bucket: 'data', Key: `${prefix}k${n % 100}` }));
        for (let at = 0; at < 1_050; at += 50) await Promise.all(Array.from({ length: 50 }, (_, n) => begin(at + n)));
        await objects.purge(UID, soon());
        const { Uploads = [] } = await server.client.send(
          new ListMultipartUploadsCommand({ Bucket: 'data', Prefix: prefix }),
        );
        expect(Uploads).to.have.length(0);
      });
    }

    it('goes through more than 1,000 keys', async () => {
      const prefix = freshPrefix();
      const objects = await S3Objects.open(server.location('data', prefix));
      await objects.claim(UID, soon());
      const keys = Array.from({ length: 1_203 }, (_, i) => `${prefix}k${i}`);
      for (let at = 0; at < keys.length; at += 50) {
        await Promise.all(keys.slice(at, at + 50).map((key) => server.put('data', key)));
      }
      expect(await objects.usedBytes(soon())).to.equal(BigInt(keys.reduce((sum, key) => sum + key.length, 0)));
      expect(await objects.purge(UID, soon())).to.deep.include({ deleted: 1_204, kept: 0 });
      expect(await server.keys('data', prefix)).to.deep.equal([]);
    });

    it('removes versions, delete markers and unfinished uploads', async () => {
      await server.createBucket('versioned', { versions: true });
      const objects = await S3Objects.open(server.location('versioned', 'v/'));
      await objects.claim(UID, soon());
      await server.put('versioned', 'v/a', 'v/a', 'v/b', 'other/a');
      const { client } = server;
      await client.send(new CreateMultipartUploadCommand({ Bucket: 'versioned', Key: 'v/big' }));
      await client.send(new CreateMultipartUploadCommand({ Bucket: 'versioned', Key: 'v-2/big' }));
      await objects.purge(UID, soon());
      const { Versions = [], DeleteMarkers = [] } = await client.send(
        new ListObjectVersionsCommand({ Bucket: 'versioned' }),
      );
      expect([...Versions, ...DeleteMarkers].map(({ Key }) => Key)).to.deep.equal(['other/a']);
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: 'versioned' }));
      expect(Uploads.map(({ Key }) => Key)).to.deep.equal(['v-2/big']);
    });

    it('reports what an object lock keeps, and keeps its claim until that ends', async () => {
      await server.createBucket('locked', { lock: true });
      const objects = await S3Objects.open(server.location('locked', 'l/'));
      await objects.claim(UID, soon());
      await server.put('locked', 'l/free');
      await server.client.send(
        new PutObjectCommand({
          Bucket: 'locked',
          Key: 'l/held',
          Body: 'held',
          ObjectLockMode: 'COMPLIANCE',
          ObjectLockRetainUntilDate: new Date(Date.now() + 3_600_000),
        }),
      );
      const result = await objects.purge(UID, soon());
      expect(result.kept).to.equal(1);
      expect(result.why).to.not.equal('');
      expect(await server.read('locked', 'l/held')).to.equal('held');
      expect((await objects.look(UID, soon())).ours).to.equal(true);
    });
  });

  it('means by a prefix what lies below it', () => {
    expect(['data', '/data/', 'a/b//', '', '/', undefined].map(cleanPrefix)).to.deep.equal([
      'data/',
      'data/',
      'a/b/',
      '',
      '',
      '',
    ]);
  });
});
