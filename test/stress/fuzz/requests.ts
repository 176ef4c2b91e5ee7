/** Plans become requests: places are looked up in what is stored, and `@rv`, `@uid`, … get the values of now. */
import { stringify } from 'yaml';
import type { JsonObject } from '../../../src/apiserver/schema/json-value.ts';
import { collectionPath, type FuzzKind, KINDS } from './kinds.ts';
import { bytesAfter, mutate, pointers, subset } from './mutations.ts';
import type { JsonPatchPlan, Plan, Query, WritePlan } from './plans.ts';

/** What a plan needs to know of the present. */
export interface Present {
  readonly namespace: string;
  /** Prefix of the names of cluster-scoped objects, so that lanes do not meet. */
  readonly prefix: string;
  readonly head: string;
  readonly continue: string;
  /** What is stored under a path, as far as this lane knows. */
  stored(path: string): JsonObject | undefined;
}

export interface FuzzRequest {
  readonly method: string;
  /** The path without the query. */
  readonly path: string;
  readonly query: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer | undefined;
  /** Sent instead of all that. */
  readonly raw?: Buffer;
}

/** The object that a request writes; undefined when it names none. */
export interface Aim {
  readonly kind: FuzzKind;
  readonly collection: string;
  readonly object: string;
}

export function aimOf({ kind, name }: Plan, present: Present): Aim {
  const chosen = KINDS[kind] as FuzzKind;
  const collection = collectionPath(chosen, present.namespace);
  const prefix = chosen.namespaced ? chosen.prefix : present.prefix;
  return { kind: chosen, collection, object: `${collection}/${prefix}${name}` };
}

export function requestOf(plan: Plan, aim: Aim, present: Present, token: string): FuzzRequest {
  const query = queryOf(plan.query, aim, present);
  const base = [['Host', 'x'], ['Authorization', `Bearer ${token}`], ['Accept', plan.accept], ...plan.headers] as const;
  const live = present.stored(aim.object);
  // Most kinds have no subresource: asking them for one again and again shows nothing new.
  const isKnown = aim.kind.hasStatus || plan.query.length === 1;
  const below = (subresource: string): string => aim.object + (subresource === '' || !isKnown ? '' : `/${subresource}`);
  switch (plan.type) {
    case 'create':
      return { ...bodyOf(plan, aim, present, live, base), method: 'POST', path: aim.collection, query };
    case 'replace':
      return { ...bodyOf(plan, aim, present, live, base), method: 'PUT', path: below(plan.subresource), query };
    case 'merge':
    case 'strategic':
      return { ...bodyOf(plan, aim, present, live, base), method: 'PATCH', path: below(plan.subresource), query };
    case 'apply': {
      const named = query.includes('fieldManager=') ? query : `${query === '' ? '?' : `${query}&`}fieldManager=m1`;
      return {
        ...bodyOf(plan, aim, present, live, base),
        method: 'PATCH',
        path: below(plan.subresource),
        query: named,
      };
    }
    case 'jsonPatch':
      return { ...jsonPatchOf(plan, aim, present, live, base), method: 'PATCH', path: below(plan.subresource), query };
    case 'delete': {
      const text = plan.options === null ? undefined : filled(JSON.stringify(plan.options), aim, present);
      const body = text === undefined ? undefined : Buffer.from(text);
      const headers = body === undefined ? base : [...base, ['Content-Type', 'application/json'] as const];
      // Of what has no namespace, other lanes have some too.
      const many = plan.many && aim.kind.namespaced;
      return { method: 'DELETE', path: many ? aim.collection : aim.object, query, headers, body };
    }
    case 'get':
      return { method: 'GET', path: below(plan.subresource), query, headers: base, body: undefined };
    case 'list':
      return { method: 'GET', path: aim.collection, query, headers: base, body: undefined };
    case 'watch':
      return {
        method: 'GET',
        path: aim.collection,
        query: `${query === '' ? '?' : `${query}&`}watch=1`,
        headers: base,
        body: undefined,
      };
    case 'stray':
      return {
        method: plan.method,
        path: plan.path,
        query,
        headers: [...base, ['Content-Type', 'application/json']],
        body: plan.body === '' ? undefined : Buffer.from(plan.body),
      };
    case 'noise': {
      const request: FuzzRequest = { method: 'GET', path: aim.object, query, headers: base, body: undefined };
      let text = bytesOf(request).toString('latin1');
      for (const { at, bytes } of plan.edits) {
        const position = at % (text.length + 1);
        text = text.slice(0, position) + bytes + text.slice(position);
      }
      return { ...request, raw: Buffer.from(text, 'latin1') };
    }
    default:
      return plan satisfies never;
  }
}

/** The bytes of a request. */
export function bytesOf({ method, path, query, headers, body, raw }: FuzzRequest): Buffer {
  if (raw !== undefined) return raw;
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const length = body === undefined ? '' : `Content-Length: ${body.length}\r\n`;
  const head = Buffer.from(`${method} ${path}${query} HTTP/1.1\r\n${lines}${length}\r\n`);
  return body === undefined ? head : Buffer.concat([head, body]);
}

function queryOf(query: Query, aim: Aim, present: Present): string {
  if (query.length === 0) return '';
  const terms = query.map(([name, value]) => {
    const sent = filled(value, aim, present)
      .replaceAll('@field', aim.kind.fields[0] ?? 'metadata.name')
      .replaceAll('@continue', present.continue)
      .replaceAll('@head', present.head);
    return `${name}=${encodeURIComponent(sent)}`;
  });
  return `?${terms.join('&')}`;
}

function filled(text: string, aim: Aim, present: Present): string {
  if (!text.includes('@')) return text;
  const metadata = present.stored(aim.object)?.['metadata'] as JsonObject | undefined;
  return text
    .replaceAll('@rv', String(metadata?.['resourceVersion'] ?? '5'))
    .replaceAll('@uid', String(metadata?.['uid'] ?? 'none'))
    .replaceAll('@ns', present.namespace);
}

const TYPES = {
  create: 'application/json',
  replace: 'application/json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

type Headers = readonly (readonly [string, string])[];

function bodyOf(
  plan: WritePlan,
  aim: Aim,
  present: Present,
  live: JsonObject | undefined,
  base: Headers,
): { readonly headers: Headers; readonly body: Buffer } {
  const object = mutate(startOf(plan, aim, present, live), plan.mutations);
  const type = plan.contentType === '' ? TYPES[plan.type] : plan.contentType;
  const asYaml = plan.form === 'yaml' && (plan.type === 'apply' || type === 'application/yaml');
  let text = asYaml ? stringify(object) : JSON.stringify(object);
  text = filled(text, aim, present);
  return { headers: [...base, ['Content-Type', type]], body: bytesAfter(text, plan.text) };
}

/** What is sent before anything is changed: valid in most cases. */
function startOf(plan: WritePlan, aim: Aim, present: Present, live: JsonObject | undefined): JsonObject {
  const { kind } = aim;
  const name = aim.object.slice(aim.object.lastIndexOf('/') + 1);
  const body = kind.bodies[Math.abs(plan.base) % kind.bodies.length] as JsonObject;
  const metadata: JsonObject = kind.namespaced ? { name, namespace: present.namespace } : { name };
  const fresh: JsonObject = { apiVersion: kind.apiVersion, kind: kind.kind, metadata, ...body };
  if (plan.type === 'create') return fresh;
  const known = plan.base < 0 && live !== undefined ? live : fresh;
  if (plan.type === 'replace') {
    // Without a version the write is unconditional, or refused where that is.
    const version = (live?.['metadata'] as JsonObject | undefined)?.['resourceVersion'];
    if (known === live || version === undefined || plan.bits % 4 === 0) return known;
    return { ...fresh, metadata: { ...metadata, resourceVersion: version } };
  }
  const part = subset(known, plan.bits);
  if (plan.type !== 'apply') return part;
  const applied: JsonObject = { ...part, apiVersion: kind.apiVersion, kind: kind.kind, metadata };
  const sent = part['metadata'] as JsonObject | undefined;
  for (const key of ['labels', 'annotations', 'finalizers', 'ownerReferences', 'resourceVersion', 'uid']) {
    if (sent?.[key] !== undefined) metadata[key] = sent[key];
  }
  return applied;
}

function jsonPatchOf(
  plan: JsonPatchPlan,
  aim: Aim,
  present: Present,
  live: JsonObject | undefined,
  base: Headers,
): { readonly headers: Headers; readonly body: Buffer } {
  const known = pointers(live ?? { metadata: { name: 'a' }, spec: {} });
  const pointer = (at: number, suffix: string): string => `${known[at % known.length]}${suffix}`;
  const operations = plan.operations.map(({ op, at, fromAt, suffix, value }) => ({
    op,
    path: pointer(at, suffix),
    ...(op === 'move' || op === 'copy' ? { from: pointer(fromAt, '') } : { value }),
  }));
  const text = filled(JSON.stringify(operations), aim, present);
  return {
    headers: [...base, ['Content-Type', 'application/json-patch+json']],
    body: bytesAfter(text, plan.text),
  };
}
