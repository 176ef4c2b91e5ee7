import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { checkLayers, LAYERS } from '../../scripts/lint-layers.ts';

describe('lint-layers', () => {
  let root = '';

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'clawstore-layers-'));
    write('package.json', JSON.stringify({ dependencies: { yaml: '1', '@scope/tool': '1' } }));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function write(path: string, content: string): void {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  const messages = (): readonly string[] => checkLayers(root).map((v) => `${v.file}:${v.line} ${v.message}`);

  it('accepts imports that go down, inside a layer, to node: and to dependencies', () => {
    write('src/runtime/queue.ts', "import { a } from './other.ts';\nimport type { B } from '../kube/client.ts';\n");
    write(
      'src/kube/client.ts',
      "import fs from 'node:fs';\nimport { parse } from 'yaml';\nimport '@scope/tool/sub';\n",
    );
    expect(messages()).to.deep.equal([]);
  });

  it('reports an import that goes up, with file and line', () => {
    write('src/api/quantity.ts', "const one = 1;\nimport { Client } from '../kube/client.ts';\n");
    expect(messages()).to.deep.equal([
      'src/api/quantity.ts:2 api must not import kube (../kube/client.ts): it may import nothing above itself',
    ]);
  });

  it('reports a sideways import: the runtime knows no kind', () => {
    write('src/runtime/loop.ts', "import type { Volume } from '../api/volume.ts';\n");
    expect(messages()).to.have.length(1);
    expect(messages()[0]).to.contain('runtime must not import api');
  });

  it('sees type imports, re-exports, side-effect and dynamic imports', () => {
    for (const line of [
      "import type { X } from '../cli/x.ts';",
      "export { x } from '../cli/x.ts';",
      "export * from '../cli/x.ts';",
      "import '../cli/x.ts';",
      "const x = await import('../cli/x.ts');",
      "import {\n  a,\n  b,\n} from '../cli/x.ts';",
    ]) {
      write('src/node/a.ts', line);
      expect(messages(), line).to.have.length(1);
    }
  });

  it('takes no notice of an import inside a comment', () => {
    write(
      'src/node/a.ts',
      "/** import { x } from '../cli/x.ts'; */\n// import '../cli/x.ts';\nexport const url = 'http://a';\n",
    );
    expect(messages()).to.deep.equal([]);
  });

  it('reports npm packages that are not dependencies of the product, and bare built-in names', () => {
    write('src/kube/a.ts', "import { expect } from 'chai';\nimport fs from 'fs';\nimport x from '@scope/other';\n");
    expect(messages()).to.deep.equal([
      'src/kube/a.ts:1 imports chai, which is not in the dependencies of package.json',
      'src/kube/a.ts:2 imports fs: write node:fs',
      'src/kube/a.ts:3 imports @scope/other, which is not in the dependencies of package.json',
    ]);
  });

  it('reports a folder that is no layer and an import out of src', () => {
    write('src/utils/a.ts', "import '../api/x.ts';\n");
    write('src/api/b.ts', "import '../utils/a.ts';\nimport '../../test/support/x.ts';\n");
    expect(messages()).to.have.length(3);
  });

  it('has a table without circles', () => {
    const visit = (layer: string, path: readonly string[]): void => {
      expect(path, [...path, layer].join(' -> ')).not.to.include(layer);
      for (const next of LAYERS[layer] ?? []) visit(next, [...path, layer]);
    };
    for (const layer of Object.keys(LAYERS)) visit(layer, []);
  });
});
