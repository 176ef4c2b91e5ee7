/** What the built-in kinds do on a write besides their schemas (kubernetes, `pkg/apis/core/validation` and others). */
import { goJsonError } from '../http/body.ts';
import { type FieldError, invalid, required } from '../schema/field-error.ts';
import { isObject, type JsonObject } from '../schema/json-value.ts';

/** The finalizer in `spec.finalizers` that keeps a namespace until its content is gone. */
export const NAMESPACE_FINALIZER = 'kubernetes';

const DATA_KEY = /^[-._a-zA-Z0-9]+$/;
const MAX_DATA_BYTES = 1024 * 1024;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Checks the keys and the size of `data` (kubernetes, `validation.ValidateSecret`, `ValidateConfigMap`). */
export function validateData(object: JsonObject, encoded: readonly string[], plain: readonly string[]): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const name of [...plain, ...encoded]) {
    const data = object[name];
    if (!isObject(data)) continue;
    for (const [key, value] of Object.entries(data)) {
      if (key === '.' || key === '..') errors.push(invalid(`${name}[${key}]`, key, `must not be '${key}'`));
      if (!DATA_KEY.test(key) || key.length > 253) {
        errors.push(
          invalid(
            `${name}[${key}]`,
            key,
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
          ),
        );
      }
      const size = typeof value === 'string' ? Buffer.byteLength(value) : 0;
      bytes += encoded.includes(name) ? Math.floor((size * 3) / 4) : size;
    }
  }
  if (bytes > MAX_DATA_BYTES) {
    // The whole of a config map has no name in the messages of the real server.
    const field = plain.length > 0 ? '[]' : (encoded[0] ?? '');
    errors.push({
      type: 'FieldValueTooLong',
      field,
      badValue: '',
      detail: `may not be more than ${MAX_DATA_BYTES} bytes`,
    });
  }
  return errors;
}

/** A key stands for one value, be it text or bytes (kubernetes, `validation.ValidateConfigMap`). */
export function validateTwice(object: JsonObject): FieldError[] {
  const { data, binaryData } = object;
  if (!isObject(data) || !isObject(binaryData)) return [];
  return Object.keys(data)
    .filter((key) => Object.hasOwn(binaryData, key))
    .map((key) => invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'));
}

/** A map, since clients choose the type: an object has more keys than it was given. */
const SECRET_KEYS: ReadonlyMap<string, readonly string[]> = new Map([
  ['kubernetes.io/dockercfg', ['.dockercfg']],
  ['kubernetes.io/dockerconfigjson', ['.dockerconfigjson']],
  ['kubernetes.io/ssh-auth', ['ssh-privatekey']],
  ['kubernetes.io/tls', ['tls.crt', 'tls.key']],
]);

/** Secrets of well-known types have the keys of their type (kubernetes, `validation.ValidateSecret`). */
export function validateSecretType(secret: JsonObject): FieldError[] {
  const data = isObject(secret['data']) ? secret['data'] : {};
  const type = String(secret['type'] ?? '');
  if (type === 'kubernetes.io/basic-auth') {
    const keys = ['username', 'password'];
    return keys.some((key) => Object.hasOwn(data, key)) ? [] : keys.map((key) => required(`data[${key}]`));
  }
  const keys = SECRET_KEYS.get(type) ?? [];
  const missing = keys.filter((key) => !Object.hasOwn(data, key)).map((key) => required(`data[${key}]`));
  if (missing.length > 0 || !type.startsWith('kubernetes.io/dockerc')) return missing;
  const key = keys[0] as string;
  try {
    JSON.parse(Buffer.from(String(data[key]), 'base64').toString());
    return [];
  } catch {
    const detail = goJsonError(Buffer.from(String(data[key]), 'base64').toString());
    return [invalid(`data[${key}]`, '<secret contents redacted>', detail)];
  }
}

/** Data of an immutable object stays as it is. */
export function validateImmutable(
  object: JsonObject,
  old: JsonObject | undefined,
  fields: readonly string[],
): FieldError[] {
  if (old === undefined || old['immutable'] !== true) return [];
  const errors: FieldError[] = [];
  const detail = 'field is immutable when `immutable` is set';
  if (object['immutable'] !== true)
    errors.push({ type: 'FieldValueForbidden', field: 'immutable', badValue: '', detail });
  for (const field of fields) {
    if (JSON.stringify(object[field] ?? {}) !== JSON.stringify(old[field] ?? {})) {
      errors.push({ type: 'FieldValueForbidden', field, badValue: '', detail });
    }
  }
  return errors;
}

/** What coordinated leader election uses, which is off, is not kept (kubernetes, `leaseStrategy.PrepareForCreate`). */
export function prepareLease(object: JsonObject): void {
  if (!isObject(object['spec'])) return;
  const { strategy: _, preferredHolder: __, ...spec } = object['spec'];
  object['spec'] = spec;
}

export function completeLease(object: JsonObject): void {
  object['spec'] ??= {};
}

export function prepareSecret(object: JsonObject): void {
  const plain = object['stringData'];
  if (isObject(plain)) {
    const data: JsonObject = isObject(object['data']) ? { ...object['data'] } : {};
    for (const [key, value] of Object.entries(plain)) data[key] = Buffer.from(String(value)).toString('base64');
    object['data'] = data;
  }
  delete object['stringData'];
  object['type'] ??= 'Opaque';
}

/** What an undecodable `data` is answered with. */
export function hasBadBase64(object: JsonObject, field: string): boolean {
  const data = object[field];
  return isObject(data) && Object.values(data).some((value) => typeof value === 'string' && !BASE64.test(value));
}

export function prepareNamespace(object: JsonObject): void {
  completeNamespace(object);
  const spec = isObject(object['spec']) ? object['spec'] : {};
  const finalizers = Array.isArray(spec['finalizers']) ? spec['finalizers'] : [];
  if (!finalizers.includes(NAMESPACE_FINALIZER)) {
    object['spec'] = { ...spec, finalizers: [...finalizers, NAMESPACE_FINALIZER] };
  }
  object['status'] = { phase: 'Active' };
}

export function completeNamespace(object: JsonObject): void {
  const metadata = object['metadata'] as JsonObject;
  if (metadata['name'] === undefined) return;
  const labels = isObject(metadata['labels']) ? metadata['labels'] : {};
  metadata['labels'] = { ...labels, 'kubernetes.io/metadata.name': metadata['name'] as string };
}

export function validateEvent(event: JsonObject): FieldError[] {
  const metadata = event['metadata'] as JsonObject;
  const about = isObject(event['involvedObject']) ? event['involvedObject'] : {};
  const namespace = typeof about['namespace'] === 'string' ? about['namespace'] : '';
  const fits =
    namespace === ''
      ? metadata['namespace'] === 'default' || metadata['namespace'] === 'kube-system'
      : metadata['namespace'] === namespace;
  return fits ? [] : [invalid('involvedObject.namespace', namespace, 'does not match event.namespace')];
}

export function validateNewEvent(event: JsonObject, old: JsonObject | undefined): FieldError[] {
  const errors = validateEvent(event);
  if (old !== undefined) return errors;
  for (const [stored, shown] of [
    ['reportingComponent', 'reportingController'],
    ['reportingInstance', 'reportingInstance'],
    ['action', 'action'],
    ['reason', 'reason'],
  ] as const) {
    if (typeof event[stored] !== 'string' || event[stored] === '') errors.push(required(shown));
  }
  if (typeof event['eventTime'] !== 'string') errors.push(required('eventTime'));
  const { type } = event;
  if (type !== 'Normal' && type !== 'Warning') {
    errors.push(invalid('type', '', `has invalid value: ${typeof type === 'string' ? type : ''}`));
  }
  return errors;
}

/** Fields that the Go type of an event always has. */
export const EVENT_ALWAYS = [
  'involvedObject',
  'source',
  'firstTimestamp',
  'lastTimestamp',
  'eventTime',
  'reportingComponent',
  'reportingInstance',
];

/** What the Go type of an event always has. */
export function completeEvent(event: JsonObject): void {
  for (const key of ['involvedObject', 'source']) event[key] ??= {};
  for (const key of ['firstTimestamp', 'lastTimestamp', 'eventTime']) event[key] ??= null;
  for (const key of ['reportingComponent', 'reportingInstance']) event[key] ??= '';
}

export function validateLease(lease: JsonObject): FieldError[] {
  const spec = isObject(lease['spec']) ? lease['spec'] : {};
  const errors: FieldError[] = [];
  const duration = spec['leaseDurationSeconds'];
  if (typeof duration === 'number' && duration <= 0) {
    errors.push(invalid('spec.leaseDurationSeconds', duration, 'must be greater than 0'));
  }
  const transitions = spec['leaseTransitions'];
  if (typeof transitions === 'number' && transitions < 0) {
    errors.push(invalid('spec.leaseTransitions', transitions, 'must be greater than or equal to 0'));
  }
  return errors;
}
