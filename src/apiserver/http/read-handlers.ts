import type { ServerResponse } from 'node:http';
import { type ListOptions, list, matcherOf, parseListOptions } from '../registry/lists.ts';
import { type Encoder, metadataEncoder, plainEncoder, tableEncoder } from '../table/encoders.ts';
import { type Sink, Watcher } from '../watch/watcher.ts';
import { badRequest, notFound, StatusError, tooLargeRevision, tooOld } from './errors.ts';
import { type Exchange, keyOfPath } from './exchange.ts';
import { negotiate } from './negotiate.ts';
import { sendJson, sendList } from './respond.ts';

/** The form in which a client wants objects. Throws StatusError (406). */
export function encoderOf({ request, resource, query, parts }: Exchange): Encoder {
  const { shape } = negotiate(request.headers.accept);
  if (shape === 'object') return plainEncoder(resource);
  if (shape === 'PartialObjectMetadata') return metadataEncoder(resource);
  const include = query.get('includeObject') ?? 'Metadata';
  if (include !== 'None' && include !== 'Metadata' && include !== 'Object' && include !== '') {
    throw badRequest(
      `Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(include)}: must be 'Metadata', 'Object', 'None', or empty`,
    );
  }
  return tableEncoder(resource, include === '' ? 'Metadata' : include, parts.clock);
}

/** GET of one object. */
export async function readObject(exchange: Exchange): Promise<void> {
  const { resource, path, parts, request, response, query } = exchange;
  const encoder = encoderOf(exchange);
  const version = query.get('resourceVersion');
  if (version !== null && version !== '' && !/^\d+$/.test(version)) {
    const said = JSON.stringify(version);
    throw new StatusError(
      500,
      '',
      `resourceVersion: Invalid value: ${said}: strconv.ParseUint: parsing ${said}: invalid syntax`,
    );
  }
  if (version !== null && version !== '' && Number(version) > parts.store.revision) {
    throw tooLargeRevision(Number(version), parts.store.revision);
  }
  const item = resource.collection.get(keyOfPath(exchange));
  // What is read must not be lost by a crash: it waits for the commit of what it shows.
  await parts.store.durable();
  if (item === undefined) throw notFound(resource, path.name);
  sendJson(request, response, 200, encoder.object(item));
}

/** GET of a collection. */
export async function readPage(exchange: Exchange): Promise<void> {
  const { resource, path, parts, request, response, query } = exchange;
  const encoder = encoderOf(exchange);
  const { items, meta } = list(parts.store, resource, path.namespace, parseListOptions(resource, query, false));
  await parts.store.durable();
  sendList(request, response, encoder.list(items, meta));
}

/** How long a watch lasts when the client does not say: 30 to 60 minutes (apiserver, `MinRequestTimeout`). */
const WATCH_SECONDS = 1800;
const MAX_TIMER_MS = 2 ** 31 - 1;
/** How often a client that wants bookmarks gets one. */
const BOOKMARK_MS = 60_000;

/** The chunk (RFC 9112, 7.1) of the text that was framed last: a hundred watchers are sent the same one after the other. */
let framed = { text: '', chunk: Buffer.alloc(0) };

function frame(text: string): Buffer {
  if (framed.text === text) return framed.chunk;
  const bytes = Buffer.byteLength(text);
  const chunk = Buffer.from(`${bytes.toString(16)}\r\n${text}\r\n`);
  if (bytes <= MAX_FRAMED) framed = { text, chunk };
  return chunk;
}

/** What is longer is not kept. */
const MAX_FRAMED = 64 * 1024;

/** A response that is written as events come. */
class ResponseSink implements Sink {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  write(text: string): boolean {
    const { socket } = this.#response;
    // A response that waits for its turn on the connection has no socket yet; one of HTTP/1.0 has no chunks.
    if (socket === null || !this.#response.chunkedEncoding) return this.#response.write(text);
    return socket.write(frame(text));
  }

  end(): void {
    this.#response.end();
  }

  destroy(): void {
    this.#response.destroy();
  }
}

/** GET with `watch`. */
export async function watch(exchange: Exchange): Promise<void> {
  const { resource, path, parts, response, query, request } = exchange;
  const { store, hub } = parts;
  const encoder = encoderOf(exchange);
  const options = parseListOptions(resource, query, true);
  // Nothing may be told before it is on disk; what is pending then comes as changes.
  await store.durable();
  if (
    options.resourceVersion !== undefined &&
    options.sendInitialEvents === true &&
    options.resourceVersion > store.committed
  ) {
    throw tooLargeRevision(options.resourceVersion, store.committed);
  }
  const watcher = new Watcher({
    collection: resource.collection,
    namespace: path.namespace,
    matches: matcherOf(resource, options),
    encoder,
    sink: new ResponseSink(response),
    onEnd: (ended) => {
      clearTimeout(deadline);
      clearInterval(bookmarks);
      request.socket.off('drain', resume);
      hub.remove(ended);
    },
  });
  const seconds = options.timeoutSeconds ?? WATCH_SECONDS * (1 + Math.random());
  // What a timer cannot count is as good as for ever.
  const deadline = setTimeout(() => watcher.end(), Math.min(MAX_TIMER_MS, Math.max(0, seconds) * 1000));
  const bookmarks = options.allowWatchBookmarks
    ? setInterval(() => watcher.bookmark(store.committed), BOOKMARK_MS * (0.9 + Math.random() * 0.2))
    : undefined;
  response.on('close', () => watcher.end());
  const resume = (): void => watcher.resume();
  response.on('drain', resume);
  request.socket.on('drain', resume);
  response.writeHead(200, {
    'Cache-Control': 'no-cache, private',
    'Content-Type': 'application/json',
  });
  response.flushHeaders();
  request.socket.setNoDelay(true);
  request.socket.setTimeout(0);
  start(exchange, watcher, options);
}

function start({ parts: { store, hub }, resource }: Exchange, watcher: Watcher, options: ListOptions): void {
  const { resourceVersion, sendInitialEvents } = options;
  const replay = resourceVersion !== undefined && resourceVersion > 0 && sendInitialEvents !== true;
  if (replay && resourceVersion < store.compacted) {
    watcher.fail(JSON.stringify(tooOld(resourceVersion, store.compacted).body()));
    return;
  }
  const { collection } = resource;
  if (replay) {
    watcher.sendChanges(collection.changesAfter(resourceVersion).filter(({ revision }) => revision <= store.committed));
  } else if (sendInitialEvents !== false) {
    watcher.sendExisting(
      collection.revision > store.committed ? collection.snapshot(store.committed) : collection.values(),
    );
  }
  if (sendInitialEvents === true && options.allowWatchBookmarks) watcher.bookmark(store.committed, true);
  hub.add(watcher);
  watcher.start(Math.max(store.committed, replay ? resourceVersion : 0));
}
