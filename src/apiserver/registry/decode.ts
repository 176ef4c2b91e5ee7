import { badRequest, type StatusError } from '../http/errors.ts';
import type { Resource } from '../kinds/resource.ts';
import { hasBadBase64 } from '../kinds/strategies.ts';
import { invalid } from '../schema/field-error.ts';
import { goJson } from '../schema/go-format.ts';
import { isObject, type JsonObject } from '../schema/json-value.ts';
import { coerceMeta, MetadataError } from '../schema/object-meta.ts';
import { strictDecodingMessage, strictErrors } from '../schema/strict-json.ts';
import { additional, property, type SchemaNode } from '../schema/structural.ts';
import { findTypeProblem } from './go-types.ts';
import { invalidObject } from './invalid.ts';
import type { WriteContext } from './request.ts';

/** An object as a client sent it. */
export interface Sent {
  readonly object: JsonObject;
  /** Texts about duplicate keys. */
  readonly duplicates: readonly string[];
}

/** Decodes what came over the wire: kind, version, metadata types, unknown fields. */
export function decode(resource: Resource, sent: Sent, context: WriteContext, isPatch = false): JsonObject {
  const { object } = sent;
  checkKind(resource, object);
  const text = isPatch && context.fieldValidation === 'Strict' ? goJson(object) : undefined;
  const refuse = (detail: string, cause?: Error): StatusError =>
    isPatch ? patchRefused(text ?? goJson(object), detail) : badRequest(`${handledAs(resource)}: ${detail}`, { cause });
  try {
    coerceMeta(object);
  } catch (error) {
    if (!(error instanceof MetadataError)) throw error;
    throw refuse(error.message, error);
  }
  const problem = resource.custom ? undefined : typeProblem(resource, object);
  if (problem !== undefined) throw refuse(problem);
  if (!resource.custom) completeTexts(resource.node, object);
  dedupOwners(object, context);
  const unknown = strictErrors(sent.duplicates, resource.schema.prune(object));
  if (unknown.length === 0 || context.fieldValidation === 'Ignore') return object;
  if (context.fieldValidation === 'Strict') throw refuse(strictDecodingMessage(unknown));
  // Not spread: there may be more than fit on the stack.
  for (const text of unknown) context.warnings.push(text);
  return object;
}

/** In a Go map of texts there is no null. */
function completeTexts(node: SchemaNode, object: JsonObject): void {
  for (const [key, value] of Object.entries(object)) {
    const schema = property(node, key);
    if (schema === undefined || additional(schema)?.type !== 'string' || !isObject(value)) continue;
    if (!Object.values(value).includes(null)) continue;
    object[key] = Object.fromEntries(Object.entries(value).map(([name, text]) => [name, text ?? '']));
  }
}

/** An owner counts once (apiserver, `dedupOwnerReferencesAndAddWarning`). */
function dedupOwners(object: JsonObject, context: WriteContext): void {
  const { metadata } = object;
  const owners = isObject(metadata) ? metadata['ownerReferences'] : undefined;
  if (!isObject(metadata) || !Array.isArray(owners) || owners.length < 2) return;
  const seen = new Set<string>();
  const twice: string[] = [];
  const kept = owners.filter((owner) => {
    const uid = isObject(owner) ? String(owner['uid']) : '';
    if (!seen.has(uid)) return seen.add(uid);
    twice.push(uid);
    return false;
  });
  if (twice.length === 0) return;
  metadata['ownerReferences'] = kept;
  context.warnings.push(
    `.metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ${[...new Set(twice)].join(', ')}`,
  );
}

function checkKind(resource: Resource, object: JsonObject): void {
  const { apiVersion, kind } = object;
  if (!resource.custom) {
    if (kind === undefined) object['kind'] = resource.kind;
    if (apiVersion === undefined) object['apiVersion'] = resource.apiVersion;
  } else if (typeof kind !== 'string' || kind === '') {
    const text = JSON.stringify(object);
    const start = text.length > 30 ? `${text.slice(0, 30)} ...` : text;
    throw badRequest(
      `the object provided is unrecognized (must be of type ${resource.kind}): Object 'Kind' is missing in '${text}' (${start})`,
    );
  }
  if (object['apiVersion'] !== resource.apiVersion) {
    throw badRequest(
      `the API version in the data (${String(apiVersion ?? '')}) does not match the expected API version (${resource.apiVersion})`,
    );
  }
  if (!resource.custom && object['kind'] !== resource.kind) {
    const group = resource.group === '' ? 'core' : resource.group.split('.')[0];
    throw badRequest(
      `${String(kind)} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: converting (v1.${String(kind)}) to (${group}.${resource.kind}): unknown conversion`,
    );
  }
}

function handledAs({ kind, version }: Resource): string {
  return `${kind} in version ${JSON.stringify(version)} cannot be handled as a ${kind}`;
}

/** What a patch is answered with whose outcome cannot be decoded. */
function patchRefused(json: string, detail: string): StatusError {
  return invalidObject('', '', '', [invalid('patch', json, detail)]);
}

/** What the Go types of built-in kinds refuse while decoding, in the words of encoding/json; undefined when all fits. */
function typeProblem(resource: Resource, object: JsonObject): string | undefined {
  const problem = findTypeProblem(resource.node, object, resource.kind, '');
  if (problem !== undefined) return problem;
  const encoded = resource.kind === 'Secret' ? 'data' : resource.kind === 'ConfigMap' ? 'binaryData' : '';
  return encoded !== '' && hasBadBase64(object, encoded) ? 'illegal base64 data at input byte 0' : undefined;
}
