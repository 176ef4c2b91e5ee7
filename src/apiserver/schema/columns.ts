import { goJson, goNumber } from './go-format.ts';
import { compileJsonPath } from './json-path.ts';
import type { Json, JsonObject } from './json-value.ts';

/** One entry of a CRD's `selectableFields`. */
export interface SelectableField {
  readonly jsonPath: string;
}

/**
 * Compiles the selectable fields of a CRD version. The result gives, for an object, the value of each by the name it has
 * in a field selector (`status.nodeName`); a missing field is the empty string, as in Kubernetes.
 */
export function compileSelectableFields(
  fields: readonly SelectableField[],
): (object: JsonObject) => Record<string, string> {
  const paths = fields.map(({ jsonPath }) => [jsonPath.replace(/^\./, ''), compileJsonPath(jsonPath)] as const);
  return (object) =>
    Object.fromEntries(
      paths.map(([name, path]) => {
        const value = path(object)[0];
        return [name, value === undefined || value === null ? '' : printScalar(value)];
      }),
    );
}

function printScalar(value: Json): string {
  return typeof value === 'number' ? goNumber(value) : typeof value === 'object' ? goJson(value) : String(value);
}

/** One entry of a CRD's `additionalPrinterColumns`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'integer' | 'number' | 'string' | 'boolean' | 'date';
  readonly jsonPath: string;
  readonly format?: string;
  readonly description?: string;
  readonly priority?: number;
}

/** The value of a cell in a Table; null is printed by clients as `<none>`. */
export type Cell = string | number | boolean | null;

/**
 * Compiles the columns of a CRD version (apiextensions: tableconvertor). The result gives the cells of an object's row,
 * without the leading Name; dates are ages relative to `now` in milliseconds. Throws JsonPathError.
 */
export function compileColumns(columns: readonly PrinterColumn[]): (object: JsonObject, now: number) => Cell[] {
  const compiled = columns.map(({ type, jsonPath }) => [type, compileJsonPath(jsonPath)] as const);
  return (object, now) => compiled.map(([type, path]) => cell(type, path(object)[0], now));
}

function cell(type: PrinterColumn['type'], value: Json | undefined, now: number): Cell {
  if (value === undefined || value === null) return null;
  switch (type) {
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null;
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    case 'date':
      return typeof value === 'string' ? age(value, now) : null;
    default:
      return printScalar(value);
  }
}

const RFC3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

function age(timestamp: string, now: number): string {
  if (timestamp === '' || timestamp === 'null') return '<unknown>';
  const then = RFC3339.test(timestamp) ? Date.parse(timestamp) : Number.NaN;
  return Number.isNaN(then) ? '<invalid>' : humanDuration(now - then);
}

const SECOND = 1000;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

/**
 * An age as kubectl prints it: `45s`, `3m20s`, `15m`, `5h12m`, `2d3h`, `45d`, `2y30d` (apimachinery: util/duration).
 * `milliseconds` may be slightly negative because clocks differ; more than two seconds is `<invalid>`.
 */
export function humanDuration(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / SECOND);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  if (seconds < 2 * MINUTE) return `${seconds}s`;
  const minutes = Math.trunc(seconds / MINUTE);
  if (minutes < 10) return two(minutes, 'm', seconds % MINUTE, 's');
  if (minutes < 3 * 60) return `${minutes}m`;
  const hours = Math.trunc(seconds / HOUR);
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  const days = Math.trunc(seconds / DAY);
  if (days < 8) return two(days, 'd', hours % 24, 'h');
  if (seconds < 2 * YEAR) return `${days}d`;
  const years = Math.trunc(seconds / YEAR);
  return seconds < 8 * YEAR ? two(years, 'y', days % 365, 'd') : `${years}y`;
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}
