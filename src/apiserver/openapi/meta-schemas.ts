import { bool, integer, listOf, struct, text, textMap, texts, time } from '../kinds/dsl.ts';
import type { SchemaNode } from '../schema/structural.ts';
import { namedType } from './named-types.ts';

/** Names of the shared schemas, as kube-apiserver has them. */
export const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
export const LIST_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta';
export const DELETE_OPTIONS = 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions';
export const STATUS = 'io.k8s.apimachinery.pkg.apis.meta.v1.Status';

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';

const ownerReference = namedType(
  struct(
    'An object that this one depends on; it is deleted when all its owners are gone.',
    {
      apiVersion: text('API version of the referent.'),
      blockOwnerDeletion: bool('Whether a foreground deletion of the owner waits for this object.'),
      controller: bool('Whether this reference points to the managing controller.'),
      kind: text('Kind of the referent.'),
      name: text('Name of the referent.'),
      uid: text('UID of the referent.'),
    },
    { required: ['apiVersion', 'kind', 'name', 'uid'], 'x-kubernetes-map-type': 'atomic' },
  ),
  `${META}.OwnerReference`,
);

const managedFieldsEntry = namedType(
  struct('Which fields a manager owns, and in which version of the API.', {
    apiVersion: text('The version that the fields are named in.'),
    fieldsType: text('The format of the fields: FieldsV1.'),
    fieldsV1: namedType({ type: 'object', description: 'The fields.' }, `${META}.FieldsV1`),
    manager: text('The manager of the fields.'),
    operation: text('How they came to be managed: Apply or Update.'),
    subresource: text('The subresource through which they were written.'),
    time: time('When the entry was added or last changed.'),
  }),
  `${META}.ManagedFieldsEntry`,
);

/** Schemas that the kinds refer to. */
export const META_SCHEMAS: Readonly<Record<string, SchemaNode>> = {
  [OBJECT_META]: struct('ObjectMeta is metadata that all persisted resources must have.', {
    annotations: textMap('Unstructured values that tools set and read. They are not queryable.'),
    creationTimestamp: time('When this object was created. Set by the server.'),
    deletionGracePeriodSeconds: integer('Seconds until the object is removed. Set by the server.', 'int64'),
    deletionTimestamp: time('When this object will be deleted. Set by the server when a deletion is requested.'),
    finalizers: texts(
      'Must be empty before the object is deleted; each names who removes it when its work is done.',
      'set',
    ),
    generateName: text('A prefix from which the server makes a unique name when none is given.'),
    generation: integer('A number that grows with each change of the desired state. Set by the server.', 'int64'),
    labels: textMap('Values by which objects are selected.'),
    managedFields: { ...listOf('Which manager owns which fields; kept by the server.', managedFieldsEntry) },
    name: text('Name must be unique within a namespace. It cannot be updated.'),
    namespace: text('Namespace defines the space within which each name must be unique. It cannot be updated.'),
    ownerReferences: listOf('Objects that this object depends on.', ownerReference, 'uid'),
    resourceVersion: text('An opaque value that tells when the object has changed. Set by the server.'),
    selfLink: text('Deprecated: the server does not set it any more.'),
    uid: text('The unique identity of this object in time and space. Set by the server.'),
  }),
  [LIST_META]: struct('ListMeta describes metadata that lists have.', {
    continue: text('The token with which the next page is asked for; empty on the last one.'),
    remainingItemCount: integer('The number of items that are not in this page.', 'int64'),
    resourceVersion: text('The version of the server that the list shows.'),
    selfLink: text('Deprecated: the server does not set it any more.'),
  }),
  [DELETE_OPTIONS]: struct('DeleteOptions may be provided when deleting an API object.', {
    apiVersion: text('APIVersion defines the versioned schema of this representation of an object.'),
    dryRun: texts('When present, nothing is changed; the only value is All.'),
    gracePeriodSeconds: integer('Seconds before the object should be deleted.', 'int64'),
    kind: text('Kind is a string value representing the REST resource this object represents.'),
    orphanDependents: bool('Deprecated: use propagationPolicy.'),
    preconditions: struct('Must be fulfilled before a deletion is carried out.', {
      resourceVersion: text('The target resourceVersion.'),
      uid: text('The target UID.'),
    }),
    propagationPolicy: text('Whether and how dependents are deleted: Orphan, Background or Foreground.'),
  }),
  [STATUS]: struct('Status is a return value for calls that do not return other objects.', {
    apiVersion: text('APIVersion defines the versioned schema of this representation of an object.'),
    code: integer('Suggested HTTP return code; 0 if not set.'),
    details: { type: 'object', description: 'Extended data about the reason.' },
    kind: text('Kind is a string value representing the REST resource this object represents.'),
    message: text('A description of the status of this operation for people.'),
    reason: text('A machine-readable description of why this operation failed.'),
    status: text('Success or Failure.'),
  }),
};
