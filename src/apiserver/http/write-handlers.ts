import { objectOf } from '../kinds/resource.ts';
import { type DeleteOptions, parseDeleteOptions } from '../registry/deletes.ts';
import { findTypeProblem } from '../registry/go-types.ts';
import { invalidObject } from '../registry/invalid.ts';
import { isTrue, list, parseListOptions } from '../registry/lists.ts';
import { jsonPatch, mergePatch, strategicPatch } from '../registry/patches.ts';
import type { Subresource, WriteContext } from '../registry/request.ts';
import type { Written } from '../registry/writes.ts';
import { invalid, notSupported, required } from '../schema/field-error.ts';
import type { JsonObject } from '../schema/json-value.ts';
import { strictErrors } from '../schema/strict-json.ts';
import type { SchemaNode } from '../schema/structural.ts';
import { decodeObject, decodePatch, decodeYaml, mediaType } from './body.ts';
import { badRequest, type StatusError, unsupportedMediaType } from './errors.ts';
import type { Exchange } from './exchange.ts';
import { MAX_MANAGER, managerOf } from './field-manager.ts';
import { encoderOf } from './read-handlers.ts';
import { sendJson, sendList } from './respond.ts';

/** Reads the parameters that all writes have. Throws StatusError. */
function contextOf(exchange: Exchange, options: string, isApply = false): WriteContext {
  const { query, user, parts, warnings } = exchange;
  const dryRun = query.getAll('dryRun');
  const wrong = dryRun.find((value) => value !== 'All' && value !== '');
  if (wrong !== undefined) throw invalidOptions(options, notSupported('dryRun', dryRun, ['All']));
  const validation = query.get('fieldValidation') ?? '';
  if (validation !== '' && validation !== 'Ignore' && validation !== 'Warn' && validation !== 'Strict') {
    throw invalidOptions(options, notSupported('fieldValidation', validation, ['', 'Ignore', 'Strict', 'Warn']));
  }
  const manager = query.get('fieldManager') ?? '';
  if (manager === '' && isApply) throw invalidOptions(options, required('fieldManager', 'is required for apply patch'));
  if (manager.length > MAX_MANAGER) {
    throw invalidOptions(options, {
      type: 'FieldValueTooLong',
      field: 'fieldManager',
      badValue: '',
      detail: `may not be more than ${MAX_MANAGER} bytes`,
    });
  }
  const odd = /[^\x20-\x7e\u00a0-\uffff]/.exec(manager);
  if (odd !== null) {
    const code = odd[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
    const detail = `invalid character U+${code} (at position ${odd.index})`;
    throw invalidOptions(options, invalid('fieldManager', manager, detail));
  }
  return {
    user,
    dryRun: dryRun.includes('All'),
    // The default of the real server; for kubectl Strict, which it says itself.
    fieldValidation: validation === '' ? 'Warn' : validation,
    fieldManager: manager === '' ? managerOf(exchange.request) : manager,
    warnings,
    clock: parts.clock,
    admit: parts.authorizer.admission(user),
  };
}

function invalidOptions(kind: string, error: Parameters<typeof invalidObject>[3][number]): StatusError {
  return invalidObject(kind, 'meta.k8s.io', '', [error]);
}

async function answer(exchange: Exchange, written: Written): Promise<void> {
  const { request, response, parts, warnings } = exchange;
  const json = encoderOf(exchange).object(written.item);
  // The answer leaves when the write is on disk.
  await parts.store.durable();
  sendJson(request, response, written.created ? 201 : 200, json, warnings);
}

/** POST. */
export async function createObject(exchange: Exchange): Promise<void> {
  const { resource, path, parts, request } = exchange;
  const context = contextOf(exchange, 'CreateOptions');
  encoderOf(exchange);
  const body = await exchange.body();
  const sent = await decodeObject(body, mediaType(request), resource.kind, context.fieldValidation !== 'Ignore');
  await answer(exchange, parts.writes.create(resource, path.namespace, sent, context));
}

/** PUT. */
export async function replaceObject(exchange: Exchange): Promise<void> {
  const { resource, path, parts, request } = exchange;
  const context = contextOf(exchange, 'UpdateOptions');
  encoderOf(exchange);
  const body = await exchange.body();
  const sent = await decodeObject(body, mediaType(request), resource.kind, context.fieldValidation !== 'Ignore');
  const subresource = path.subresource as Subresource;
  await answer(exchange, parts.writes.replace(resource, path.namespace, path.name, subresource, sent, context));
}

const PATCH_TYPES = ['application/json-patch+json', 'application/merge-patch+json'];
const STRATEGIC = 'application/strategic-merge-patch+json';
const APPLY = 'application/apply-patch+yaml';

/** PATCH. */
export async function patchObject(exchange: Exchange): Promise<void> {
  const { resource, path, parts, request, query } = exchange;
  const type = mediaType(request);
  const known = resource.custom ? [...PATCH_TYPES, APPLY] : [...PATCH_TYPES, STRATEGIC, APPLY];
  if (!known.includes(type)) throw unsupportedMediaType(known);
  const isApply = type === APPLY;
  const force = isTrue(query.get('force'));
  if (force && !isApply) {
    throw invalidObject('PatchOptions', 'meta.k8s.io', '', [
      { type: 'FieldValueForbidden', field: 'force', badValue: '', detail: 'may not be specified for non-apply patch' },
    ]);
  }
  const context = contextOf(exchange, 'PatchOptions', isApply);
  encoderOf(exchange);
  const body = await exchange.body();
  const subresource = path.subresource as Subresource;
  const { namespace, name } = path;
  if (isApply) {
    const sent = await decodeYaml(body);
    await answer(exchange, parts.writes.apply(resource, namespace, name, subresource, sent, force, context));
    return;
  }
  const { value, duplicates } = decodePatch(body, context.fieldValidation !== 'Ignore');
  const change = (live: JsonObject): { object: JsonObject; duplicates: readonly string[] } => ({
    object:
      type === 'application/json-patch+json'
        ? jsonPatch(live, value)
        : type === STRATEGIC
          ? strategicPatch(live, value)
          : mergePatch(live, value),
    duplicates: strictErrors(duplicates, []),
  });
  await answer(exchange, parts.writes.patch(resource, namespace, name, subresource, change, context));
}

/** meta/v1 DeleteOptions, as far as their Go types refuse what does not fit. */
const DELETE_OPTIONS: SchemaNode = {
  type: 'object',
  properties: {
    gracePeriodSeconds: { type: 'integer', format: 'int64' },
    orphanDependents: { type: 'boolean' },
    propagationPolicy: { type: 'string' },
    dryRun: { type: 'array', items: { type: 'string' } },
    preconditions: { type: 'object', properties: { uid: { type: 'string' }, resourceVersion: { type: 'string' } } },
  },
};

/** Reads DeleteOptions from the body and, where it has none, from the query. Throws StatusError. */
async function readDeleteOptions(exchange: Exchange): Promise<{ options: DeleteOptions; context: WriteContext }> {
  const { request, query, warnings } = exchange;
  const body = await exchange.body();
  let object: JsonObject = {};
  if (body.length > 0) {
    ({ object } = await decodeObject(body, mediaType(request), 'DeleteOptions', false));
    if (object['kind'] !== undefined && object['kind'] !== 'DeleteOptions') {
      throw badRequest(`decoded object cannot be converted to DeleteOptions`);
    }
    // A dry run that is written in a way nobody reads must not become a deletion.
    const problem = findTypeProblem(DELETE_OPTIONS, object, 'DeleteOptions', '');
    if (problem !== undefined) {
      throw badRequest(`DeleteOptions in version "v1" cannot be handled as a DeleteOptions: ${problem}`);
    }
  } else {
    const policy = query.get('propagationPolicy');
    const orphan = query.get('orphanDependents');
    if (policy !== null) object = { propagationPolicy: policy };
    if (orphan !== null) object['orphanDependents'] = isTrue(orphan);
  }
  const context = contextOf(exchange, 'DeleteOptions');
  const inBody = Array.isArray(object['dryRun']) ? object['dryRun'] : [];
  if (inBody.some((value) => value !== 'All')) {
    throw invalidOptions('DeleteOptions', notSupported('dryRun', inBody, ['All']));
  }
  return {
    options: parseDeleteOptions(object),
    context: { ...context, dryRun: context.dryRun || inBody.length > 0, warnings },
  };
}

/** DELETE of one object. */
export async function deleteObject(exchange: Exchange): Promise<void> {
  const { resource, path, parts, request, response, warnings } = exchange;
  encoderOf(exchange);
  const { options, context } = await readDeleteOptions(exchange);
  const { item, gone } = parts.deletes.delete(resource, path.namespace, path.name, options, context);
  if (!gone) {
    const json = encoderOf(exchange).object(item);
    await parts.store.durable();
    sendJson(request, response, options.orphanDependents === false ? 202 : 200, json, warnings);
    return;
  }
  const { uid } = objectOf(resource, item)['metadata'] as JsonObject;
  const status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name: path.name,
      ...(resource.group === '' ? {} : { group: resource.group }),
      kind: resource.resource,
      uid,
    },
  };
  await parts.store.durable();
  sendJson(request, response, 200, JSON.stringify(status), warnings);
}

/** DELETE of a collection: all that the selectors choose. */
export async function deleteMany(exchange: Exchange): Promise<void> {
  const { resource, path, parts, request, response, query, warnings } = exchange;
  const { options, context } = await readDeleteOptions(exchange);
  const { items, meta } = list(parts.store, resource, path.namespace, parseListOptions(resource, query, false));
  const encoder = encoderOf(exchange);
  for (const item of items) parts.deletes.deleteItem(resource, item, options, context);
  await parts.store.durable();
  sendList(request, response, encoder.list(items, meta), warnings);
}
