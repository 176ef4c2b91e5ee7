import type { Handlers } from '../helper/registry.ts';
import { targetName } from '../helper/target.ts';
import { findDirectory, makeDirectory, syncFilesystem } from './directories.ts';
import { mountNfs, nfsCopies, probeNfs } from './mount-nfs.ts';
import type { NetworkOperations } from './operations.ts';

/** Which function answers which request about storage that is elsewhere. */
export const NETWORK_HANDLERS: Handlers<NetworkOperations> = {
  // The target does not hang yet; what is mounted there will be looked at.
  mountNfs: { run: mountNfs, paths: ({ target }) => [targetName(target)], alwaysIsolated: true },
  nfsCopies: { run: nfsCopies },
  probeNfs: { run: probeNfs },
  makeDirectory: { run: makeDirectory, paths: ({ mount }) => [targetName(mount)] },
  findDirectory: { run: findDirectory, paths: ({ mount }) => [targetName(mount)] },
  syncFilesystem: { run: syncFilesystem, paths: ({ path }) => [path], alwaysIsolated: true },
};
