/** How results are printed: `-o table|wide|json|yaml|name`. */
import type { ResourceDescriptor } from '../api/meta.ts';
import { CliError, ExitCode } from './exit-code.ts';

export type OutputFormat = 'json' | 'yaml' | 'table' | 'wide' | 'name';
/** What every result can be printed as. */
export const OUTPUT_FORMATS: readonly OutputFormat[] = ['json', 'yaml', 'table'];
/** What a result that is about objects can be printed as. */
export const VIEW_FORMATS: readonly OutputFormat[] = ['table', 'wide', 'json', 'yaml', 'name'];

/** A column of a table. */
export interface Column<Row> {
  readonly heading: string;
  /** Shown with `-o wide` alone. */
  readonly wide?: true;
  cell(row: Row): string | number | boolean | undefined;
}

/** How objects of a kind are shown to people. */
export interface TableView<Row> {
  /** Their kind, for `-o name`; of each, where they are of several. */
  readonly resource: ResourceDescriptor | ((row: Row) => ResourceDescriptor);
  readonly columns: readonly Column<Row>[];
  nameOf(row: Row): string;
}

/** The same for a result that is about some of them. */
export interface View<Result, Row> extends TableView<Row> {
  rows(result: Result): readonly Row[];
}

/** What a result that says more than a table has room for is about: shown as it is, and by name with `-o name`. */
export type Subject<Result> = Pick<View<Result, Result>, 'resource' | 'nameOf'>;

/** @throws CliError for anything but a known format. */
export function parseFormat(value: string): OutputFormat {
  const format = VIEW_FORMATS.find((candidate) => candidate === value);
  if (format === undefined) throw new CliError(ExitCode.usage, `-o: "${value}" is none of ${VIEW_FORMATS.join(', ')}`);
  return format;
}

/** Whether programs read it: then errors are part of it. */
export function isForPrograms(format: OutputFormat): format is 'json' | 'yaml' {
  return format === 'json' || format === 'yaml';
}

/** Returns `value` as text in the wanted format, with a final newline. */
export async function render(value: unknown, format: OutputFormat): Promise<string> {
  switch (format) {
    case 'json':
      return `${JSON.stringify(value, null, 2)}\n`;
    case 'yaml': {
      const { stringify } = await import('./yaml.ts');
      return stringify(value);
    }
    default:
      return tableOf(value);
  }
}

/** The same for a result about objects: `wide` has more columns, `name` one line for each, as kubectl has them. */
export async function renderView<Result, Row>(
  result: Result,
  view: View<Result, Row> | Subject<Result>,
  format: OutputFormat,
): Promise<string> {
  if (isForPrograms(format)) return render(result, format);
  if ('rows' in view) return new RowPrinter(view, format).print(view.rows(result));
  return format === 'name' ? new RowPrinter({ ...view, columns: [] }, format).print([result]) : render(result, format);
}

/** Prints rows of a view in several goes: the heading once, and the columns as wide as they have been. */
export class RowPrinter<Row> {
  readonly #view: TableView<Row>;
  readonly #columns: readonly Column<Row>[];
  readonly #isNames: boolean;
  #widths: readonly number[] | undefined;

  constructor(view: TableView<Row>, format: OutputFormat) {
    this.#view = view;
    this.#isNames = format === 'name';
    this.#columns = view.columns.filter(({ wide }) => wide !== true || format === 'wide');
  }

  /** Nothing for no rows. */
  print(rows: readonly Row[]): string {
    const { resource, nameOf } = this.#view;
    if (this.#isNames) {
      const kindOf = typeof resource === 'function' ? resource : () => resource;
      return rows.map((row) => `${qualifiedName(kindOf(row), nameOf(row))}\n`).join('');
    }
    if (rows.length === 0) return '';
    const headings = this.#columns.map(({ heading }) => heading.toUpperCase());
    const cells = rows.map((row) => this.#columns.map((column) => String(column.cell(row) ?? '')));
    const all = this.#widths === undefined ? [headings, ...cells] : cells;
    this.#widths = headings.map((_, column) =>
      Math.max(this.#widths?.[column] ?? 0, ...all.map((row) => (row[column] ?? '').length)),
    );
    return layOut(all, this.#widths);
  }
}

/** As kubectl prints it with `-o name`: `volume.storage.clawbernetes.io/data`. */
export function qualifiedName({ kind, group }: ResourceDescriptor, name: string): string {
  return `${kind.toLowerCase()}${group === '' ? '' : `.${group}`}/${name}`;
}

/**
 * Lays rows out in columns, as kubectl does: upper-case headings, three blanks between, nothing cut.
 */
export function renderTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings.map((heading) => heading.toUpperCase()), ...rows];
  return layOut(
    all,
    headings.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length))),
  );
}

function layOut(rows: readonly (readonly string[])[], widths: readonly number[]): string {
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join('');
}

/** A result as tables: its plain fields as one row per field, each list of objects as a table of its own. */
function tableOf(value: unknown): string {
  if (value === null || typeof value !== 'object') return `${String(value)}\n`;
  const entries = Object.entries(value as Readonly<Record<string, unknown>>);
  const lists = entries.filter(([, field]) => Array.isArray(field));
  const plain = entries.filter(([, field]) => !Array.isArray(field));
  const parts = [
    ...(plain.length === 0
      ? []
      : [
          renderTable(
            ['field', 'value'],
            plain.map(([key, field]) => [key, cellOf(field)]),
          ),
        ]),
    ...lists.flatMap(([, list]) => listTable(list as readonly unknown[])),
  ];
  return parts.join('\n');
}

function listTable(list: readonly unknown[]): readonly string[] {
  if (list.length === 0) return [];
  const records = list.map((item) => (item !== null && typeof item === 'object' ? item : { value: item }));
  const headings = [...new Set(records.flatMap((record) => Object.keys(record)))];
  const rows = records.map((record) =>
    headings.map((heading) => cellOf((record as Readonly<Record<string, unknown>>)[heading])),
  );
  return [renderTable(headings, rows)];
}

function cellOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
