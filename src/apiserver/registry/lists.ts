import { goJsonError } from '../http/body.ts';
import { badRequest, expiredContinue, expiredRevision, StatusError, tooLargeRevision } from '../http/errors.ts';
import { objectOf, type Resource } from '../kinds/resource.ts';
import { type FieldError, forbidden, notSupported } from '../schema/field-error.ts';
import type { Item } from '../storage/item.ts';
import type { Store } from '../storage/store.ts';
import type { ListMeta } from '../table/encoders.ts';
import { invalidObject } from './invalid.ts';
import { type FieldSelector, type Matcher, parseFieldSelector, parseLabelSelector } from './selectors.ts';

/** The query parameters of a list or watch (meta/v1 ListOptions), decoded and checked. */
export interface ListOptions {
  readonly labels: Matcher | undefined;
  readonly fields: FieldSelector | undefined;
  readonly limit: number;
  readonly continue: string;
  /** Undefined when the client gave none. */
  readonly resourceVersion: number | undefined;
  readonly resourceVersionMatch: string;
  readonly sendInitialEvents: boolean | undefined;
  readonly allowWatchBookmarks: boolean;
  readonly timeoutSeconds: number | undefined;
}

/** Reads ListOptions from a query. Throws StatusError. */
export function parseListOptions(resource: Resource, query: URLSearchParams, watch: boolean): ListOptions {
  const version = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  const initial = query.get('sendInitialEvents');
  const continued = query.get('continue') ?? '';
  const errors = checkOptions(version, match, initial, continued, watch);
  if (!/^\d*$/.test(version)) {
    const detail = `resourceVersion: Invalid value: ${JSON.stringify(version)}: strconv.ParseUint: parsing ${JSON.stringify(version)}: invalid syntax`;
    throw watch ? new StatusError(500, '', detail) : badRequest(`invalid resource version: ${detail}`);
  }
  if (errors.length > 0) throw invalidObject('ListOptions', 'meta.k8s.io', '', errors);
  const limit = parseInteger(query, 'limit') ?? 0;
  return {
    labels: parseLabelSelector(query.get('labelSelector') ?? ''),
    fields: parseFieldSelector(resource, query.get('fieldSelector') ?? ''),
    limit: Math.max(0, limit),
    continue: continued,
    resourceVersion: version === '' ? undefined : Number(version),
    resourceVersionMatch: match,
    sendInitialEvents: initial === null ? undefined : isTrue(initial),
    allowWatchBookmarks: isTrue(query.get('allowWatchBookmarks')),
    timeoutSeconds: parseInteger(query, 'timeoutSeconds'),
  };
}

/** How Go clients write a true query parameter. */
export function isTrue(value: string | null): boolean {
  return value !== null && value !== 'false' && value !== '0' && value !== 'False' && value !== 'FALSE';
}

function parseInteger(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^-?\d+$/.test(text)) {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  if (BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`);
  }
  return Number(text);
}

/** apimachinery, `ValidateListOptions`. */
function checkOptions(
  version: string,
  match: string,
  initial: string | null,
  continued: string,
  watch: boolean,
): FieldError[] {
  const errors: FieldError[] = [];
  if (watch) {
    if (initial !== null) {
      if (match === '') {
        errors.push(
          forbidden('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'),
        );
      } else if (match !== 'NotOlderThan') {
        errors.push(
          forbidden('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'),
          notSupported('resourceVersionMatch', match, ['NotOlderThan']),
        );
      }
    } else if (match !== '') {
      errors.push(
        forbidden(
          'resourceVersionMatch',
          'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
        ),
      );
      if (match !== 'NotOlderThan') errors.push(notSupported('resourceVersionMatch', match, ['NotOlderThan']));
    }
    if (continued !== '') {
      errors.push(forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided'));
    }
    return errors;
  }
  if (initial !== null) errors.push(forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  if (match !== '') {
    if (version === '') {
      errors.push(
        forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided'),
      );
    }
    if (continued !== '') {
      errors.push(forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided'));
    }
    if (match !== 'Exact' && match !== 'NotOlderThan') {
      errors.push(notSupported('resourceVersionMatch', match, ['Exact', 'NotOlderThan', '']));
    }
    if (match === 'Exact' && version === '0') {
      errors.push(
        forbidden('resourceVersionMatch', 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
      );
    }
  }
  return errors;
}

/** What a selection keeps. */
export function matcherOf(resource: Resource, options: ListOptions): ((item: Item) => boolean) | undefined {
  const { labels, fields } = options;
  if (labels === undefined && fields === undefined) return undefined;
  return (item) => {
    // Labels and names are the same in all versions of a kind; selectable fields are defined on what is stored.
    const object = resource.view === undefined ? objectOf(resource, item) : item.object;
    return (labels === undefined || labels(object)) && (fields === undefined || fields.matches(object));
  };
}

interface ContinueToken {
  /** The version of the token format. */
  readonly v: string;
  /** The revision of the snapshot. */
  readonly rv: number;
  /** The key after which to go on. */
  readonly start: string;
}

function encodeContinue(revision: number, start: string): string {
  const token: ContinueToken = { v: 'meta.k8s.io/v1', rv: revision, start };
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

function decodeContinue(text: string): ContinueToken {
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString()) as ContinueToken;
    if (typeof token.rv === 'number' && typeof token.start === 'string') return token;
  } catch (cause) {
    throw badRequest(
      `invalid continue token: continue key is not valid: ${goJsonError(Buffer.from(text, 'base64url').toString('latin1'))}`,
      { cause },
    );
  }
  throw badRequest('continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)');
}

/** One page of a list. */
export interface Page {
  readonly items: readonly Item[];
  readonly meta: ListMeta;
}

/**
 * Lists objects. Pages show one snapshot: the token names its revision, and the recent changes give the state of then;
 * when these are compacted away the answer is 410 with a token that goes on with the newest state. Throws StatusError.
 */
export function list(store: Store, resource: Resource, namespace: string, options: ListOptions): Page {
  const token = options.continue === '' ? undefined : decodeContinue(options.continue);
  const current = store.revision;
  let revision = current;
  let exact = false;
  if (token !== undefined) {
    if (options.resourceVersion !== undefined && options.resourceVersion !== 0) {
      throw badRequest('specifying resource version is not allowed when using continue');
    }
    if (token.rv > 0) {
      if (token.rv < store.compacted) throw expiredContinue(encodeContinue(-1, token.start));
      revision = token.rv;
      exact = true;
    }
  } else if (options.resourceVersion !== undefined && options.resourceVersion > 0) {
    if (options.resourceVersion > current) throw tooLargeRevision(options.resourceVersion, current);
    // A limit without a match makes an old revision exact (apiserver, `storage/etcd3`).
    if (options.resourceVersionMatch === 'Exact' || (options.limit > 0 && options.resourceVersionMatch === '')) {
      if (options.resourceVersion < store.compacted) throw expiredRevision();
      revision = options.resourceVersion;
      exact = true;
    }
  }
  const { collection } = resource;
  const after = token === undefined ? '' : `${token.start}\0`;
  const matches = matcherOf(resource, options);
  const source =
    exact && collection.revision > revision
      ? fromSnapshot(collection.snapshot(revision), namespace, after)
      : fromCollection(resource, namespace, after, options.fields?.name);
  // Version 0 is answered from what is in memory, all of it (apiserver, `storage/cacher`: the limit is not looked at).
  const limit = options.resourceVersion === 0 && token === undefined ? 0 : options.limit;
  return page(source, matches, limit, revision);
}

interface Source {
  readonly length: number;
  at(index: number): Item;
}

function fromSnapshot(items: readonly Item[], namespace: string, after: string): Source {
  const kept = items.filter(({ key }) => (namespace === '' || key.startsWith(`${namespace}/`)) && key >= after);
  return { length: kept.length, at: (index) => kept[index] as Item };
}

function fromCollection(resource: Resource, namespace: string, after: string, name: string | undefined): Source {
  const { collection, namespaced } = resource;
  if (name !== undefined && (namespace !== '' || !namespaced)) {
    const key = namespaced ? `${namespace}/${name}` : name;
    const item = collection.get(key);
    return item === undefined || key < after ? { length: 0, at: () => item as Item } : { length: 1, at: () => item };
  }
  const { from, to } = collection.range(namespace, after);
  return { length: to - from, at: (index) => collection.at(from + index) };
}

function page(source: Source, matches: ((item: Item) => boolean) | undefined, limit: number, revision: number): Page {
  const items: Item[] = [];
  let index = 0;
  for (; index < source.length; index++) {
    const item = source.at(index);
    if (matches !== undefined && !matches(item)) continue;
    if (limit > 0 && items.length === limit) break;
    items.push(item);
  }
  const last = items.at(-1);
  if (index === source.length || last === undefined) return { items, meta: { resourceVersion: String(revision) } };
  return {
    items,
    meta: {
      resourceVersion: String(revision),
      continue: encodeContinue(revision, last.key),
      // Unknown under a selector, as in the real server.
      ...(matches === undefined ? { remainingItemCount: source.length - index } : {}),
    },
  };
}
