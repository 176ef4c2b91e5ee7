import type { StructuralSchema } from './schema.ts';

const text: StructuralSchema = { type: 'string' };
const time: StructuralSchema = { type: 'string', format: 'date-time' };
const integer: StructuralSchema = { type: 'integer' };
const textMap: StructuralSchema = { type: 'object', additionalProperties: text };

/** The record of ownership: nobody's field, and large; its shape is checked where it is decoded. */
export const MANAGED_FIELDS_SCHEMA: StructuralSchema = {};

/**
 * ObjectMeta as field ownership sees it (apimachinery, `meta/v1` OpenAPI): labels and annotations are granular,
 * finalizers are a set, owner references are keyed by uid and each is owned as a whole.
 */
export const OBJECT_META_SCHEMA: StructuralSchema = {
  type: 'object',
  properties: {
    name: text,
    generateName: text,
    namespace: text,
    selfLink: text,
    uid: text,
    resourceVersion: text,
    generation: integer,
    creationTimestamp: time,
    deletionTimestamp: time,
    deletionGracePeriodSeconds: integer,
    labels: textMap,
    annotations: textMap,
    ownerReferences: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['uid'],
      items: {
        type: 'object',
        'x-kubernetes-map-type': 'atomic',
        properties: {
          apiVersion: text,
          kind: text,
          name: text,
          uid: text,
          controller: { type: 'boolean' },
          blockOwnerDeletion: { type: 'boolean' },
        },
      },
    },
    finalizers: { type: 'array', 'x-kubernetes-list-type': 'set', items: text },
    managedFields: MANAGED_FIELDS_SCHEMA,
  },
};
