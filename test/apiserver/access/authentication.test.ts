import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import {
  CredentialError,
  issueCertificate,
  issueToken,
  revokeTokens,
} from '../../../src/apiserver/access/credentials.ts';
import { issueClientPair } from '../../../src/apiserver/pki/certificates.ts';
import { DEFAULT, World } from './support.ts';

const WHO = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
const REVIEW = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };

describe('credentials', function () {
  this.timeout(120_000);
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world.end());

  const whoIs = async (client: World['admin']): Promise<Record<string, unknown>> => {
    const { code, body } = await client.ask(WHO, { method: 'POST', body: REVIEW });
    expect(code).to.equal(201);
    return (body['status'] as Record<string, Record<string, unknown>>)['userInfo'] ?? {};
  };

  it('tells everybody who they are, by token and by certificate', async () => {
    const groups = (group: string): string[] => [group, 'system:authenticated'];
    expect(await whoIs(world.admin)).to.deep.equal({ username: 'clawstore-admin', groups: groups('system:masters') });
    expect(await whoIs(world.byToken('viewer', 'vera'))).to.deep.equal({
      username: 'vera',
      groups: groups('clawstore:viewers'),
    });
    expect(await whoIs(world.byToken('controller', 'c1'))).to.deep.equal({
      username: 'c1',
      groups: groups('clawstore:controllers'),
    });
    const node = await whoIs(await world.byCertificate('node', 'n1'));
    expect(node).to.deep.include({ username: 'clawstore:node:n1', groups: groups('clawstore:nodes') });
    expect(JSON.stringify(node['extra'])).to.match(/credential-id":\["X509SHA256=[0-9a-f]{64}"\]/);
    const admin = await whoIs(await world.byCertificate('admin', 'ada'));
    expect(admin).to.deep.include({ username: 'ada', groups: groups('system:masters') });
  });

  it('takes a certificate of another authority for none, and a token beside it for what it is', async () => {
    const other = await World.start();
    try {
      const stranger = await issueFrom(other);
      expect((await world.client(stranger).ask('/api')).code).to.equal(401);
      const token = issueToken(world.stateDir, 'viewer', 'vera');
      expect((await whoIs(world.client({ ...stranger, token })))['username']).to.equal('vera');
    } finally {
      await other.end();
    }
  });

  const issueFrom = async (other: World): Promise<{ cert: string; key: string }> => {
    const { readAuthority } = await import('../../../src/apiserver/pki/certificates.ts');
    const authority = readAuthority(other.stateDir);
    if (authority === undefined) throw new Error('no authority');
    return issueClientPair(authority, 'eve', 'system:masters', Date.now());
  };

  it('takes an expired certificate, and one that is made for a server, for none', async () => {
    const { readAuthority } = await import('../../../src/apiserver/pki/certificates.ts');
    const authority = readAuthority(world.stateDir);
    if (authority === undefined) throw new Error('no authority');
    const long = 400 * 86_400_000;
    const expired = await issueClientPair(authority, 'old', 'system:masters', Date.now() - long);
    expect((await world.client(expired).ask('/api')).code).to.equal(401);
    const { readFileSync } = await import('node:fs');
    const serving = Object.fromEntries(
      ['cert', 'key'].map((part) => [
        part,
        readFileSync(join(world.stateDir, `server.${part === 'cert' ? 'crt' : 'key'}`), 'utf8'),
      ]),
    );
    expect((await world.client(serving).ask('/api')).code).to.equal(401);
  });

  it('knows the user of a connection that resumes a TLS session, and no user of one that showed nothing', async () => {
    const { cert, key } = await issueCertificate(world.stateDir, 'viewer', 'vera', Date.now());
    const url = new URL(world.server.url);
    /** One request on a connection of its own. */
    const once = (
      more: ConnectionOptions,
    ): Promise<{ readonly text: string; readonly resumed: boolean; readonly session: Buffer | undefined }> =>
      new Promise((resolve, reject) => {
        let session: Buffer | undefined;
        let text = '';
        let resumed = false;
        const socket = connectTls({ host: url.hostname, port: Number(url.port), ca: world.server.caPem, ...more });
        socket.once('secureConnect', () => {
          resumed = socket.isSessionReused();
        });
        socket.on('session', (ticket) => {
          session = ticket;
        });
        socket.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        socket.once('error', reject);
        socket.once('close', () => resolve({ text, resumed, session }));
        socket.write(`GET ${DEFAULT}/volumes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      });
    const first = await once({ cert, key });
    expect(first.text).to.match(/^HTTP\/1.1 200/);
    const again = await once({ cert, key, ...(first.session === undefined ? {} : { session: first.session }) });
    expect(again.resumed).to.equal(true);
    expect(again.text).to.match(/^HTTP\/1.1 200/);
    const nobody = await once({});
    expect(nobody.text).to.match(/^HTTP\/1.1 401/);
    const still = await once(nobody.session === undefined ? {} : { session: nobody.session });
    expect(still.resumed).to.equal(true);
    expect(still.text).to.match(/^HTTP\/1.1 401/);
  });

  it('takes tokens back while it runs', async () => {
    const client = world.byToken('viewer', 'guest');
    expect((await client.ask(`${DEFAULT}/volumes`)).code).to.equal(200);
    expect(revokeTokens(world.stateDir, 'viewer', 'guest')).to.equal(1);
    const end = Date.now() + 30_000;
    let code = 200;
    while (code === 200 && Date.now() < end) ({ code } = await client.ask(`${DEFAULT}/volumes`));
    expect(code).to.equal(401);
    expect(revokeTokens(world.stateDir, 'viewer', 'guest')).to.equal(0);
  });

  it('keeps hashes of tokens only', async () => {
    const token = issueToken(world.stateDir, 'viewer', 'vera');
    const { readFileSync, statSync } = await import('node:fs');
    const file = join(world.stateDir, 'tokens.json');
    expect(readFileSync(file, 'utf8')).to.include('vera').and.not.include(token);
    expect(statSync(file).mode & 0o777).to.equal(0o600);
  });

  it('lets nobody in by a list of tokens that is damaged, and keeps the administrator in', async () => {
    const other = await World.start();
    try {
      const viewer = other.byToken('viewer', 'vera');
      writeFileSync(join(other.stateDir, 'tokens.json'), '{"tokens": [{"role": "admin", "name": "eve", "hash": "x"}');
      expect((await viewer.ask(`${DEFAULT}/volumes`)).code).to.equal(401);
      expect((await other.admin.ask(`${DEFAULT}/volumes`)).code).to.equal(200);
    } finally {
      await other.end();
    }
  });

  it('is issued for names that are names', () => {
    for (const [role, name] of [
      ['node', 'N_1'],
      ['node', ''],
      ['viewer', 'system:admin'],
      ['admin', 'a b'],
      ['viewer', ''],
    ] as const) {
      expect(() => issueToken(world.stateDir, role, name), name).to.throw(CredentialError, '--name');
    }
  });

  it('shows nothing without a credential but whether it lives', async () => {
    const nobody = world.client();
    for (const path of ['/healthz', '/livez', '/readyz']) expect((await nobody.ask(path)).text).to.equal('ok');
    for (const path of [
      '/version',
      '/api',
      '/apis',
      '/openapi/v3',
      '/metrics',
      '/',
      `${DEFAULT}/volumes`,
      '/nowhere',
    ]) {
      expect((await nobody.ask(path)).code, path).to.equal(401);
    }
    expect((await nobody.ask(WHO, { method: 'POST', body: REVIEW })).code).to.equal(401);
    expect((await world.byToken('viewer', 'vera').ask('/version')).body).to.include({ gitVersion: 'v1.34.4' });
  });

  it('takes an administrator for whom they say, and nobody else', async () => {
    const as = { 'impersonate-user': 'vera', 'impersonate-group': 'clawstore:viewers' };
    const secrets = '/api/v1/namespaces/default/secrets';
    const seen = await world.admin.ask(secrets, { headers: as });
    expect(seen.code).to.equal(403);
    expect(seen.body.message).to.include('User "vera" cannot list resource "secrets"');
    const refused = await world
      .byToken('viewer', 'vera')
      .ask(`${DEFAULT}/volumes`, { headers: { 'impersonate-user': 'x', 'impersonate-group': 'system:masters' } });
    expect(refused.code).to.equal(403);
    expect(refused.body.message).to.equal(
      'users "x" is forbidden: User "vera" cannot impersonate resource "users" in API group "" at the cluster scope',
    );
  });
});
