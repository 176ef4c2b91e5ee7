import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Agent, request } from 'undici';
import { type ApiServer, startApiServer } from '../../src/apiserver/index.ts';

const crdsDir = join(import.meta.dirname, '../../crds');

/** Every IPv4 address of this machine. */
function addresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all.filter(({ family }) => family === 'IPv4').map(({ address }) => address);
}

describe('where the API server listens', function () {
  this.timeout(120_000);
  let stateDir: string;
  let server: ApiServer | undefined;
  beforeEach(() => {
    stateDir = mkdtempSync(join(tmpdir(), 'clawstore-listen-'));
  });
  afterEach(async () => {
    await server?.close();
    rmSync(stateDir, { recursive: true, force: true });
  });

  /** Asks at an address, checking the certificate against it. */
  const ask = async (host: string): Promise<number> => {
    if (server === undefined) throw new Error('no server');
    const agent = new Agent({ connect: { ca: server.caPem } });
    try {
      const url = `https://${host}:${server.address.replace(/^.*:/, '')}/api`;
      const headers = { authorization: `Bearer ${server.adminToken}` };
      const { statusCode, body } = await request(url, { dispatcher: agent, headers });
      await body.dump();
      return statusCode;
    } finally {
      await agent.destroy();
    }
  };

  it('is the loopback address alone, if nobody says otherwise', async () => {
    server = await startApiServer({ stateDir, crdsDir });
    expect(await ask('127.0.0.1')).to.equal(200);
    const port = Number(server.address.replace(/^.*:/, ''));
    for (const host of ['127.0.0.2', ...addresses().filter((address) => address !== '127.0.0.1')]) {
      const code = await new Promise((resolve) => {
        const socket = connect({ host, port });
        socket.once('connect', () => resolve('connected'));
        socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
        socket.once('close', () => socket.destroy());
      });
      expect(code, host).to.equal('ECONNREFUSED');
    }
  });

  it('is the address that is asked for, with a certificate for it', async () => {
    server = await startApiServer({ stateDir, crdsDir, listen: '127.0.0.2:0' });
    expect(await ask('127.0.0.2')).to.equal(200);
    expect(server.url).to.match(/^https:\/\/127\.0\.0\.2:\d+$/);
    const refused = await ask('127.0.0.1').then(String, (error: NodeJS.ErrnoException) => error.code);
    expect(refused).to.equal('ECONNREFUSED');
  });

  it('is every address with 0.0.0.0, with a certificate for each', async () => {
    server = await startApiServer({ stateDir, crdsDir, listen: '0.0.0.0:0' });
    for (const host of addresses()) expect(await ask(host), host).to.equal(200);
  });

  it('keeps its authority when it listens elsewhere: clients go on with what they have', async () => {
    server = await startApiServer({ stateDir, crdsDir });
    const { caPem, adminToken } = server;
    await server.close();
    server = await startApiServer({ stateDir, crdsDir, listen: '127.0.0.3:0' });
    expect(server).to.deep.include({ caPem, adminToken });
    expect(await ask('127.0.0.3')).to.equal(200);
  });
});
