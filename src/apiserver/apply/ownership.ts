import { type Comparison, compare, excluding } from './compare.ts';
import type { ManagerConflict } from './conflicts.ts';
import { difference, EMPTY, type FieldSet, intersection, isEmpty, setOf, union } from './field-set.ts';
import { type ManagerState, type Managers, managerId, seconds, withChange } from './managers.ts';
import { reconcileWithSchema } from './reconcile.ts';
import type { Type } from './schema.ts';
import { compareStrings, type JsonObject } from './values.ts';

/** What a write needs to know about who writes and where. */
export interface Writer {
  readonly type: Type;
  readonly manager: string;
  readonly apiVersion: string;
  readonly subresource: string;
  /** RFC 3339, whole seconds. */
  readonly time: string;
  /** Fields that this endpoint neither changes nor owns. */
  readonly resetFields: FieldSet;
  /** Versions of the kind that exist; managers of others are forgotten. */
  readonly versions: ReadonlySet<string>;
}

/** Fields of every object that nobody owns. */
const UNOWNED = setOf(
  ['f:apiVersion'],
  ['f:kind'],
  ['f:metadata'],
  ...[
    'name',
    'namespace',
    'creationTimestamp',
    'selfLink',
    'uid',
    'clusterName',
    'generation',
    'managedFields',
    'resourceVersion',
  ].map((name) => ['f:metadata', `f:${name}`]),
);

/** Takes the fields that nobody owns out of a set. */
export function ownable(set: FieldSet): FieldSet {
  return difference(set, UNOWNED);
}

/** The state a writer's entry starts from. */
export function newState(writer: Writer, operation: 'Apply' | 'Update', set: FieldSet): ManagerState {
  return {
    manager: writer.manager === '' ? 'unknown' : writer.manager,
    operation,
    apiVersion: writer.apiVersion,
    subresource: writer.subresource,
    time: undefined,
    set,
    source: undefined,
    document: undefined,
  };
}

/** The managers, brought up to the schema; those of versions that are gone are left out. */
export function currentManagers(writer: Writer, managers: ReadonlyMap<string, ManagerState>): Managers {
  const out: Managers = new Map();
  for (const [id, state] of managers) {
    if (!writer.versions.has(state.apiVersion)) continue;
    const set = reconcileWithSchema(writer.type, state.set);
    out.set(id, set === state.set ? state : withChange(state, { set }));
  }
  return out;
}

/** What a change does to the others. */
export interface Takeover {
  readonly comparison: Comparison;
  readonly conflicts: readonly ManagerConflict[];
  /** The managers after it; who has nothing left is gone. */
  readonly managers: Managers;
}

/** Gives to `id` what it changes: the others lose what was modified, added over theirs, or removed. */
export function takeOver(
  writer: Writer,
  before: JsonObject,
  after: JsonObject,
  managers: ReadonlyMap<string, ManagerState>,
  id: string | undefined,
): Takeover {
  const comparison = excluding(compare(writer.type, before, after), writer.resetFields);
  const touched = union(comparison.modified, comparison.added);
  const conflicts: ManagerConflict[] = [];
  const left: Managers = new Map();
  for (const [other, state] of managers) {
    let set = state.set;
    if (other !== id) {
      const fields = intersection(set, touched);
      if (!isEmpty(fields)) {
        conflicts.push({ id: other, state, fields });
        set = difference(set, fields);
      }
      set = difference(set, comparison.removed);
    }
    if (!isEmpty(set)) left.set(other, set === state.set ? state : withChange(state, { set }));
  }
  return { comparison, conflicts, managers: left };
}

/** How many entries of updaters an object keeps. */
const MAX_UPDATERS = 10;

/** Records a write other than an apply. Managers are those of the object before it. */
export function recordUpdate(
  writer: Writer,
  before: JsonObject,
  after: JsonObject,
  managers: ReadonlyMap<string, ManagerState>,
): Managers {
  const took = takeOver(writer, before, after, currentManagers(writer, managers), undefined);
  const { added, modified } = took.comparison;
  const mine = ownable(union(modified, added));
  if (isEmpty(mine)) return capUpdaters(took.managers);
  const state = newState(writer, 'Update', mine);
  const id = managerId(state);
  const previous = took.managers.get(id);
  took.managers.set(id, {
    ...state,
    set: previous === undefined ? mine : union(mine, previous.set),
    time: writer.time,
  });
  return capUpdaters(took.managers);
}

/** Puts the oldest updaters of a version together until there are few enough. */
function capUpdaters(managers: Managers): Managers {
  const updaters = [...managers].filter(([, state]) => state.operation === 'Update');
  let count = updaters.length;
  if (count <= MAX_UPDATERS) return managers;
  updaters.sort(([a, x], [b, y]) => seconds(x.time) - seconds(y.time) || compareStrings(a, b));
  const first = new Map<string, string>();
  for (const [id, state] of updaters) {
    if (count <= MAX_UPDATERS) break;
    const opener = first.get(state.apiVersion);
    if (opener === undefined) {
      first.set(state.apiVersion, id);
      continue;
    }
    const bucket = {
      manager: 'ancient-changes',
      operation: 'Update',
      apiVersion: state.apiVersion,
      subresource: '',
    } as const;
    const bucketId = managerId(bucket);
    const gathered = managers.get(bucketId)?.set ?? managers.get(opener)?.set ?? EMPTY;
    if (!managers.has(bucketId)) managers.delete(opener);
    managers.set(bucketId, {
      ...bucket,
      set: union(state.set, gathered),
      time: state.time,
      source: undefined,
      document: undefined,
    });
    managers.delete(id);
    count--;
  }
  return managers;
}
