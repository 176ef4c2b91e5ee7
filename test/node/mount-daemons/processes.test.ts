import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findProcess } from '../../../src/node/mount-daemons/processes.ts';
import { makeDirectory } from '../../support/harness/run.ts';

describe('the record of a process that serves a mount', () => {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  const found = (record: string) => {
    const directory = makeDirectory('daemon');
    try {
      writeFileSync(join(directory, 'process'), `${record}\n`);
      return findProcess(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  };

  it('names one that runs', () => {
    expect(found(`${process.pid} ${startTime} ${boot}`)).to.deep.equal({ pid: process.pid, startTime });
  });

  it('is of no use after a reboot, though another process has its number and start time', () => {
    expect(found(`${process.pid} ${startTime} 6fcd4d4c-0000-4000-8000-000000000000`)).to.equal(undefined);
  });

  it('is of no use once its number has gone to a process that began at another time', () => {
    expect(found(`${process.pid} ${Number(startTime) + 1} ${boot}`)).to.equal(undefined);
  });

  it('counts as it stands where an older version wrote it, without the boot', () => {
    expect(found(`${process.pid} ${startTime}`)).to.deep.equal({ pid: process.pid, startTime });
  });
});
