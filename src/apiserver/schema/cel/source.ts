/**
 * Works on the text of a CEL expression before the library parses it: finds identifiers outside of strings and comments.
 */

const TOKEN =
  /(?<skip>\s+|\/\/[^\n]*)|(?<text>[bB]?(?<raw>[rR])?[bB]?(?:"""|'''|"|'))|(?<name>[A-Za-z_]\w*)|(?<number>\d[\w.]*)|(?<other>.)/sy;

/** Methods whose built-in version in the library differs from CEL in Kubernetes; ours carry the suffix. */
const REPLACED: ReadonlySet<string> = new Set([
  'matches',
  'indexOf',
  'lastIndexOf',
  'substring',
  'split',
  'join',
  'lowerAscii',
  'upperAscii',
  'trim',
]);

/** The suffix under which our versions of built-in methods are registered. */
export const REPLACEMENT_SUFFIX = '__k8s';

interface Identifier {
  readonly name: string;
  readonly start: number;
  /** Follows a dot: a field or a method. */
  readonly selected: boolean;
  readonly called: boolean;
}

/** Replaces calls of built-in methods by calls of ours. */
export function rewrite(source: string): string {
  let result = '';
  let end = 0;
  for (const { name, start, selected, called } of identifiers(source)) {
    if (!selected || !called || !REPLACED.has(name)) continue;
    result += source.slice(end, start) + name + REPLACEMENT_SUFFIX;
    end = start + name.length;
  }
  return result + source.slice(end);
}

/** True when the expression refers to the variable. */
export function usesVariable(source: string, variable: string): boolean {
  return identifiers(source).some(({ name, selected }) => name === variable && !selected);
}

function identifiers(source: string): Identifier[] {
  const found: { name: string; start: number; selected: boolean; called: boolean }[] = [];
  let previous = '';
  let position = 0;
  while (position < source.length) {
    TOKEN.lastIndex = position;
    const groups = TOKEN.exec(source)?.groups;
    if (groups === undefined) break;
    const start = position;
    if (groups.text !== undefined) {
      position = endOfText(source, start, groups.text, groups.raw !== undefined);
      previous = 'text';
      continue;
    }
    position = TOKEN.lastIndex;
    if (groups.skip !== undefined) continue;
    if (groups.name !== undefined) {
      found.push({ name: groups.name, start, selected: previous === '.' || previous === '?', called: false });
      previous = 'name';
      continue;
    }
    const last = found.at(-1);
    if (groups.other === '(' && previous === 'name' && last !== undefined) last.called = true;
    // `.?field` selects; the `?` of a condition follows something else.
    previous = groups.other === '?' && previous !== '.' ? 'condition' : (groups.other ?? 'number');
  }
  return found;
}

function endOfText(source: string, start: number, opening: string, raw: boolean): number {
  const quote = opening.replace(/^[a-zA-Z]+/, '');
  let position = start + opening.length;
  while (position < source.length) {
    if (source.startsWith(quote, position)) return position + quote.length;
    position += !raw && source[position] === '\\' ? 2 : 1;
  }
  return source.length;
}
