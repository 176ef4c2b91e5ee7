import type { Remedies } from './remedy.ts';

/** The agent, its helpers, and what a node has. */
export const NODES = {
  HelperUnavailable: {
    affected: 'Nothing is mounted or unmounted on the node meanwhile; mounts stay.',
    action: 'Nothing at first: it is started again at once. If it lasts, the log of the agent has the error.',
  },
  MountHolderUnavailable: {
    affected: 'New s3 mounts on the node wait; those that are there go on.',
    action:
      'On Kubernetes see that the pod of `clawstore-mount-holder` runs on the node, and that the agent has the same host paths as it.',
  },
  CommandMissing: {
    affected: 'The type or feature that needs the program is off on this node.',
    action: 'Install the package that `clawstore doctor` names. It is noticed within a minute.',
  },
  KernelFeatureMissing: {
    affected: 'The type or feature is off on this node.',
    action: 'Load the kernel module that the message names, or use a newer kernel.',
  },
  PermissionDenied: {
    affected: 'What the message names is not done.',
    action: 'Run the agent as root, in a container as a privileged one; see the message for what was refused.',
  },
  Disabled: {
    affected: 'The type or feature is off on this node.',
    action: 'Nothing, if that is wanted; else change the settings of the agent.',
  },
  PairingRequired: {
    affected: 'Agents cannot call this node through the gateway; its volumes work.',
    action: 'Approve the node at the OpenClaw gateway.',
  },
  OrphansFound: {
    affected: 'Space on the node is used by what no object wants.',
    action:
      'Read `status.orphans` of the StorageNode. If a control plane was lost, restore it and they have their objects again; else remove by hand what nobody wants. Nothing is removed by itself.',
  },
} as const satisfies Remedies;
