import { compileSchema } from '../schema/compile.ts';
import { invalid } from '../schema/field-error.ts';
import { isObject, type Json } from '../schema/json-value.ts';
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
import {
  completeEvent,
  completeLease,
  completeNamespace,
  EVENT_ALWAYS,
  prepareLease,
  prepareNamespace,
  prepareSecret,
  validateData,
  validateEvent,
  validateImmutable,
  validateLease,
  validateNewEvent,
  validateSecretType,
  validateTwice,
} from './strategies.ts';

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
  readonly categories?: readonly string[];
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
      categories: definition.categories ?? [],
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
        ...validateTwice(object),
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
      structs: ['spec', 'status'],
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
        ...validateSecretType(object),
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
    categories: ['api-extensions'],
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
      complete: completeLease,
      prepareForCreate: prepareLease,
      prepareForUpdate: prepareLease,
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
