import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { lockDirectory } from '../../src/apiserver/storage/lock.ts';
import { contentsOf, isStateDir, makeStateDir, readInstance, writeInstance } from '../../src/cli/state-dir.ts';
import { end, until } from '../node/support.ts';

describe('state directory', () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'clawstore-state-'));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  const instance = { nodeName: 'n', mountRoot: '/m', hostPathAllow: [], kubeconfig: '/k' };

  it('is known by what an instance leaves in it, and not by its name', () => {
    mkdirSync(join(dir, 'pools'));
    mkdirSync(join(dir, 'apiserver'));
    writeFileSync(join(dir, 'kubeconfig'), '');
    expect(isStateDir(dir)).to.equal(false);
    writeFileSync(makeStateDir(dir).agentLockFile, '');
    expect(isStateDir(dir)).to.equal(true);
  });

  it('names everything of ours in it and nothing else', () => {
    const { lockFile, agentLockFile, apiserver, pools, logFile } = makeStateDir(dir);
    const contents = contentsOf(dir);
    expect(contents).to.include.members([lockFile, agentLockFile, apiserver, pools, logFile]);
    expect(contents).to.include.members([join(dir, 'kubeconfig'), join(dir, 'instance.json')]);
    for (const path of contents) expect(path.startsWith(`${dir}/`)).to.equal(true);
  });

  it('does not take a process that ended and was not reaped for a running one', async () => {
    // `sleep` never asks after the child that the shell it replaced has left it.
    const parent = spawn('sh', ['-c', 'sleep 0.01 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      let text = '';
      parent.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
      await until(() => text.endsWith('\n') && statOf(Number(text))[0] === 'Z');
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      const identity = `${Number(text)}:${statOf(Number(text))[19]}:${boot}`;
      writeInstance(dir, instance);
      expect(readInstance(dir)?.pid).to.equal(process.pid);
      const zombie = { ...instance, pid: Number(text), identity };
      writeFileSync(join(dir, 'instance.json'), JSON.stringify(zombie));
      expect(readInstance(dir)).to.equal(undefined);
      symlinkSync(identity, join(dir, 'apiserver.lock'));
      lockDirectory(dir).release();
    } finally {
      await end(parent);
    }
  });
});

/** The fields of proc_pid_stat(5) from the third on. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
