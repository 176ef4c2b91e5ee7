import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { isLabel } from '../../src/api/names.ts';
import { CliError, ExitCode } from '../../src/cli/exit-code.ts';
import { isInside, readConfigFile, resolveSettings } from '../../src/cli/settings.ts';

describe('settings', () => {
  it('have defaults that suit one machine', () => {
    const settings = resolveSettings({});
    expect(settings.stateDir).to.equal('/var/lib/clawstore');
    expect(settings.kubeconfig).to.equal('/var/lib/clawstore/kubeconfig');
    expect(settings.mountRoot).to.equal('/run/clawstore/mounts');
    expect(settings.listen).to.deep.equal({ host: '127.0.0.1', port: 0 });
    expect(settings.metrics).to.equal(undefined);
    expect(settings.hostPathAllow).to.equal(undefined);
  });

  const refused: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ stateDir: 'relative' }, '--state-dir'],
    [{ stateDir: '/a\0b' }, '--state-dir'],
    [{ mountRoot: '/var/lib/clawstore/mounts' }, '--mount-root'],
    [{ stateDir: '/run/clawstore/mounts/state' }, '--mount-root'],
    [{ nodeName: 'Bad_Name' }, '--node-name'],
    [{ nodeName: 'x'.repeat(253) }, '--node-name'],
    [{ listen: 'nowhere' }, '--listen'],
    [{ listen: '127.0.0.1:70000' }, '--listen'],
    [{ metrics: '9090' }, '--metrics'],
    [{ hostPathAllow: '/' }, '--host-path-allow'],
    [{ hostPathAllow: 'data' }, '--host-path-allow'],
    [{ mountHolder: 'yes' }, '--mount-holder'],
    [{ nodeAccounts: 'Not_A_Namespace' }, '--node-accounts'],
    [{ kubeconfig: 'relative' }, '--kubeconfig'],
    [{ logLevel: 'loud' }, '--log-level'],
    [{ invokeNamespace: '../x' }, '--invoke-namespace'],
    [{ destinations: [] }, 'destinations'],
    [{ openclaw: 'gateway' }, '--openclaw'],
    [{ openclaw: 'http://127.0.0.1:18789' }, '--openclaw'],
    [{ openclaw: 'ws://token@127.0.0.1:18789' }, '--openclaw'],
    [{ openclaw: 'wss://gateway.example/?token=x' }, '--openclaw'],
    [{ openclaw: 'ws://gateway.example' }, '--openclaw'],
    [{ openclaw: 'ws://8.8.8.8:18789' }, '--openclaw'],
    [{ openclaw: 'ws://[2001:db8::1]:18789' }, '--openclaw'],
    [{ openclawTokenFile: 'token' }, '--openclaw-token-file'],
    [{ openclawKubeconfig: 'admin' }, '--openclaw-kubeconfig'],
  ];
  for (const [raw, flag] of refused) {
    it(`refuse ${JSON.stringify(raw).slice(0, 60)} and name ${flag}`, () => {
      expect(() => resolveSettings(raw))
        .to.throw(CliError, flag)
        .with.property('exitCode', ExitCode.usage);
    });
  }

  it('have a namespace for each node where each is somebody, and one for all where none is', () => {
    const namespaceOf = (nodeName: string, more: object = { nodeAccounts: 'clawstore-nodes' }): string =>
      resolveSettings({ nodeName, ...more }).invokeNamespace;
    expect(namespaceOf('gpu-7', {})).to.equal('default');
    expect(namespaceOf('gpu-7')).to.equal('node-gpu-7');
    expect(namespaceOf('gpu-7', { nodeAccounts: 'clawstore-nodes', invokeNamespace: 'team' })).to.equal('team');
    const long = ['gpu.a', 'gpu-a', `gpu.${'x'.repeat(80)}`, `gpu.${'x'.repeat(81)}`].map((name) => namespaceOf(name));
    for (const name of long) expect(isLabel(name), name).to.equal(true);
    expect(new Set(long).size).to.equal(long.length);
  });

  it('read addresses with and without brackets', () => {
    expect(resolveSettings({ listen: '[::1]:443' }).listen).to.deep.equal({ host: '::1', port: 443 });
    expect(resolveSettings({ listen: ':0' }).listen).to.deep.equal({ host: '127.0.0.1', port: 0 });
  });

  it('take a gateway that is near unencrypted, and any other encrypted', () => {
    const near = ['ws://127.0.0.1:18789', 'ws://localhost:1', 'ws://[::1]:1', 'ws://10.1.2.3:1', 'ws://[fd00::1]:1'];
    for (const openclaw of [...near, 'wss://gateway.example']) {
      expect(resolveSettings({ openclaw }).openclaw).to.equal(`${openclaw}/`);
    }
    expect(resolveSettings({ openclaw: 'off' }).openclaw).to.equal(undefined);
    expect(resolveSettings({}).openclawCommands).to.deep.equal(['all']);
    const { openclawCommands } = resolveSettings({ openclawCommands: 'volume.list, volume.create' });
    expect(openclawCommands).to.deep.equal(['volume.list', 'volume.create']);
  });

  it('cut trailing slashes of paths and prefixes', () => {
    const settings = resolveSettings({ stateDir: '/x/y/', hostPathAllow: '/data/, /srv' });
    expect(settings.stateDir).to.equal('/x/y');
    expect(settings.hostPathAllow).to.deep.equal(['/data', '/srv']);
  });

  it('tell inside from a name that only begins alike', () => {
    expect(isInside('/data/x', '/data')).to.equal(true);
    expect(isInside('/data', '/data')).to.equal(true);
    expect(isInside('/database', '/data')).to.equal(false);
  });
});

describe('the config file', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-config-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (text: string): string => {
    const file = join(folder, 'config.yaml');
    writeFileSync(file, text);
    return file;
  };

  it('gives settings by their names', async () => {
    expect(await readConfigFile(write('nodeName: gpu-7\nhostPathAllow: [/data, /scratch]\n'))).to.deep.equal({
      nodeName: 'gpu-7',
      hostPathAllow: ['/data', '/scratch'],
    });
  });

  it('is refused with the name of an unknown setting', async () => {
    const error = await readConfigFile(write('nodename: x\n')).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(CliError).with.property('message').that.contains('"nodename"');
  });

  it('is refused with its path when it is not YAML', async () => {
    const error = await readConfigFile(write('a: [1\n')).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(CliError).with.property('message').that.contains('config.yaml');
  });
});
