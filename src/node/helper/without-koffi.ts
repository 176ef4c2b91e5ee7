import { NodeError } from '../node-error.ts';
import type { Libc } from './libc.ts';

/** Stands in for the system calls on a machine where koffi does not load: every one says so. */
export function unsupportedLibc(): Libc {
  const refuse = (): never => {
    throw new NodeError('Unsupported', 'this needs koffi, which does not load on this machine (see clawstore doctor)');
  };
  return new Proxy({} as Libc, { get: () => refuse });
}
