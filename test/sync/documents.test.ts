import { expect } from 'chai';
import { describe, it } from 'mocha';
import { readYaml } from '../../src/apiserver/http/yaml.ts';
import { nameOfObject, readObjects, type SourceObjects } from '../../src/sync/documents.ts';

const V1 = 'storage.clawbernetes.io/v1alpha1';
const read = (files: Readonly<Record<string, string>>): Promise<SourceObjects> =>
  readObjects(
    Object.entries(files).map(([path, text]) => ({ path, text })),
    readYaml,
  );
const volume = (name: string): string =>
  `apiVersion: ${V1}\nkind: Volume\nmetadata:\n  name: ${name}\nspec:\n  emptyDir: {}\n`;
const names = ({ objects }: SourceObjects): readonly string[] =>
  objects.map(({ resource, ref }) => nameOfObject(resource, ref));
const places = ({ broken }: SourceObjects): readonly string[] =>
  broken.map(({ file, line, message }) => `${file}:${line ?? '-'}: ${message}`);

describe('the objects of a source', () => {
  it('are every document of every file, YAML and JSON, with the line on which each begins', async () => {
    const found = await read({
      'a.yaml': `# a comment\n---\n# another\n\n${volume('one')}---\n${volume('two')}...\n---\n`,
      'b.json': JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } }),
      'c.yml': `--- {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: team}}\n`,
      'd.yaml': '%YAML 1.2\n---\n# nothing\n',
      'e.yaml': '',
    });
    expect(places(found)).to.deep.equal([]);
    expect(names(found)).to.deep.equal(['Volume default/one', 'Volume default/two', 'Namespace team', 'Secret team/s']);
    expect(found.objects.map(({ file, line }) => `${file}:${line}`)).to.deep.equal([
      'a.yaml:5',
      'a.yaml:12',
      'b.json:1',
      'c.yml:1',
    ]);
    expect(found.objects[0]?.object.metadata).to.deep.equal({ name: 'one', namespace: 'default' });
  });

  it('are the items of a List', async () => {
    const item = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' } };
    const found = await read({ 'a.json': JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [item] }) });
    expect(names(found)).to.deep.equal(['ConfigMap default/m']);
  });

  const broken: readonly (readonly [string, string, string])[] = [
    ['syntax', 'spec: [1\n', 'x.yaml:8: is not YAML: '],
    ['a tab', 'kind: Volume\n\tspec: 1\n', 'x.yaml:9: is not YAML: '],
    ['a key that is there twice', 'kind: Volume\nkind: Snapshot\n', 'x.yaml:9: key "kind" already set in map'],
    [
      'another kind',
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n',
      'x.yaml:8: apps/v1 Deployment is not a kind',
    ],
    ['no kind', 'apiVersion: v1\n', 'x.yaml:8: kind is missing'],
    ['no name', 'apiVersion: v1\nkind: Secret\n', 'x.yaml:8: metadata.name of the Secret is missing'],
    [
      'labels as text',
      'apiVersion: v1\nkind: Secret\nmetadata: {name: x, labels: y}\n',
      'x.yaml:8: Secret x: metadata.labels',
    ],
    [
      'a namespace of a namespace',
      'apiVersion: v1\nkind: Namespace\nmetadata: {name: x, namespace: y}\n',
      'x.yaml:8: Namespace x: metadata.namespace',
    ],
    ['a text', 'hello\n', 'x.yaml:8: is no object'],
    [
      'its own status',
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: clawstore-sync, namespace: clawstore-system}\n',
      'x.yaml:8: ConfigMap clawstore-system/clawstore-sync is the status',
    ],
    ['many aliases', `a: &a [x]\nb: [${'*a, '.repeat(200)}]\n`, 'x.yaml:8: is not YAML: '],
  ];
  for (const [what, text, message] of broken) {
    it(`are named with file and line where there is ${what}, and the others count`, async () => {
      const found = await read({ 'x.yaml': `${volume('good')}---\n${text}---\n${volume('too')}` });
      expect(names(found)).to.deep.equal(['Volume default/good', 'Volume default/too']);
      expect(places(found)).to.have.length(1);
      expect(places(found)[0]).to.include(message);
      expect(found.broken[0]?.text).to.include(text.trimEnd());
    });
  }

  it('say where JSON is broken, and nothing of what stands there', async () => {
    const found = await read({ 'x.json': '{"a": 1,\n "b": 2', 'y.json': '{"password": hunter2}' });
    expect(places(found)).to.deep.equal(['x.json:2: is not JSON', 'y.json:1: is not JSON']);
  });

  it('say what is wrong with YAML, and nothing of what stands there', async () => {
    const found = await read({ 'x.yaml': 'kind: Secret\nstringData:\n  a: *hunter2\n' });
    expect(places(found)).to.deep.equal([
      'x.yaml:1: is not YAML: Unresolved alias (the anchor must be set before the alias)',
    ]);
  });

  it('count once: the second of a name is broken', async () => {
    const found = await read({ 'a.yaml': volume('one'), 'b.yaml': volume('one') });
    expect(found.objects.map(({ file }) => file)).to.deep.equal(['a.yaml']);
    expect(places(found)).to.deep.equal(['b.yaml:1: Volume default/one stands in a.yaml:1 already']);
  });

  it('may be anything in a file that cannot be read', async () => {
    const found = await readObjects([{ path: 'x.yaml', problem: 'larger than 1024 KiB' }], readYaml);
    expect(found.broken).to.deep.equal([{ file: 'x.yaml', message: 'larger than 1024 KiB' }]);
  });
});
