import { compare } from './compare.ts';
import { difference, type FieldSet } from './field-set.ts';
import { jsonValue } from './go-format.ts';
import type { Type } from './schema.ts';
import { toFieldSet } from './to-field-set.ts';
import { validate } from './validate.ts';
import { isObject, type JsonObject, own } from './values.ts';

/** The annotation in which `kubectl apply` on the client's side keeps what it applied. */
export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** The total size that annotations may have, in bytes (apimachinery, ValidateAnnotationsSize). */
const MAX_ANNOTATIONS_BYTES = 256 * 1024;

function annotationsOf(object: JsonObject): JsonObject | undefined {
  const metadata = object.metadata;
  const annotations = isObject(metadata) ? metadata.annotations : undefined;
  return isObject(annotations) ? annotations : undefined;
}

/** What client-side apply last applied, if it did. */
export function lastApplied(object: JsonObject): string | undefined {
  const annotations = annotationsOf(object);
  const value = annotations === undefined ? undefined : own(annotations, LAST_APPLIED);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * The fields that client-side apply set and that still have the values it set: `kubectl` may take these over without
 * a conflict. Undefined when the annotation is missing or does not fit.
 */
export function lastAppliedFields(type: Type, live: JsonObject, apiVersion: string): FieldSet | undefined {
  const text = lastApplied(live);
  if (text === undefined || validate(type, live, false).length !== 0) return undefined;
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(config) || config.apiVersion !== apiVersion || validate(type, config, false).length !== 0)
    return undefined;
  const { modified, added, removed } = compare(type, config, live);
  return difference(difference(difference(toFieldSet(type, config), modified), added), removed);
}

/** An object whose annotation says what was applied now, or without it when it would be too large. */
export function withLastApplied(object: JsonObject, config: JsonObject): JsonObject {
  const metadata = isObject(object.metadata) ? object.metadata : {};
  const annotations: Record<string, unknown> = { ...annotationsOf(object), [LAST_APPLIED]: encodeConfig(config) };
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations))
    bytes += Buffer.byteLength(key) + Buffer.byteLength(String(value));
  if (bytes > MAX_ANNOTATIONS_BYTES) delete annotations[LAST_APPLIED];
  return { ...object, metadata: { ...metadata, annotations } };
}

function encodeConfig(config: JsonObject): string {
  const annotations = annotationsOf(config);
  if (annotations === undefined || !Object.hasOwn(annotations, LAST_APPLIED)) return `${jsonValue(config)}\n`;
  const { [LAST_APPLIED]: _, ...rest } = annotations;
  return `${jsonValue({ ...config, metadata: { ...(config.metadata as JsonObject), annotations: rest } })}\n`;
}
