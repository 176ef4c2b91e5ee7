import { additional, property, type SchemaNode } from '../structural.ts';

/**
 * Normalises the `fieldPath` of a rule (`.spec.a`, `.labels['x']`), as apiextensions' ValidFieldPath does. Throws when
 * the schema has no such field.
 */
export function normalizeFieldPath(path: string, schema: SchemaNode): string {
  const part = /\.([^.[\]]+)|\['((?:[^'\\]|\\.)*)'\]/sy;
  let node: SchemaNode | undefined = schema;
  let result = '';
  let position = 0;
  if (path === '') throw new Error('must not be empty');
  while (position < path.length) {
    part.lastIndex = position;
    const match = part.exec(path);
    if (match === null) throw new Error(`expected [ or . but got: ${path.slice(position)}`);
    const name: string = match[1] ?? (match[2] ?? '').replace(/\\(.)/gs, '$1');
    const more = additional(node);
    const child: SchemaNode | undefined = node.properties === undefined ? more : property(node, name);
    if (child === undefined) throw new Error('does not refer to a valid field');
    if (node.properties === undefined) result += `[${name}]`;
    else result += result === '' ? name : `.${name}`;
    node = child;
    position = part.lastIndex;
  }
  return result;
}
