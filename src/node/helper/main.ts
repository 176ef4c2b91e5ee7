/**
 * The helper process: answers requests over descriptor 3 until that closes. It keeps nothing but a copy of the mount
 * table; killing it at any moment loses nothing, and its parent starts another.
 */
import { openSync } from 'node:fs';
import { Socket } from 'node:net';
import { NodeError } from '../node-error.ts';
import { Channel, type FromHelper, type ToHelper } from '../protocol.ts';
import { ISOLATED } from './isolate.ts';
import { type Libc, loadLibc } from './libc.ts';
import { HelperServer } from './server.ts';
import { unsupportedLibc } from './without-koffi.ts';

// A terminal sends these to the whole group; this process ends when its parent has, not before.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

const { libc, problem } = load();
const socket = new Socket({ fd: 3, readable: true, writable: true });
const server: HelperServer = new HelperServer({
  libc,
  koffiProblem: problem,
  isolated: process.env[ISOLATED] === '1',
  openMountinfo: () => openSync('/proc/self/mountinfo', 'r'),
  send: (message) => channel.send(message),
  flush: () => channel.flush(),
});
const channel = new Channel<FromHelper, ToHelper>(socket, (messages) => server.receive(messages));

socket.on('close', () => {
  // Leaving in the regular way would wait for system calls that hang in threads.
  if (server.busy) process.kill(process.pid, 'SIGKILL');
  process.exit(0);
});

function load(): { readonly libc: Libc; readonly problem: string | undefined } {
  // For tests, and for machines where the library misbehaves.
  const disabled = process.env['CLAWSTORE_WITHOUT_KOFFI'] === '1';
  try {
    if (disabled) throw new NodeError('Unsupported', 'switched off by CLAWSTORE_WITHOUT_KOFFI');
    return { libc: loadLibc(), problem: undefined };
  } catch (error) {
    return { libc: unsupportedLibc(), problem: NodeError.from(error).message };
  }
}
