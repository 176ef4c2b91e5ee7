import { conflictError, type ManagerConflict, withoutAllowed } from './conflicts.ts';
import { ApplyError } from './errors.ts';
import { EMPTY, equal, isEmpty, recursiveDifference } from './field-set.ts';
import { lastApplied, lastAppliedFields, withLastApplied } from './last-applied.ts';
import { decodeManagers, encodeManagers, type Managers, managerId, withChange } from './managers.ts';
import { merge } from './merge.ts';
import { formatKind, formatObject, metadataOf, withManagedFields } from './metadata.ts';
import { currentManagers, newState, ownable, recordUpdate, takeOver, type Writer } from './ownership.ts';
import { FieldsError } from './path-element.ts';
import { prune } from './prune.ts';
import { toFieldSet } from './to-field-set.ts';
import { formatProblems, validate, validateStored } from './validate.ts';
import { deepEqual, isObject, type JsonObject } from './values.ts';
import { type WriteOptions, writerOf } from './writer.ts';

/** A server-side apply. */
export interface ApplyOptions extends WriteOptions {
  /** The kind of this endpoint. */
  readonly kind: string;
  /** The stored object, or null when there is none. It is not changed, and what stays the same is shared. */
  readonly live: JsonObject | null;
  /** The configuration that is applied. */
  readonly config: JsonObject;
  /** Whether to take over fields that others own with other values. */
  readonly force: boolean;
}

/** The outcome of an apply. */
export interface ApplyResult {
  /** The merged object with its managedFields. Containers that lost all they had are null: drop, default, validate. */
  readonly object: JsonObject;
  /** Whether it differs from the live one, ownership included. Without a change it is the live object itself. */
  readonly changed: boolean;
}

const BEFORE_FIRST_APPLY = 'before-first-apply';

/**
 * Applies a configuration as kube-apiserver does (structured-merge-diff and apimachinery's managedfields): merges it
 * over the live object, removes what this manager applied before and nobody wants any more, and records ownership.
 * Nothing is defaulted or pruned here, and names, versions and preconditions are the caller's to check.
 *
 * @throws ApplyError on conflicts without `force`, on a wrong kind, and when a value does not fit the schema.
 */
export function applyPatch(options: ApplyOptions): ApplyResult {
  const { config, live, kind, apiVersion } = options;
  const recorded = decodeLive(live);
  if (config.apiVersion !== apiVersion || config.kind !== kind) {
    throw new ApplyError('BadRequest', `invalid object type: ${formatKind(config)}`);
  }
  const writer = writerOf(options);
  checkTypes(writer, live, config, recorded.size === 0);

  const start = live ?? { apiVersion, kind };
  const bare = withManagedFields(start, undefined);
  const managers = live === null || recorded.size !== 0 ? currentManagers(writer, recorded) : beforeFirst(writer, bare);
  let outcome = attempt(writer, bare, managers, config);
  if (outcome.conflicts.length !== 0 && !options.force) {
    const conflicts = remaining(writer, start, outcome.conflicts);
    if (conflicts.length !== 0) throw conflictError(conflicts);
  }
  // As kube-apiserver does for `kubectl` alone: keeps the client's own record up to date where there is one.
  if (writer.manager === 'kubectl' && lastApplied(outcome.object) !== undefined) {
    outcome = { ...outcome, object: withLastApplied(outcome.object, config) };
  }
  const object = withManagedFields(outcome.object, encodeManagers(outcome.managers));
  if (live !== null && !outcome.changed && deepEqual(live, object)) return { object: live, changed: false };
  return { object, changed: true };
}

function decodeLive(live: JsonObject | null): Managers {
  if (live === null) return new Map();
  try {
    return decodeManagers(metadataOf(live).managedFields);
  } catch (error) {
    if (!(error instanceof FieldsError)) throw error;
    throw new ApplyError('Unknown', `failed to decode managed fields: ${error.message}`, { cause: error });
  }
}

function checkTypes(writer: Writer, live: JsonObject | null, config: JsonObject, isFirst: boolean): void {
  const stored = live === null ? [] : validateStored(writer.type, live);
  if (live !== null && isFirst && stored.length !== 0) {
    throw new ApplyError(
      'Unknown',
      `failed to create manager for existing fields: failed to convert new object (${formatObject(live)}) to smd typed: ${formatProblems(stored)}`,
    );
  }
  const sent = metadataOf(config).managedFields;
  if (sent !== undefined && sent !== null) throw new ApplyError('BadRequest', 'metadata.managedFields must be nil');
  const problems = validate(writer.type, config, false);
  if (problems.length !== 0) {
    throw new ApplyError(
      'Unknown',
      `failed to create typed patch object (${formatObject(config)}): ${formatProblems(problems)}`,
    );
  }
  if (live !== null && stored.length !== 0) {
    throw new ApplyError(
      'Unknown',
      `failed to create typed live object (${formatObject(live)}): ${formatProblems(stored)}`,
    );
  }
}

/** When nobody is on record, all that is there was there before the first apply. */
function beforeFirst(writer: Writer, bare: JsonObject): Managers {
  const empty = { apiVersion: bare.apiVersion, kind: bare.kind };
  return recordUpdate({ ...writer, manager: BEFORE_FIRST_APPLY }, empty, bare, new Map());
}

interface Outcome {
  /** Whether the object differs from the live one, ownership aside. */
  readonly changed: boolean;
  readonly object: JsonObject;
  readonly managers: Managers;
  readonly conflicts: readonly ManagerConflict[];
}

/** The result of a forced apply, and what it would have to force. */
function attempt(writer: Writer, bare: JsonObject, managers: Managers, config: JsonObject): Outcome {
  const mine = newState(writer, 'Apply', EMPTY);
  const id = managerId(mine);
  const last = managers.get(id);
  const set = recursiveDifference(toFieldSet(writer.type, config), writer.resetFields);
  managers.delete(id);

  const merged = merge(writer.type, bare, config);
  const others = last === undefined ? [] : [...managers.values()].map((state) => state.set);
  const pruned = last === undefined ? merged : prune(writer.type, merged, last.set, set, others);
  if (!isObject(pruned)) throw new ApplyError('Unknown', 'failed to prune fields: nothing is left of the object');

  const { conflicts, managers: left } = takeOver(writer, bare, pruned, managers, id);
  const changed = !deepEqual(bare, pruned);
  const owned = ownable(set);
  if (!isEmpty(owned)) {
    const time = changed ? writer.time : last?.time;
    const keeps = last !== undefined && last.apiVersion === writer.apiVersion && equal(last.set, owned);
    left.set(id, keeps ? (time === last.time ? last : withChange(last, { time })) : { ...mine, set: owned, time });
  }
  return { changed, object: changed ? pruned : bare, managers: left, conflicts };
}

/** The conflicts that count: `kubectl` may change what `kubectl` on the client's side had applied. */
function remaining(
  writer: Writer,
  live: JsonObject,
  conflicts: readonly ManagerConflict[],
): readonly ManagerConflict[] {
  if (writer.manager !== 'kubectl') return conflicts;
  const allowed = lastAppliedFields(writer.type, live, writer.apiVersion);
  return allowed === undefined ? conflicts : withoutAllowed(conflicts, allowed);
}
