/** A bare client of an API server: HTTP/1.1 with keep-alive, none of the product's code. */
import { readFileSync } from 'node:fs';
import { Agent, type Dispatcher } from 'undici';
import { parse } from 'yaml';

const KINDS = '/apis/storage.clawbernetes.io/v1alpha1';

export interface ApiAccess {
  readonly server: string;
  readonly token: string;
  readonly ca: string;
}

interface KubeconfigFile {
  readonly clusters: readonly {
    readonly cluster: {
      readonly server: string;
      readonly 'certificate-authority-data'?: string;
      readonly 'certificate-authority'?: string;
    };
  }[];
  readonly users: readonly { readonly user: { readonly token: string } }[];
}

/** Reads a kubeconfig with one cluster and one user with a token. */
export function readAccess(kubeconfig: string): ApiAccess {
  const { clusters, users } = parse(readFileSync(kubeconfig, 'utf8')) as KubeconfigFile;
  const [cluster, user] = [clusters[0]?.cluster, users[0]?.user];
  if (cluster === undefined || user === undefined) throw new Error(`${kubeconfig} has no cluster and user`);
  const data = cluster['certificate-authority-data'];
  const ca =
    data === undefined
      ? readFileSync(cluster['certificate-authority'] ?? '', 'utf8')
      : Buffer.from(data, 'base64').toString();
  return { server: cluster.server, token: user.token, ca };
}

export type Plural =
  | 'volumes'
  | 'volumemounts'
  | 'storagenodes'
  | 'volumeclasses'
  | 'backups'
  | 'backuprepositories'
  | 'backupschedules';

export interface ObjectShape {
  readonly metadata: {
    readonly name: string;
    readonly uid?: string;
    readonly generation?: number;
    readonly resourceVersion?: string;
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly phase?: string;
    readonly nodeName?: string;
    readonly capacity?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
  };
}

export interface WatchLine {
  readonly type: string;
  readonly object: ObjectShape;
}

export class Api {
  readonly #access: ApiAccess;
  readonly #agent: Agent;
  readonly #watches: Agent;

  constructor(access: ApiAccess, connections: number) {
    this.#access = access;
    const connect = { ca: access.ca };
    this.#agent = new Agent({ connections, pipelining: 1, connect, keepAliveTimeout: 60_000 });
    this.#watches = new Agent({ connect, bodyTimeout: 0, headersTimeout: 0 });
  }

  /** Sends a request and gives the text of its answer. @throws Error unless it succeeds. */
  async request(
    method: Dispatcher.HttpMethod,
    path: string,
    body?: string,
    contentType = 'application/json',
  ): Promise<string> {
    const response = await this.#agent.request({
      origin: this.#access.server,
      method,
      path,
      body: body ?? null,
      headers: { authorization: `Bearer ${this.#access.token}`, 'content-type': contentType },
    });
    const text = await response.body.text();
    if (response.statusCode >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${text.slice(0, 500)}`);
    return text;
  }

  /**
   * Follows a collection from now on; `onLine` gets each event as text. Resolves when the watch is established. A server
   * ends the watch of a client that takes too long: it goes on where it ended.
   */
  async watch(path: string, onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
    const list = JSON.parse(await this.request('GET', `${path}?limit=1`)) as {
      readonly metadata: { readonly resourceVersion: string };
    };
    await this.#watchFrom(path, list.metadata.resourceVersion, onLine, signal);
  }

  async #watchFrom(path: string, from: string, onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
    const response = await this.#watches.request({
      origin: this.#access.server,
      method: 'GET',
      path: `${path}?watch=1&resourceVersion=${from}`,
      headers: { authorization: `Bearer ${this.#access.token}` },
      signal,
    });
    let rest = '';
    let last = from;
    const onEvent = (line: string): void => {
      last = /"resourceVersion":"(\d+)"/.exec(line)?.[1] ?? last;
      if (line.startsWith('{"type":"ERROR"')) throw new Error(`the watch failed: ${line.slice(0, 300)}`);
      onLine(line);
    };
    response.body.setEncoding('utf8');
    response.body.on('error', () => undefined);
    response.body.on('close', () => {
      if (!signal.aborted) void this.#watchFrom(path, last, onLine, signal);
    });
    response.body.on('data', (chunk: string) => {
      const text = rest + chunk;
      let start = 0;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
        onEvent(text.slice(start, end));
        start = end + 1;
      }
      rest = text.slice(start);
    });
  }

  /** Writes that the server has answered, by what they wrote; from its own counter. */
  async writes(): Promise<ReadonlyMap<string, number>> {
    const text = await this.request('GET', '/metrics');
    const counts = new Map<string, number>();
    for (const line of text.split('\n')) {
      if (!line.startsWith('apiserver_request_total{')) continue;
      const label = (name: string): string => new RegExp(`[{,]${name}="([^"]*)"`).exec(line)?.[1] ?? '';
      const verb = label('verb');
      if (!['POST', 'PUT', 'PATCH', 'APPLY', 'DELETE', 'DELETECOLLECTION'].includes(verb)) continue;
      const sub = label('subresource');
      const what = `${verb} ${label('resource')}${sub === '' ? '' : `/${sub}`}`;
      counts.set(what, (counts.get(what) ?? 0) + Number(line.slice(line.lastIndexOf(' ') + 1)));
    }
    return counts;
  }

  async close(): Promise<void> {
    await Promise.all([this.#agent.destroy(), this.#watches.destroy()]);
  }
}

/** Writes between two looks at the counter, without those of Leases. */
export function writesBetween(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): Readonly<Record<string, number>> {
  const entries = [...after]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([what, count]) => [what, count - (before.get(what) ?? 0)] as const);
  return Object.fromEntries(entries.filter(([what, count]) => count > 0 && !what.endsWith(' leases')));
}

export function collection(plural: Plural, namespace = 'default'): string {
  return plural === 'storagenodes' || plural === 'volumeclasses'
    ? `${KINDS}/${plural}`
    : `${KINDS}/namespaces/${namespace}/${plural}`;
}

/** Ready=True, said of the present generation. */
export function isReady({ metadata, status }: ObjectShape): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return ready?.status === 'True' && (status?.observedGeneration ?? -1) >= (metadata.generation ?? 0);
}
