/** Checks of ObjectMeta (apimachinery, `api/validation/objectmeta.go` and `util/validation`). */

import type { Resource } from '../kinds/resource.ts';
import { type FieldError, forbidden, invalid, required } from '../schema/field-error.ts';
import { goJson } from '../schema/go-format.ts';
import { deepEqual, isObject, type JsonObject } from '../schema/json-value.ts';

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN_PATTERN = `${LABEL}(\\.${LABEL})*`;
const IS_LABEL = new RegExp(`^${LABEL}$`);
const IS_SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const IS_QUALIFIED = /^(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

const LABEL_TEXT = `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '${LABEL}')`;
const SUBDOMAIN_TEXT = `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '${SUBDOMAIN_PATTERN}')`;
const QUALIFIED_TEXT =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_TEXT =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/** What is wrong so often is not looked at any further. */
const MAX_ERRORS = 1000;
const MAX_ANNOTATION_BYTES = 256 * 1024;

/** What is wrong with a DNS-1123 label; empty when nothing is. */
export function labelErrors(value: string): string[] {
  return [
    ...(value.length > 63 ? ['must be no more than 63 characters'] : []),
    ...(IS_LABEL.test(value) ? [] : [LABEL_TEXT]),
  ];
}

/** What is wrong with a DNS-1123 subdomain. */
export function subdomainErrors(value: string): string[] {
  return [
    ...(value.length > 253 ? ['must be no more than 253 characters'] : []),
    ...(IS_SUBDOMAIN.test(value) ? [] : [SUBDOMAIN_TEXT]),
  ];
}

/** What is wrong with a label key, annotation key or finalizer: `PREFIX/NAME`. */
export function qualifiedNameErrors(value: string): string[] {
  const parts = value.split('/');
  const errors: string[] = [];
  if (parts.length > 2) {
    return [
      `a qualified name ${QUALIFIED_TEXT.replace('name part ', '')} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  if (parts.length === 2) {
    const prefix = parts[0] as string;
    if (prefix === '') errors.push('prefix part must be non-empty');
    else errors.push(...subdomainErrors(prefix).map((text) => `prefix part ${text}`));
  }
  const name = parts.at(-1) as string;
  if (name === '') errors.push('name part must be non-empty');
  else if (name.length > 63) errors.push('name part must be no more than 63 characters');
  if (!IS_QUALIFIED.test(name)) errors.push(QUALIFIED_TEXT);
  return errors;
}

/** What is wrong with the value of a label. */
export function labelValueErrors(value: string): string[] {
  return [
    ...(value.length > 63 ? ['must be no more than 63 characters'] : []),
    ...(value === '' || IS_QUALIFIED.test(value) ? [] : [VALUE_TEXT]),
  ];
}

function nameErrors(resource: Resource, name: string, prefix: boolean): string[] {
  const { nameFormat } = resource.strategy;
  if (nameFormat === 'any') return /[/%]|^\.{1,2}$/.test(name) ? [`may not contain '/'`] : [];
  // The end of a prefix may be a dash or a dot: more follows.
  const value = prefix && /[-.]$/.test(name) ? `${name.slice(0, -1)}a` : name;
  if (nameFormat === 'label' && value.includes('.')) return ['must not contain dots'];
  return nameFormat === 'label' ? labelErrors(value) : subdomainErrors(value);
}

/** Checks the metadata of an object as it is about to be stored. */
export function validateMeta(resource: Resource, metadata: JsonObject): FieldError[] {
  const errors: FieldError[] = [];
  const { name, generateName, labels, annotations, finalizers, ownerReferences } = metadata;
  if (typeof generateName === 'string' && generateName !== '') {
    for (const text of nameErrors(resource, generateName, true)) {
      errors.push(invalid('metadata.generateName', generateName, text));
    }
  }
  if (typeof name !== 'string' || name === '') {
    errors.push(required('metadata.name', 'name or generateName is required'));
  } else {
    for (const text of nameErrors(resource, name, false)) errors.push(invalid('metadata.name', name, text));
  }
  if (isObject(labels)) validateLabels(labels, errors);
  if (isObject(annotations)) validateAnnotations(annotations, errors);
  if (Array.isArray(ownerReferences)) validateOwners(ownerReferences as JsonObject[], errors);
  if (Array.isArray(finalizers)) validateFinalizers(finalizers as string[], errors);
  return errors;
}

function validateLabels(labels: JsonObject, errors: FieldError[]): void {
  for (const [key, value] of Object.entries(labels)) {
    if (errors.length > MAX_ERRORS) return;
    for (const text of qualifiedNameErrors(key)) errors.push(invalid('metadata.labels', key, text));
    for (const text of labelValueErrors(String(value))) errors.push(invalid('metadata.labels', value, text));
  }
}

function validateAnnotations(annotations: JsonObject, errors: FieldError[]): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    if (errors.length > MAX_ERRORS) return;
    for (const text of qualifiedNameErrors(key.toLowerCase())) errors.push(invalid('metadata.annotations', key, text));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(String(value));
  }
  if (bytes > MAX_ANNOTATION_BYTES) {
    const detail = `may not be more than ${MAX_ANNOTATION_BYTES} bytes`;
    errors.push({ type: 'FieldValueTooLong', field: 'metadata.annotations', badValue: '', detail });
  }
}

function validateFinalizers(finalizers: readonly string[], errors: FieldError[]): void {
  for (const finalizer of finalizers) {
    if (errors.length > MAX_ERRORS) return;
    for (const text of qualifiedNameErrors(finalizer)) errors.push(invalid('metadata.finalizers', finalizer, text));
  }
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    const detail = 'finalizer orphan and foregroundDeletion cannot be both set';
    errors.push(invalid('metadata.finalizers', [...finalizers], detail));
  }
}

function validateOwners(owners: readonly JsonObject[], errors: FieldError[]): void {
  let controller: string | undefined;
  for (const owner of owners) {
    const before = errors.length;
    if (typeof owner['apiVersion'] !== 'string' || owner['apiVersion'] === '') {
      errors.push(
        invalid('metadata.ownerReferences.apiVersion', owner['apiVersion'] ?? '', 'version must not be empty'),
      );
    }
    for (const field of ['kind', 'name', 'uid'] as const) {
      const value = owner[field];
      if (typeof value !== 'string' || value === '') {
        errors.push(invalid(`metadata.ownerReferences.${field}`, value ?? '', 'must not be empty'));
      }
    }
    if (errors.length > before || owner['controller'] !== true) continue;
    const named = `${String(owner['kind'])}/${String(owner['name'])}`;
    if (controller === undefined) controller = named;
    else {
      const detail = `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${named}`;
      errors.push(invalid('metadata.ownerReferences', [...owners], detail));
    }
  }
}

const IMMUTABLE = ['name', 'namespace', 'uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'];

/** Checks what an update may not change. */
export function validateMetaUpdate(metadata: JsonObject, old: JsonObject): FieldError[] {
  const errors: FieldError[] = [];
  if (typeof old['deletionTimestamp'] === 'string') {
    const known = Array.isArray(old['finalizers']) ? old['finalizers'] : [];
    const now = Array.isArray(metadata['finalizers']) ? (metadata['finalizers'] as string[]) : [];
    const added = now.filter((finalizer) => !known.includes(finalizer));
    if (added.length > 0) {
      const list = `[]string{${added.map((text) => goJson(text)).join(', ')}}`;
      const detail = `no new finalizers can be added if the object is being deleted, found new finalizers ${list}`;
      errors.push(forbidden('metadata.finalizers', detail));
    }
  }
  for (const field of IMMUTABLE) {
    if (!deepEqual(metadata[field], old[field])) {
      errors.push(invalid(`metadata.${field}`, metadata[field] ?? null, 'field is immutable'));
    }
  }
  return errors;
}
