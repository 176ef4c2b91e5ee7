import type { SchemaNode } from '../schema/structural.ts';

/** What an OpenAPI document says of a struct besides its fields: its name in Kubernetes, and what a client must give. */
export interface NamedType {
  readonly name: string;
  readonly required?: readonly string[];
  /** Fields whose values are listed. */
  readonly enums?: Readonly<Record<string, readonly string[]>>;
}

/** By node: the schemas that validate and merge need no names, and what is required there has words of its own. */
const names = new WeakMap<SchemaNode, NamedType>();

/** Gives a struct the name under which `kubectl explain` shows it. */
export function namedType(node: SchemaNode, name: string, more: Omit<NamedType, 'name'> = {}): SchemaNode {
  names.set(node, { name, ...more });
  return node;
}

const reference = (name: string): unknown => ({ $ref: `#/components/schemas/${name}` });

/** A schema as OpenAPI shows it: structs that have a name become components of the document, which `components` takes. */
export function withReferences(node: SchemaNode, components: Record<string, unknown>): unknown {
  const named = names.get(node);
  if (named === undefined) return expanded(node, components);
  if (!Object.hasOwn(components, named.name)) {
    components[named.name] = true; // a type that holds itself must find itself
    components[named.name] = component(node, named, components);
  }
  const { description } = node;
  return { ...(description === undefined ? {} : { description }), allOf: [reference(named.name)], default: {} };
}

/** The component of a named struct; for a kind itself, which nothing refers to, too. */
function component(
  node: SchemaNode,
  { required, enums = {} }: NamedType,
  components: Record<string, unknown>,
): unknown {
  const plain = expanded(node, components);
  const properties = { ...(plain['properties'] as Readonly<Record<string, object>> | undefined) };
  for (const [field, values] of Object.entries(enums)) properties[field] = { ...properties[field], enum: values };
  return {
    ...plain,
    ...(Object.keys(properties).length === 0 ? {} : { properties }),
    ...(required === undefined ? {} : { required }),
  };
}

/** The node of a kind, with references for what is below it. */
export function rootWithReferences(node: SchemaNode, components: Record<string, unknown>): Record<string, unknown> {
  const named = names.get(node);
  return (named === undefined ? expanded(node, components) : component(node, named, components)) as Record<
    string,
    unknown
  >;
}

function expanded(node: SchemaNode, components: Record<string, unknown>): Record<string, unknown> {
  const { properties, items, additionalProperties, ...rest } = node;
  const isEither = node['x-kubernetes-int-or-string'] === true && node.anyOf === undefined;
  return {
    ...rest,
    ...(isEither ? { anyOf: [{ type: 'integer' }, { type: 'string' }] } : {}),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([key, child]) => [key, withReferences(child, components)]),
          ),
        }),
    ...(items === undefined ? {} : { items: withReferences(items, components) }),
    ...(additionalProperties === undefined
      ? {}
      : {
          additionalProperties:
            typeof additionalProperties === 'object'
              ? withReferences(additionalProperties, components)
              : additionalProperties,
        }),
  };
}
