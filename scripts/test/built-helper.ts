/** The node helper in one file for the tests that run from the sources: they start it hundreds of times. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { BUILTINS_PLACE, withoutBuiltinImports } from '../builtin-imports.ts';

const root = join(import.meta.dirname, '../..');

/**
 * Builds it of the sources as they are now; its start then takes half of the processor time that sixty sources take.
 * @returns its path, for `src/node/fork-helper.ts` in CLAWSTORE_BUILT_HELPER.
 */
export async function buildHelper(): Promise<string> {
  // In the checkout, so that it goes with it and finds koffi.
  const outfile = join(root, 'out/test/helper.js');
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['src/node/helper/main.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    external: ['koffi'],
    keepNames: true,
    sourcemap: 'linked',
    sourcesContent: false,
    metafile: true,
    write: false,
    logLevel: 'warning',
    banner: { js: BUILTINS_PLACE },
  });
  const builtins = new Set(
    Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path).filter(isBuiltin)),
  );
  mkdirSync(dirname(outfile), { recursive: true });
  for (const { path, text } of outputFiles) {
    const next = `${path}.${process.pid}`;
    writeFileSync(next, path.endsWith('.js') ? withoutBuiltinImports(text, builtins) : text);
    renameSync(next, path);
  }
  return outfile;
}
