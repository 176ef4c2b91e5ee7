import type { StructuralSchema } from '../../../../src/apiserver/apply/index.ts';

export const API_VERSION = 'storage.clawbernetes.io/v1alpha1';
export const KIND = 'Sample';

const text: StructuralSchema = { type: 'string' };
const integer: StructuralSchema = { type: 'integer' };

const wordSet: StructuralSchema = { type: 'array', 'x-kubernetes-list-type': 'set', items: text };

/** A kind with one field of every sort that decides about merging. */
export const SAMPLE_SCHEMA: StructuralSchema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        capacity: text,
        count: integer,
        ratio: { type: 'number' },
        flag: { type: 'boolean' },
        port: { 'x-kubernetes-int-or-string': true },
        when: { type: 'string', format: 'date-time' },
        nested: {
          type: 'object',
          properties: { a: { type: 'object', properties: { b: text, c: text } }, d: text },
        },
        selector: { type: 'object', additionalProperties: text },
        limits: { type: 'object', 'x-kubernetes-map-type': 'atomic', properties: { cpu: text, memory: text } },
        groups: {
          type: 'object',
          additionalProperties: { type: 'object', properties: { x: text, y: integer } },
        },
        tags: { type: 'array', 'x-kubernetes-list-type': 'set', items: text },
        numbers: { type: 'array', 'x-kubernetes-list-type': 'set', items: integer },
        args: { type: 'array', items: text },
        steps: {
          type: 'array',
          'x-kubernetes-list-type': 'atomic',
          items: { type: 'object', properties: { run: text } },
        },
        items: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            properties: {
              name: text,
              size: integer,
              labels: { type: 'object', additionalProperties: text },
              parts: {
                type: 'array',
                'x-kubernetes-list-type': 'map',
                'x-kubernetes-list-map-keys': ['id'],
                items: { type: 'object', properties: { id: integer, value: text } },
              },
            },
          },
        },
        ports: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['port', 'protocol'],
          items: {
            type: 'object',
            properties: { port: integer, protocol: { type: 'string', default: 'TCP' }, name: text },
          },
        },
        // Lists inside lists, maps and items: owners meet at every depth.
        matrix: { type: 'array', items: { type: 'array', items: integer } },
        zones: {
          type: 'object',
          additionalProperties: {
            type: 'array',
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['id'],
            items: { type: 'object', properties: { id: integer, weight: integer, hosts: wordSet } },
          },
        },
        roles: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['role'],
          items: {
            type: 'object',
            properties: {
              role: text,
              verbs: wordSet,
              exact: { type: 'object', 'x-kubernetes-map-type': 'atomic', additionalProperties: text },
              when: { type: 'object', properties: { from: text, to: text } },
              args: { type: 'array', 'x-kubernetes-list-type': 'atomic', items: text },
            },
          },
        },
        maybe: text,
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        half: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties: { known: text } },
        anything: { 'x-kubernetes-preserve-unknown-fields': true },
      },
    },
    status: {
      type: 'object',
      properties: {
        phase: text,
        observed: integer,
        conditions: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['type'],
          items: {
            type: 'object',
            properties: {
              type: text,
              status: text,
              reason: text,
              message: text,
              lastTransitionTime: { type: 'string', format: 'date-time' },
            },
          },
        },
      },
    },
  },
};
