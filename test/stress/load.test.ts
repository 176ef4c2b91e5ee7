import { rmSync } from 'node:fs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { full, makeDirectory } from '../support/harness/run.ts';
import { Client, type Shown, times } from './support/client.ts';
import { type ServerProcess, startServer } from './support/server.ts';
import { openWatch, type Seen, WatchReader } from './support/watch-reader.ts';

const VOLUMES = '/apis/storage.clawbernetes.io/v1alpha1/namespaces/default/volumes';
const COUNT = full ? 10_000 : 600;
const WATCHERS = full ? 100 : 15;
const AT_ONCE = 32;
const MERGE = 'application/merge-patch+json';

const nameOf = (index: number): string => `volume-${String(index).padStart(5, '0')}`;

function volume(index: number): unknown {
  return {
    apiVersion: 'storage.clawbernetes.io/v1alpha1',
    kind: 'Volume',
    metadata: { name: nameOf(index), labels: { half: index % 2 === 0 ? 'even' : 'odd' } },
    spec: { hostPath: { path: `/srv/data/${index}` }, nodeSelector: { 'kubernetes.io/arch': 'amd64' } },
  };
}

describe(`the API server with ${COUNT} volumes and ${WATCHERS} watchers`, function () {
  this.timeout(full ? 900_000 : 240_000);
  let stateDir: string;
  let server: ServerProcess;
  let client: Client;
  const seen: Seen = new Map();
  const readers: WatchReader[] = [];
  /** What the writers were told: `TYPE name` by version. */
  const written = new Map<number, string>();

  before(async () => {
    stateDir = makeDirectory('load');
    server = await startServer(stateDir);
    client = new Client(server, AT_ONCE);
  });

  after(async () => {
    await client.close();
    for (const reader of readers) reader.close();
    if (server.isRunning()) await server.stop();
    rmSync(stateDir, { recursive: true, force: true });
  });

  const create = async (index: number): Promise<void> => {
    const { code, body } = await client.send('POST', VOLUMES, volume(index));
    expect(code).to.equal(201);
    written.set(Number(body.metadata.resourceVersion), `ADDED ${body.metadata.name}`);
  };

  const change = async (index: number, round: number): Promise<void> => {
    const body = { metadata: { annotations: { round: String(round) } } };
    const answer = await client.send('PATCH', `${VOLUMES}/${nameOf(index)}`, body, MERGE);
    expect(answer.code).to.equal(200);
    written.set(Number(answer.body.metadata.resourceVersion), `MODIFIED ${nameOf(index)}`);
  };

  const head = async (): Promise<number> =>
    Number((await client.send('GET', `${VOLUMES}?limit=1`)).body.metadata.resourceVersion);

  it('shows every change to every watcher, once and in order', async () => {
    const start = await head();
    const from = `${VOLUMES}?watch=1&resourceVersion=${start}`;
    for (let index = 0; index < WATCHERS; index++) readers.push(await WatchReader.open(server, from, seen));
    await times(COUNT, AT_ONCE, create);
    await times(COUNT, AT_ONCE, (index) => change(index, 1));
    const deleted = new Set<string>();
    await times(COUNT / 10, AT_ONCE, async (index) => {
      const { code } = await client.send('DELETE', `${VOLUMES}/${nameOf(index * 10)}`);
      expect(code).to.equal(200);
      deleted.add(`DELETED ${nameOf(index * 10)}`);
    });
    const end = await head();
    await Promise.all(readers.map((reader) => reader.until(end)));

    const [first] = readers as [WatchReader];
    expect(first.versions).to.have.lengthOf(COUNT * 2 + COUNT / 10);
    for (const reader of readers) expect(reader.versions).to.deep.equal(first.versions);
    for (const [version, event] of written) expect(seen.get(version), String(version)).to.equal(event);
    const removals = [...seen.values()].filter((event) => event.startsWith('DELETED'));
    expect(new Set(removals)).to.deep.equal(deleted);
  });

  it('gives a new watcher all objects, then their end, then what changes meanwhile', async () => {
    const query = '?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const late: WatchReader[] = [];
    const opening = times(Math.min(10, WATCHERS), 10, async () => {
      late.push(await WatchReader.open(server, VOLUMES + query, seen));
    });
    await times(COUNT / 5, AT_ONCE, (index) => change(index * 5 + 1, 2));
    await opening;
    await times(COUNT / 5, AT_ONCE, (index) => change(index * 5 + 2, 3));
    const end = await head();
    readers.push(...late);
    await Promise.all(readers.map((reader) => reader.until(end)));
    for (const reader of late) {
      expect(reader.initial).to.equal(COUNT - COUNT / 10);
      // From the first change that is not among the initial objects on, it has seen what the others have.
      const changes = reader.versions.slice(reader.initial);
      const known = (readers[0] as WatchReader).versions;
      expect(changes).to.deep.equal(known.slice(known.length - changes.length));
    }
  });

  it('shows one state on all pages of a list, whatever is written meanwhile', async () => {
    const stop = new AbortController();
    const writing = (async () => {
      for (let round = 4; !stop.signal.aborted; round++) {
        await change(3 + (round % 5) * 10, round);
        await client.send('DELETE', `${VOLUMES}/${nameOf(1)}`);
        await create(1);
      }
    })();
    const limit = Math.ceil(COUNT / 20);
    const names: string[] = [];
    const versions = new Set<string>();
    const newest: number[] = [];
    for (let token = ''; ; ) {
      const { code, body } = await client.send(
        'GET',
        `${VOLUMES}?limit=${limit}&continue=${encodeURIComponent(token)}`,
      );
      expect(code).to.equal(200);
      versions.add(body.metadata.resourceVersion);
      for (const { metadata } of body.items as readonly Shown[]) {
        names.push(metadata.name);
        newest.push(Number(metadata.resourceVersion));
      }
      token = body.metadata.continue ?? '';
      if (token === '') break;
    }
    stop.abort();
    await writing;
    expect(versions.size).to.equal(1);
    expect(Math.max(...newest)).to.be.at.most(Number([...versions][0]));
    expect(names).to.deep.equal(names.toSorted());
    expect(new Set(names).size).to.equal(names.length);
    expect(names.length).to.be.within(COUNT - COUNT / 10 - 1, COUNT - COUNT / 10);
  });

  it('cuts off watchers that do not read, and neither others nor its memory suffer', async () => {
    const big = 'x'.repeat(100_000);
    // One that reads is enough beside them.
    const [reader] = readers as [WatchReader];
    for (const other of readers.splice(1)) other.close();
    const stuck = await Promise.all(
      Array.from({ length: WATCHERS }, async () => {
        const response = await openWatch(server, `${VOLUMES}?watch=1&resourceVersion=${await head()}`);
        response.on('error', () => {});
        response.pause();
        return response;
      }),
    );
    const before = server.memory();
    // More than may wait for a client and what the sockets of both sides hold.
    await times(400, AT_ONCE, async (index) => {
      const body = { metadata: { annotations: { big: `${index} ${big}` } } };
      const path = `${VOLUMES}/${nameOf(index % 10 === 0 ? 5 : index % 200)}`;
      const { code } = await client.send('PATCH', path, body, MERGE);
      expect(code).to.be.oneOf([200, 404]);
    });
    await reader.until(await head());
    const grown = server.memory() - before;
    // Each of them alone would hold 40 MB; the history of these changes, which all share, is as large as that.
    expect(grown).to.be.lessThan(WATCHERS * 20 * 1024 * 1024);
    for (const response of stuck) {
      // What was on its way comes, and then the connection is cut in the middle of an answer that has no end.
      response.resume();
      await new Promise<void>((resolve) => response.once('close', () => resolve()));
      expect(response.complete).to.equal(false);
    }
    expect(reader.error).to.equal(undefined);
  });

  it('has all of it again after a restart', async () => {
    const list = async (): Promise<readonly Shown[]> => (await client.send('GET', VOLUMES)).body.items ?? [];
    const before = await list();
    expect(await server.stop()).to.deep.equal({ errors: [], pollution: [] });
    await client.close();
    server = await startServer(stateDir);
    client = new Client(server, AT_ONCE);
    expect(await list()).to.deep.equal(before);
  });
});
