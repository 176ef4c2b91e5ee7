import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { LockedError, lockDirectory } from '../../../src/apiserver/storage/lock.ts';
import { processIdentity } from '../../../src/apiserver/storage/process-identity.ts';

describe('lockDirectory', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-lock-'));
  });

  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('lets one owner in, and the next after it has gone', () => {
    const lock = lockDirectory(directory);
    expect(() => lockDirectory(directory)).to.throw(LockedError, `in use by process ${process.pid}`);
    lock.release();
    lockDirectory(directory).release();
  });

  it('takes the lock of a process that is gone', () => {
    symlinkSync('4194305:1', join(directory, 'apiserver.lock'));
    lockDirectory(directory).release();
  });

  it('takes the lock of a process whose number is in use again', () => {
    symlinkSync(`${process.pid}:1`, join(directory, 'apiserver.lock'));
    lockDirectory(directory).release();
  });

  it('takes the lock that this very number at this very tick held before the machine was switched off', () => {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const before = processIdentity(process.pid)?.replace(boot, '00000000-0000-4000-8000-000000000000') ?? '';
    symlinkSync(before, join(directory, 'apiserver.lock'));
    lockDirectory(directory).release();
  });
});
