/** What encoding/json says about values that do not fit the Go types of the built-in kinds. */
import { isObject, type Json, type JsonObject } from '../schema/json-value.ts';
import { additional, property, type SchemaNode } from '../schema/structural.ts';

/**
 * Returns the first problem of an object. `owner` is the Go struct and `path` the fields below it, which the text names.
 */
export function findTypeProblem(
  schema: SchemaNode,
  object: JsonObject,
  owner: string,
  path: string,
): string | undefined {
  for (const [key, value] of Object.entries(object)) {
    if (path === '' && (key === 'metadata' || key === 'apiVersion' || key === 'kind')) continue;
    const node = property(schema, key);
    if (node === undefined || value === null) continue;
    const problem = check(node, value, owner, path === '' ? key : `${path}.${key}`, key);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function check(node: SchemaNode, value: Json, owner: string, path: string, key: string): string | undefined {
  const refused = (wanted: string): string =>
    `json: cannot unmarshal ${jsonKind(value)} into Go struct field ${owner}.${path} of type ${wanted}`;
  if (value === null || node.type === undefined) return undefined;
  switch (node.type) {
    case 'string':
      if (node.format === 'date-time') return timeProblem(value, path);
      return typeof value === 'string' ? undefined : refused('string');
    case 'integer':
      return typeof value === 'number' && Number.isInteger(value) ? undefined : refused(node.format ?? 'int64');
    case 'boolean':
      return typeof value === 'boolean' ? undefined : refused('bool');
    case 'array':
      if (!Array.isArray(value)) return refused('[]string');
      for (const item of value) {
        const problem = node.items === undefined ? undefined : check(node.items, item, owner, path, key);
        if (problem !== undefined) return problem;
      }
      return undefined;
    default: {
      const element = additional(node);
      if (element !== undefined) return mapProblem(element, value, refused);
      const struct = `${key.charAt(0).toUpperCase()}${key.slice(1)}`;
      if (!isObject(value)) return refused(`v1.${struct}`);
      return findTypeProblem(node, value, STRUCTS[`${owner}.${key}`] ?? owner, path);
    }
  }
}

/** Names of Go structs that messages use. */
const STRUCTS: Readonly<Record<string, string>> = {
  'Lease.spec': 'LeaseSpec',
  'Namespace.spec': 'NamespaceSpec',
  'Namespace.status': 'NamespaceStatus',
  'Event.involvedObject': 'ObjectReference',
  'Event.source': 'EventSource',
  'Event.series': 'EventSeries',
};

function mapProblem(element: SchemaNode, value: Json, refused: (wanted: string) => string): string | undefined {
  const wanted = element.format === 'byte' ? '[]uint8' : 'string';
  if (!isObject(value)) return refused(`map[string]${wanted}`);
  const wrong = Object.values(value).find((item) => typeof item !== 'string' && item !== null);
  return wrong === undefined ? undefined : refused(wanted).replace(/unmarshal \w+/, `unmarshal ${jsonKind(wrong)}`);
}

/** MicroTime has six digits of a second, Time none. */
function timeProblem(value: Json, path: string): string | undefined {
  if (typeof value !== 'string') return `json: cannot unmarshal ${jsonKind(value)} into Go value of type string`;
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value)) return undefined;
  const layout = /renewTime|acquireTime|eventTime|lastObservedTime/.test(path)
    ? '2006-01-02T15:04:05.000000Z07:00'
    : '2006-01-02T15:04:05Z07:00';
  return `parsing time ${JSON.stringify(value)} as ${JSON.stringify(layout)}: cannot parse ${JSON.stringify(value)} as "2006"`;
}

function jsonKind(value: Json): string {
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return Number.isInteger(value) ? 'number' : `number ${value}`;
  return typeof value === 'string' ? 'string' : Array.isArray(value) ? 'array' : 'object';
}
