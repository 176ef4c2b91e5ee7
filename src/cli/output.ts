/** How results are printed: `-o json|yaml|table`. */
import { CliError, ExitCode } from './exit-code.ts';

export type OutputFormat = 'json' | 'yaml' | 'table';
export const OUTPUT_FORMATS: readonly OutputFormat[] = ['json', 'yaml', 'table'];

/** @throws CliError for anything but a known format. */
export function parseFormat(value: string): OutputFormat {
  const format = OUTPUT_FORMATS.find((candidate) => candidate === value);
  if (format === undefined)
    throw new CliError(ExitCode.usage, `-o: "${value}" is none of ${OUTPUT_FORMATS.join(', ')}`);
  return format;
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
    case 'table':
      return tableOf(value);
  }
}

/**
 * Lays rows out in columns, as kubectl does: upper-case headings, three blanks between, nothing cut.
 */
export function renderTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings.map((heading) => heading.toUpperCase()), ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('   ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
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
