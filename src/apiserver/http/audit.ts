/**
 * The audit log: who did what, as JSON lines in the form of audit.k8s.io/v1 at level Metadata. No bodies, so no Secrets.
 * It never makes a request wait: lines gather in memory, of bounded size, and are appended behind its back.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Attributes } from '../access/attributes.ts';
import type { Clock } from '../registry/clock.ts';
import type { User } from '../registry/request.ts';

export interface AuditOptions {
  readonly file: string;
  readonly clock: Clock;
  /** Told once when lines begin to be lost, and once when they are written again. */
  readonly report: (message: string, error?: Error) => void;
  /** The file is put aside above this size, in bytes; two older ones are kept. */
  readonly maxBytes?: number;
  /** Characters that may wait to be written; what comes beyond is lost, and counted. */
  readonly maxWaiting?: number;
}

const MAX_BYTES = 64 * 1024 * 1024;
const MAX_WAITING = 8 * 1024 * 1024;
const OLDER_FILES = 2;
/** Characters that are written at once. */
const BATCH = 256 * 1024;
/** Longest text that a client can put into a line. */
const MAX_TEXT = 2048;
/** How long to wait after the disk has refused. */
const RETRY_MS = 1000;
/** How long the end of the server waits for the disk. */
const CLOSE_MS = 2000;

export class AuditLog {
  readonly #options: AuditOptions;
  readonly #maxBytes: number;
  readonly #maxWaiting: number;
  #waiting: string[] = [];
  #size = 0;
  #lost = 0;
  #isFailing = false;
  #writing: Promise<void> | undefined;
  #closed = false;

  /** Opens the file (0600). Throws what `open` throws: a log that is asked for and cannot be had is an error. */
  constructor(options: AuditOptions) {
    this.#options = options;
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
    this.#maxWaiting = options.maxWaiting ?? MAX_WAITING;
    closeSync(openSync(options.file, 'a', 0o600));
  }

  /** Follows a request to its end. What is known later is added to the trail. */
  begin(request: IncomingMessage, response: ServerResponse): Trail {
    const trail = new Trail(request, this.#options.clock.now());
    response.once('close', () => {
      // A connection that ends before an answer has no status of the server's.
      this.#write(trail.line('ResponseComplete', response, this.#options.clock.now()));
    });
    return trail;
  }

  /** Says that a long request, a watch, is being answered. */
  started(trail: Trail, response: ServerResponse): void {
    this.#write(trail.line('ResponseStarted', response, this.#options.clock.now()));
  }

  #write(line: string): void {
    if (this.#closed) return;
    if (this.#size + line.length > this.#maxWaiting) {
      this.#lost += 1;
      this.#fail(new Error('more comes than the disk takes'));
      return;
    }
    this.#waiting.push(line);
    this.#size += line.length;
    this.#writing ??= this.#drain();
  }

  async #drain(): Promise<void> {
    // What happens at once is written at once.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const count = this.#batch();
      const text = this.#waiting.slice(0, count).join('');
      try {
        await this.#append(text);
        this.#waiting.splice(0, count);
        this.#size -= text.length;
        if (this.#isFailing) this.#recover();
      } catch (error) {
        this.#fail(error as Error);
        if (this.#closed) break;
        await new Promise((resolve) => {
          setTimeout(resolve, RETRY_MS).unref();
        });
      }
    }
    this.#writing = undefined;
  }

  /** How many lines are written at once. */
  #batch(): number {
    const limit = Math.min(BATCH, this.#maxBytes);
    let size = 0;
    const end = this.#waiting.findIndex((line) => (size += line.length) > limit);
    return end < 0 ? this.#waiting.length : Math.max(1, end);
  }

  /** Whole lines or nothing: what a full disk took of them is taken back. */
  async #append(text: string): Promise<void> {
    const { file } = this.#options;
    const handle = await open(file, 'a', 0o600);
    try {
      const { size } = await handle.stat();
      if (size > 0 && size + text.length > this.#maxBytes) {
        await this.#putAside();
        return await this.#append(text);
      }
      try {
        await handle.writeFile(text);
      } catch (error) {
        await handle.truncate(size);
        throw error;
      }
    } finally {
      await handle.close();
    }
  }

  async #putAside(): Promise<void> {
    const { file } = this.#options;
    for (let older = OLDER_FILES; older > 0; older--) {
      const from = older === 1 ? file : `${file}.${older - 1}`;
      await rename(from, `${file}.${older}`).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    }
  }

  #fail(error: Error): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#options.report(`the audit log ${this.#options.file} cannot be written; requests go on without it`, error);
  }

  #recover(): void {
    this.#isFailing = false;
    this.#options.report(`the audit log is written again; ${this.#lost} lines were lost`);
    this.#lost = 0;
  }

  /** Writes what waits, if the disk takes it now, and accepts nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    await Promise.race([this.#writing, late]);
    clearTimeout(timer);
  }
}

/** What is known of one request. */
export class Trail {
  readonly #id = randomUUID();
  readonly #request: IncomingMessage;
  readonly #source: string | undefined;
  readonly #received: number;
  user: User | undefined;
  impersonated: User | undefined;
  attributes: Attributes | undefined;
  /** The API version in the path. */
  version = '';
  decision: 'allow' | 'forbid' | undefined;

  constructor(request: IncomingMessage, received: number) {
    this.#request = request;
    this.#received = received;
    // The socket forgets it when it is closed.
    this.#source = request.socket.remoteAddress;
  }

  line(stage: 'ResponseStarted' | 'ResponseComplete', response: ServerResponse, now: number): string {
    const { method = '', url = '', headers } = this.#request;
    const { attributes } = this;
    const code = response.headersSent ? response.statusCode : undefined;
    const event = {
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: 'Metadata',
      auditID: this.#id,
      stage,
      requestURI: url.slice(0, MAX_TEXT),
      verb: attributes?.verb ?? method.toLowerCase(),
      user: this.user === undefined ? {} : infoOf(this.user),
      ...(this.impersonated === undefined ? {} : { impersonatedUser: infoOf(this.impersonated) }),
      sourceIPs: this.#source === undefined ? [] : [this.#source.replace(/^::ffff:/, '')],
      ...(headers['user-agent'] === undefined ? {} : { userAgent: headers['user-agent'].slice(0, MAX_TEXT) }),
      ...(attributes === undefined ? {} : { objectRef: referenceOf(attributes, this.version) }),
      ...(code === undefined ? {} : { responseStatus: { metadata: {}, code } }),
      requestReceivedTimestamp: micro(this.#received),
      stageTimestamp: micro(now),
      ...(this.decision === undefined ? {} : { annotations: { 'authorization.k8s.io/decision': this.decision } }),
    };
    return `${JSON.stringify(event)}\n`;
  }
}

function infoOf({ name, groups, extra }: User): Record<string, unknown> {
  return { username: name, groups, ...(extra === undefined ? {} : { extra }) };
}

function referenceOf({ group, resource, subresource, namespace, name }: Attributes, version: string): object {
  const known = { resource, namespace, name, apiGroup: group, apiVersion: version, subresource };
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== ''));
}

/** `metav1.MicroTime`. */
function micro(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}
