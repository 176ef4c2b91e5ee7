/** What the agent and the mount holder of a node say to each other: HTTP on a socket in the state directory. */
import { readlinkSync } from 'node:fs';
import type { Launch } from './launch.ts';

/** In the state directory, mode 0600. */
export const HOLDER_SOCKET = 'mount-holder.sock';
/** Locked while one runs. */
export const HOLDER_LOCK = 'mount-holder.lock';
/** Carries the version: holders are replaced long after agents. */
export const HOLDER_START = '/v1/start';
export const MAX_REQUEST_BYTES = 64 * 1024;

export interface HolderRequest extends Launch {
  /** Of who asks: a pid that one writes down must mean the same process to the other. */
  readonly pidNamespace: string;
}

/** E.g. `pid:[4026531836]`. Source: pid_namespaces(7). */
export function pidNamespace(): string {
  return readlinkSync('/proc/self/ns/pid');
}
