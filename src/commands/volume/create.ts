import { API_VERSION, FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import { VOLUMES } from '../../api/meta.ts';
import { isLabel, MAX_VOLUME_NAME } from '../../api/names.ts';
import { parseQuantity } from '../../api/quantity.ts';
import type { AccessMode, Volume, VolumeSpec, VolumeType } from '../../api/volume.ts';
import { volumeTypeOf } from '../../api/volume.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube, readyOrStalled, sameOrGone, waitFor } from '../wait.ts';
import { capacityOf, MAX_SIZE_GIB } from './capacity.ts';

/** The types of the command, with what is theirs alone: parameters, and the source that they make. */
const TYPES = {
  emptydir: { takes: [], needs: [], source: () => ({ emptyDir: {} }) },
  hostpath: {
    takes: ['path'],
    needs: [],
    source: ({ name, path }: Params, context: CommandContext) => ({
      hostPath: { path: path ?? ownDirectory(name, context), type: 'DirectoryOrCreate' as const },
    }),
  },
  nfs: {
    takes: ['server', 'path'],
    needs: ['server', 'path'],
    source: ({ server = '', path = '' }: Params) => ({ nfs: { server, path } }),
  },
  s3: {
    takes: ['bucket', 'prefix', 'endpoint', 'region', 'credentialsSecret'],
    needs: ['bucket'],
    source: ({ bucket = '', prefix, endpoint, region, credentialsSecret }: Params) => ({
      s3: {
        bucket,
        ...(prefix === undefined ? {} : { prefix }),
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(region === undefined ? {} : { region }),
        ...(credentialsSecret === undefined ? {} : { credentialsSecretRef: { name: credentialsSecret } }),
      },
    }),
  },
} as const satisfies Readonly<Record<string, TypeRules>>;

type CommandType = keyof typeof TYPES;

/** Parameters that not every type takes. */
const OF_SOME_TYPES = ['server', 'path', 'bucket', 'prefix', 'endpoint', 'region', 'credentialsSecret'] as const;
const S3_FIELDS = ['bucket', 'prefix', 'endpoint', 'region'] as const;
type SomeTypes = (typeof OF_SOME_TYPES)[number];

interface TypeRules {
  readonly takes: readonly SomeTypes[];
  readonly needs: readonly SomeTypes[];
  readonly source: (params: Params, context: CommandContext) => Pick<VolumeSpec, VolumeType>;
}

interface Params {
  readonly name: string;
  readonly type: CommandType;
  readonly sizeGb: number;
  readonly accessMode: AccessMode;
  readonly storageClass?: string;
  readonly path?: string;
  readonly server?: string;
  readonly bucket?: string;
  readonly prefix?: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly credentialsSecret?: string;
}

export interface CreatedVolume {
  readonly name: string;
  readonly type: string;
  readonly sizeGb: number;
  readonly accessMode: string;
  readonly success: true;
}

const TAKE_BACK_MS = 10_000;

/** `volume.create`: makes a Volume on this node and waits until it is Ready. */
export const volumeCreate: Command<Params, CreatedVolume> = {
  name: 'volume.create',
  summary: 'Make a volume on this node and wait until it is ready.',
  parameters: {
    required: ['name'],
    properties: {
      name: { type: 'string', description: 'Name of the volume: lower case letters, digits and "-".', minLength: 1 },
      type: {
        type: 'string',
        description: 'What the volume is made of.',
        enum: Object.keys(TYPES),
        default: 'emptydir',
      },
      sizeGb: {
        type: 'number',
        description: 'Size in GiB.',
        exclusiveMinimum: 0,
        maximum: MAX_SIZE_GIB,
        default: 10,
      },
      accessMode: {
        type: 'string',
        description: 'Who may mount it.',
        enum: ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany'],
        default: 'ReadWriteOnce',
      },
      storageClass: { type: 'string', description: 'Name of a VolumeClass.', minLength: 1 },
      path: {
        type: 'string',
        description:
          'hostpath: directory of this host, made if missing; without it one of our own is made. nfs: exported directory.',
        minLength: 1,
      },
      server: { type: 'string', description: 'nfs only: DNS name or IP address of the server.', minLength: 1 },
      bucket: { type: 'string', description: 's3 only: bucket, which must exist.', minLength: 1 },
      prefix: {
        type: 'string',
        description: 's3 only: path in the bucket; without it the whole bucket.',
        minLength: 1,
      },
      endpoint: {
        type: 'string',
        description: 's3 only: address of the server; without it what the VolumeClass says, or Amazon.',
        minLength: 1,
      },
      region: { type: 'string', description: 's3 only: region of the bucket.', minLength: 1 },
      credentialsSecret: {
        type: 'string',
        description: 's3 only: Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
        minLength: 1,
      },
    },
  },
  async run(params, context) {
    checkName(params.name);
    checkOfSomeTypes(params);
    const spec = specOf(params, context);
    const { volume, isNew } = await createOrCompare(params, spec, context);
    const { uid } = volume.metadata;
    try {
      await waitFor<Volume, Volume>(
        context.client,
        VOLUMES,
        { namespace: context.namespace, name: params.name },
        (object) => readyOrStalled(sameOrGone(object, uid, `volume.create: volume "${params.name}"`)),
        { ...context, pending: 'volume.create: still making it' },
      );
    } catch (thrown) {
      if (isNew && thrown instanceof CommandError && thrown.code === 'Stalled') await takeBack(volume, context);
      throw thrown;
    }
    const { name, type, sizeGb, accessMode } = params;
    return { name, type, sizeGb, accessMode, success: true };
  },
};

function checkName(name: string): void {
  if (isLabel(name)) return;
  throw new CommandError(
    'InvalidParameter',
    `volume.create: parameter "name" must be a DNS-1123 label: lower case letters, digits and "-", at most ${MAX_VOLUME_NAME}`,
    { field: 'name' },
  );
}

/** What a type does not take is an error, and so is what it needs and lacks. */
function checkOfSomeTypes(params: Params): void {
  const { takes, needs }: TypeRules = TYPES[params.type];
  for (const field of OF_SOME_TYPES) {
    const problem =
      params[field] !== undefined && !takes.includes(field)
        ? `is not for type ${params.type}`
        : params[field] === undefined && needs.includes(field)
          ? `is required for type ${params.type}`
          : undefined;
    if (problem === undefined) continue;
    throw new CommandError('InvalidParameter', `volume.create: parameter "${field}" ${problem}`, { field });
  }
}

function specOf(params: Params, context: CommandContext): VolumeSpec {
  return {
    ...TYPES[params.type].source(params, context),
    capacity: capacityOf(params.sizeGb),
    accessModes: [params.accessMode],
    ...(params.storageClass === undefined ? {} : { volumeClassName: params.storageClass }),
    ...(context.nodeName === undefined ? {} : { nodeName: context.nodeName }),
  };
}

function ownDirectory(name: string, { hostPathAllow, namespace }: CommandContext): string {
  const prefix = hostPathAllow[0];
  if (prefix === undefined) {
    throw new CommandError(
      'InvalidParameter',
      'volume.create: parameter "path" is required here: no host path prefix is allowed on this node (--host-path-allow)',
      { field: 'path' },
    );
  }
  return `${prefix}/clawstore/${namespace}/${name}`;
}

/** A volume that was refused holds nothing: taken away again, so that the corrected request does not meet it. */
async function takeBack({ metadata: { namespace, name, uid } }: Volume, context: CommandContext): Promise<void> {
  const ref = { namespace, name };
  const isGone = (object: Volume | undefined): true | undefined =>
    object === undefined || object.metadata.uid !== uid ? true : undefined;
  try {
    await context.client.delete(VOLUMES, ref, { preconditions: { uid }, timeoutMs: TAKE_BACK_MS });
    const wait = { signal: context.signal, timeoutMs: TAKE_BACK_MS };
    await waitFor<Volume, true>(context.client, VOLUMES, ref, isGone, wait);
  } catch {
    // The error that brought us here says more than this one would; the volume is still listed, as what it is.
  }
}

/** Makes the volume, or returns the same one that was there. */
async function createOrCompare(
  params: Params,
  spec: VolumeSpec,
  context: CommandContext,
): Promise<{ readonly volume: Volume; readonly isNew: boolean }> {
  const { client, namespace, signal } = context;
  const volume: Volume = {
    apiVersion: API_VERSION,
    kind: VOLUMES.kind,
    metadata: { name: params.name, namespace, labels: { [LABELS.managedBy]: 'clawstore' } },
    spec,
  };
  try {
    const made = await client.create(VOLUMES, volume, { fieldManager: FIELD_MANAGERS.commands, signal });
    return { volume: made, isNew: true };
  } catch (thrown) {
    const error = KubeError.from(thrown);
    if (!error.isAlreadyExists) throw fromKube(error);
    const existing = await client
      .get<Volume>(VOLUMES, { namespace, name: params.name }, { signal })
      .catch((cause: unknown) => {
        throw fromKube(cause);
      });
    refuseOther(params.name, existing, spec);
    return { volume: existing, isNew: false };
  }
}

/** The same request again is answered; another one under the same name is an error that says what differs. */
function refuseOther(name: string, existing: Volume, wanted: VolumeSpec): void {
  const differs = (() => {
    if (existing.metadata.deletionTimestamp !== undefined) return 'it is being deleted';
    if (volumeTypeOf(wanted) !== volumeTypeOf(existing.spec))
      return `its type is ${volumeTypeOf(existing.spec)?.toLowerCase()}`;
    if (existing.spec.hostPath?.path !== wanted.hostPath?.path) return `its path is ${existing.spec.hostPath?.path}`;
    if (existing.spec.nfs?.server !== wanted.nfs?.server) return `its server is ${existing.spec.nfs?.server}`;
    const other = S3_FIELDS.find((field) => existing.spec.s3?.[field] !== wanted.s3?.[field]);
    if (other !== undefined) return `its ${other} is ${existing.spec.s3?.[other] ?? 'not set'}`;
    if (existing.spec.nfs?.path !== wanted.nfs?.path) return `its path is ${existing.spec.nfs?.path}`;
    if (!sameCapacity(existing.spec.capacity, wanted.capacity)) return `its size is ${existing.spec.capacity}`;
    if (existing.spec.accessModes?.[0] !== wanted.accessModes?.[0])
      return `its mode is ${existing.spec.accessModes?.[0]}`;
    if (existing.spec.volumeClassName !== wanted.volumeClassName)
      return `its storageClass is ${existing.spec.volumeClassName ?? 'not set'}`;
    const secret = existing.spec.s3?.credentialsSecretRef?.name;
    if (secret !== wanted.s3?.credentialsSecretRef?.name) return `its credentialsSecret is ${secret ?? 'not set'}`;
    const { nodeName = existing.status?.nodeName } = existing.spec;
    if (
      isBoundToNode(wanted) &&
      nodeName !== undefined &&
      wanted.nodeName !== undefined &&
      nodeName !== wanted.nodeName
    )
      return `it is on node ${nodeName}`;
    return undefined;
  })();
  if (differs === undefined) return;
  throw new CommandError('AlreadyExists', `volume.create: a volume "${name}" exists already and ${differs}`, {
    field: 'name',
  });
}

/** Whether its data is on one node; what is on a server is the same one wherever it was made. */
function isBoundToNode({ emptyDir, hostPath }: VolumeSpec): boolean {
  return emptyDir !== undefined || hostPath !== undefined;
}

function sameCapacity(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return parseQuantity(a).nanos === parseQuantity(b).nanos;
}
