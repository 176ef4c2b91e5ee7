import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { managerAt } from '../../src/node/service-manager.ts';

/** Binds a datagram socket, says so, and prints what comes until the word `end`: Node has no such sockets. */
const RECEIVER = `
use Socket; $| = 1; my $path = $ARGV[0]; $path =~ s/^@/\\0/;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!; bind($s, pack_sockaddr_un($path)) or die $!;
print "bound\\n"; while (defined recv($s, my $text, 65536, 0)) { last if $text eq "end"; print "[$text]\\n" }`;

describe('the service manager', function () {
  this.timeout(120_000);
  let folder: string;
  let receiver: ChildProcess | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-notify-'));
  });
  afterEach(() => {
    receiver?.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  for (const kind of ['a path', 'an abstract name']) {
    it(`hears every message on a socket with ${kind}`, async () => {
      const path = kind === 'a path' ? join(folder, 'notify') : `@${folder}/notify`;
      const child = spawn('perl', ['-e', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
      receiver = child;
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
      await once(child.stdout, 'data');
      const manager = managerAt(path);
      manager.notify('READY=1', 'STATUS=Ready');
      manager.notify('STOPPING=1');
      manager.notify('end');
      await once(child, 'close');
      expect(said).to.equal('bound\n[READY=1\nSTATUS=Ready]\n[STOPPING=1]\n');
    });
  }

  it('that is gone, or cannot be there, stops nobody', () => {
    managerAt(join(folder, 'nobody')).notify('READY=1');
    managerAt(`/${'long/'.repeat(40)}`).notify('READY=1');
  });
});
