/** Schemas of the few kinds of Kubernetes itself that the server has; field names and types are those of the Kubernetes API. */

import { namedType } from '../openapi/named-types.ts';
import type { SchemaNode } from '../schema/structural.ts';
import { bool, integer, listOf, struct, text, textMap, texts, time } from './dsl.ts';

const CORE = 'io.k8s.api.core.v1';

const root = (description: string, properties: Readonly<Record<string, SchemaNode>>): SchemaNode =>
  struct(description, {
    apiVersion: text('APIVersion defines the versioned schema of this representation of an object.'),
    kind: text('Kind is a string value representing the REST resource this object represents.'),
    metadata: { type: 'object', description: "Standard object's metadata." },
    ...properties,
  });

export const NAMESPACE = root('Namespace provides a scope for names.', {
  spec: namedType(
    struct('Spec defines the behavior of the Namespace.', {
      finalizers: texts('Finalizers that must be empty before the namespace is removed from storage.'),
    }),
    `${CORE}.NamespaceSpec`,
  ),
  status: namedType(
    struct('Status describes the current status of a Namespace.', {
      phase: text('The current lifecycle phase of the namespace: Active or Terminating.'),
      conditions: listOf(
        "The latest available observations of the namespace's current state.",
        namedType(
          struct('NamespaceCondition contains details about the state of the namespace.', {
            type: text('Type of the condition.'),
            status: text('Status of the condition: True, False or Unknown.'),
            lastTransitionTime: time('Last time the condition went from one status to another.'),
            reason: text('Reason for the last transition, in CamelCase.'),
            message: text('Message for people.'),
          }),
          `${CORE}.NamespaceCondition`,
          { required: ['type', 'status'] },
        ),
        'type',
      ),
    }),
    `${CORE}.NamespaceStatus`,
    { enums: { phase: ['Active', 'Terminating'] } },
  ),
});

export const SECRET = root('Secret holds secret data of a certain type.', {
  type: text('Used to facilitate programmatic handling of secret data.'),
  data: textMap('The secret data, base64 encoded; keys consist of alphanumeric characters, -, _ or .', 'byte'),
  stringData: textMap('Write-only secret data as plain strings; it is merged into data on write.'),
  immutable: bool('When true, the data cannot be changed; only metadata can.'),
});

export const CONFIG_MAP = root('ConfigMap holds configuration data for workloads to consume.', {
  data: textMap('The configuration data; keys consist of alphanumeric characters, -, _ or .'),
  binaryData: textMap('Binary data, base64 encoded; its keys must not overlap with those of data.', 'byte'),
  immutable: bool('When true, the data cannot be changed; only metadata can.'),
});

export const LEASE = root('Lease defines a lease concept.', {
  spec: namedType(
    struct('Spec contains the specification of the Lease.', {
      holderIdentity: text('The identity of the holder of the current lease.'),
      leaseDurationSeconds: integer('How long, in seconds, candidates wait before they take the lease by force.'),
      acquireTime: text('When the current lease was acquired.', { format: 'date-time', nullable: true }),
      renewTime: text('When the current holder last renewed the lease.', { format: 'date-time', nullable: true }),
      leaseTransitions: integer('The number of transitions of the lease between holders.'),
      strategy: text('The strategy for picking the leader in coordinated leader election.'),
      preferredHolder: text('Signals to the holder that it should hand the lease over.'),
    }),
    'io.k8s.api.coordination.v1.LeaseSpec',
  ),
});

const objectReference = (description: string): SchemaNode =>
  namedType(
    struct(
      description,
      {
        apiVersion: text('API version of the referent.'),
        fieldPath: text('A part of the object, if it is not the whole.'),
        kind: text('Kind of the referent.'),
        name: text('Name of the referent.'),
        namespace: text('Namespace of the referent.'),
        resourceVersion: text('The resourceVersion at which the reference was made.'),
        uid: text('UID of the referent.'),
      },
      { 'x-kubernetes-map-type': 'atomic' },
    ),
    `${CORE}.ObjectReference`,
  );

const eventSource = (description: string): SchemaNode =>
  namedType(
    struct(description, {
      component: text('Component from which the event is generated.'),
      host: text('Node name on which the event is generated.'),
    }),
    `${CORE}.EventSource`,
  );

const eventSeries = (description: string, name: string, required?: readonly string[]): SchemaNode =>
  namedType(
    struct(description, {
      count: integer('Number of occurrences in this series up to the last heartbeat time.'),
      lastObservedTime: time('Time of the last occurrence observed.'),
    }),
    name,
    required === undefined ? {} : { required },
  );

export const CORE_EVENT = namedType(
  root('Event is a report of an event somewhere in the cluster.', {
    involvedObject: objectReference('The object that this event is about.'),
    reason: text('Why the transition into the current status happened; short and machine understandable.'),
    message: text('A description of the status of this operation for people.'),
    source: eventSource('The component reporting this event.'),
    firstTimestamp: time('The time at which the event was first recorded.'),
    lastTimestamp: time('The time at which the most recent occurrence of this event was recorded.'),
    count: integer('The number of times this event has occurred.'),
    type: text('Type of this event: Normal or Warning; new types could be added.'),
    eventTime: time('Time when this event was first observed.'),
    series: eventSeries('Data about the event series this event represents.', `${CORE}.EventSeries`),
    action: text('What action was taken or failed regarding the regarding object.'),
    related: objectReference('Optional secondary object for more complex actions.'),
    reportingComponent: text('Name of the controller that emitted this event.'),
    reportingInstance: text('ID of the controller instance.'),
  }),
  `${CORE}.Event`,
  { required: ['metadata', 'involvedObject'] },
);

export const EVENT = namedType(
  root('Event is a report of an event somewhere in the cluster.', {
    eventTime: time('When this event was first observed. It is required.'),
    series: eventSeries('Data about the event series this event represents.', 'io.k8s.api.events.v1.EventSeries', [
      'count',
      'lastObservedTime',
    ]),
    reportingController: text('Name of the controller that emitted this event.'),
    reportingInstance: text('ID of the controller instance.'),
    action: text('What action was taken or failed regarding the regarding object.'),
    reason: text('Why the action was taken; for people.'),
    regarding: objectReference('The object this event is about.'),
    related: objectReference('Optional secondary object for more complex actions.'),
    note: text('A description of the status of this operation for people.'),
    type: text('Type of this event: Normal or Warning; new types could be added.'),
    deprecatedSource: eventSource('Backward compatibility with the core.v1 Event type.'),
    deprecatedFirstTimestamp: time('Backward compatibility with the core.v1 Event type.'),
    deprecatedLastTimestamp: time('Backward compatibility with the core.v1 Event type.'),
    deprecatedCount: integer('Backward compatibility with the core.v1 Event type.'),
  }),
  'io.k8s.api.events.v1.Event',
  { required: ['eventTime'] },
);

/** What a CustomResourceDefinition holds is checked when the server reads it from its file; it cannot be written. */
export const CUSTOM_RESOURCE_DEFINITION = root(
  'CustomResourceDefinition represents a resource that should be exposed on the API server.',
  {
    spec: struct(
      'How the user wants the resources to appear.',
      {
        group: text('The API group of the defined custom resource.'),
        scope: text('Cluster or Namespaced.'),
        names: {
          type: 'object',
          description: 'Names of the resource and its kind.',
          'x-kubernetes-preserve-unknown-fields': true,
        },
        versions: {
          type: 'array',
          description: 'All API versions of the resource.',
          items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        },
      },
      { 'x-kubernetes-preserve-unknown-fields': true },
    ),
    status: struct('The actual state of the definition.', {}, { 'x-kubernetes-preserve-unknown-fields': true }),
  },
);
