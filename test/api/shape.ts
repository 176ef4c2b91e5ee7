import type { Schema } from './crd-files.ts';

/**
 * What a value of T looks like, written down as a value. The compiler holds such a table to the TypeScript type (every field,
 * optional or not, every word of an enumeration); {@link shapeOfSchema} reads the same from a CRD; a test compares both.
 */
export type Shape<T> = [T] extends [boolean]
  ? 'boolean'
  : [T] extends [number]
    ? 'integer'
    : [T] extends [string]
      ? string extends T
        ? 'string'
        : { readonly words: { readonly [W in T]: true } }
      : [T] extends [readonly (infer E)[]]
        ? { readonly items: Shape<E> }
        : string extends keyof T
          ? { readonly map: 'string' }
          : { readonly fields: { readonly [K in keyof T]-?: Field<T, K> } };

type Field<T, K extends keyof T> =
  Partial<Pick<T, K>> extends Pick<T, K>
    ? { readonly optional: Shape<NonNullable<T[K]>> }
    : { readonly required: Shape<T[K]> };

/** Reads the shape from a structural schema. */
export function shapeOfSchema(schema: Schema): unknown {
  if (schema.enum !== undefined) return { words: Object.fromEntries(schema.enum.map((word) => [word, true])) };
  if (schema.items !== undefined) return { items: shapeOfSchema(schema.items) };
  if (schema.additionalProperties !== undefined) return { map: schema.additionalProperties.type };
  if (schema['x-kubernetes-preserve-unknown-fields'] === true) return 'anything';
  if (schema.properties === undefined) return schema.type;
  const fields = Object.entries(schema.properties).map(([name, field]) => [
    name,
    { [schema.required?.includes(name) ? 'required' : 'optional']: shapeOfSchema(field) },
  ]);
  return { fields: Object.fromEntries(fields) };
}
