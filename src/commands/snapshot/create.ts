import { createHash } from 'node:crypto';
import { findCondition, isTrue } from '../../api/conditions.ts';
import { API_VERSION, FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import { isDeleting, SNAPSHOTS } from '../../api/meta.ts';
import { isSubdomain, shortHash } from '../../api/names.ts';
import type { Snapshot, SnapshotConsistency, SnapshotSpec } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { CommandError, type CommandErrorCode } from '../command-error.ts';
import { getVolume } from '../volume/mounts-of.ts';
import { fromKube, readyOrStalled, waitFor } from '../wait.ts';
import { snapshotsOf } from './of-volume.ts';

interface Params {
  readonly volumeId: string;
  readonly name?: string;
  readonly ttl?: string;
  readonly consistency?: SnapshotConsistency;
}

export interface TakenSnapshot {
  readonly volumeId: string;
  readonly snapshotId: string;
  /** The moment that is kept, or when it was asked for while there is none yet. RFC 3339. */
  readonly created_at: string;
  /** `running`: it is still being copied; the same call again tells how that went. */
  readonly state: 'ready' | 'running';
  readonly success: boolean;
}

export interface CreatedSnapshot extends TakenSnapshot {
  readonly restoreSize?: string;
  readonly method?: string;
  /** Whether all of it is of one moment, and how that is known. */
  readonly consistent?: boolean;
  readonly consistency?: string;
}

/** `volume.snapshot`: keeps the present moment of a volume. */
export const volumeSnapshot: Command<Pick<Params, 'volumeId'>, TakenSnapshot> = {
  name: 'volume.snapshot',
  summary: 'Take a snapshot of a volume; the same call while one is being taken answers for that one.',
  parameters: {
    required: ['volumeId'],
    properties: { volumeId: { type: 'string', description: 'Name of the volume.', minLength: 1 } },
  },
  async run({ volumeId }, context) {
    const volume = await getVolume(volumeId, context);
    const snapshot = (await begunBy(volumeId, context)) ?? (await begin(volume, context));
    return answerOf(await untilTaken(snapshot, 'volume.snapshot', context));
  },
};

/** `clawstore snapshot create`: the same, with a name and conditions of one's own. */
export const snapshotCreate: Command<Params, CreatedSnapshot> = {
  name: 'snapshot create',
  summary: 'Take a snapshot of a volume.',
  parameters: {
    required: ['volumeId'],
    properties: {
      volumeId: { type: 'string', description: 'Name of the volume.', minLength: 1 },
      name: {
        type: 'string',
        description: 'Name of the snapshot; without it one with the time in it.',
        minLength: 1,
      },
      ttl: { type: 'string', description: 'Delete it when it is older, e.g. 72h.', pattern: '^[0-9]{1,9}(s|m|h)$' },
      consistency: { type: 'string', description: 'What is demanded.', enum: ['Crash', 'Filesystem'] },
    },
  },
  async run(params, context) {
    await getVolume(params.volumeId, context);
    const snapshot =
      params.name === undefined
        ? await createNext(params, context)
        : await createOrCompare(params.name, params, context);
    return detailsOf(await untilTaken(snapshot, 'snapshot create', context));
  },
};

/**
 * Returns the snapshot that an earlier call began and that is not there yet, or begins one. Two calls at the same moment
 * see the same snapshots, and so take the same name: the server lets one of them have it, and the other one answers for
 * that too.
 */
async function begin({ metadata: { name: volumeId, uid = '' } }: Volume, context: CommandContext): Promise<Snapshot> {
  for (;;) {
    const there = await snapshotsOf(volumeId, context);
    const unfinished = there.find(isGoingOn);
    if (unfinished !== undefined) return unfinished;
    const known = there.map(({ metadata }) => metadata.uid ?? '').toSorted();
    const name = `${volumeId}-${shortHash([uid, ...known].join(' '))}`;
    try {
      return await create(name, { volumeId }, context);
    } catch (thrown) {
      if (!isCode(thrown, 'AlreadyExists')) throw thrown;
    }
    const other = await rival(name, volumeId, context);
    if (other !== undefined) return other;
  }
}

/** What an earlier delivery of this very request began, whether it is there by now or not. */
async function begunBy(
  volumeId: string,
  { client, namespace, requestId, signal }: CommandContext,
): Promise<Snapshot | undefined> {
  if (requestId === undefined) return undefined;
  const labelSelector = `${LABELS.request}=${requestLabel(requestId)}`;
  const { items } = await client
    .list<Snapshot>(SNAPSHOTS, { namespace, labelSelector, signal })
    .catch((cause: unknown) => {
      throw fromKube(cause);
    });
  return items.find((snapshot) => !isDeleting(snapshot) && snapshot.spec.volumeRef.name === volumeId);
}

/** What has a name that was to be given; undefined when it is gone again. */
async function rival(name: string, volumeId: string, context: CommandContext): Promise<Snapshot | undefined> {
  const { client, namespace, signal } = context;
  try {
    const there = await client.get<Snapshot>(SNAPSHOTS, { namespace, name }, { signal });
    if (isDeleting(there)) return undefined;
    if (there.spec.volumeRef.name === volumeId) return there;
    const text = `volume.snapshot: a snapshot "${name}" of volume "${there.spec.volumeRef.name}" is in the way`;
    throw new CommandError('AlreadyExists', text, { field: 'volumeId' });
  } catch (thrown) {
    if (thrown instanceof CommandError) throw thrown;
    if (KubeError.from(thrown).isNotFound) return undefined;
    throw fromKube(thrown);
  }
}

/** One that a command began and that is not there yet. */
function isGoingOn(snapshot: Snapshot): boolean {
  const { creationTime, conditions } = snapshot.status ?? {};
  const isOurs = snapshot.metadata.labels?.[LABELS.managedBy] === 'clawstore';
  return isOurs && creationTime === undefined && !isDeleting(snapshot) && !isTrue(conditions, 'Stalled');
}

/** Several may be wanted in one second. */
const MAX_NAMES = 100;

/** Makes one with the time in its name, e.g. `data-20261127-165601`. */
async function createNext(params: Params, context: CommandContext): Promise<Snapshot> {
  const time = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
  for (let turn = 1; ; turn++) {
    const name = `${params.volumeId}-${time}${turn === 1 ? '' : `-${turn}`}`;
    try {
      return await create(name, params, context);
    } catch (thrown) {
      if (!isCode(thrown, 'AlreadyExists') || turn >= MAX_NAMES) throw thrown;
    }
  }
}

/** The same request again is answered; another one under the same name is an error that says what differs. */
async function createOrCompare(name: string, params: Params, context: CommandContext): Promise<Snapshot> {
  if (!isSubdomain(name)) {
    const message = `snapshot create: "${name}" is not a DNS-1123 name (lower case letters, digits, "-" and ".")`;
    throw new CommandError('InvalidParameter', message, { field: 'name' });
  }
  const { client, namespace, signal } = context;
  try {
    return await create(name, params, context);
  } catch (thrown) {
    if (!isCode(thrown, 'AlreadyExists')) throw thrown;
  }
  const existing = await client.get<Snapshot>(SNAPSHOTS, { namespace, name }, { signal }).catch((cause: unknown) => {
    throw fromKube(cause);
  });
  const wanted = specOf(params);
  const differs = (() => {
    if (isDeleting(existing)) return 'is being deleted';
    if (existing.spec.volumeRef.name !== params.volumeId) return `is of volume "${existing.spec.volumeRef.name}"`;
    const other = (['ttl', 'consistency'] as const).find((field) => existing.spec[field] !== wanted[field]);
    return other === undefined ? undefined : `has ${other} ${existing.spec[other] ?? 'unset'}`;
  })();
  if (differs === undefined) return existing;
  throw new CommandError('AlreadyExists', `snapshot create: a snapshot "${name}" exists already and ${differs}`, {
    field: 'name',
  });
}

async function create(name: string, params: Params, context: CommandContext): Promise<Snapshot> {
  const { client, namespace, requestId, signal } = context;
  const labels = {
    [LABELS.managedBy]: 'clawstore',
    [LABELS.volume]: params.volumeId,
    ...(requestId === undefined ? {} : { [LABELS.request]: requestLabel(requestId) }),
  };
  const metadata = { name, namespace, labels };
  const snapshot: Snapshot = { apiVersion: API_VERSION, kind: SNAPSHOTS.kind, metadata, spec: specOf(params) };
  return client
    .create(SNAPSHOTS, snapshot, { fieldManager: FIELD_MANAGERS.commands, signal })
    .catch((cause: unknown) => {
      throw fromKube(cause);
    });
}

function specOf({ volumeId, ttl, consistency }: Params): SnapshotSpec {
  return {
    volumeRef: { name: volumeId },
    ...(ttl === undefined ? {} : { ttl }),
    ...(consistency === undefined ? {} : { consistency }),
  };
}

/** Waits as long as the call may. What is being copied by then goes on, and is returned as it is. */
async function untilTaken(
  { metadata: { namespace, name, uid } }: Snapshot,
  command: string,
  context: CommandContext,
): Promise<Snapshot> {
  let last: Snapshot | undefined;
  const done = (object: Snapshot | undefined): Snapshot | undefined => {
    if (object === undefined || object.metadata.uid !== uid) {
      throw new CommandError('NotFound', `${command}: snapshot "${name}" was deleted while we waited`);
    }
    last = object;
    return readyOrStalled(object);
  };
  try {
    const options = { ...context, pending: `${command}: still being taken` };
    return await waitFor<Snapshot, Snapshot>(context.client, SNAPSHOTS, { namespace, name }, done, options);
  } catch (thrown) {
    if (last !== undefined && isCode(thrown, 'Timeout') && isBeingTaken(last)) return last;
    throw thrown instanceof KubeError ? fromKube(thrown) : thrown;
  }
}

/** A request ID may be any text, and a label may not. */
function requestLabel(requestId: string): string {
  return createHash('sha256').update(requestId).digest('hex').slice(0, 40);
}

function isCode(thrown: unknown, code: CommandErrorCode): boolean {
  return thrown instanceof CommandError && thrown.code === code;
}

function isBeingTaken({ status }: Snapshot): boolean {
  return findCondition(status?.conditions, 'Ready')?.reason === 'Snapshotting';
}

function answerOf({ metadata, spec, status }: Snapshot): TakenSnapshot {
  const isReady = status?.readyToUse === true;
  return {
    volumeId: spec.volumeRef.name,
    snapshotId: metadata.name,
    created_at: status?.creationTime ?? metadata.creationTimestamp ?? '',
    state: isReady ? 'ready' : 'running',
    success: isReady,
  };
}

function detailsOf(snapshot: Snapshot): CreatedSnapshot {
  const { restoreSize, method, conditions } = snapshot.status ?? {};
  const consistent = findCondition(conditions, 'ContentConsistent');
  return {
    ...answerOf(snapshot),
    ...(restoreSize === undefined ? {} : { restoreSize }),
    ...(method === undefined ? {} : { method }),
    ...(consistent === undefined ? {} : { consistent: consistent.status === 'True', consistency: consistent.reason }),
  };
}
