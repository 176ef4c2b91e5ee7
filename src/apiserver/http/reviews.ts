import type { IncomingMessage, ServerResponse } from 'node:http';
import { updateManagedFields } from '../apply/index.ts';
import { REVIEWS } from '../discovery/discovery.ts';
import { disownStructs } from '../registry/owners.ts';
import type { User } from '../registry/request.ts';
import { isObject, type Json, type JsonObject } from '../schema/json-value.ts';
import { isAllowed, rulesOf } from './access.ts';
import { decodeObject, mediaType, readBody } from './body.ts';
import { methodNotAllowed } from './errors.ts';
import { managerOf } from './field-manager.ts';
import type { ResourcePath } from './path.ts';
import { sendJson } from './respond.ts';

/**
 * Answers a review of authorization.k8s.io: what may I do? Returns false for other paths. Throws StatusError.
 */
export async function review(
  request: IncomingMessage,
  response: ServerResponse,
  path: ResourcePath,
  user: User,
  method: string,
): Promise<boolean> {
  const found = REVIEWS.find(
    ({ group, version, resource }) => group === path.group && version === path.version && resource === path.resource,
  );
  if (found === undefined || path.name !== '' || path.namespace !== '') return false;
  if (method !== 'POST') throw methodNotAllowed();
  const { object } = decodeObject(await readBody(request), mediaType(request), found.kind, false);
  const spec = isObject(object['spec']) ? object['spec'] : {};
  const status = found.kind === 'SelfSubjectAccessReview' ? accessStatus(user, spec) : rulesStatus(user);
  const metadata = owned(found.kind, spec, request);
  const answer = { kind: found.kind, apiVersion: 'authorization.k8s.io/v1', metadata, spec, status };
  sendJson(request, response, 201, JSON.stringify(answer));
  return true;
}

const SPEC = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const SCHEMA = { type: 'object', properties: { spec: SPEC } };

/** Even a review, which is never stored, says who owns its fields. */
function owned(kind: string, spec: JsonObject, request: IncomingMessage): Json {
  const apiVersion = 'authorization.k8s.io/v1';
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

function accessStatus(user: User, spec: JsonObject): JsonObject {
  const attributes = spec['resourceAttributes'];
  if (!isObject(attributes)) return { allowed: rulesOf(user).length > 0 };
  const allowed = isAllowed(user, {
    verb: text(attributes['verb']),
    group: text(attributes['group']),
    resource: text(attributes['resource']),
    subresource: text(attributes['subresource']),
    namespace: text(attributes['namespace']),
    name: text(attributes['name']),
  });
  return { allowed };
}

function rulesStatus(user: User): JsonObject {
  return {
    resourceRules: rulesOf(user).map(({ verbs, groups, resources }) => ({
      verbs: [...verbs],
      apiGroups: [...groups],
      resources: [...resources],
    })),
    nonResourceRules: [
      { verbs: ['get'], nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/api*', '/openapi*'] },
    ],
    incomplete: false,
  };
}
