import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { CrdError, compileCrds, loadCrds } from '../../../src/apiserver/kinds/custom.ts';
import { Store } from '../../../src/apiserver/storage/store.ts';

const CRDS = join(import.meta.dirname, '../../../crds');
const VOLUMES = 'storage.clawbernetes.io_volumes.yaml';

describe('CRDs of the embedded API server', () => {
  let directory: string;
  let store: Store;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-crds-'));
    store = new Store({ file: join(directory, 'objects.db'), onError: () => {} });
  });

  afterEach(async () => {
    await store.close();
    rmSync(directory, { recursive: true });
  });

  const directoryWith = (name: string, text: string): string => {
    const made = join(directory, 'crds');
    mkdirSync(made, { recursive: true });
    writeFileSync(join(made, name), text);
    return made;
  };

  it('are served as their files say, from the compiled file too', () => {
    const { name, text } = compileCrds(CRDS);
    const written = loadCrds(CRDS, store);
    const compiled = loadCrds(directoryWith(name, text), store);
    expect(written).to.have.length(12);
    expect(compiled.map(({ crd }) => crd)).to.deep.equal(written.map(({ crd }) => crd));
    const shown = (kinds: typeof written): unknown =>
      kinds.flatMap(({ resources }) =>
        resources.map(({ resource, kind, columns, node }) => [resource, kind, columns, node]),
      );
    expect(shown(compiled)).to.deep.equal(shown(written));
  });

  it('are checked by their schema, whichever file they were read of', () => {
    const { name, text } = compileCrds(CRDS);
    for (const from of [CRDS, directoryWith(name, text)]) {
      const volumes = loadCrds(from, store).flatMap(({ resources }) =>
        resources.filter(({ kind }) => kind === 'Volume'),
      );
      expect(volumes).to.have.length(1);
      const spec = { emptyDir: {}, hostPath: { path: '/data/x' }, colour: 'red' };
      const volume = { apiVersion: 'storage.clawbernetes.io/v1alpha1', kind: 'Volume', metadata: { name: 'v' }, spec };
      expect(volumes[0]?.schema.prune(volume)).to.deep.equal(['spec.colour']);
      expect(JSON.stringify(volumes[0]?.schema.validate(volume).errors)).to.contain('exactly one source');
    }
  });

  it('are not compiled when one of them is wrong: the error names the file and the place', () => {
    const volumes = readFileSync(join(CRDS, VOLUMES), 'utf8');
    for (const [right, wrong, place] of [
      ['type: object', 'type: thing', 'openAPIV3Schema'],
      ['rule: ', 'rule: self.nothing == 1 && ', 'x-kubernetes-validations'],
    ] as const) {
      const from = directoryWith(VOLUMES, volumes.replace(right, wrong));
      expect(() => compileCrds(from))
        .to.throw(CrdError)
        .with.property('message')
        .that.matches(new RegExp(`^${VOLUMES}: .*${place}`));
      expect(() => loadCrds(from, store)).to.throw(CrdError);
    }
  });
});
