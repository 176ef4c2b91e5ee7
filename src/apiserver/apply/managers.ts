import type { FieldSet } from './field-set.ts';
import { decodeFields, encodeFields } from './fields-v1.ts';
import { jsonString, quote } from './go-format.ts';
import { FieldsError } from './path-element.ts';
import { compareStrings, isObject, type JsonObject } from './values.ts';

/** Who writes and how: together the identity of an entry of `metadata.managedFields`. */
export type Operation = 'Apply' | 'Update';

/** One entry of `metadata.managedFields` (Kubernetes API, meta/v1 ManagedFieldsEntry). */
export interface ManagedFieldsEntry {
  readonly manager?: string;
  readonly operation: Operation;
  readonly apiVersion: string;
  /** RFC 3339 in UTC, whole seconds. */
  readonly time?: string;
  readonly fieldsType: 'FieldsV1';
  readonly fieldsV1: JsonObject;
  readonly subresource?: string;
}

/** What one manager owns. */
export interface ManagerState {
  readonly manager: string;
  readonly operation: Operation;
  readonly apiVersion: string;
  readonly subresource: string;
  readonly time: string | undefined;
  readonly set: FieldSet;
  /** The entry this was read from, if writing it again would give the same. */
  readonly source: ManagedFieldsEntry | undefined;
  /** The set as it was read, if writing it again would give the same. */
  readonly document: JsonObject | undefined;
}

/** All managers by identifier. Maps are copied before they are changed. */
export type Managers = Map<string, ManagerState>;

/** The identifier of a manager. An applier keeps its entry from version to version, an updater has one for each. */
export function managerId(of: Pick<ManagerState, 'manager' | 'operation' | 'apiVersion' | 'subresource'>): string {
  const name = of.manager === '' ? '' : `"manager":${jsonString(of.manager)},`;
  const version = of.operation === 'Update' ? `,"apiVersion":${jsonString(of.apiVersion)}` : '';
  const subresource = of.subresource === '' ? '' : `,"subresource":${jsonString(of.subresource)}`;
  return `{${name}"operation":"${of.operation}"${version}${subresource}}`;
}

/**
 * Reads `metadata.managedFields`.
 *
 * @throws FieldsError when an entry is malformed.
 */
export function decodeManagers(entries: unknown): Managers {
  const managers: Managers = new Map();
  if (entries === undefined || entries === null) return managers;
  if (!Array.isArray(entries)) throw new FieldsError('managedFields must be a list');
  for (let i = 0; i < entries.length; i++) {
    const state = decodeEntry(entries[i], i);
    managers.set(managerId(state), state);
  }
  return managers;
}

function decodeEntry(entry: unknown, index: number): ManagerState {
  if (!isObject(entry)) throw new FieldsError(`managed fields entry ${index} must be an object`);
  const { operation, apiVersion, fieldsType } = entry;
  if (operation !== 'Apply' && operation !== 'Update') throw new FieldsError('operation must be `Apply` or `Update`');
  if (typeof apiVersion !== 'string' || apiVersion === '') throw new FieldsError('apiVersion must not be empty');
  if (fieldsType === undefined || fieldsType === '') {
    throw new FieldsError(`missing fieldsType in managed fields entry ${index}`);
  }
  if (fieldsType !== 'FieldsV1') {
    throw new FieldsError(`invalid fieldsType ${quote(String(fieldsType))} in managed fields entry ${index}`);
  }
  const { set, canonical } = decodeFields(entry.fieldsV1 ?? {});
  return {
    manager: text(entry.manager, 'manager', index),
    operation,
    apiVersion,
    subresource: text(entry.subresource, 'subresource', index),
    time: entry.time === undefined || entry.time === null ? undefined : text(entry.time, 'time', index),
    set,
    source: canonical ? (entry as unknown as ManagedFieldsEntry) : undefined,
    document: canonical && isObject(entry.fieldsV1) ? entry.fieldsV1 : undefined,
  };
}

function text(value: unknown, name: string, index: number): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw new FieldsError(`${name} must be a string in managed fields entry ${index}`);
  return value;
}

/** A manager with other fields or another time. */
export function withChange(
  state: ManagerState,
  change: Partial<Pick<ManagerState, 'set' | 'time' | 'apiVersion'>>,
): ManagerState {
  return { ...state, ...change, source: undefined, document: change.set === undefined ? state.document : undefined };
}

/**
 * Writes the managers as entries in the order of the API server: appliers first, then by time, name, version and
 * subresource. Entries that did not change are the ones that were read. Returns undefined when nobody owns anything.
 */
export function encodeManagers(managers: ReadonlyMap<string, ManagerState>): readonly ManagedFieldsEntry[] | undefined {
  if (managers.size === 0) return undefined;
  const states = managers.size === 1 ? [...managers.values()] : [...managers.values()].sort(compareStates);
  return states.map((state) => state.source ?? encodeEntry(state));
}

function encodeEntry(state: ManagerState): ManagedFieldsEntry {
  return {
    ...(state.manager === '' ? {} : { manager: state.manager }),
    operation: state.operation,
    apiVersion: state.apiVersion,
    ...(state.time === undefined ? {} : { time: state.time }),
    fieldsType: 'FieldsV1',
    fieldsV1: state.document ?? encodeFields(state.set),
    ...(state.subresource === '' ? {} : { subresource: state.subresource }),
  };
}

/** Whole seconds since the epoch; no time counts as the beginning. */
export function seconds(time: string | undefined): number {
  return time === undefined ? 0 : Math.floor(Date.parse(time) / 1000) || 0;
}

function compareStates(a: ManagerState, b: ManagerState): number {
  if (a.operation !== b.operation) return a.operation === 'Apply' ? -1 : 1;
  const byTime = a.time === b.time ? 0 : seconds(a.time) - seconds(b.time);
  return (
    byTime ||
    compareStrings(a.manager, b.manager) ||
    compareStrings(a.apiVersion, b.apiVersion) ||
    compareStrings(a.subresource, b.subresource)
  );
}
