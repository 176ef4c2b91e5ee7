import type { SchemaNode } from '../schema/structural.ts';

/** Short names for the schemas of the built-in kinds. */
export function text(description: string, more: Partial<SchemaNode> = {}): SchemaNode {
  return { description, type: 'string', ...more };
}

export function time(description: string): SchemaNode {
  return { description, type: 'string', format: 'date-time', nullable: true };
}

export function integer(description: string, format = 'int32'): SchemaNode {
  return { description, type: 'integer', format };
}

export function bool(description: string): SchemaNode {
  return { description, type: 'boolean' };
}

export function texts(description: string, listType = 'atomic'): SchemaNode {
  return { description, type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': listType };
}

export function textMap(description: string, format?: string): SchemaNode {
  const value: SchemaNode = format === undefined ? { type: 'string' } : { type: 'string', format };
  return { description, type: 'object', additionalProperties: value };
}

export function struct(
  description: string,
  properties: Readonly<Record<string, SchemaNode>>,
  more: Partial<SchemaNode> = {},
): SchemaNode {
  return { description, type: 'object', properties, ...more };
}

/** A list whose items are merged by keys. */
export function listOf(description: string, items: SchemaNode, ...keys: string[]): SchemaNode {
  return {
    description,
    type: 'array',
    items,
    'x-kubernetes-list-type': keys.length === 0 ? 'atomic' : 'map',
    ...(keys.length === 0 ? {} : { 'x-kubernetes-list-map-keys': keys }),
  };
}
