/** Checks of paths as text; what a name really leads to is decided by descriptor, in `open-beneath.ts`. */
import { isAtOrBelow } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import type { HelperSettings } from '../operations.ts';

/** PATH_MAX and NAME_MAX of Linux, in bytes; limits.h. */
const PATH_MAX = 4095;
const NAME_MAX = 255;

/** A user's path may be neither one of these, nor below one, nor above one. */
const SYSTEM_DIRECTORIES: readonly string[] = [
  '/bin',
  '/boot',
  '/dev',
  '/etc',
  '/lib',
  '/lib32',
  '/lib64',
  '/libx32',
  '/proc',
  '/run',
  '/sbin',
  '/sys',
  '/usr',
  '/var/cache',
  '/var/lib/apt',
  '/var/lib/containerd',
  '/var/lib/containers',
  '/var/lib/docker',
  '/var/lib/dpkg',
  '/var/lib/etcd',
  '/var/lib/kubelet',
  '/var/lib/rancher',
  '/var/lib/systemd',
  '/var/log',
  '/var/run',
  '/var/spool',
];

/** Neither above nor below matters here: the directory itself is too wide to hand out. */
const TOO_WIDE: ReadonlySet<string> = new Set(['/', '/home', '/root', '/var', '/var/lib', '/opt']);

/** The components of a relative path. Throws `InvalidPath` for empty, `.` and `..` components and over-long names. */
export function components(path: string): readonly string[] {
  const parts = path.split('/');
  for (const part of parts) {
    if (part === '' || part === '.' || part === '..') {
      throw new NodeError('InvalidPath', `${shown(path)} must not have empty, "." or ".." components`, { path });
    }
    checkName(part, path);
  }
  checkLength(path);
  return parts;
}

/** Throws `InvalidPath` unless the path is absolute, normalised and short enough. */
export function checkAbsolute(path: string): void {
  if (!path.startsWith('/')) throw new NodeError('InvalidPath', `${shown(path)} is not an absolute path`, { path });
  if (path !== '/') components(path.slice(1));
}

/** The path below its prefix (empty when equal). Throws `InvalidPath`, or `HostPathNotAllowed` when it is not below. */
export function relativeToPrefix(prefix: string, path: string): string {
  checkAbsolute(prefix);
  checkAbsolute(path);
  if (!isAtOrBelow(path, prefix)) {
    throw new NodeError('HostPathNotAllowed', `${shown(path)} is not below the allowed prefix ${prefix}`, { path });
  }
  return prefix === '/' ? path.slice(1) : path.slice(prefix.length + 1);
}

/** Throws `HostPathNotAllowed` for the root, system directories, and whatever overlaps our own directories. */
export function refuseReserved(path: string, settings: HelperSettings, shownAs: string = path): void {
  const refuse = (why: string): never => {
    throw new NodeError('HostPathNotAllowed', `${shown(shownAs)} ${why}`, { path: shownAs });
  };
  if (TOO_WIDE.has(path)) refuse('is too wide a directory to be a volume');
  for (const reserved of SYSTEM_DIRECTORIES) {
    if (isAtOrBelow(path, reserved) || isAtOrBelow(reserved, path)) refuse(`overlaps the system directory ${reserved}`);
  }
  for (const [own, name] of [
    [settings.stateDir, 'state directory'],
    [settings.mountRoot, 'mount root'],
  ] as const) {
    if (isAtOrBelow(path, own) || isAtOrBelow(own, path)) refuse(`overlaps the ${name} ${own}`);
  }
}

function checkName(name: string, path: string): void {
  if (name.includes('\0')) throw new NodeError('InvalidPath', `${shown(path)} contains a NUL byte`);
  if (Buffer.byteLength(name) > NAME_MAX) {
    throw new NodeError('InvalidPath', `${shown(path)} has a component of more than ${NAME_MAX} bytes`);
  }
}

function checkLength(path: string): void {
  if (Buffer.byteLength(path) >= PATH_MAX) {
    throw new NodeError('InvalidPath', `${shown(path)} is longer than ${PATH_MAX} bytes`);
  }
}

/** A path fit for a message: quoted, control characters escaped, not endless. */
function shown(path: string): string {
  return JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);
}
