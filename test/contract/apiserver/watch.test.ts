import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { after, before, beforeEach, describe, it } from 'mocha';
import { volume } from './cases/support.ts';
import { type RunningServer, SERVERS } from './servers.ts';
import { RawClient, until } from './watch-client.ts';

const MERGE = 'application/merge-patch+json';

for (const { name, start } of SERVERS) {
  describe(`watches and lists of the ${name} API server`, function () {
    this.timeout(120_000);
    let server: RunningServer;
    let client: RawClient;
    let volumes: string;

    before(async () => {
      server = await start();
      client = new RawClient(server.target);
    });

    after(async () => {
      await client.close();
    });

    beforeEach(async () => {
      const namespace = `watch-${randomBytes(5).toString('hex')}`;
      await client.send('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
      volumes = `/apis/storage.clawbernetes.io/v1alpha1/namespaces/${namespace}/volumes`;
    });

    const make = async (...names: readonly string[]): Promise<void> => {
      for (const item of names) await client.send('POST', volumes, volume(item));
    };
    const label = (item: string, value: string | null): Promise<unknown> =>
      client.send('PATCH', `${volumes}/${item}`, { metadata: { labels: { x: value } } }, MERGE);

    it('starts a watch without a version with what is there', async () => {
      await make('a', 'b');
      const watch = await client.watch(volumes);
      expect((await watch.take(2)).toSorted()).to.deep.equal(['ADDED a', 'ADDED b']);
      await make('c');
      expect(await watch.take(1)).to.deep.equal(['ADDED c']);
      watch.stop();
    });

    it('sends changes after a version, in order', async () => {
      await make('a');
      const { metadata } = await client.send('GET', volumes);
      await label('a', '1');
      await make('b');
      await client.send('DELETE', `${volumes}/a`);
      const watch = await client.watch(`${volumes}?resourceVersion=${metadata.resourceVersion}`);
      expect(await watch.take(3)).to.deep.equal(['MODIFIED a', 'ADDED b', 'DELETED a']);
      watch.stop();
    });

    it('gives a deleted object the version of its deletion', async () => {
      await make('a');
      const before = await client.send('GET', volumes);
      const watch = await client.watch(`${volumes}?resourceVersion=${before.metadata.resourceVersion}`);
      await client.send('DELETE', `${volumes}/a`);
      const event = await watch.next();
      expect(event?.type).to.equal('DELETED');
      expect(Number(event?.object.metadata?.resourceVersion)).to.be.above(Number(before.metadata.resourceVersion));
      watch.stop();
    });

    it('ends the initial events with a bookmark', async () => {
      await make('a', 'b');
      const watch = await client.watch(
        `${volumes}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
      );
      expect((await watch.take(2)).toSorted()).to.deep.equal(['ADDED a', 'ADDED b']);
      const bookmark = await watch.next();
      expect(bookmark?.type).to.equal('BOOKMARK');
      expect(bookmark?.object.metadata?.annotations).to.deep.equal({ 'k8s.io/initial-events-end': 'true' });
      expect(Number(bookmark?.object.metadata?.resourceVersion)).to.be.above(0);
      await make('c');
      expect(await watch.take(1)).to.deep.equal(['ADDED c']);
      watch.stop();
    });

    it('refuses initial events without a match', async () => {
      const answer = await client.send('GET', `${volumes}?watch=1&sendInitialEvents=true`);
      expect(answer.code).to.equal(422);
      expect(answer.message).to.equal(
        'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
      );
    });

    it('shows objects that enter and leave a selection as added and deleted', async () => {
      await make('a');
      const { metadata } = await client.send('GET', volumes);
      const watch = await client.watch(`${volumes}?resourceVersion=${metadata.resourceVersion}&labelSelector=x%3D1`);
      await label('a', '1');
      await client.send('PATCH', `${volumes}/a`, { spec: { capacity: '1Gi' } }, MERGE);
      await label('a', '2');
      await label('a', '1');
      await client.send('DELETE', `${volumes}/a`);
      expect(await watch.take(5)).to.deep.equal(['ADDED a', 'MODIFIED a', 'DELETED a', 'ADDED a', 'DELETED a']);
      watch.stop();
    });

    it('shows what left the selection as it was in it', async () => {
      await make('a');
      await label('a', '1');
      const { metadata } = await client.send('GET', volumes);
      const watch = await client.watch(`${volumes}?resourceVersion=${metadata.resourceVersion}&labelSelector=x%3D1`);
      await label('a', null);
      const now = await client.send('GET', `${volumes}/a`);
      const event = await watch.next();
      expect(event?.object.metadata).to.have.property('labels').that.deep.equals({ x: '1' });
      expect(event?.object.metadata?.resourceVersion).to.equal(now.metadata.resourceVersion);
      watch.stop();
    });

    it('filters a watch by a selectable field', async () => {
      await make('a', 'b');
      const watch = await client.watch(`${volumes}?fieldSelector=status.nodeName%3Dn1`);
      await client.send('PATCH', `${volumes}/b/status`, { status: { nodeName: 'n1' } }, MERGE);
      expect(await watch.take(1)).to.deep.equal(['ADDED b']);
      watch.stop();
    });

    it('watches one object by its name', async () => {
      await make('a', 'b');
      const watch = await client.watch(`${volumes}?fieldSelector=metadata.name%3Db`);
      expect(await watch.take(1)).to.deep.equal(['ADDED b']);
      await label('a', '1');
      await label('b', '1');
      expect(await watch.take(1)).to.deep.equal(['MODIFIED b']);
      watch.stop();
    });

    it('ends a watch after timeoutSeconds', async () => {
      const watch = await client.watch(`${volumes}?timeoutSeconds=1`);
      expect(await watch.next()).to.equal(undefined);
    });

    it('sends tables, with the columns in the first event only', async () => {
      await make('a', 'b');
      const watch = await client.watch(volumes, 'application/json;as=Table;v=v1;g=meta.k8s.io');
      const first = await watch.next();
      const second = await watch.next();
      expect(first?.object).to.include({ kind: 'Table' });
      expect(first?.object['columnDefinitions']).to.be.an('array').that.is.not.empty;
      expect(second?.object['columnDefinitions']).to.equal(null);
      watch.stop();
    });

    it('sends metadata alone', async () => {
      await make('a');
      const watch = await client.watch(volumes, 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io');
      const event = await watch.next();
      expect(event?.object).to.include({ kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1' });
      expect(event?.object).not.to.have.property('spec');
      watch.stop();
    });

    it('shows one snapshot on all pages of a list', async () => {
      await make('a', 'b', 'c', 'd');
      const first = await client.send('GET', `${volumes}?limit=2`);
      expect(first.items?.map(({ metadata }) => metadata.name)).to.deep.equal(['a', 'b']);
      expect(first.metadata['remainingItemCount']).to.equal(2);
      await client.send('DELETE', `${volumes}/c`);
      await make('bb', 'e');
      await label('d', 'changed');
      const token = encodeURIComponent(first.metadata.continue ?? '');
      const second = await client.send('GET', `${volumes}?limit=2&continue=${token}`);
      expect(second.items?.map(({ metadata }) => metadata.name)).to.deep.equal(['c', 'd']);
      expect(second.metadata.resourceVersion).to.equal(first.metadata.resourceVersion);
      expect(second.items?.[1]?.metadata).not.to.have.property('labels');
    });

    it('lists exactly an old version', async () => {
      await make('a');
      const { metadata } = await client.send('GET', volumes);
      await make('b');
      await client.send('DELETE', `${volumes}/a`);
      const old = await client.send(
        'GET',
        `${volumes}?resourceVersion=${metadata.resourceVersion}&resourceVersionMatch=Exact`,
      );
      expect(old.items?.map((item) => item.metadata.name)).to.deep.equal(['a']);
      expect(old.metadata.resourceVersion).to.equal(metadata.resourceVersion);
      const fresh = await client.send(
        'GET',
        `${volumes}?resourceVersion=${metadata.resourceVersion}&resourceVersionMatch=NotOlderThan`,
      );
      expect(fresh.items?.map((item) => item.metadata.name)).to.deep.equal(['b']);
    });

    it('keeps a watcher that does not read from slowing anybody, and lets it go on where it was', async () => {
      await make('a');
      const { metadata } = await client.send('GET', volumes);
      const slow = await client.watch(`${volumes}?resourceVersion=${metadata.resourceVersion}`);
      const quick = await client.watch(`${volumes}?resourceVersion=${metadata.resourceVersion}`);
      const CHANGES = 40;
      for (let i = 1; i <= CHANGES; i++) {
        const annotations = { step: String(i), ballast: 'x'.repeat(200_000) };
        await client.send('PATCH', `${volumes}/a`, { metadata: { annotations } }, MERGE);
        expect((await quick.next())?.object.metadata?.annotations?.['step']).to.equal(String(i));
      }
      quick.stop();
      // It is cut off, or was given everything: in both cases what it saw has no gap, and the rest is still to be had.
      const seen: string[] = [];
      let last = metadata.resourceVersion;
      const take = async (watch: typeof slow): Promise<void> => {
        while (seen.length < CHANGES) {
          const event = await watch.next().catch(() => undefined);
          if (event === undefined) return;
          seen.push(event.object.metadata?.annotations?.['step'] ?? '');
          last = event.object.metadata?.resourceVersion ?? last;
        }
      };
      await take(slow);
      slow.stop();
      if (seen.length < CHANGES) {
        const again = await client.watch(`${volumes}?resourceVersion=${last}`);
        await take(again);
        again.stop();
      }
      expect(seen).to.deep.equal(Array.from({ length: CHANGES }, (_, i) => String(i + 1)));
    });

    it('says 410 of what was compacted away, and goes on after a restart', async () => {
      await make('a', 'b', 'c');
      const page = await client.send('GET', `${volumes}?limit=1`);
      const old = page.metadata.resourceVersion;
      await client.send('DELETE', `${volumes}/b`);
      const latest = (await client.send('GET', volumes)).metadata.resourceVersion;
      await server.compact(latest);
      await server.restart();
      // Connections to the one that has ended are of no use, and may not know it yet.
      await client.close();
      client = new RawClient(server.target);

      // A server that has just started may ask for patience.
      const watch = await until(
        () => client.watch(`${volumes}?resourceVersion=${old}`),
        ({ code }) => code !== 429,
      );
      // As the answer, or as the first event of one that has begun: clients know both.
      const gone = watch.code === 200 ? (await watch.next())?.object['code'] : watch.code;
      expect(gone).to.equal(410);
      watch.stop();
      const exact = await client.send('GET', `${volumes}?resourceVersion=${old}&resourceVersionMatch=Exact`);
      expect(exact.code).to.equal(410);
      const token = encodeURIComponent(page.metadata.continue ?? '');
      const stale = await client.send('GET', `${volumes}?limit=1&continue=${token}`);
      expect(stale.code).to.equal(410);
      expect(stale['reason']).to.equal('Expired');
      // The token of the refusal goes on with what there is now.
      const rest = encodeURIComponent(stale.metadata.continue ?? '');
      const fresh = await client.send('GET', `${volumes}?continue=${rest}`);
      expect(fresh.items?.map((item) => item.metadata.name)).to.deep.equal(['c']);

      const now = await client.send('GET', volumes);
      expect(now.items?.map((item) => item.metadata.name)).to.deep.equal(['a', 'c']);
      expect(Number(now.metadata.resourceVersion)).to.be.at.least(Number(latest));
      const resumed = await client.watch(`${volumes}?resourceVersion=${now.metadata.resourceVersion}`);
      await make('d');
      expect(await resumed.take(1)).to.deep.equal(['ADDED d']);
      resumed.stop();
    });

    it('gives every write a higher version', async () => {
      const versions: number[] = [];
      for (const item of ['a', 'b', 'c']) {
        const { metadata } = await client.send('POST', volumes, volume(item));
        versions.push(Number(metadata.resourceVersion));
      }
      expect(versions).to.deep.equal(versions.toSorted((a, b) => a - b));
      expect(new Set(versions).size).to.equal(3);
    });

    it('makes names from a prefix', async () => {
      const body = { ...volume('x'), metadata: { generateName: 'vol-' } };
      const first = await client.send('POST', volumes, body);
      const second = await client.send('POST', volumes, body);
      expect(first.metadata.name).to.match(/^vol-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
      expect(second.metadata.name).not.to.equal(first.metadata.name);
    });
  });
}
