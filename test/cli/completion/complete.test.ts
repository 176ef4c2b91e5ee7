import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type Completion, complete, Directive, renderCompletion } from '../../../src/cli/completion/complete.ts';
import { makeProgram } from '../../../src/cli/program.ts';

const asked = async (...words: readonly string[]): Promise<Completion> =>
  complete(await makeProgram(() => undefined), words);
const valuesOf = async (...words: readonly string[]): Promise<readonly string[]> =>
  (await asked(...words)).candidates.map(({ value }) => value);

describe('completion', () => {
  it('offers commands, with what they are for', async () => {
    expect(await valuesOf('')).to.include.members(['up', 'volume', 'snapshot', 'completion']);
    expect(await valuesOf('vol')).to.deep.equal(['volume']);
    expect(await valuesOf('volume', 'de')).to.deep.equal(['describe', 'delete']);
    expect((await asked('volume', 'grow')).candidates[0]?.description).to.include('larger');
  });

  it('offers flags that are not there yet, and none that the help hides', async () => {
    const flags = await valuesOf('volume', 'list', '--');
    expect(flags).to.include.members(['--watch', '--output', '--namespace', '--context', '--kubeconfig', '--help']);
    expect(flags).to.not.include.members(['--listen']);
    expect(await valuesOf('volume', 'list', '--watch', '-n', 'team', '--')).to.not.include.members([
      '--watch',
      '--namespace',
    ]);
  });

  it('offers the values that an option takes, in both ways of writing it', async () => {
    expect(await valuesOf('volume', 'create', 'data', '--type', '')).to.deep.equal([
      'emptydir',
      'hostpath',
      'nfs',
      's3',
    ]);
    expect(await valuesOf('volume', 'create', 'data', '--type=h')).to.deep.equal(['--type=hostpath']);
    expect(await valuesOf('volume', 'list', '-o', 'j')).to.deep.equal(['json']);
    expect(await valuesOf('completion', '')).to.deep.equal(['bash', 'zsh', 'fish']);
    expect(await valuesOf('invoke', 'volume.m')).to.deep.equal(['volume.mount']);
  });

  it('leaves paths to the shell', async () => {
    expect((await asked('volume', 'list', '--kubeconfig', '/et')).directive).to.equal(Directive.files);
    expect((await asked('up', '--state-dir=')).directive).to.equal(Directive.directories);
    expect((await asked('volume', 'create', '')).directive).to.equal(Directive.noFiles);
  });

  it('takes what follows a flag for its value, and what follows -- for no flag', async () => {
    expect(await valuesOf('volume', '-n', 'list', 'li')).to.deep.equal(['list']);
    expect(await valuesOf('volume', 'list', '--', '--')).to.deep.equal([]);
  });

  it('says nothing where nothing is to be said', async () => {
    expect(await valuesOf('nothing', 'like', 'this')).to.deep.equal([]);
    expect(await valuesOf('volume', 'describe', 'data', '')).to.deep.equal([]);
    expect(await valuesOf('volume', 'create', '--frob=')).to.deep.equal([]);
  });

  it('prints a candidate a line and the directive at last, as kubectl reads it', () => {
    const text = renderCompletion({
      candidates: [{ value: 'a', description: 'first\nof all' }, { value: 'b' }],
      directive: Directive.noFiles,
    });
    expect(text).to.equal('a\tfirst of all\nb\n:4\n');
  });

  describe('of names, when the control plane', () => {
    let folder: string;
    let silent: Server;
    const kubeconfig = (name: string, port: number): string => {
      const file = join(folder, name);
      const cluster = { server: `https://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true };
      const config = {
        'current-context': 'a',
        contexts: [
          { name: 'a', context: { cluster: 'c', user: 'u' } },
          { name: 'b', context: { cluster: 'c', user: 'u' } },
        ],
        clusters: [{ name: 'c', cluster }],
        users: [{ name: 'u', user: { token: 't' } }],
      };
      writeFileSync(file, JSON.stringify(config));
      return file;
    };

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'clawstore-complete-'));
      silent = createServer(() => undefined);
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    });
    after(() => {
      silent.close();
      rmSync(folder, { recursive: true });
    });

    it('is nowhere: nothing', async () => {
      expect(await valuesOf('volume', 'delete', '--kubeconfig', join(folder, 'none'), '')).to.deep.equal([]);
      expect(await valuesOf('volume', 'delete', '--kubeconfig', kubeconfig('refuses', 1), '')).to.deep.equal([]);
    });

    it('never answers: nothing, as soon as the time is over', async () => {
      const file = kubeconfig('silent', (silent.address() as AddressInfo).port);
      expect(await valuesOf('volume', 'delete', '--kubeconfig', file, '')).to.deep.equal([]);
    });

    it('is not needed: the contexts of a kubeconfig', async () => {
      const file = kubeconfig('contexts', 1);
      expect(await valuesOf('volume', 'list', '--kubeconfig', file, '--context', '')).to.deep.equal(['a', 'b']);
    });
  });
});
