import { API_VERSION, DEFAULT_VOLUME_CLASS, FIELD_MANAGERS } from '../api/group.ts';
import { VOLUME_CLASSES } from '../api/meta.ts';
import { VOLUME_TYPES } from '../api/volume.ts';
import type { VolumeClass } from '../api/volume-class.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import type { Logger } from '../telemetry/log.ts';

/** What mounts of NFS need to be asked for by those who own the machine; none of it lifts a restriction. */
const NFS_OPTIONS: readonly string[] = (
  'vers=* port=* proto=* sec=* nconnect=* rsize=* wsize=* timeo=* retrans=* ' +
  'hard soft softerr nolock local_lock=* mountport=* mountproto=* noresvport actimeo=* noac lookupcache=*'
).split(' ');

/**
 * Installs the class that lets every namespace of this one machine use what `--host-path-allow` allows. Fields that a
 * person has changed since stay as they are.
 */
export async function installDefaultClass(
  client: KubeClient,
  hostPathAllow: readonly string[],
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const volumeClass: VolumeClass = {
    apiVersion: API_VERSION,
    kind: VOLUME_CLASSES.kind,
    metadata: { name: DEFAULT_VOLUME_CLASS },
    spec: {
      allowedNamespaces: {},
      allowedTypes: VOLUME_TYPES,
      allowedHostPathPrefixes: hostPathAllow,
      allowedNfsServers: ['*'],
      allowedS3Endpoints: ['*'],
      allowedS3Buckets: ['*'],
      allowAmbientCredentials: true,
      allowedMountOptions: NFS_OPTIONS,
    },
  };
  const options = { type: 'apply', fieldManager: FIELD_MANAGERS.up } as const;
  try {
    await client.patch(VOLUME_CLASSES, { name: DEFAULT_VOLUME_CLASS }, volumeClass, { ...options, signal });
  } catch (thrown) {
    const error = KubeError.from(thrown);
    if (!error.isConflict) throw error;
    log.warn({ err: error }, 'the default VolumeClass was changed by someone else and is left as it is');
  }
}
