/** A server with two nodes' objects in it, and clients of every role. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { issueCertificate, issueToken } from '../../../src/apiserver/access/credentials.ts';
import type { Role } from '../../../src/apiserver/access/roles.ts';
import { type ApiServer, type ApiServerOptions, startApiServer } from '../../../src/apiserver/index.ts';

const crdsDir = join(import.meta.dirname, '../../../crds');
export const OURS = '/apis/storage.clawbernetes.io/v1alpha1';
export const DEFAULT = `${OURS}/namespaces/default`;
export const CORE = '/api/v1/namespaces/default';
export const LEASES = '/apis/coordination.k8s.io/v1/namespaces/clawstore-system/leases';
/** What no answer to anybody but the administrator and the node that needs it may hold. */
export const SECRET = 'correct-horse-battery';
export const SECRET_BASE64 = Buffer.from(SECRET).toString('base64');

export interface Answer {
  readonly code: number;
  readonly text: string;
  // The tests look into many kinds of answers.
  readonly body: Record<string, unknown> & { readonly message?: string };
}

export interface Ask {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly body?: unknown;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One user's way to the server. */
export class Client {
  readonly #url: string;
  readonly #agent: Agent;
  readonly #token: string | undefined;

  constructor(
    server: Pick<ApiServer, 'url' | 'caPem'>,
    credential: { token?: string; cert?: string; key?: string } = {},
  ) {
    const { token, ...pair } = credential;
    this.#url = server.url;
    this.#agent = new Agent({ connect: { ca: server.caPem, ...pair } });
    this.#token = token;
  }

  async ask(path: string, { method = 'GET', body, type = 'application/json', headers }: Ask = {}): Promise<Answer> {
    const response = await request(this.#url + path, {
      method,
      dispatcher: this.#agent,
      headers: {
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        ...(body === undefined ? {} : { 'content-type': type }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.body.text();
    return { code: response.statusCode, text, body: parsed(text) };
  }

  merge(path: string, body: unknown): Promise<Answer> {
    return this.ask(path, { method: 'PATCH', body, type: 'application/merge-patch+json' });
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

export class World {
  readonly stateDir: string;
  readonly server: ApiServer;
  readonly admin: Client;
  readonly #clients: Client[] = [];

  private constructor(stateDir: string, server: ApiServer) {
    this.stateDir = stateDir;
    this.server = server;
    this.admin = this.client({ token: server.adminToken });
  }

  static async start(options: Partial<ApiServerOptions> = {}): Promise<World> {
    const stateDir = mkdtempSync(join(tmpdir(), 'clawstore-access-'));
    return new World(stateDir, await startApiServer({ stateDir, crdsDir, ...options }));
  }

  client(credential?: { token?: string; cert?: string; key?: string }): Client {
    const client = new Client(this.server, credential);
    this.#clients.push(client);
    return client;
  }

  byToken(role: Role, name: string): Client {
    return this.client({ token: issueToken(this.stateDir, role, name) });
  }

  async byCertificate(role: Role, name: string): Promise<Client> {
    const { cert, key } = await issueCertificate(this.stateDir, role, name, Date.now());
    return this.client({ cert, key });
  }

  fill(): Promise<void> {
    return fill(this.admin);
  }

  async end(): Promise<void> {
    for (const client of this.#clients) await client.close();
    await this.server.close();
    rmSync(this.stateDir, { recursive: true, force: true });
  }
}

/** Objects of nodes n1 and n2: `mine` is n1's, `other` n2's, `shared` n2's with a mount on n1. */
export async function fill(admin: Client): Promise<void> {
  const post = async (path: string, body: object): Promise<void> => {
    const { code, text } = await admin.ask(path, { method: 'POST', body });
    if (code !== 201) throw new Error(`${path}: ${text}`);
  };
  const apiVersion = 'storage.clawbernetes.io/v1alpha1';
  for (const [name, nodeName] of Object.entries({ mine: 'n1', other: 'n2', shared: 'n2' })) {
    const s3 = { bucket: 'b-bucket', credentialsSecretRef: { name: `of-${name}` } };
    await post(`${DEFAULT}/volumes`, { apiVersion, kind: 'Volume', metadata: { name }, spec: { s3 } });
    await post(`${CORE}/secrets`, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `of-${name}`, annotations: { note: SECRET } },
      stringData: { password: SECRET },
    });
    await admin.merge(`${DEFAULT}/volumes/${name}/status`, { status: { nodeName } });
  }
  for (const [name, volume, nodeName] of [
    ['mine', 'mine', 'n1'],
    ['other', 'other', 'n2'],
    ['here', 'shared', 'n1'],
  ]) {
    const spec = { volumeRef: { name: volume }, workloadId: `w-${name}`, mountPath: '/data' };
    await post(`${DEFAULT}/volumemounts`, { apiVersion, kind: 'VolumeMount', metadata: { name }, spec });
    await admin.merge(`${DEFAULT}/volumemounts/${name}/status`, { status: { nodeName } });
  }
  for (const name of ['n1', 'n2']) {
    await post(`${OURS}/storagenodes`, { apiVersion, kind: 'StorageNode', metadata: { name } });
    await post(LEASES, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: `node-${name}` } });
  }
}
