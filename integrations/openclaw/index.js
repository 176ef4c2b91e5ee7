/**
 * What the gateway must know of clawstore's commands: that they are commands of Linux nodes. Which of them a node offers is
 * for its own operator to say (`--openclaw-commands`), and what it offers must still be approved here.
 */

/** The commands of the product; a test holds this list against the product's own. */
const COMMANDS = [
  'volume.create',
  'volume.mount',
  'volume.unmount',
  'volume.snapshot',
  'volume.list',
  'volume.delete',
  'backup.create',
  'backup.restore',
  'backup.list',
];

export default {
  id: 'clawstore',
  name: 'clawstore',
  description: 'Storage on nodes: volumes, mounts, snapshots and backups through clawstore',
  register(api) {
    api.registerNodeInvokePolicy({
      commands: COMMANDS,
      defaultPlatforms: ['linux'],
      handle: (context) => context.invokeNode(),
    });
  },
};
