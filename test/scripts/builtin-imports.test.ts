import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { BUILTINS_PLACE, withoutBuiltinImports } from '../../scripts/builtin-imports.ts';

describe('what a bundle takes of Node', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-builtins-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const bundled = (code: string, expected: readonly string[]): string =>
    withoutBuiltinImports(`${BUILTINS_PLACE}\n${code}`, new Set(expected));

  /** Runs it. @returns its default export. */
  async function valueOf(text: string): Promise<unknown> {
    const file = join(folder, 'bundle.mjs');
    writeFileSync(file, text);
    return ((await import(file)) as { readonly default: unknown }).default;
  }

  it('is what the imports named, however they were written, also above where they stood', async () => {
    const text = bundled(
      'var early=join("a","b");import fs,{existsSync as there}from"node:fs";import*as os from"os";\nimport {\njoin,\n  sep } from "node:path";import"node:net";' +
        'export default[early,sep,there===fs.existsSync,os.EOL];',
      ['node:fs', 'os', 'node:path', 'node:net'],
    );
    expect(text).to.not.match(/\bimport\b(?!\.meta)/);
    expect(await valueOf(text)).to.deep.equal(['a/b', '/', true, '\n']);
  });

  it('leaves every other character where it was', () => {
    const code = 'f();import{a,\nb}from"node:fs";g();\nimport{c}from"./chunk.js";import d from"koffi";h();';
    const lines = bundled(code, ['node:fs']).split('\n').slice(1);
    expect(lines).to.deep.equal([
      `f();${' '.repeat('import{a,'.length)}`,
      `${' '.repeat('b}from"node:fs";'.length)}g();`,
      'import{c}from"./chunk.js";import d from"koffi";h();',
    ]);
  });

  it('has require where a package of CommonJS asks for it', async () => {
    const code = 'var ask=typeof require<"u"?require:void 0;export default ask("node:path").sep;';
    expect(await valueOf(bundled(code, []))).to.equal('/');
  });

  it('is refused when it is not all that the file imports', () => {
    expect(() => bundled('import{a}from"node:fs";', ['node:fs', 'node:net'])).to.throw('imports of node:net');
    expect(() => bundled('import{a}from"node:fs";', [])).to.throw('imports of node:fs');
  });
});
