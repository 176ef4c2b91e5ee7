import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Cleanups } from '../../src/cli/cleanups.ts';
import { CliError, ExitCode } from '../../src/cli/exit-code.ts';
import { type OpenClawNode, openClawNode } from '../../src/cli/openclaw-node.ts';
import { resolveSettings } from '../../src/cli/settings.ts';
import { makeStateDir } from '../../src/cli/state-dir.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { rejection, until } from '../node/support.ts';
import { ScriptedGateway } from '../openclaw/scripted-gateway.ts';

describe('clawstore with --openclaw', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-node-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const make = (url: string, raw: Readonly<Record<string, unknown>> = {}): Promise<OpenClawNode> => {
    const stateDir = join(folder, 'state');
    return openClawNode(url, {
      settings: resolveSettings({ stateDir, nodeName: 'gpu-1', ...raw }),
      state: makeStateDir(stateDir),
      client: {} as KubeClient,
      hostPathAllow: [],
      token: 'from-the-environment',
      log: silentLogger,
      metrics: createMetrics(),
      cleanups: new Cleanups(),
    });
  };

  it('joins with what it was told, and has the StorageNode written whenever that changes', async () => {
    const gateway = await ScriptedGateway.start();
    const stop = new AbortController();
    const { features, runnable } = await make(gateway.url, { openclawCommands: 'read-only' });
    const queued: string[] = [];
    features.source.start((key) => queued.push(key), stop.signal);
    expect(features.list()).to.have.length(1);
    expect(features.list()[0]).to.deep.include({ name: 'OpenClawGateway', available: false });
    const running = runnable.run(stop.signal);
    await until(() => features.list()[0]?.available === true);
    expect(queued).to.deep.equal(['gpu-1']);
    const [connect] = gateway.connects;
    expect(connect?.auth).to.deep.equal({ token: 'from-the-environment' });
    expect(connect?.client).to.deep.include({ displayName: 'gpu-1' });
    expect(connect?.commands).to.include('volume.list').and.not.to.include('volume.create');
    expect(statSync(join(folder, 'state/openclaw')).mode & 0o777).to.equal(0o700);
    await gateway.stop();
    await until(() => features.list()[0]?.reason === 'ServerUnreachable');
    await until(() => queued.length > 1);
    stop.abort();
    await running;
  });

  const refused: readonly (readonly [what: string, raw: Readonly<Record<string, unknown>>, flag: string])[] = [
    ['a command that does not exist', { openclawCommands: 'volume.explode' }, '--openclaw-commands'],
    ['a token file that is not there', { openclawTokenFile: '/nowhere/token' }, '--openclaw-token-file'],
    ['a kubeconfig that is not there', { openclawKubeconfig: '/nowhere/kubeconfig' }, '--openclaw-kubeconfig'],
  ];
  for (const [what, raw, flag] of refused) {
    it(`does not start with ${what}`, async () => {
      const error = await rejection(make('ws://127.0.0.1:1', raw));
      expect(error).to.be.instanceOf(CliError);
      expect(error.message).to.include(flag);
    });
  }

  it('does not start as another node when its key is damaged', async () => {
    mkdirSync(join(folder, 'state/openclaw'), { recursive: true });
    writeFileSync(join(folder, 'state/openclaw/device-key.pem'), 'x');
    const error = await rejection(make('ws://127.0.0.1:1'));
    expect(error).to.be.instanceOf(CliError).with.property('exitCode', ExitCode.failed);
    expect(error.message).to.include('device-key.pem');
  });
});
