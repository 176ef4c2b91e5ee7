import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/kube/config.ts';
import { KubeError } from '../../src/kube/errors.ts';

const data = (text: string): string => Buffer.from(text).toString('base64');

describe('kubeconfig', () => {
  let dir: string;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawstore-config-'));
  });

  afterEach(async () => {
    await rm(dir, { recursive: true, force: true });
  });

  async function write(cluster: object, user: object, extra: object = {}): Promise<string> {
    const path = join(dir, 'config');
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'here',
      contexts: [
        { name: 'elsewhere', context: { cluster: 'none', user: 'none' } },
        { name: 'here', context: { cluster: 'c', user: 'u', namespace: 'team' } },
      ],
      clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:6443', ...cluster } }],
      users: [{ name: 'u', user }],
      ...extra,
    };
    await writeFile(path, stringify(config));
    return path;
  }

  function failure(promise: Promise<unknown>): Promise<KubeError> {
    return promise.then(
      () => {
        throw new Error('did not fail');
      },
      (thrown: unknown) => KubeError.from(thrown),
    );
  }

  it('reads a CA and a token', async () => {
    const kubeconfig = await write({ 'certificate-authority-data': data('CA') }, { token: 't' });
    expect(await loadConfig({ kubeconfig })).to.deep.equal({
      server: 'https://127.0.0.1:6443',
      tls: { ca: 'CA' },
      token: 't',
      namespace: 'team',
    });
  });

  it('reads client certificates, from data and from files beside it', async () => {
    await writeFile(join(dir, 'client.key'), 'KEY');
    const kubeconfig = await write(
      { 'insecure-skip-tls-verify': true, 'tls-server-name': 'kubernetes' },
      { 'client-certificate-data': data('CERT'), 'client-key': 'client.key' },
    );
    const { tls, token } = await loadConfig({ kubeconfig });
    expect(tls).to.deep.equal({ cert: 'CERT', key: 'KEY', rejectUnauthorized: false, servername: 'kubernetes' });
    expect(token).to.equal(undefined);
  });

  it('reads a token from a file, as a pod has it, before one beside it', async () => {
    await writeFile(join(dir, 'token'), 'from-the-file\n');
    const kubeconfig = await write({}, { token: 't', tokenFile: 'token' });
    const { token } = await loadConfig({ kubeconfig });
    expect(typeof token === 'function' ? await token() : token).to.equal('from-the-file');
    const error = await failure(loadConfig({ kubeconfig: await write({}, { tokenFile: 'gone' }) }));
    expect(error.message).to.contain('cannot read its tokenFile');
    expect((await loadConfig({ kubeconfig: await write({}, { token: 't', tokenFile: '' }) })).token).to.equal('t');
  });

  it('takes $KUBECONFIG when no file is named', async () => {
    const path = await write({}, { token: 't' });
    expect((await loadConfig({ env: { KUBECONFIG: path } })).token).to.equal('t');
  });

  it('leaves exec plugins to client-node', async function () {
    this.timeout(120_000);
    const plugin = join(dir, 'plugin.sh');
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 'from-plugin' },
    };
    await writeFile(plugin, `#!/bin/sh\necho '${JSON.stringify(credential)}'\n`, { mode: 0o755 });
    const kubeconfig = await write(
      { 'certificate-authority-data': data('CA') },
      { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, interactiveMode: 'Never' } },
    );
    const config = await loadConfig({ kubeconfig });
    expect(config.server).to.equal('https://127.0.0.1:6443');
    expect(typeof config.token === 'function' ? await config.token() : undefined).to.equal('from-plugin');
  });

  it('says what is wrong', async () => {
    const cases: readonly (readonly [() => Promise<unknown>, RegExp])[] = [
      [() => loadConfig({ kubeconfig: join(dir, 'missing') }), /ENOENT/],
      [async () => loadConfig({ kubeconfig: await write({}, {}), context: 'nope' }), /no context "nope"/],
      [async () => loadConfig({ kubeconfig: await write({}, {}), context: 'elsewhere' }), /no cluster/],
      [() => loadConfig({ kubeconfig: 'in-cluster', env: {} }), /this is no pod/],
    ];
    for (const [load, pattern] of cases) {
      const error = await failure(load());
      expect(error.reason).to.equal('Configuration');
      expect(error.message).to.match(pattern);
    }
    await writeFile(join(dir, 'config'), '{{{');
    expect((await failure(loadConfig({ kubeconfig: join(dir, 'config') }))).message).to.match(/not valid YAML/);
    await writeFile(join(dir, 'config'), '{current-context: here, contexts: []}');
    expect((await failure(loadConfig({ kubeconfig: join(dir, 'config') }))).message).to.match(/no context "here"/);
    await writeFile(join(dir, 'config'), '');
    expect((await failure(loadConfig({ kubeconfig: join(dir, 'config') }))).message).to.match(/no current-context/);
    const lost = await write({ 'certificate-authority': 'gone.crt' }, {});
    expect((await failure(loadConfig({ kubeconfig: lost }))).message).to.match(/certificate-authority/);
  });
});
