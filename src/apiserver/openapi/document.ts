import type { Resource } from '../kinds/resource.ts';
import { DELETE_OPTIONS, LIST_META, META_SCHEMAS, OBJECT_META, STATUS } from './meta-schemas.ts';
import { rootWithReferences } from './named-types.ts';

/** An OpenAPI v3 document, as far as clients read it. */
export interface Document {
  readonly openapi: string;
  readonly info: unknown;
  readonly paths: Readonly<Record<string, unknown>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

interface Parameter {
  readonly name: string;
  readonly in: 'query' | 'path';
  readonly description: string;
  readonly required?: boolean;
  readonly schema: { readonly type: string; readonly uniqueItems: boolean };
}

/** Makes the document of one group version. */
export function documentOf(
  resources: readonly Resource[],
  subresources: (resource: Resource) => readonly { readonly name: string; readonly verbs: readonly string[] }[],
): Document {
  const schemas: Record<string, unknown> = {};
  for (const [name, node] of Object.entries(META_SCHEMAS)) schemas[name] = rootWithReferences(node, schemas);
  const paths: Record<string, unknown> = {};
  for (const resource of resources) {
    const name = schemaName(resource);
    schemas[name] = rootSchema(resource, schemas);
    schemas[`${name}List`] = listSchema(resource, name);
    const base = basePath(resource);
    paths[base] = collectionPath(resource, name);
    if (resource.namespaced)
      paths[base.replace('/namespaces/{namespace}', '')] = { get: operation(resource, 'list', `${name}List`, LIST) };
    paths[`${base}/{name}`] = objectPath(resource, name);
    for (const sub of subresources(resource)) paths[`${base}/{name}/${sub.name}`] = subPath(resource, name, sub.verbs);
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'v1.34.4' },
    paths,
    components: { schemas },
  };
}

/** `io.clawbernetes.storage.v1alpha1.Volume`, or `io.k8s.api.core.v1.Secret`. */
function schemaName({ group, version, kind, custom }: Resource): string {
  if (custom) return `${group.split('.').toReversed().join('.')}.${version}.${kind}`;
  if (group === 'apiextensions.k8s.io')
    return `io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.${version}.${kind}`;
  return `io.k8s.api.${group === '' ? 'core' : group.split('.')[0]}.${version}.${kind}`;
}

function gvk({ group, version, kind }: Resource, suffix = ''): unknown[] {
  return [{ group, kind: `${kind}${suffix}`, version }];
}

const reference = (name: string, description?: string): unknown =>
  description === undefined
    ? { $ref: `#/components/schemas/${name}` }
    : { description, allOf: [{ $ref: `#/components/schemas/${name}` }], default: {} };

const API_VERSION =
  'APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources';
const KIND =
  'Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds';
const METADATA =
  "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

function rootSchema(resource: Resource, components: Record<string, unknown>): unknown {
  const node = rootWithReferences(resource.node, components);
  return {
    ...node,
    properties: {
      ...(node['properties'] as Readonly<Record<string, unknown>> | undefined),
      apiVersion: { type: 'string', description: API_VERSION },
      kind: { type: 'string', description: KIND },
      metadata: reference(OBJECT_META, METADATA),
    },
    'x-kubernetes-group-version-kind': gvk(resource),
    ...selectableFields(resource),
  };
}

/** Which fields a CRD says may be selected by. */
function selectableFields({ custom, selectable }: Resource): Readonly<Record<string, unknown>> {
  if (!custom || selectable.size === 0) return {};
  return { 'x-kubernetes-selectable-fields': Array.from(selectable.keys(), (fieldPath) => ({ fieldPath })) };
}

function listSchema(resource: Resource, name: string): unknown {
  return {
    description: `${resource.listKind} is a list of ${resource.kind}`,
    type: 'object',
    required: ['items'],
    properties: {
      apiVersion: { type: 'string', description: API_VERSION },
      items: {
        description: `List of ${resource.resource}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md`,
        type: 'array',
        items: resource.custom ? reference(name) : { allOf: [reference(name)], default: {} },
      },
      kind: { type: 'string', description: KIND },
      metadata: reference(LIST_META, 'Standard list metadata.'),
    },
    'x-kubernetes-group-version-kind': gvk(resource, 'List'),
    ...selectableFields(resource),
  };
}

function basePath({ group, version, resource, namespaced }: Resource): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  return `${root}${namespaced ? '/namespaces/{namespace}' : ''}/${resource}`;
}

function query(name: string, type: string, description: string): Parameter {
  return { name, in: 'query', description, schema: { type, uniqueItems: true } };
}

const PRETTY = query('pretty', 'string', 'If true, the output is indented.');
const WRITE: readonly Parameter[] = [
  query('dryRun', 'string', 'When present, nothing is stored; the only value is All.'),
  query('fieldManager', 'string', 'The name of who makes these changes.'),
  query('fieldValidation', 'string', 'What to do about unknown and duplicate fields: Ignore, Warn or Strict.'),
];
const FORCE = query('force', 'boolean', 'Take over fields that others own. Only for apply.');
const LIST: readonly Parameter[] = [
  query('allowWatchBookmarks', 'boolean', 'Send BOOKMARK events on a watch.'),
  query('continue', 'string', 'The token of the page before.'),
  query('fieldSelector', 'string', 'Restricts the objects by their fields.'),
  query('labelSelector', 'string', 'Restricts the objects by their labels.'),
  query('limit', 'integer', 'The largest number of items of a page.'),
  query('resourceVersion', 'string', 'The version to start from.'),
  query('resourceVersionMatch', 'string', 'How resourceVersion is meant.'),
  query('sendInitialEvents', 'boolean', 'Start a watch with the objects that are there.'),
  query('timeoutSeconds', 'integer', 'Timeout of the call.'),
  query('watch', 'boolean', 'Watch for changes instead of returning a list.'),
];
const DELETE: readonly Parameter[] = [
  query('dryRun', 'string', 'When present, nothing is deleted; the only value is All.'),
  query('gracePeriodSeconds', 'integer', 'Seconds before the object should be deleted.'),
  query('orphanDependents', 'boolean', 'Deprecated: use propagationPolicy.'),
  query('propagationPolicy', 'string', 'Whether and how dependents are deleted.'),
];
const JSON_TYPES = ['application/json', 'application/yaml'];

function content(types: readonly string[], name: string): unknown {
  return Object.fromEntries(types.map((type) => [type, { schema: { $ref: `#/components/schemas/${name}` } }]));
}

function operation(
  resource: Resource,
  action: string,
  answer: string,
  parameters: readonly Parameter[],
  body?: { readonly types: readonly string[]; readonly schema: string },
): unknown {
  const id = `${action}${resource.group === '' ? 'Core' : resource.group.split('.').map(capital).join('')}${capital(resource.version)}${resource.namespaced ? 'Namespaced' : ''}${resource.kind}`;
  return {
    tags: [
      `${
        resource.group === ''
          ? 'core'
          : resource.group
              .split('.')
              .map((part, i) => (i === 0 ? part : capital(part)))
              .join('')
      }_${resource.version}`,
    ],
    description: `${action} ${resource.kind}`,
    operationId: id,
    parameters,
    ...(body === undefined ? {} : { requestBody: { content: content(body.types, body.schema), required: true } }),
    responses: {
      200: { description: 'OK', content: content(JSON_TYPES, answer) },
      401: { description: 'Unauthorized' },
    },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': { group: resource.group, kind: resource.kind, version: resource.version },
  };
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function pathParameters(resource: Resource, hasName: boolean): Parameter[] {
  const parameter = (name: string, description: string): Parameter => ({
    name,
    in: 'path',
    description,
    required: true,
    schema: { type: 'string', uniqueItems: true },
  });
  return [
    ...(hasName ? [parameter('name', `name of the ${resource.kind}`)] : []),
    ...(resource.namespaced
      ? [parameter('namespace', 'object name and auth scope, such as for teams and projects')]
      : []),
    PRETTY,
  ];
}

function collectionPath(resource: Resource, name: string): unknown {
  const { verbs } = resource;
  const json = { types: JSON_TYPES, schema: name };
  return {
    get: operation(resource, 'list', `${name}List`, LIST),
    ...(verbs.includes('create') ? { post: operation(resource, 'post', name, WRITE, json) } : {}),
    ...(verbs.includes('deletecollection')
      ? {
          delete: operation(resource, 'deletecollection', STATUS, [...LIST, ...DELETE], {
            types: JSON_TYPES,
            schema: DELETE_OPTIONS,
          }),
        }
      : {}),
    parameters: pathParameters(resource, false),
  };
}

function patchTypes({ custom }: Resource): string[] {
  return [
    'application/apply-patch+yaml',
    'application/json-patch+json',
    'application/merge-patch+json',
    ...(custom ? [] : ['application/strategic-merge-patch+json']),
  ];
}

function objectPath(resource: Resource, name: string): unknown {
  const { verbs } = resource;
  return {
    ...subPath(resource, name, verbs),
    ...(verbs.includes('delete')
      ? { delete: operation(resource, 'delete', STATUS, DELETE, { types: JSON_TYPES, schema: DELETE_OPTIONS }) }
      : {}),
  };
}

function subPath(resource: Resource, name: string, verbs: readonly string[]): Record<string, unknown> {
  return {
    ...(verbs.includes('get')
      ? { get: operation(resource, 'get', name, [query('resourceVersion', 'string', 'The oldest version to show.')]) }
      : {}),
    ...(verbs.includes('update')
      ? { put: operation(resource, 'put', name, WRITE, { types: JSON_TYPES, schema: name }) }
      : {}),
    ...(verbs.includes('patch')
      ? { patch: operation(resource, 'patch', name, [...WRITE, FORCE], { types: patchTypes(resource), schema: name }) }
      : {}),
    parameters: pathParameters(resource, true),
  };
}
