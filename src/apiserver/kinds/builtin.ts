import { compileSchema } from '../schema/compile.ts';
import { type FieldError, invalid, required } from '../schema/field-error.ts';
import { isObject, type Json, type JsonObject } from '../schema/json-value.ts';
import type { SchemaNode } from '../schema/structural.ts';
import type { Store } from '../storage/store.ts';
import {
  CONFIG_MAP,
  CORE_EVENT,
  CUSTOM_RESOURCE_DEFINITION,
  EVENT,
  LEASE,
  NAMESPACE,
  SECRET,
} from './builtin-schemas.ts';
import {
  CONFIG_MAP_PRINTER,
  CRD_PRINTER,
  EVENT_PRINTER,
  LEASE_PRINTER,
  NAMESPACE_PRINTER,
  type Printer,
  SECRET_PRINTER,
} from './columns.ts';
import { EVENTS_VIEW } from './events.ts';
import { ALL_VERBS, type FieldGetter, type Resource, type Strategy } from './resource.ts';

/** The finalizer in `spec.finalizers` that keeps a namespace until its content is gone. */
export const NAMESPACE_FINALIZER = 'kubernetes';

const PLAIN: Strategy = {
  allowCreateOnUpdate: false,
  allowUnconditionalUpdate: true,
  hasGeneration: false,
  nameFormat: 'subdomain',
};

const NO_SELECTABLE: ReadonlyMap<string, FieldGetter> = new Map();

interface Definition {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly singular: string;
  readonly kind: string;
  readonly shortNames?: readonly string[];
  readonly namespaced: boolean;
  readonly verbs?: readonly string[];
  readonly hasStatus?: boolean;
  readonly node: SchemaNode;
  readonly printer: Printer;
  readonly selectable?: ReadonlyMap<string, FieldGetter>;
  readonly strategy?: Partial<Strategy>;
  readonly view?: Resource['view'];
  /** The collection, when another version of the kind shares it. */
  readonly storedAs?: string;
}

/** The built-in kinds, in the order in which discovery lists them. */
export function builtinResources(store: Store): Resource[] {
  return DEFINITIONS.map((definition) => {
    const { group, version, resource, kind, hasStatus = false } = definition;
    const stored = compileSchema(definition.view === undefined ? definition.node : CORE_EVENT);
    return {
      group,
      version,
      apiVersion: group === '' ? version : `${group}/${version}`,
      resource,
      singular: definition.singular,
      kind,
      listKind: `${kind}List`,
      shortNames: definition.shortNames ?? [],
      categories: [],
      namespaced: definition.namespaced,
      verbs: definition.verbs ?? ALL_VERBS,
      custom: false,
      hasStatus,
      schema: definition.view === undefined ? stored : compileSchema(definition.node),
      node: definition.node,
      resetFields: hasStatus ? ['status'] : [],
      statusResetFields: ['spec'],
      columns: definition.printer.columns,
      cells: definition.printer.cells,
      selectable: definition.selectable ?? NO_SELECTABLE,
      strategy: { ...PLAIN, ...definition.strategy },
      view: definition.view,
      collection: store.collection(definition.storedAs ?? `${group}/${resource}`),
    };
  });
}

function path(...keys: readonly string[]): FieldGetter {
  return (object) => {
    let value: Json | undefined = object;
    for (const key of keys) value = isObject(value) ? value[key] : undefined;
    return typeof value === 'string' ? value : '';
  };
}

const EVENT_FIELDS: ReadonlyMap<string, FieldGetter> = new Map([
  ...['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map(
    (key) => [`involvedObject.${key}`, path('involvedObject', key)] as const,
  ),
  ['reason', path('reason')],
  ['source', (event) => path('source', 'component')(event) || path('reportingComponent')(event)],
  ['reportingComponent', path('reportingComponent')],
  ['type', path('type')],
]);

const REGARDING_FIELDS: ReadonlyMap<string, FieldGetter> = new Map(
  [...EVENT_FIELDS].map(([name, getter]) => [
    name.replace('involvedObject.', 'regarding.').replace('reportingComponent', 'reportingController'),
    getter,
  ]),
);

const DATA_KEY = /^[-._a-zA-Z0-9]+$/;
const MAX_DATA_BYTES = 1024 * 1024;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Checks the keys and the size of `data` (kubernetes, `validation.ValidateSecret`, `ValidateConfigMap`). */
function validateData(object: JsonObject, encoded: readonly string[], plain: readonly string[]): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const name of [...plain, ...encoded]) {
    const data = object[name];
    if (!isObject(data)) continue;
    for (const [key, value] of Object.entries(data)) {
      if (!DATA_KEY.test(key) || key === '.' || key === '..' || key.length > 253) {
        errors.push(
          invalid(
            `${name}[${key}]`,
            key,
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
          ),
        );
      }
      const size = typeof value === 'string' ? Buffer.byteLength(value) : 0;
      bytes += encoded.includes(name) ? Math.floor((size * 3) / 4) : size;
    }
  }
  if (bytes > MAX_DATA_BYTES) {
    const field = plain[0] ?? encoded[0] ?? '';
    errors.push({
      type: 'FieldValueTooLong',
      field,
      badValue: '',
      detail: `may not be more than ${MAX_DATA_BYTES} bytes`,
    });
  }
  return errors;
}

/** Data of an immutable object stays as it is. */
function validateImmutable(object: JsonObject, old: JsonObject | undefined, fields: readonly string[]): FieldError[] {
  if (old === undefined || old['immutable'] !== true) return [];
  const errors: FieldError[] = [];
  const detail = 'field is immutable when `immutable` is set';
  if (object['immutable'] !== true)
    errors.push({ type: 'FieldValueForbidden', field: 'immutable', badValue: '', detail });
  for (const field of fields) {
    if (JSON.stringify(object[field] ?? {}) !== JSON.stringify(old[field] ?? {})) {
      errors.push({ type: 'FieldValueForbidden', field, badValue: '', detail });
    }
  }
  return errors;
}

function prepareSecret(object: JsonObject): void {
  const plain = object['stringData'];
  if (isObject(plain)) {
    const data: JsonObject = isObject(object['data']) ? { ...object['data'] } : {};
    for (const [key, value] of Object.entries(plain)) data[key] = Buffer.from(String(value)).toString('base64');
    object['data'] = data;
  }
  delete object['stringData'];
  object['type'] ??= 'Opaque';
}

/** What an undecodable `data` is answered with. */
export function hasBadBase64(object: JsonObject, field: string): boolean {
  const data = object[field];
  return isObject(data) && Object.values(data).some((value) => typeof value === 'string' && !BASE64.test(value));
}

function prepareNamespace(object: JsonObject): void {
  const spec = isObject(object['spec']) ? object['spec'] : {};
  const finalizers = Array.isArray(spec['finalizers']) ? spec['finalizers'] : [];
  if (!finalizers.includes(NAMESPACE_FINALIZER)) {
    object['spec'] = { ...spec, finalizers: [...finalizers, NAMESPACE_FINALIZER] };
  }
  object['status'] = { phase: 'Active' };
}

function completeNamespace(object: JsonObject): void {
  const metadata = object['metadata'] as JsonObject;
  const labels = isObject(metadata['labels']) ? metadata['labels'] : {};
  metadata['labels'] = { ...labels, 'kubernetes.io/metadata.name': metadata['name'] as string };
}

function validateEvent(event: JsonObject): FieldError[] {
  const metadata = event['metadata'] as JsonObject;
  const about = isObject(event['involvedObject']) ? event['involvedObject'] : {};
  const namespace = typeof about['namespace'] === 'string' ? about['namespace'] : '';
  const fits =
    namespace === ''
      ? metadata['namespace'] === 'default' || metadata['namespace'] === 'kube-system'
      : metadata['namespace'] === namespace;
  return fits ? [] : [invalid('involvedObject.namespace', namespace, 'does not match event.namespace')];
}

function validateNewEvent(event: JsonObject, old: JsonObject | undefined): FieldError[] {
  const errors = validateEvent(event);
  if (old !== undefined) return errors;
  for (const [stored, shown] of [
    ['reportingComponent', 'reportingController'],
    ['reportingInstance', 'reportingInstance'],
    ['action', 'action'],
    ['reason', 'reason'],
  ] as const) {
    if (typeof event[stored] !== 'string' || event[stored] === '') errors.push(required(shown));
  }
  if (typeof event['eventTime'] !== 'string') errors.push(required('eventTime'));
  return errors;
}

const EVENT_ALWAYS = [
  'involvedObject',
  'source',
  'firstTimestamp',
  'lastTimestamp',
  'eventTime',
  'reportingComponent',
  'reportingInstance',
];

/** What the Go type of an event always has. */
function completeEvent(event: JsonObject): void {
  for (const key of ['involvedObject', 'source']) event[key] ??= {};
  for (const key of ['firstTimestamp', 'lastTimestamp', 'eventTime']) event[key] ??= null;
  for (const key of ['reportingComponent', 'reportingInstance']) event[key] ??= '';
}

function validateLease(lease: JsonObject): FieldError[] {
  const spec = isObject(lease['spec']) ? lease['spec'] : {};
  const errors: FieldError[] = [];
  const duration = spec['leaseDurationSeconds'];
  if (typeof duration === 'number' && duration <= 0) {
    errors.push(invalid('spec.leaseDurationSeconds', duration, 'must be greater than 0'));
  }
  const transitions = spec['leaseTransitions'];
  if (typeof transitions === 'number' && transitions < 0) {
    errors.push(invalid('spec.leaseTransitions', transitions, 'must be greater than or equal to 0'));
  }
  return errors;
}

const READ_ONLY = ['get', 'list', 'watch'];

const DEFINITIONS: readonly Definition[] = [
  {
    group: '',
    version: 'v1',
    resource: 'configmaps',
    singular: 'configmap',
    kind: 'ConfigMap',
    shortNames: ['cm'],
    namespaced: true,
    node: CONFIG_MAP,
    printer: CONFIG_MAP_PRINTER,
    strategy: {
      validate: (object, old) => [
        ...validateData(object, ['binaryData'], ['data']),
        ...validateImmutable(object, old, ['data', 'binaryData']),
      ],
    },
  },
  {
    group: '',
    version: 'v1',
    resource: 'events',
    singular: 'event',
    kind: 'Event',
    shortNames: ['ev'],
    namespaced: true,
    node: CORE_EVENT,
    printer: EVENT_PRINTER,
    selectable: EVENT_FIELDS,
    strategy: {
      allowCreateOnUpdate: true,
      complete: completeEvent,
      structs: EVENT_ALWAYS,
      validate: validateEvent,
    },
  },
  {
    group: '',
    version: 'v1',
    resource: 'namespaces',
    singular: 'namespace',
    kind: 'Namespace',
    shortNames: ['ns'],
    namespaced: false,
    verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
    hasStatus: true,
    node: NAMESPACE,
    printer: NAMESPACE_PRINTER,
    selectable: new Map([
      ['name', path('metadata', 'name')],
      ['status.phase', path('status', 'phase')],
    ]),
    strategy: {
      nameFormat: 'label',
      complete: completeNamespace,
      prepareForCreate: prepareNamespace,
      prepareForUpdate: (object, old) => {
        // Finalizers change through the `finalize` subresource alone.
        if (old['spec'] === undefined) delete object['spec'];
        else object['spec'] = old['spec'];
      },
    },
  },
  {
    group: '',
    version: 'v1',
    resource: 'secrets',
    singular: 'secret',
    kind: 'Secret',
    namespaced: true,
    node: SECRET,
    printer: SECRET_PRINTER,
    selectable: new Map([['type', path('type')]]),
    strategy: {
      complete: prepareSecret,
      validate: (object, old) => [
        ...validateData(object, ['data'], []),
        ...(old !== undefined && old['type'] !== object['type']
          ? [invalid('type', object['type'] ?? '', 'field is immutable')]
          : []),
        ...validateImmutable(object, old, ['data']),
      ],
    },
  },
  {
    group: 'apiextensions.k8s.io',
    version: 'v1',
    resource: 'customresourcedefinitions',
    singular: 'customresourcedefinition',
    kind: 'CustomResourceDefinition',
    shortNames: ['crd', 'crds'],
    namespaced: false,
    verbs: READ_ONLY,
    hasStatus: true,
    node: CUSTOM_RESOURCE_DEFINITION,
    printer: CRD_PRINTER,
  },
  {
    group: 'coordination.k8s.io',
    version: 'v1',
    resource: 'leases',
    singular: 'lease',
    kind: 'Lease',
    namespaced: true,
    node: LEASE,
    printer: LEASE_PRINTER,
    strategy: {
      allowCreateOnUpdate: true,
      allowUnconditionalUpdate: false,
      structs: ['spec'],
      validate: validateLease,
    },
  },
  {
    group: 'events.k8s.io',
    version: 'v1',
    resource: 'events',
    singular: 'event',
    kind: 'Event',
    shortNames: ['ev'],
    namespaced: true,
    node: EVENT,
    printer: EVENT_PRINTER,
    selectable: REGARDING_FIELDS,
    strategy: { allowCreateOnUpdate: true, validate: validateNewEvent },
    view: EVENTS_VIEW,
    storedAs: '/events',
  },
];
