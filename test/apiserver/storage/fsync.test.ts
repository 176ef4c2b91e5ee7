import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';

const ACKNOWLEDGED = 25;

describe('the store, seen by strace', function () {
  this.timeout(120_000);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-fsync-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('acknowledges no write before the disk has said that it is there', async () => {
    const trace = join(folder, 'trace');
    const writer = join(import.meta.dirname, 'crash-writer.ts');
    const calls = 'trace=fsync,fdatasync,write';
    const args = ['-f', '-qq', '-e', calls, '-o', trace, process.execPath, '--disable-warning=ExperimentalWarning'];
    // One writer: each acknowledgement needs a commit of its own.
    const child = spawn('strace', [...args, writer, join(folder, 'db'), '1'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    const ended = new Promise((resolve) => child.once('close', resolve));
    let lines = 0;
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => reject(new Error(`the writer ended after ${lines} lines`)));
      child.stdout.on('data', (chunk: Buffer) => {
        lines += chunk.toString().split('\n').length - 1;
        if (lines >= ACKNOWLEDGED) resolve();
      });
    });
    // The whole group: the writer would outlive strace, and it writes for ever.
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await ended;
    const events = readFileSync(trace, 'utf8')
      .split('\n')
      .flatMap((line) => {
        if (/\bwrite\(1, "\d+ w0-/.test(line)) return ['acknowledged'];
        // A call that another thread interrupts in the trace is told in two lines; the second one has the result.
        return /(fsync|fdatasync)(\(| resumed).*= 0$/.test(line) ? ['synced'] : [];
      });
    const first = events.indexOf('acknowledged');
    expect(events.filter((event) => event === 'acknowledged').length).to.be.at.least(ACKNOWLEDGED);
    for (let index = first + 1; index < events.length; index++) {
      if (events[index] === 'acknowledged')
        expect(events[index - 1], `before acknowledgement at ${index}`).to.equal('synced');
    }
  });
});
