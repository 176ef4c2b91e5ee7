/**
 * Fails when an import under src/ goes upward or sideways between layers, leaves src/, or names an npm package that is
 * not a dependency of the product. The table below is the architecture; DESIGN and docs/architecture.md explain it.
 *
 *   node scripts/lint-layers.ts [ROOT]
 */
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { argv, exit } from 'node:process';

/** What each layer may import beside itself. A layer that is missing here may not exist. */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  api: [],
  telemetry: ['api'],
  node: ['api'],
  s3: ['api'],
  kube: ['api', 'telemetry'],
  runtime: ['kube', 'telemetry'],
  drivers: ['api', 'node', 's3'],
  backup: ['api', 'node', 's3'],
  apiserver: ['api', 'telemetry'],
  controllers: ['api', 'kube', 'runtime', 'drivers', 'backup', 'node', 's3', 'telemetry'],
  commands: ['api', 'kube'],
  sync: ['api', 'kube', 'node', 'telemetry'],
  openclaw: ['api', 'commands', 'telemetry'],
  cli: [
    'api',
    'telemetry',
    'node',
    'kube',
    'runtime',
    'drivers',
    'backup',
    'apiserver',
    'controllers',
    'commands',
    'openclaw',
    'sync',
  ],
  'main.ts': ['cli'],
};

/** One import that breaks a rule, as `file:line` and a sentence. */
export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

interface Import {
  readonly specifier: string;
  readonly line: number;
}

const BUILTIN = new Set(builtinModules);

/** Checks every source file below `root`/src against {@link LAYERS} and the dependencies of `root`/package.json. */
export function checkLayers(root: string): readonly Violation[] {
  const src = join(root, 'src');
  const packages = runtimePackages(root);
  return sourceFiles(src).flatMap((file) => {
    const name = relative(root, file);
    return importsOf(readFileSync(file, 'utf8')).flatMap(({ specifier, line }) => {
      const message = specifier.startsWith('.')
        ? checkRelative(src, file, specifier)
        : checkPackage(specifier, packages);
      return message === undefined ? [] : [{ file: name, line, message }];
    });
  });
}

function checkRelative(src: string, file: string, specifier: string): string | undefined {
  const target = relative(src, resolve(dirname(file), specifier));
  if (target.startsWith('..')) {
    return target === join('..', 'package.json') ? undefined : `imports ${specifier}, which lies outside src/`;
  }
  const from = layerOf(relative(src, file));
  const to = layerOf(target);
  const allowed = LAYERS[from];
  if (allowed === undefined) return `lies in src/${from}, which is no layer (scripts/lint-layers.ts)`;
  if (from === to || allowed.includes(to)) return undefined;
  if (LAYERS[to] === undefined) return `imports src/${to}, which is no layer (scripts/lint-layers.ts)`;
  const may = allowed.length === 0 ? 'nothing above itself' : allowed.join(', ');
  return `${from} must not import ${to} (${specifier}): it may import ${may}`;
}

function checkPackage(specifier: string, packages: ReadonlySet<string>): string | undefined {
  if (specifier.startsWith('node:')) return undefined;
  const parts = specifier.split('/');
  const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? specifier);
  if (BUILTIN.has(name)) return `imports ${specifier}: write node:${specifier}`;
  return packages.has(name) ? undefined : `imports ${name}, which is not in the dependencies of package.json`;
}

function layerOf(path: string): string {
  return path.split(sep)[0] ?? path;
}

function runtimePackages(root: string): ReadonlySet<string> {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly dependencies?: Readonly<Record<string, string>>;
    readonly optionalDependencies?: Readonly<Record<string, string>>;
  };
  return new Set([...Object.keys(manifest.dependencies ?? {}), ...Object.keys(manifest.optionalDependencies ?? {})]);
}

function sourceFiles(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/**
 * The static, dynamic and re-exported imports of a file. A regular expression is enough: the formatter gives every
 * import one shape, and comments are blanked first so that an example in a docstring is not taken for one.
 */
function importsOf(source: string): readonly Import[] {
  const code = blankComments(source);
  const pattern =
    /(?:^|[;\s])(?:import|export)\b[^'"`;()]*?\bfrom\s*(['"])([^'"]+)\1|(?:^|[;\s])import\s*(['"])([^'"]+)\3|\b(?:import|require)\s*\(\s*(['"])([^'"]+)\5/g;
  return [...code.matchAll(pattern)].map((match) => ({
    specifier: match[2] ?? match[4] ?? match[6] ?? '',
    line: code.slice(0, match.index + match[0].length).split('\n').length,
  }));
}

/** Replaces comments by blanks, keeping lines, and leaves strings alone. */
function blankComments(source: string): string {
  const token = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g;
  return source.replace(token, (text) => (text.startsWith('/') ? text.replace(/[^\n]/g, ' ') : text));
}

if (import.meta.main) {
  const root = resolve(argv[2] ?? join(import.meta.dirname, '..'));
  const violations = checkLayers(root);
  for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`);
  console.log(
    violations.length === 0 ? 'layers: no import goes up or round' : `layers: ${violations.length} violations`,
  );
  exit(violations.length === 0 ? 0 : 1);
}
