import type { Handlers } from '../helper/registry.ts';
import { targetName } from '../helper/target.ts';
import { awaitDaemonEnd, findDaemon, staleCopies, startMountDaemon, stopDaemon } from './handlers.ts';
import type { MountDaemonOperations } from './operations.ts';

/** Which function answers which request about mounts that a process serves. */
export const MOUNT_DAEMON_HANDLERS: Handlers<MountDaemonOperations> = {
  startMountDaemon: { run: startMountDaemon, paths: ({ target }) => [targetName(target)] },
  staleCopies: { run: staleCopies },
  findDaemon: { run: findDaemon },
  awaitDaemonEnd: { run: awaitDaemonEnd },
  stopDaemon: { run: stopDaemon },
};
