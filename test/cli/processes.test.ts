import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { end, until } from '../node/support.ts';

/** What a lease surely lasts without a sign of the API server. */
const LEASE_MS = 8_000;
const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;

describe('clawstore controller, as a process of its own', function () {
  this.timeout(120_000);
  const dir = mkdtempSync(join(tmpdir(), 'clawstore-processes-'));
  const kubeconfig = join(dir, 'kubeconfig');
  const children: ChildProcess[] = [];

  const start = (command: string): { readonly child: ChildProcess; readonly output: () => string } => {
    const settings = [
      '--state-dir',
      join(dir, command),
      '--kubeconfig',
      kubeconfig,
      '--mount-root',
      join(dir, 'mounts'),
    ];
    const child = spawn(process.execPath, [MAIN, command, ...settings], { stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(child);
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    return { child, output: () => text };
  };
  let server: ReturnType<typeof start>;

  before(async () => {
    server = start('apiserver');
    await until(() => existsSync(kubeconfig) && server.output().includes('"started"'));
  });
  after(async () => {
    for (const child of children) await end(child);
    rmSync(dir, { recursive: true, force: true });
  });

  it('outlives its API server', async () => {
    const controller = start('controller');
    await until(() => controller.output().includes('Starting workers'));
    const killed = performance.now();
    server.child.kill('SIGKILL');
    await until(() => controller.output().includes('ECONNREFUSED') || controller.child.exitCode !== null);
    server = start('apiserver');
    await until(() => server.output().includes('"started"') || server.child.exitCode !== null);
    const isLong = performance.now() - killed > LEASE_MS;
    const before = controller.output().length;
    controller.child.kill('SIGTERM');
    await until(() => controller.child.exitCode !== null || controller.child.signalCode !== null);
    // Where a server takes so long to start, the lease could not be renewed in time: then nobody may go on.
    if (isLong && controller.output().includes('Leadership lost')) return;
    expect(controller.child.exitCode, controller.output().slice(before - 500)).to.equal(0);
  });
});
