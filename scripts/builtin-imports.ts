/**
 * What a bundle takes of Node itself, without the import statements of ES modules. Those read every export of a module,
 * also the ones that are made when they are asked for: `node:http` then loads all of fetch and WebSocket, `node:tls` a
 * hundred certificates, 70 ms of processor time and 9 MB for each process and each thread, for nothing.
 */

import { isBuiltin } from 'node:module';

/** Stands on the first line of a file that esbuild makes (its `banner`), and is replaced there: no line or column moves. */
export const BUILTINS_PLACE = '/*builtins*/';

/** The names may be broken into lines, esbuild does it. */
const IMPORT = /(?<=^|[;}\s])import\s*([\w$\s,{}*]*?)\s*(?:\bfrom|(?<=\})from)?\s*"((?:node:)?[\w/]+)";/g;

/**
 * Turns the imports of Node's own modules in a bundled file into what asks for the used names alone, before
 * everything else, as imports are.
 * @param expected those that esbuild says the file imports.
 * @throws Error when that is not what was found.
 */
export function withoutBuiltinImports(text: string, expected: ReadonlySet<string>): string {
  const found = new Set<string>();
  const taken: string[] = [];
  const rest = text.replace(IMPORT, (statement: string, clause: string, name: string) => {
    if (!isBuiltin(name)) return statement;
    const names = namesOf(clause.trim().replace(/\s+/g, ' '), `globalThis.process.getBuiltinModule("${name}")`);
    if (names === undefined) return statement;
    found.add(name);
    taken.push(...names);
    // As long as it was, with its line ends: what follows stays where the source map has it.
    return statement.replace(/[^\n]/g, ' ');
  });
  const odd = [...found.symmetricDifference(expected)];
  if (odd.length > 0) throw new Error(`imports of ${odd.join(', ')} are written in a way that is not known here`);
  // Bundled CommonJS packages ask for require, which an ES module does not have by itself.
  if (/\btypeof require\b/.test(rest)) {
    taken.push('require=globalThis.process.getBuiltinModule("node:module").createRequire(import.meta.url)');
  }
  return rest.replace(BUILTINS_PLACE, () => (taken.length === 0 ? '' : `const ${taken.join()};`));
}

/** What `import CLAUSE from "module"` declares, as declarations that begin with `const`; undefined = it is none. */
function namesOf(clause: string, module: string): readonly string[] | undefined {
  const match = /^([\w$]+)?,? ?(?:\* ?as ([\w$]+))?(?:\{([^}]*)\})?$/.exec(clause);
  if (match === null) return undefined;
  const [, whole, all, some] = match;
  const names = [whole, all].flatMap((name) => (name === undefined ? [] : [`${name}=${module}`]));
  return some === undefined ? names : [...names, `{${some.replaceAll(' as ', ':')}}=${module}`];
}
