/** The samples and examples, applied as people and as GitOps apply them, to both API servers: nothing differs afterwards. */
import { globSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { parseAllDocuments } from 'yaml';
import { OUR_RESOURCES } from '../../src/api/meta.ts';
import { Kubectl } from '../support/harness/kubectl.ts';
import { makeDirectory, shareOf } from '../support/harness/run.ts';
import { SERVERS } from './apiserver/servers.ts';

const MANIFESTS = join(import.meta.dirname, '../../manifests');
const SAMPLES = globSync(['samples/*.yaml', 'examples/*.yaml'], { cwd: MANIFESTS })
  .filter((file) => file !== 'examples/compose.yaml')
  .toSorted();
/** Made by the product alone. */
const NOT_DECLARED = ['StorageNode', 'VolumeBackup', 'VolumeRestore'];
/** Both ways of `kubectl apply`. Afterwards the fields belong to both. */
const WAYS = [[], ['--server-side', '--field-manager=gitops', '--force-conflicts']];

const kindsOf = (file: string): readonly string[] =>
  parseAllDocuments(readFileSync(join(MANIFESTS, file), 'utf8')).map(
    (document) => (document.toJS() as { readonly kind: string }).kind,
  );
const ours = OUR_RESOURCES.map(({ kind }) => kind);
const isOfOurs = (file: string): boolean => kindsOf(file).every((kind) => ours.includes(kind));
/** What the embedded one takes in every run, as it takes what the real one does: that in turns. */
const AT_REAL = shareOf('samples', SAMPLES.filter(isOfOurs));

describe('the samples', () => {
  it('have one of every kind that people declare', () => {
    expect(SAMPLES.flatMap(kindsOf)).to.include.members(ours.filter((kind) => !NOT_DECLARED.includes(kind)));
  });

  for (const { name, start } of SERVERS) {
    describe(`at the ${name} API server`, function () {
      this.timeout(120_000);
      let kubectl: Kubectl;
      const home = makeDirectory('samples');

      before(async () => {
        kubectl = await Kubectl.for((await start()).kubeconfig, home);
      });

      after(() => rmSync(home, { recursive: true }));

      const taken =
        name === 'real'
          ? SAMPLES.filter((file) => !isOfOurs(file) || AT_REAL.includes(file))
          : SAMPLES.filter(isOfOurs);
      for (const file of taken) {
        it(`take ${file} by both ways of apply, and see no difference afterwards`, async () => {
          const own = ['-f', join(MANIFESTS, file)];
          for (const way of WAYS) {
            await kubectl.run(['apply', '--validate=strict', ...way, ...own]);
            const { code, stdout, stderr } = await kubectl.try(['diff', ...way, ...own]);
            expect(code, stdout + stderr).to.equal(0);
          }
          await kubectl.run(['delete', '--timeout=30s', ...own]);
        });
      }
    });
  }
});
