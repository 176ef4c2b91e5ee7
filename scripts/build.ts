/**
 * Bundles the product into dist/ with esbuild: one entry per process, so that each loads only what it needs.
 *
 *   cli.js     every command; what only some commands need (the Kubernetes client, the daemon) is split off and loaded then
 *   apiserver-thread.js  the API server beside the other parts of `clawstore up`
 *   yaml-worker.js    the thread that reads long YAML
 *   commit-worker.js  the thread that writes the API server's database
 *   helper.js  the node helper: koffi and nothing else, because it must start before anything large is loaded
 *   crds/crds.json    the CRDs that the API server serves, checked: it reads them at each start
 *
 * koffi stays outside the bundle (it loads a native library from its own package); manifests/ is read at run time from the
 * package root. Files that did not change are left alone and old chunks stay a day, because a daemon that
 * was started from this folder may still load them.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { build, type Metafile, type OutputFile, type Plugin } from 'esbuild';
import { BUILTINS_PLACE, withoutBuiltinImports } from './builtin-imports.ts';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');
const KEEP_OLD_CHUNKS_MS = 24 * 3600 * 1000;

interface Entry {
  readonly source: string;
  /** What it loads by `import(…)` as soon as it starts. */
  readonly next?: string;
  /** npm packages that this entry must not load at start; `*` = any but the external ones. */
  readonly never: readonly string[];
}

const ENTRIES: Readonly<Record<string, Entry>> = {
  cli: {
    source: 'src/main.ts',
    next: 'src/cli/program.ts',
    never: ['@kubernetes/client-node', '@aws-sdk/client-s3', 'prom-client', 'undici', 'yaml', 'ajv'],
  },
  'apiserver-thread': {
    source: 'src/cli/apiserver-thread.ts',
    never: ['@kubernetes/client-node', '@aws-sdk/client-s3'],
  },
  'yaml-worker': {
    source: 'src/apiserver/http/yaml-worker.ts',
    never: ['@kubernetes/client-node', '@aws-sdk/client-s3'],
  },
  'commit-worker': { source: 'src/apiserver/storage/commit-worker.ts', never: ['*'] },
  helper: { source: 'src/node/helper/main.ts', never: ['*'] },
};

/**
 * undici loads HTTP/2 before it knows whether a server speaks it, which is a sixth of the start of a command. Ours never
 * ask for it (`src/kube/rest-client.ts`): it is loaded when the first connection of somebody else's wants it.
 */
const lazyHttp2: Plugin = {
  name: 'lazy-http2',
  setup({ onLoad }) {
    onLoad({ filter: /\/undici\/lib\/dispatcher\/client-h2\.js$/ }, ({ path, suffix }) =>
      suffix === LATER
        ? undefined
        : { contents: `module.exports = (...args) => require(${JSON.stringify(`${path}${LATER}`)})(...args);` },
    );
  },
};
const LATER = '?later';

async function main(): Promise<void> {
  const start = performance.now();
  const missing = Object.values(ENTRIES).filter(({ source }) => !existsSync(join(root, source)));
  for (const { source } of missing) console.error(`build: left out: ${source} does not exist`);
  const result = await build({
    absWorkingDir: root,
    entryPoints: Object.fromEntries(
      Object.entries(ENTRIES).flatMap(([name, entry]) => (missing.includes(entry) ? [] : [[name, entry.source]])),
    ),
    outdir: 'dist',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    sourcemap: 'linked',
    sourcesContent: false,
    // Beside the entries, so that a path relative to import.meta.url means the same in every file of dist/.
    chunkNames: 'chunk-[name]-[hash]',
    external: ['koffi'],
    plugins: [lazyHttp2],
    keepNames: true,
    // undici leaves its other, experimental parser away where this is defined: 160 KiB that each command would read.
    define: { esbuildDetection: 'true' },
    // The engine keeps the text of every module in memory, with two bytes a character when one of them is not Latin-1 (a
    // dash in a comment is enough): without comments and indentation that is a third. Lines stay short for stack traces.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'linked',
    lineLimit: 160,
    metafile: true,
    write: false,
    logLevel: 'warning',
    banner: { js: BUILTINS_PLACE },
  });
  const files = [...result.outputFiles.map((file) => lightened(file, result.metafile)), await crdsFile()];
  for (const file of files) writeChanged(file.path, file.contents);
  removeStale(new Set(files.map((file) => file.path)));
  const complaints = [...missing.map(({ source }) => source), ...heavyStarts(result.metafile)];
  const sizes = Object.keys(ENTRIES)
    .filter((name) => existsSync(join(dist, `${name}.js`)))
    .map((name) => `${name} ${Math.round(startBytes(result.metafile, name) / 1024)} KiB at start`);
  console.log(`build: ${sizes.join(', ')}; ${((performance.now() - start) / 1000).toFixed(2)} s`);
  if (complaints.length > 0) process.exitCode = 1;
}

interface Written {
  readonly path: string;
  readonly contents: Uint8Array;
}

function lightened({ path, contents, text }: OutputFile, meta: Metafile): Written {
  if (!path.endsWith('.js')) return { path, contents };
  const imports = meta.outputs[relative(root, path)]?.imports ?? [];
  const ofNode = imports.filter(({ path: from, kind }) => kind === 'import-statement' && isBuiltin(from));
  const without = withoutBuiltinImports(text, new Set(ofNode.map(({ path: from }) => from)));
  return { path, contents: Buffer.from(without) };
}

async function crdsFile(): Promise<Written> {
  // After the bundle: esbuild says better what is wrong with a source.
  const { compileCrds } = await import('../src/apiserver/kinds/custom.ts');
  const { name, text } = compileCrds(join(root, 'crds'));
  return { path: join(dist, 'crds', name), contents: Buffer.from(text) };
}

function writeChanged(path: string, contents: Uint8Array): void {
  if (existsSync(path) && readFileSync(path).equals(contents)) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, contents);
  renameSync(`${path}.new`, path);
}

function removeStale(current: ReadonlySet<string>): void {
  if (!existsSync(dist)) return;
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || current.has(path)) continue;
    const isOldChunk = entry.name.startsWith('chunk-');
    if (!isOldChunk || Date.now() - statSync(path).mtimeMs > KEEP_OLD_CHUNKS_MS) rmSync(path);
  }
}

/** The output files that are loaded as soon as the entry starts: itself and what it imports statically, and so on. */
function startFiles(meta: Metafile, name: string): ReadonlySet<string> {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    const output = meta.outputs[file];
    if (output === undefined || seen.has(file)) return;
    seen.add(file);
    for (const { path, kind, external } of output.imports) {
      if (kind === 'import-statement' && external !== true) visit(path);
    }
  };
  visit(`dist/${name}.js`);
  const next = ENTRIES[name]?.next;
  const [file] = Object.entries(meta.outputs).find(([, { entryPoint }]) => entryPoint === next) ?? [];
  if (next !== undefined && file !== undefined) visit(file);
  return seen;
}

function startBytes(meta: Metafile, name: string): number {
  return [...startFiles(meta, name)].reduce((sum, file) => sum + (meta.outputs[file]?.bytes ?? 0), 0);
}

/** Says which entry loads a package at start that it must not, and through which chunk. */
function heavyStarts(meta: Metafile): readonly string[] {
  const found = Object.entries(ENTRIES).flatMap(([name, { never }]) => {
    const inputs = [...startFiles(meta, name)].flatMap((file) => Object.keys(meta.outputs[file]?.inputs ?? {}));
    const packages = new Set(inputs.flatMap((input) => packageOf(input) ?? []));
    return [...packages]
      .filter((pkg) => never.includes('*') || never.includes(pkg))
      .map((pkg) => `${name} loads ${pkg}`);
  });
  for (const text of found) {
    console.error(
      `build: ${text} at start: import it dynamically where it is needed (${relative(root, import.meta.filename)})`,
    );
  }
  return found;
}

function packageOf(input: string): string | undefined {
  const match = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  return match?.[1];
}

// esbuild has printed what it did not like, with file and line.
await main().catch((error: unknown) => {
  if (!(error instanceof Error && 'errors' in error)) console.error(error);
  process.exitCode = 1;
});
