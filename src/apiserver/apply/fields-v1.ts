import { EMPTY, type FieldSet, LEAF, sortedElements } from './field-set.ts';
import { comparePathElements, FieldsError, type PathElement, parsePathElement } from './path-element.ts';
import { isObject, type JsonObject } from './values.ts';

/** A decoded FieldsV1 document. */
export interface DecodedFields {
  readonly set: FieldSet;
  /** Whether encoding the set again gives the same document, so that the document can be kept. */
  readonly canonical: boolean;
}

// Documents are immutable, and the same one is read on every write of its object for as long as the store keeps it.
const decoded = new WeakMap<JsonObject, DecodedFields>();

/**
 * Reads a FieldsV1 document (Kubernetes API, `metadata.managedFields[].fieldsV1`). Steps of unknown kinds are
 * dropped.
 *
 * @throws FieldsError when it is malformed.
 */
export function decodeFields(document: unknown): DecodedFields {
  if (!isObject(document)) throw new FieldsError('fieldsV1 must be an object');
  let result = decoded.get(document);
  if (result === undefined) {
    result = readRoot(document);
    decoded.set(document, result);
  }
  return result;
}

function readRoot(document: JsonObject): DecodedFields {
  const state = { canonical: true };
  const set = read(document, state);
  return {
    set: set.kids === undefined ? EMPTY : { self: false, kids: set.kids },
    canonical: state.canonical && !set.self,
  };
}

function read(document: JsonObject, state: { canonical: boolean }): FieldSet {
  let self = false;
  let kids: Map<PathElement, FieldSet> | undefined;
  let previous: PathElement | undefined;
  for (const key in document) {
    if (key === '.') {
      if (previous !== undefined || !isEmptyObject(document[key])) state.canonical = false;
      self = true;
      continue;
    }
    const element = parsePathElement(key);
    if (element === undefined) {
      state.canonical = false;
      continue;
    }
    if (element !== key || (previous !== undefined && comparePathElements(previous, element) >= 0)) {
      state.canonical = false;
    }
    previous = element;
    const below = document[key];
    if (!isObject(below)) throw new FieldsError(`expected an object at ${key}`);
    kids ??= new Map();
    kids.set(element, read(below, state));
  }
  // A path without steps below it is a member whether it says so or not.
  if (kids === undefined) {
    if (self) state.canonical = false;
    return LEAF;
  }
  return { self, kids };
}

function isEmptyObject(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0;
}

/** Writes a set as a FieldsV1 document with its keys in Go's order. */
export function encodeFields(set: FieldSet): JsonObject {
  const document = write(set.self ? { self: false, kids: set.kids } : set);
  if (set.kids !== undefined) decoded.set(document, { set, canonical: true });
  return document;
}

function write(set: FieldSet): JsonObject {
  const document: Record<string, unknown> = {};
  if (set.kids === undefined) return document;
  if (set.self) document['.'] = {};
  if (set.kids.size === 1) {
    for (const [element, kid] of set.kids) document[element] = write(kid);
    return document;
  }
  for (const element of sortedElements(set)) {
    const kid = set.kids.get(element);
    if (kid !== undefined) document[element] = write(kid);
  }
  return document;
}
