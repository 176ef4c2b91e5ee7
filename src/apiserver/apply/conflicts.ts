import { ApplyError, type Conflict } from './errors.ts';
import { difference, type FieldSet, isEmpty, paths } from './field-set.ts';
import { quote } from './go-format.ts';
import type { ManagerState } from './managers.ts';
import { formatPath } from './path-element.ts';
import { compareStrings } from './values.ts';

/** What one manager would lose to an apply. */
export interface ManagerConflict {
  readonly id: string;
  readonly state: ManagerState;
  readonly fields: FieldSet;
}

/** Conflicts without the allowed fields. */
export function withoutAllowed(conflicts: readonly ManagerConflict[], allowed: FieldSet): readonly ManagerConflict[] {
  return conflicts
    .map((conflict) => ({ ...conflict, fields: difference(conflict.fields, allowed) }))
    .filter(({ fields }) => !isEmpty(fields));
}

/**
 * The error of an apply that would change fields of others: one cause for each manager and field, and the text that
 * kube-apiserver gives, grouped by manager when there are several.
 */
export function conflictError(found: readonly ManagerConflict[]): ApplyError {
  const sorted = [...found].sort((a, b) => compareStrings(a.id, b.id));
  const groups = sorted.map(({ state, fields }) => ({ state, fields: paths(fields).map(formatPath) }));
  const conflicts: readonly Conflict[] = groups.flatMap(({ state, fields }) =>
    fields.map((field) => ({
      manager: state.manager,
      operation: state.operation,
      apiVersion: state.apiVersion,
      subresource: state.subresource,
      time: state.time,
      field,
    })),
  );
  const causes = conflicts.map((conflict) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${describe(conflict)}`,
    field: conflict.field,
  }));
  const only = conflicts.length === 1 ? conflicts[0] : undefined;
  const message =
    only !== undefined
      ? `Apply failed with 1 conflict: conflict with ${describe(only)}: ${only.field}`
      : `Apply failed with ${conflicts.length} conflicts: ${groups
          .flatMap(({ state, fields }) => [
            `conflicts with ${describe(state)}:`,
            ...fields.map((field) => `- ${field}`),
          ])
          .join('\n')}`;
  return new ApplyError('Conflict', message, { conflicts, causes });
}

/** Names a manager: an updater with its version, as it may have several entries. */
function describe(of: Pick<Conflict, 'manager' | 'operation' | 'apiVersion' | 'subresource'>): string {
  const name = quote(of.manager) + (of.subresource === '' ? '' : ` with subresource ${quote(of.subresource)}`);
  return of.operation === 'Update' ? `${name} using ${of.apiVersion}` : name;
}
