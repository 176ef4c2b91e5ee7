import { API_VERSION, FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import { isDeleting, VOLUME_MOUNTS } from '../../api/meta.ts';
import { mountName } from '../../api/names.ts';
import { accessModeOf, type Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube, readyOrStalled, sameOrGone, waitFor } from '../wait.ts';
import { getVolume } from './mounts-of.ts';

interface Params {
  readonly volumeId: string;
  readonly workloadId: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

export interface MountedVolume {
  readonly volumeId: string;
  readonly workloadId: string;
  readonly mountPath: string;
  readonly hostPath: string;
  readonly success: true;
}

/** `volume.mount`: mounts a volume for a workload on this node; `hostPath` says where it is to be seen. */
export const volumeMount: Command<Params, MountedVolume> = {
  name: 'volume.mount',
  summary: 'Mount a volume for a workload on this node; the answer says at which host path.',
  parameters: {
    required: ['volumeId', 'workloadId', 'mountPath'],
    properties: {
      volumeId: { type: 'string', description: 'Name of the volume.', minLength: 1 },
      workloadId: { type: 'string', description: 'Who uses it, e.g. a container ID.', minLength: 1, maxLength: 253 },
      mountPath: {
        type: 'string',
        description: 'Where the workload sees it (never touched on the host).',
        minLength: 1,
      },
      readOnly: {
        type: 'boolean',
        description: 'Without it: read-only on a ReadOnlyMany volume, else read-write.',
      },
    },
  },
  async run(params, context) {
    const volume = await getVolume(params.volumeId, context);
    // It would wait there for another volume of that name.
    if (isDeleting(volume)) {
      const message = `volume.mount: volume "${params.volumeId}" is being deleted and takes no new mounts`;
      throw new CommandError('Refused', message, { field: 'volumeId', reason: 'VolumeDeleting' });
    }
    if (params.readOnly === false && accessModeOf(volume.spec) === 'ReadOnlyMany') {
      throw new CommandError(
        'InvalidParameter',
        `volume.mount: parameter "readOnly" is false, but volume "${params.volumeId}" is ReadOnlyMany; leave it out or set it to true`,
        { field: 'readOnly' },
      );
    }
    const { name, uid } = (await createOrCompare(params, volume, context)).metadata;
    const ready = await waitFor<VolumeMount, VolumeMount>(
      context.client,
      VOLUME_MOUNTS,
      { namespace: context.namespace, name },
      (object) => readyOrStalled(sameOrGone(object, uid, `volume.mount: mount "${name}"`)),
      { ...context, pending: 'volume.mount: still mounting' },
    );
    const { volumeId, workloadId, mountPath } = params;
    return { volumeId, workloadId, mountPath, hostPath: ready.status?.hostPath ?? '', success: true };
  },
};

async function createOrCompare(params: Params, volume: Volume, context: CommandContext): Promise<VolumeMount> {
  const { client, namespace, nodeName, signal } = context;
  const name = mountName(params.volumeId, params.workloadId);
  const mount: VolumeMount = {
    apiVersion: API_VERSION,
    kind: VOLUME_MOUNTS.kind,
    metadata: {
      name,
      namespace,
      labels: { [LABELS.managedBy]: 'clawstore', [LABELS.volume]: params.volumeId },
    },
    spec: {
      volumeRef: { name: params.volumeId },
      workloadId: params.workloadId,
      mountPath: params.mountPath,
      ...(params.readOnly === undefined ? {} : { readOnly: params.readOnly }),
      ...(nodeName === undefined ? {} : { nodeName }),
    },
  };
  try {
    return await client.create(VOLUME_MOUNTS, mount, { fieldManager: FIELD_MANAGERS.commands, signal });
  } catch (thrown) {
    const error = KubeError.from(thrown);
    if (!error.isAlreadyExists) throw fromKube(error);
  }
  const existing = await client
    .get<VolumeMount>(VOLUME_MOUNTS, { namespace, name }, { signal })
    .catch((cause: unknown) => {
      throw fromKube(cause);
    });
  // What is left out means the same as what stands for it.
  const isReadOnly = ({ readOnly = accessModeOf(volume.spec) === 'ReadOnlyMany' }: Pick<Params, 'readOnly'>): boolean =>
    readOnly;
  const differs = (() => {
    if (isDeleting(existing)) return 'that mount is being taken down';
    if (existing.spec.mountPath !== params.mountPath) return `is mounted at ${existing.spec.mountPath}`;
    if (isReadOnly(existing.spec) !== isReadOnly(params))
      return `is mounted with readOnly=${isReadOnly(existing.spec)}`;
    const { nodeName: there = existing.status?.nodeName } = existing.spec;
    if (nodeName !== undefined && there !== undefined && there !== nodeName) return `is mounted on node ${there}`;
    return undefined;
  })();
  if (differs === undefined) return existing;
  throw new CommandError(
    'AlreadyExists',
    `volume.mount: volume "${params.volumeId}" for workload "${params.workloadId}": ${differs}; unmount it first`,
    { field: 'workloadId' },
  );
}
