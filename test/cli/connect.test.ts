import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { VOLUMES } from '../../src/api/meta.ts';
import { connectToTarget } from '../../src/cli/connect.ts';
import { writeInstance } from '../../src/cli/state-dir.ts';

describe('where a command reaches the API server of its machine', () => {
  let stateDir: string;
  let kubeconfig: string;
  let servers: Server[];
  /** Who was asked, and by whom. */
  let asked: { readonly at: string; readonly authorization: string | undefined }[];
  let url: string;

  beforeEach(async () => {
    stateDir = mkdtempSync(join(tmpdir(), 'clawstore-connect-'));
    kubeconfig = join(stateDir, 'kubeconfig');
    [servers, asked] = [[], []];
    const [socketPath, network] = [join(stateDir, 'api.sock'), await serve('network', 0)];
    await serve('socket', socketPath);
    url = `http://127.0.0.1:${(network.address() as AddressInfo).port}`;
    const instance = { nodeName: 'n', mountRoot: '/m', hostPathAllow: [], kubeconfig };
    writeInstance(stateDir, { ...instance, apiServer: { url, socketPath } });
  });
  afterEach(() => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
    rmSync(stateDir, { recursive: true });
  });

  async function serve(at: string, where: string | number): Promise<Server> {
    const server = createServer(({ headers: { authorization } }, response) => {
      asked.push({ at, authorization });
      response.end(JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] }));
    });
    servers.push(server);
    if (typeof where === 'number') server.listen(where, '127.0.0.1');
    else server.listen(where);
    await once(server, 'listening');
    return server;
  }

  /** Asks once as a command does, with a kubeconfig that names this server and user. */
  async function ask(server: string, user: Readonly<Record<string, string>>, dir: string | undefined): Promise<void> {
    const named = { name: 'x', cluster: { server }, user, context: { cluster: 'x', user: 'x' } };
    writeFileSync(
      kubeconfig,
      JSON.stringify({ 'current-context': 'x', contexts: [named], clusters: [named], users: [named] }),
    );
    const where = { isPlugin: dir === undefined, stateDir: dir, kubeconfig, context: undefined };
    const { client } = await connectToTarget({ ...where, namespace: undefined, nodeName: undefined });
    try {
      await client.list(VOLUMES, { namespace: 'default' });
    } finally {
      await client.close();
    }
  }

  it('is the socket of the instance that runs there, as whom the kubeconfig says', async () => {
    await ask(url, { token: 'secret' }, stateDir);
    expect(asked).to.deep.equal([{ at: 'socket', authorization: 'Bearer secret' }]);
  });

  it('is the network where the kubeconfig names another server, whatever runs on the machine', async () => {
    await ask(url.replace('127.0.0.1', 'localhost'), { token: 'secret' }, stateDir);
    expect(asked.map(({ at }) => at)).to.deep.equal(['network']);
  });

  it('is the network for somebody whom a certificate makes known', async () => {
    await ask(url, { 'client-certificate-data': 'YQ==', 'client-key-data': 'YQ==' }, stateDir);
    expect(asked.map(({ at }) => at)).to.deep.equal(['network']);
  });

  it('is the network for the kubectl plugin, and where what ran there has ended', async () => {
    await ask(url, { token: 'secret' }, undefined);
    const ended = { pid: process.pid, identity: '1', apiServer: { url, socketPath: join(stateDir, 'api.sock') } };
    writeFileSync(join(stateDir, 'instance.json'), JSON.stringify(ended));
    await ask(url, { token: 'secret' }, stateDir);
    expect(asked.map(({ at }) => at)).to.deep.equal(['network', 'network']);
  });
});
