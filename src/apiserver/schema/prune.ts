import { compareBytes } from './go-format.ts';
import { isObject, type Json, type JsonObject } from './json-value.ts';
import { additional, allowsAnyKey, type SchemaNode } from './structural.ts';

/** Drops unknown fields below a value; adds the path of each to `unknown`. */
type Pruner = (value: Json, path: string, unknown: string[]) => void;

const META_FIELDS: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);

/**
 * Compiles pruning (apiextensions: pkg/apiserver/schema/pruning). The returned function changes the object and returns
 * the dropped paths, sorted; `apiVersion`, `kind` and `metadata` of the root stay.
 */
export function compilePrune(schema: SchemaNode): (object: JsonObject) => string[] {
  const prune = pruner({ ...schema, 'x-kubernetes-embedded-resource': true });
  return (object) => {
    const unknown: string[] = [];
    prune?.(object, '', unknown);
    return unknown.sort(compareBytes);
  };
}

const pruneEverything: Pruner = (value, path, unknown) => {
  if (Array.isArray(value)) {
    value.forEach((item, index) => pruneEverything(item, `${path}[${index}]`, unknown));
  } else if (isObject(value)) {
    for (const key of Object.keys(value)) drop(value, key, path, unknown);
  }
};

function drop(object: JsonObject, key: string, path: string, unknown: string[]): void {
  unknown.push(join(path, key));
  delete object[key];
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** Returns undefined where nothing can be pruned, so that scalars cost nothing. */
function pruner(schema: SchemaNode | undefined): Pruner | undefined {
  if (schema === undefined) return pruneEverything;
  const preserve = schema['x-kubernetes-preserve-unknown-fields'] === true;
  const embedded = schema['x-kubernetes-embedded-resource'] === true;
  const properties = new Map(Object.entries(schema.properties ?? {}).map(([key, node]) => [key, pruner(node)]));
  const anyKey = allowsAnyKey(schema);
  const rest = anyKey ? pruner(additional(schema)) : undefined;
  const item = listItem(schema, preserve);

  return (value, path, unknown) => {
    if (Array.isArray(value)) {
      if (item === undefined) return;
      for (let i = 0; i < value.length; i++) item(value[i] as Json, `${path}[${i}]`, unknown);
      return;
    }
    if (!isObject(value)) return;
    for (const key of Object.keys(value)) {
      if (embedded && META_FIELDS.has(key)) continue;
      const child = properties.get(key);
      if (child !== undefined) child(value[key] as Json, join(path, key), unknown);
      else if (properties.has(key)) continue;
      else if (anyKey) rest?.(value[key] as Json, join(path, key), unknown);
      else if (!preserve) drop(value, key, path, unknown);
    }
  };
}

function listItem(schema: SchemaNode, preserve: boolean): Pruner | undefined {
  if (!preserve) return pruner(schema.items);
  return schema.items === undefined
    ? undefined
    : pruner({ ...schema.items, 'x-kubernetes-preserve-unknown-fields': true });
}
