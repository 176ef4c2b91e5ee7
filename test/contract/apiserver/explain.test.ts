/**
 * OpenAPI v3 and what `kubectl explain` makes of it, field by field, from both servers. The words about the kinds that
 * Kubernetes itself brings are our own (see differences.ts); their fields, types and requirements are not.
 */
import { rmSync } from 'node:fs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { Kubectl } from '../../support/harness/kubectl.ts';
import { full, makeDirectory } from '../../support/harness/run.ts';
import { SERVERS } from './servers.ts';
import { RawClient } from './watch-client.ts';

const OURS = ['volume', 'volumemount', 'volumeclass', 'storagenode', 'specimen', 'plain'];
const CORE = ['namespace', 'secret', 'configmap', 'event', 'lease'];
const DOCUMENTS = ['storage.clawbernetes.io/v1alpha1', 'conformance.clawstore.test/v1'];

interface OpenApi {
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly properties?: Readonly<Record<string, unknown>> }>>;
  };
}

describe('kubectl explain', function () {
  this.timeout(full ? 1_800_000 : 120_000);
  const directories: string[] = [];
  const kubectls: Kubectl[] = [];
  const clients: RawClient[] = [];

  before(async () => {
    for (const { start } of SERVERS) {
      const { kubeconfig, target } = await start();
      const directory = makeDirectory('explain');
      directories.push(directory);
      kubectls.push(await Kubectl.for(kubeconfig, directory));
      clients.push(new RawClient(target));
    }
  });

  after(async () => {
    for (const client of clients) await client.close();
    for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  });

  const said = new Map<string, Promise<string[]>>();
  /** What each server makes kubectl say; asked once. */
  const explained = (...args: readonly string[]): Promise<string[]> => {
    const key = args.join(' ');
    const known = said.get(key) ?? Promise.all(kubectls.map((kubectl) => kubectl.run(['explain', ...args])));
    said.set(key, known);
    return known;
  };

  for (const path of DOCUMENTS) {
    it(`reads the same document of ${path}: our kinds word for word`, async () => {
      const [embedded, real] = await Promise.all(
        clients.map(async (client) => (await client.send('GET', `/openapi/v3/apis/${path}`)) as unknown as OpenApi),
      );
      const names = Object.keys(real?.components.schemas ?? {}).filter((name) => !name.startsWith('io.k8s.'));
      expect(names).to.not.be.empty;
      for (const name of names) {
        expect(spoken(embedded, name), name).to.deep.equal(spoken(real, name));
      }
    });
  }

  for (const kind of [...OURS, ...CORE]) {
    it(`shows the same fields of ${kind} at every depth`, async () => {
      const [embedded = '', real = ''] = await explained(kind, '--recursive');
      expect(real).to.match(/FIELDS:\n/);
      expect(fieldsOf(embedded)).to.equal(fieldsOf(real));
      if (OURS.includes(kind)) expect(embedded.split('FIELDS:')[0]).to.equal(real.split('FIELDS:')[0]);
    });
  }

  for (const kind of [...OURS, ...CORE]) {
    it(`says the same of ${full ? 'every field' : 'some fields'} of ${kind}`, async () => {
      const [, recursive = ''] = await explained(kind, '--recursive');
      const all = pathsOf(recursive);
      expect(all.length).to.be.above(5);
      // One kubectl for each field and server: all of them in the full run.
      const chosen = full ? all : all.filter((_, i) => i % 60 === 13);
      for (const path of chosen) {
        const [embedded = '', real = ''] = await explained(`${kind}.${path}`);
        const isOurs = OURS.includes(kind) && !path.startsWith('metadata') && path !== 'apiVersion' && path !== 'kind';
        expect(isOurs ? embedded : withoutWords(embedded), `${kind}.${path}`).to.equal(
          isOurs ? real : withoutWords(real),
        );
      }
    });
  }
});

/** The schema of a kind, but for the three fields that all kinds have. */
function spoken(document: OpenApi | undefined, name: string): unknown {
  const schema = document?.components.schemas[name];
  const { apiVersion: _, kind: __, metadata: ___, ...properties } = schema?.properties ?? {};
  return { ...schema, properties };
}

const fieldsOf = (text: string): string => text.slice(text.indexOf('FIELDS:'));

/** What explain says without descriptions: head, the field's own line, and names and types of what is below. */
function withoutWords(text: string): string {
  return text
    .split('\n')
    .filter((line) => /^(?:GROUP|KIND|VERSION|FIELD|FIELDS):/.test(line) || /^ {2}\S+\t/.test(line))
    .join('\n');
}

/** Paths of all fields in what `--recursive` prints. */
function pathsOf(text: string): string[] {
  const paths: string[] = [];
  const parents: string[] = [];
  for (const line of fieldsOf(text).split('\n').slice(1)) {
    const match = /^( +)(\S+)\t</.exec(line);
    if (match === null) continue;
    const depth = (match[1] as string).length / 2 - 1;
    parents.splice(depth, parents.length, match[2] as string);
    paths.push(parents.join('.'));
  }
  return paths;
}
