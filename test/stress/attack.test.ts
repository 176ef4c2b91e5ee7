import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { attacks, VOLUMES, volumeText, wire } from './support/attacks.ts';
import { Bystander } from './support/bystander.ts';
import { openSocket, RawConnection } from './support/raw-http.ts';
import { type ServerProcess, startServer } from './support/server.ts';

/** Connections that nobody has let in. */
const CONNECTIONS = 150;
/** Small enough to meet them within seconds; of a server of its own, since a busy machine meets them without being attacked. */
const HASTE = { headersMs: 2000, requestMs: 3000 };
const PATIENCE_MS = 60_000;
const MAX_GROWTH = 600 * 1024 * 1024;

describe('the API server under attack', function () {
  this.timeout(120_000);
  let server: ServerProcess;
  let bystander: Bystander;
  let memory = 0;
  let requests: ReadonlyMap<string, Buffer>;

  const request = (method: string, path: string, body?: string): Buffer => wire(server.token, method, path, body);
  const open = (): Promise<RawConnection> => RawConnection.open(server);

  before(async () => {
    server = await startServer(undefined, { connections: CONNECTIONS });
    const connection = await open();
    for (const [path, body] of [
      [VOLUMES, volumeText('attacked')],
      ['/api/v1/namespaces/default/configmaps', '{"metadata":{"name":"attacked"}}'],
    ] as const) {
      connection.write(request('POST', path, body));
      expect((await connection.receive(PATIENCE_MS))?.code).to.equal(201);
    }
    connection.close();
    requests = new Map(attacks(server.token).map((attack) => [attack.name, attack.request]));
    memory = server.memory();
    bystander = await Bystander.start(server, request('GET', `${VOLUMES}/attacked`));
  });

  after(async () => {
    await bystander.stop();
    expect(await server.stop()).to.deep.equal({ errors: [], pollution: [] });
  });

  for (const { name, code, says } of attacks('')) {
    it(`answers ${code} to ${name}, and goes on with others`, async () => {
      const connection = await open();
      connection.write(requests.get(name) as Buffer);
      const response = await connection.receive(PATIENCE_MS);
      connection.close();
      expect(response?.code, response?.body.toString().slice(0, 500)).to.equal(code);
      if (says !== undefined) expect(response?.body.toString()).to.include(says);
      await bystander.served();
    });
  }

  describe('when they take too long', () => {
    let hasty: ServerProcess;
    let waiting: Bystander;
    const ask = (method: string, path: string, body?: string): Buffer => wire(hasty.token, method, path, body);

    before(async () => {
      hasty = await startServer(undefined, HASTE);
      waiting = await Bystander.start(hasty, ask('GET', VOLUMES));
    });

    after(async () => {
      await waiting.stop();
      expect(await hasty.stop()).to.deep.equal({ errors: [], pollution: [] });
    });

    /** One after the other: were all to shake hands at once, that alone would take a busy machine too long. */
    const openEach = async (begin: string): Promise<readonly RawConnection[]> => {
      const opened: RawConnection[] = [];
      for (let index = 0; index < 40; index++) {
        const connection = await RawConnection.open(hasty);
        connection.write(begin);
        opened.push(connection);
      }
      return opened;
    };

    it('ends connections whose headers never end', async () => {
      const slow = await openEach(`GET ${VOLUMES} HTTP/1.1\r\nHost: x\r\n`);
      const drip = setInterval(() => {
        for (const connection of slow) connection.write('X: a\r\n');
      }, 200);
      const answers = await Promise.all(slow.map((connection) => connection.receive(PATIENCE_MS)));
      clearInterval(drip);
      for (const answer of answers) expect(answer?.code ?? 408).to.equal(408);
      for (const connection of slow) connection.close();
      await waiting.served();
    });

    it('ends requests whose bodies never end, and they take no room from others', async () => {
      const slow = await openEach(ask('POST', VOLUMES, volumeText('slow')).toString().slice(0, -20));
      await waiting.served();
      const answers = await Promise.all(slow.map((connection) => connection.receive(PATIENCE_MS)));
      for (const answer of answers) expect(answer?.code ?? 408).to.equal(408);
      for (const connection of slow) connection.close();
      await waiting.served();
    });

    it('ends connections that never speak TLS, or never say anything', async () => {
      const { hostname, port } = new URL(hasty.url);
      const silent = [
        ...Array.from({ length: 20 }, () => connect(Number(port), hostname)),
        ...Array.from({ length: 20 }, () => connectTls({ host: hostname, port: Number(port), ca: hasty.ca })),
      ];
      await Promise.all(
        silent.map(
          (socket) =>
            new Promise<void>((resolve) => {
              socket.on('error', () => {});
              socket.resume().once('close', () => resolve());
            }),
        ),
      );
      await waiting.served();
    });
  });

  it('lets everybody with a credential in, however many strangers hold connections', async () => {
    const { hostname, port } = new URL(server.url);
    const strangers = Array.from({ length: CONNECTIONS * 3 }, () => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => {});
      return socket;
    });
    for (let turn = 0; turn < 5; turn++) {
      const connection = await open();
      connection.write(request('GET', `${VOLUMES}/attacked`));
      expect((await connection.receive(PATIENCE_MS))?.code).to.equal(200);
      connection.close();
    }
    await bystander.served();
    for (const socket of strangers) socket.destroy();
  });

  it('answers a thousand requests that come at once on one connection, in order', async () => {
    const connection = await open();
    const paths = Array.from({ length: 1000 }, (_, index) => (index % 3 === 0 ? `${VOLUMES}/attacked` : `/x${index}`));
    connection.write(Buffer.concat(paths.map((path) => request('GET', path))));
    for (const path of paths) {
      const code = (await connection.receive(PATIENCE_MS))?.code;
      expect(code, path).to.equal(path.startsWith('/x') ? 404 : 200);
    }
    connection.close();
    await bystander.served();
  });

  it('lets nobody wait for clients that do not take their answers', async () => {
    const lazy = await Promise.all(Array.from({ length: 30 }, open));
    for (const connection of lazy) {
      connection.socket.pause();
      connection.write(Buffer.concat(Array.from({ length: 500 }, () => request('GET', VOLUMES))));
    }
    await bystander.served();
    for (const connection of lazy) connection.close();
    await bystander.served();
  });

  it('lets go of clients that vanish in the middle of everything', async () => {
    const body = request('POST', VOLUMES, volumeText('vanished'));
    for (let turn = 0; turn < 60; turn++) {
      const socket = await openSocket(server);
      socket.on('error', () => {});
      const part = Math.floor((body.length * turn) / 60);
      await new Promise<void>((resolve) => socket.write(body.subarray(0, part), () => resolve()));
      socket.destroy();
    }
    await bystander.served();
  });

  it('has not grown without bound', () => {
    expect(server.memory() - memory).to.be.lessThan(MAX_GROWTH);
  });
});
