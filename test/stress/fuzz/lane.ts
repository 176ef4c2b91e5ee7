import { isUtf8 } from 'node:buffer';
import { decodeFields, encodeFields } from '../../../src/apiserver/apply/index.ts';
import { deepEqual, isObject, type JsonObject } from '../../../src/apiserver/schema/json-value.ts';
import { RawConnection, type RawResponse } from '../support/raw-http.ts';
import type { ServerProcess } from '../support/server.ts';
import type { Plan } from './plans.ts';
import { type Aim, aimOf, bytesOf, type FuzzRequest, type Present, requestOf } from './requests.ts';

/** Longer than any request may take on a busy machine: past it the server hangs. */
const HANG_MS = 60_000;
const WATCH_MS = 20;

/** The real server answers 500 here too (and gives no reason): it looks at these outside of where it refuses the rest. */
const REAL_500 = [
  /^failed to create typed (?:patch|live|new) object /,
  /^resourceVersion should not be set on objects to be created$/,
  /^(?:resourceVersion: Invalid value: ".*": )?strconv\.ParseUint: parsing ".*": (?:invalid syntax|value out of range)$/s,
];

/** Who keeps what the server answers: nothing but this lane writes to its namespace, so every answer is foreseen. */
interface Known {
  readonly text: string;
  readonly object: JsonObject;
  readonly version: number;
}

/**
 * One client that sends requests one after the other, in a namespace of its own, and checks each answer against what it
 * knows: the server tells the truth about what it stored, and a refused write changes nothing.
 */
export class Lane implements Present {
  readonly namespace: string;
  readonly prefix: string;
  head = '1';
  continue = '';
  /** Requests sent so far, with those that only look. */
  sent = 0;
  /** Answers by their code. */
  readonly codes = new Map<number, number>();
  /** The last request, for the report of what broke. */
  last = '';
  readonly #server: ServerProcess;
  readonly #known = new Map<string, Known>();
  #newest = 0;
  #connection: RawConnection | undefined;

  constructor(server: ServerProcess, number: number) {
    this.#server = server;
    this.namespace = `lane-${number}`;
    this.prefix = `l${number}-`;
  }

  stored(path: string): JsonObject | undefined {
    return this.#known.get(path)?.object;
  }

  /** Makes the namespace. */
  async open(): Promise<void> {
    const body = JSON.stringify({ metadata: { name: this.namespace } });
    await this.#ask('POST', '/api/v1/namespaces', body);
  }

  close(): void {
    this.#connection?.close();
  }

  /** Sends one request and checks what it did. Throws Error for whatever must not be. */
  async run(plan: Plan): Promise<void> {
    const aim = aimOf(plan, this);
    await this.#provide(plan, aim);
    const request = requestOf(plan, aim, this, this.#server.token);
    this.last = describe(request).replaceAll(this.#server.token, 'TOKEN');
    if (plan.type === 'noise') {
      await this.#sendNoise(request);
      return;
    }
    if (plan.type === 'watch') {
      await this.#sendWatch(request);
      return;
    }
    const response = await this.#exchange(request);
    if (response === undefined) throw new Error('the server closed the connection without an answer');
    this.#checkAnswer(response);
    if (plan.type === 'list') this.#checkList(aim, request, response);
    if (plan.type === 'get' || plan.type === 'list' || (plan.type === 'stray' && request.method === 'GET')) return;
    if (plan.type === 'stray' || plan.name === '' || (plan.type === 'delete' && plan.many)) {
      // What else it may have changed is looked at anew.
      this.#known.clear();
      return;
    }
    await this.#checkWrite(aim, request, response);
  }

  /** Most changes are of something that is there. */
  async #provide(plan: Plan, { kind, collection, object }: Aim): Promise<void> {
    const changes = plan.type !== 'create' && plan.type !== 'list' && plan.type !== 'watch' && plan.type !== 'stray';
    if (!changes || plan.query.length > 3 || this.#known.has(object)) return;
    const name = object.slice(object.lastIndexOf('/') + 1);
    const metadata = { name, ...(kind.namespaced ? { namespace: this.namespace } : {}) };
    const body = { apiVersion: kind.apiVersion, kind: kind.kind, metadata, ...kind.bodies[0] };
    const { code, body: answer } = await this.#ask(
      'POST',
      collection,
      JSON.stringify(body).replaceAll('@ns', this.namespace),
    );
    if (code === 201) this.#known.set(object, known(answer.toString()));
  }

  async #ask(method: string, path: string, body?: string): Promise<RawResponse> {
    const headers: (readonly [string, string])[] = [
      ['Host', 'x'],
      ['Authorization', `Bearer ${this.#server.token}`],
      ...(body === undefined ? [] : [['Content-Type', 'application/json'] as const]),
    ];
    const request = { method, path, query: '', headers, body: body === undefined ? undefined : Buffer.from(body) };
    const response = await this.#exchange(request);
    if (response === undefined) throw new Error(`${method} ${path}: no answer`);
    return response;
  }

  async #connected(): Promise<RawConnection> {
    if (this.#connection === undefined || this.#connection.ended) {
      this.#connection?.close();
      this.#connection = await RawConnection.open({ socket: this.#server.socket });
    }
    return this.#connection;
  }

  async #exchange(request: FuzzRequest): Promise<RawResponse | undefined> {
    const connection = await this.#connected();
    this.sent++;
    connection.write(bytesOf(request));
    const response = await connection.receive(HANG_MS, request.method === 'HEAD');
    if (response === undefined || response.last) this.#drop();
    if (response !== undefined) this.codes.set(response.code, (this.codes.get(response.code) ?? 0) + 1);
    return response;
  }

  #drop(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** Bytes that may be no request: the server answers or ends the connection, and that is all. */
  async #sendNoise(request: FuzzRequest): Promise<void> {
    this.#drop();
    const connection = await this.#connected();
    this.sent++;
    connection.write(bytesOf(request));
    connection.socket.end();
    const response = await connection.receive(HANG_MS);
    if (response !== undefined && response.code >= 500) this.#checkAnswer(response);
    this.#drop();
  }

  async #sendWatch(request: FuzzRequest): Promise<void> {
    this.#drop();
    const connection = await this.#connected();
    this.sent++;
    connection.write(bytesOf(request));
    try {
      const response = await connection.receive(WATCH_MS);
      if (response !== undefined && response.code !== 200) this.#checkAnswer(response);
    } catch (error) {
      // A watch that goes on has no end to wait for.
      if (!(error instanceof RangeError)) throw error;
    } finally {
      this.#drop();
    }
  }

  #checkAnswer({ code, headers, body }: RawResponse): void {
    const type = headers.get('content-type') ?? '';
    if (type.startsWith('application/json') && headers.get('content-encoding') === undefined && body.length > 0) {
      const text = body.toString();
      if (!isUtf8(body)) throw new Error('the answer is not UTF-8');
      const value = JSON.parse(text) as JsonObject;
      if (code >= 400 && (value['kind'] !== 'Status' || value['code'] !== code)) {
        throw new Error(`${code} with the body ${text.slice(0, 300)}`);
      }
      if (code === 500 && !REAL_500.some((pattern) => pattern.test(String(value['message'])))) {
        throw new Error(`an internal error: ${String(value['message'])}`);
      }
    }
    if (code > 500 && code !== 504) throw new Error(`the server answered ${code}`);
  }

  #checkList(aim: Aim, { query }: FuzzRequest, { code, headers, body }: RawResponse): void {
    if (code !== 200 || headers.get('content-encoding') !== undefined) return;
    if (headers.get('content-type')?.startsWith('application/json') !== true) return;
    const list = JSON.parse(body.toString()) as JsonObject;
    const metadata = list['metadata'] as JsonObject;
    if (typeof metadata['continue'] === 'string') this.continue = metadata['continue'];
    if (typeof metadata['resourceVersion'] === 'string') this.head = metadata['resourceVersion'];
    // An empty list of metadata alone has null, as in Kubernetes.
    const items = (list['items'] ?? list['rows'] ?? []) as JsonObject[];
    const parameters = new URLSearchParams(query);
    // At version 0 the limit is not looked at.
    const limit = parameters.get('resourceVersion') === '0' ? 0 : Number(parameters.get('limit') ?? 0);
    if (limit > 0 && items.length > limit) throw new Error(`${items.length} items with a limit of ${limit}`);
    if (list['rows'] !== undefined) return;
    let previous = '';
    for (const item of items) {
      const { name = '', namespace } = item['metadata'] as { name?: string; namespace?: string };
      if (name <= previous) throw new Error(`the list is not in order: ${name} after ${previous}`);
      if (aim.kind.namespaced && namespace !== this.namespace) throw new Error(`an item of namespace ${namespace}`);
      previous = name;
    }
  }

  /** Looks at what a write has left and compares it with the answer. */
  async #checkWrite(aim: Aim, request: FuzzRequest, response: RawResponse): Promise<void> {
    const created = request.method === 'POST' ? createdPath(aim, response) : undefined;
    // A name that was made up, shown in a form without names: nothing to compare with.
    if (request.method === 'POST' && response.code === 201 && created === undefined) {
      this.#known.clear();
      return;
    }
    const path = created ?? aim.object;
    const before = this.#known.get(path);
    const looked = await this.#ask('GET', path);
    const after = looked.code === 200 ? known(looked.body.toString()) : undefined;
    const settled = before === undefined || after === undefined ? undefined : before.text === after.text;
    if (after === undefined) this.#known.delete(path);
    else this.#known.set(path, after);
    if ([before?.object, after?.object, answered(response)].some((object) => isVolatile(aim, object))) {
      this.#newest = Math.max(this.#newest, after?.version ?? 0);
      return;
    }
    const dry = request.query.includes('dryRun=All') || request.body?.includes('dryRun') === true;
    if (response.code >= 400 || dry) {
      if (settled === false)
        throw new Error(`a write that was refused (${response.code}) or dry changed the object:
  before ${before?.text}
  after  ${after?.text}`);
      if (before !== undefined && after === undefined) throw new Error('a write that was refused removed the object');
    } else this.#checkStored(request, response, before, after);
    if (after === undefined) return;
    if (after.version > this.#newest) this.#newest = after.version;
    else if (settled === false) throw new Error(`the version went from ${this.#newest} to ${after.version}`);
    if (settled !== true) {
      checkManagedFields(after.object);
      await this.#checkReplaceable(aim, path, after);
    }
  }

  #checkStored(request: FuzzRequest, response: RawResponse, before: Known | undefined, after: Known | undefined): void {
    if (request.method === 'DELETE') {
      const marked = (after?.object['metadata'] as JsonObject | undefined)?.['deletionTimestamp'];
      if (after !== undefined && marked === undefined) throw new Error('deleted, but still there and not marked');
      return;
    }
    if (after === undefined) throw new Error(`written (${response.code}), but not there`);
    if (response.code === 201 && before !== undefined) throw new Error('created what was there');
    if (response.headers.get('content-type') !== 'application/json') return;
    const answer = JSON.parse(response.body.toString()) as JsonObject;
    if (answer['kind'] === 'Table' || answer['kind'] === 'PartialObjectMetadata') return;
    if (!deepEqual(answer, after.object)) {
      throw new Error(`the answer is not what is stored:
  answer ${response.body.toString()}
  stored ${after.text}`);
    }
  }

  /** What is stored is valid: putting it back, as it is, is accepted and changes nothing. */
  async #checkReplaceable(aim: Aim, path: string, { text, object }: Known): Promise<void> {
    if (aim.kind.resource === 'customresourcedefinitions') return;
    const response = await this.#ask('PUT', path, text);
    if (response.code !== 200) {
      throw new Error(`what is stored is refused (${response.code}):
  stored ${text}
  answer ${response.body.toString()}`);
    }
    const answer = JSON.parse(response.body.toString()) as JsonObject;
    if (!deepEqual(answer, object)) {
      throw new Error(`what is stored changes when it is put back:
  stored ${text}
  then   ${response.body.toString()}`);
    }
  }
}

function known(text: string): Known {
  const object = JSON.parse(text) as JsonObject;
  const { resourceVersion } = object['metadata'] as { resourceVersion: string };
  return { text, object, version: Number(resourceVersion) };
}

/** Where what was created lies; undefined when the answer does not show its name. */
function createdPath({ collection }: Aim, { code, headers, body }: RawResponse): string | undefined {
  if (code !== 201 || headers.get('content-type') !== 'application/json') return undefined;
  const { metadata, rows } = JSON.parse(body.toString()) as {
    readonly metadata: { readonly name?: string };
    readonly rows?: readonly { readonly object: { readonly metadata?: { readonly name: string } } | null }[];
  };
  const name = metadata.name ?? rows?.[0]?.object?.metadata?.name;
  return name === undefined ? undefined : `${collection}/${name}`;
}

/** The object of an answer, as far as its form shows one: what was there before may not be known. */
function answered({ code, headers, body }: RawResponse): JsonObject | undefined {
  if (code >= 300 || headers.get('content-type') !== 'application/json') return undefined;
  const answer = JSON.parse(body.toString()) as JsonObject;
  const [row] = Array.isArray(answer['rows']) ? answer['rows'] : [];
  const object = answer['kind'] === 'Table' ? (row as JsonObject | undefined)?.['object'] : answer;
  return isObject(object) && isObject(object['metadata']) ? object : undefined;
}

/** The server's own controllers work on these too: the collector on owned objects, the namespace controller. */
function isVolatile({ kind }: Aim, object: JsonObject | undefined): boolean {
  if (kind.resource === 'namespaces') return true;
  if (object === undefined) return false;
  const metadata = object['metadata'] as JsonObject;
  const { finalizers } = metadata;
  return (
    metadata['ownerReferences'] !== undefined ||
    metadata['deletionTimestamp'] !== undefined ||
    (Array.isArray(finalizers) && finalizers.some((one) => one === 'orphan' || one === 'foregroundDeletion'))
  );
}

function checkManagedFields(object: JsonObject): void {
  const { managedFields } = object['metadata'] as JsonObject;
  if (managedFields === undefined) return;
  if (!Array.isArray(managedFields)) throw new Error('managedFields is no list');
  for (const entry of managedFields) {
    if (!isObject(entry)) throw new Error('an entry of managedFields is no object');
    const { operation, apiVersion, fieldsType, fieldsV1 } = entry;
    if ((operation !== 'Apply' && operation !== 'Update') || typeof apiVersion !== 'string' || apiVersion === '') {
      throw new Error(`an entry of managedFields without what it must have: ${JSON.stringify(entry)}`);
    }
    if (fieldsType !== 'FieldsV1') throw new Error(`fieldsType ${String(fieldsType)}`);
    const { set } = decodeFields(fieldsV1);
    if (!deepEqual(encodeFields(set) as JsonObject, fieldsV1)) {
      throw new Error(`fieldsV1 does not survive decoding: ${JSON.stringify(fieldsV1)}`);
    }
  }
}

const SHOWN = 4000;

/** A request for people. */
function describe(request: FuzzRequest): string {
  const text = bytesOf(request).toString();
  return text.length > SHOWN ? `${text.slice(0, SHOWN)} … (${text.length} characters)` : text;
}
