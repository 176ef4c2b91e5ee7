import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Authorizer } from '../access/authorizer.ts';
import { updateManagedFields } from '../apply/index.ts';
import { REVIEWS } from '../discovery/discovery.ts';
import { invalidObject } from '../registry/invalid.ts';
import { disownStructs } from '../registry/owners.ts';
import type { User } from '../registry/request.ts';
import { pinnedBy } from '../registry/selectors.ts';
import { type FieldError, invalid } from '../schema/field-error.ts';
import { isObject, type Json, type JsonObject } from '../schema/json-value.ts';
import { decodeObject, mediaType, readBody } from './body.ts';
import { methodNotAllowed, type StatusError } from './errors.ts';
import { managerOf } from './field-manager.ts';
import type { ResourcePath } from './path.ts';
import { sendJson } from './respond.ts';

/**
 * Answers what users ask about themselves: who am I, and what may I do? Returns false for other paths. Throws StatusError.
 */
export async function review(
  request: IncomingMessage,
  response: ServerResponse,
  path: ResourcePath,
  user: User,
  authorizer: Authorizer,
  method: string,
): Promise<boolean> {
  const found = REVIEWS.find(
    ({ group, version, resource }) => group === path.group && version === path.version && resource === path.resource,
  );
  if (found === undefined || path.name !== '' || path.namespace !== '') return false;
  if (method !== 'POST') throw methodNotAllowed();
  const { object } = await decodeObject(await readBody(request), mediaType(request), found.kind, false);
  const apiVersion = `${found.group}/${found.version}`;
  const spec = isObject(object['spec']) ? object['spec'] : {};
  if (found.kind === 'SelfSubjectAccessReview') checkQuestion(spec);
  const metadata = owned(found.kind, apiVersion, spec, request);
  const isWhoAmI = found.kind === 'SelfSubjectReview';
  const status = isWhoAmI
    ? { userInfo: userInfo(user) }
    : found.kind === 'SelfSubjectAccessReview'
      ? accessStatus(authorizer, user, spec)
      : rulesStatus(authorizer, user);
  const answer = { kind: found.kind, apiVersion, metadata, ...(isWhoAmI ? {} : { spec }), status };
  sendJson(request, response, 201, JSON.stringify(answer));
  return true;
}

/** A question is about a resource or about a path (kubernetes, `pkg/apis/authorization/validation`). */
function checkQuestion({ resourceAttributes: resource, nonResourceAttributes: path }: JsonObject): void {
  const fail = (error: FieldError): StatusError => invalidObject('', 'authorization.k8s.io', '', [error]);
  if (isObject(resource) && isObject(path)) {
    const value = { Path: text(path['path']), Verb: text(path['verb']) };
    throw fail(
      invalid('spec.nonResourceAttributes', value, 'cannot be specified in combination with resourceAttributes'),
    );
  }
  if (!isObject(resource) && !isObject(path)) {
    const detail = 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
    throw fail(invalid('spec.resourceAttributes', null, detail));
  }
}

const SPEC = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const SCHEMA = { type: 'object', properties: { spec: SPEC } };

/** Even a review, which is never stored, says who owns its fields. */
function owned(kind: string, apiVersion: string, spec: JsonObject, request: IncomingMessage): Json {
  const object = updateManagedFields({
    schema: SCHEMA,
    apiVersion,
    manager: managerOf(request),
    time: new Date(),
    old: null,
    new: { kind, apiVersion, metadata: {}, spec },
  }) as JsonObject;
  disownStructs(object, ['spec']);
  return object['metadata'] as Json;
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

function userInfo({ name, groups, extra }: User): JsonObject {
  const more =
    extra === undefined ? {} : { extra: Object.fromEntries(Object.entries(extra).map(([k, v]) => [k, [...v]])) };
  return { username: name, groups: [...groups], ...more };
}

function accessStatus(authorizer: Authorizer, user: User, spec: JsonObject): JsonObject {
  const path = spec['nonResourceAttributes'];
  if (isObject(path)) return { allowed: authorizer.isPathAllowed(user, text(path['verb']), text(path['path'])) };
  const attributes = spec['resourceAttributes'];
  if (!isObject(attributes)) return { allowed: false };
  const pinned = pinnedFields(attributes['fieldSelector']);
  const allowed = authorizer.isAllowed(user, {
    verb: text(attributes['verb']),
    group: text(attributes['group']),
    resource: text(attributes['resource']),
    subresource: text(attributes['subresource']),
    namespace: text(attributes['namespace']),
    name: text(attributes['name']) || (pinned.get('metadata.name') ?? ''),
    pinned,
  });
  return { allowed };
}

/** What a review's field selector holds to one value; it comes as text or as requirements. */
function pinnedFields(selector: Json | undefined): ReadonlyMap<string, string> {
  if (!isObject(selector)) return new Map();
  const pinned = new Map(pinnedBy(text(selector['rawSelector'])));
  const requirements = Array.isArray(selector['requirements']) ? selector['requirements'] : [];
  for (const requirement of requirements) {
    if (!isObject(requirement) || requirement['operator'] !== 'In' || !Array.isArray(requirement['values'])) continue;
    const [value, ...more] = requirement['values'];
    if (typeof value === 'string' && more.length === 0) pinned.set(text(requirement['key']), value);
  }
  return pinned;
}

function rulesStatus(authorizer: Authorizer, user: User): JsonObject {
  const { rules, isComplete } = authorizer.rules(user);
  return {
    resourceRules: rules.map(({ verbs, groups, resources, names }) => ({
      verbs: [...verbs],
      apiGroups: [...groups],
      resources: [...resources],
      ...(names === undefined ? {} : { resourceNames: [...names] }),
    })),
    nonResourceRules: [
      { verbs: ['get'], nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/api*', '/openapi*'] },
    ],
    incomplete: !isComplete,
    ...(isComplete ? {} : { evaluationError: "what a node may do depends on its node's objects too" }),
  };
}
