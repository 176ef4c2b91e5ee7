/**
 * Tells the service manager how this process is: sd_notify(3), a datagram to the socket that NOTIFY_SOCKET names. Through
 * koffi, because Node has no datagrams of Unix sockets, and `systemd-notify` would be another process, whose message
 * systemd may take for a stranger's.
 */
import { createRequire } from 'node:module';

type Native = (...args: readonly unknown[]) => number;

interface Koffi {
  load(path: null): { func(name: string, result: string, args: readonly string[]): Native };
}

const require = createRequire(import.meta.url);

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Bytes of `sun_path`, unix(7). */
const MAX_PATH = 108;

export interface ServiceManager {
  /** Sends assignments like `READY=1`. Never waits and never fails: no work of ours depends on who listens. */
  notify(...assignments: readonly string[]): void;
}

let found: ServiceManager | undefined;

/** The service manager that started this process and wants to hear of it; undefined where there is none. */
export function serviceManager(): ServiceManager | undefined {
  const path = process.env['NOTIFY_SOCKET'];
  // Not for children: what they say would be taken for ours.
  delete process.env['NOTIFY_SOCKET'];
  if (path !== undefined && path !== '') found = managerAt(path);
  return found;
}

/** Whether this machine can notify at all: a service that promises to and never does is killed by its manager. */
export function canNotify(): boolean {
  try {
    require('koffi');
    return true;
  } catch {
    return false;
  }
}

/** The manager that listens on a socket; `@` begins the name of an abstract one, as in NOTIFY_SOCKET. */
export function managerAt(path: string): ServiceManager {
  return {
    notify: (...assignments) => {
      try {
        send(path, assignments.join('\n'));
      } catch {
        // Said above.
      }
    },
  };
}

function send(path: string, text: string): void {
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : path);
  if (name.length >= MAX_PATH) return;
  const address = Buffer.alloc(2 + name.length + (path.startsWith('@') ? 0 : 1));
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  const lib = (require('koffi') as Koffi).load(null);
  const socket = lib.func('socket', 'int', ['int', 'int', 'int'])(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return;
  const message = Buffer.from(text);
  const sendto = lib.func('sendto', 'long', ['int', 'void *', 'size_t', 'int', 'void *', 'uint']);
  sendto(socket, message, message.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
  lib.func('close', 'int', ['int'])(socket);
}
