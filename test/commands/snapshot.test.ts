import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { KubeObjectBase } from '../../src/api/meta.ts';
import type { Snapshot, SnapshotStatus } from '../../src/api/snapshot.ts';
import type { CommandContext } from '../../src/commands/command.ts';
import { CommandError } from '../../src/commands/command-error.ts';
import { runCommand } from '../../src/commands/run-command.ts';
import { snapshotCreate, volumeSnapshot } from '../../src/commands/snapshot/create.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { condition, snapshot, volume } from '../controllers/support/objects.ts';

const taken: SnapshotStatus = {
  observedGeneration: 1,
  readyToUse: true,
  creationTime: '2026-01-01T00:00:01Z',
  restoreSize: '1Gi',
  conditions: [
    condition('Ready', 'True', 'ReadyToUse'),
    condition('ContentConsistent', 'True', 'FilesystemConsistent'),
  ],
};
const copying: SnapshotStatus = {
  observedGeneration: 1,
  readyToUse: false,
  conditions: [condition('Ready', 'False', 'Snapshotting'), condition('Reconciling', 'True', 'Snapshotting')],
};
const stalled: SnapshotStatus = {
  observedGeneration: 1,
  conditions: [
    condition('Ready', 'False', 'SnapshotNotSupported'),
    condition('Stalled', 'True', 'SnapshotNotSupported'),
  ],
};

/** A server with one volume, whose snapshots become what `status` says as soon as they are made. */
function world(status: SnapshotStatus, ...there: readonly Snapshot[]) {
  const snapshots = new Map(there.map((object) => [object.metadata.name, object]));
  const created: string[] = [];
  const notFound = (): never => {
    throw new KubeError({ reason: 'NotFound', status: 404, message: 'not found' });
  };
  const client = {
    get: async (resource: { readonly plural: string }, { name }: { readonly name: string }) => {
      if (resource.plural === 'volumes') return name === 'data' ? volume('data') : notFound();
      return snapshots.get(name) ?? notFound();
    },
    list: async (
      _resource: unknown,
      { fieldSelector = '', labelSelector = '' }: { readonly fieldSelector?: string; readonly labelSelector?: string },
    ) => ({
      items: [...snapshots.values()].filter(({ metadata, spec }) => {
        const [label = '', value] = labelSelector.split('=');
        return (
          (!fieldSelector.startsWith('metadata.name=') || fieldSelector === `metadata.name=${metadata.name}`) &&
          (!fieldSelector.startsWith('spec.') || fieldSelector === `spec.volumeRef.name=${spec.volumeRef.name}`) &&
          (labelSelector === '' || metadata.labels?.[label] === value)
        );
      }),
      resourceVersion: '1',
    }),
    async *watch(_resource: unknown, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<never> {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      yield* [];
    },
    create: async (_resource: unknown, object: Snapshot & KubeObjectBase) => {
      const { name } = object.metadata;
      if (snapshots.has(name)) throw new KubeError({ reason: 'AlreadyExists', status: 409, message: 'already exists' });
      const made = snapshot(name, object.spec, status, { labels: object.metadata.labels ?? {}, uid: `uid-${name}` });
      snapshots.set(name, made);
      created.push(name);
      return made;
    },
  } as unknown as KubeClient;
  const signal = new AbortController().signal;
  const context: CommandContext = {
    client,
    namespace: 'team',
    nodeName: 'a',
    hostPathAllow: [],
    signal,
    timeoutMs: 50,
  };
  return { context, created };
}
async function failing(work: Promise<unknown>): Promise<CommandError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof CommandError) return thrown;
  throw new Error(`no CommandError: ${String(thrown)}`);
}

describe('volume.snapshot', () => {
  it('answers when it is ready', async () => {
    const { context, created } = world(taken);
    expect(await runCommand(volumeSnapshot, { volumeId: 'data' }, context)).to.deep.equal({
      volumeId: 'data',
      snapshotId: created[0],
      created_at: '2026-01-01T00:00:01Z',
      state: 'ready',
      success: true,
    });
    expect(created[0]).to.match(/^data-[0-9a-v]{10}$/);
  });

  it('takes one for two calls that see the same at the same moment, and answers both for it', async () => {
    const { context, created } = world(copying);
    const [first, second] = await Promise.all([
      runCommand(volumeSnapshot, { volumeId: 'data' }, context),
      runCommand(volumeSnapshot, { volumeId: 'data' }, context),
    ]);
    expect(created).to.have.length(1);
    expect(second).to.deep.equal(first);
  });

  it('takes no other volume for its own whose snapshot has the name', async () => {
    const { context, created } = world(taken);
    await runCommand(volumeSnapshot, { volumeId: 'data' }, context);
    const stranger = world(taken, snapshot(created[0] ?? '', { volumeRef: { name: 'other' } }, taken));
    const error = await failing(runCommand(volumeSnapshot, { volumeId: 'data' }, stranger.context));
    expect([error.code, error.field]).to.deep.equal(['AlreadyExists', 'volumeId']);
  });

  it('makes two in one second two', async () => {
    const { context, created } = world(taken);
    for (let turn = 0; turn < 3; turn++) await runCommand(volumeSnapshot, { volumeId: 'data' }, context);
    expect(new Set(created).size).to.equal(3);
  });

  it('returns what is still being copied as running, and answers for that one when it is called again', async () => {
    const { context, created } = world(copying);
    const first = await runCommand(volumeSnapshot, { volumeId: 'data' }, context);
    expect(first).to.deep.include({ state: 'running', success: false, snapshotId: created[0] });
    expect(await runCommand(volumeSnapshot, { volumeId: 'data' }, context)).to.deep.equal(first);
    expect(created).to.have.length(1);
  });

  it('answers a request that it has seen before for what that one began, also when it is done', async () => {
    const { context, created } = world(taken);
    const again = { ...context, requestId: 'a key: with any text' };
    const first = await runCommand(volumeSnapshot, { volumeId: 'data' }, again);
    expect(await runCommand(volumeSnapshot, { volumeId: 'data' }, again)).to.deep.equal(first);
    await runCommand(volumeSnapshot, { volumeId: 'data' }, { ...context, requestId: 'another' });
    await runCommand(volumeSnapshot, { volumeId: 'data' }, context);
    expect(created).to.have.length(3);
  });

  it('says why it cannot be taken', async () => {
    const { context } = world(stalled);
    const error = await failing(runCommand(volumeSnapshot, { volumeId: 'data' }, context));
    expect([error.code, error.reason]).to.deep.equal(['Stalled', 'SnapshotNotSupported']);
  });

  it('names the parameter of a volume that does not exist', async () => {
    const { context } = world(taken);
    const error = await failing(runCommand(volumeSnapshot, { volumeId: 'other' }, context));
    expect([error.code, error.field]).to.deep.equal(['NotFound', 'volumeId']);
  });
});

describe('clawstore snapshot create', () => {
  it('tells what became of it', async () => {
    const { context } = world(taken);
    const result = await runCommand(snapshotCreate, { volumeId: 'data', name: 's', ttl: '72h' }, context);
    expect(result).to.deep.include({ snapshotId: 's', restoreSize: '1Gi', consistent: true, state: 'ready' });
  });

  it('answers the same request the same way, and another one under that name with an error', async () => {
    const { context } = world(taken);
    const params = { volumeId: 'data', name: 's', ttl: '72h' };
    const first = await runCommand(snapshotCreate, params, context);
    expect(await runCommand(snapshotCreate, params, context)).to.deep.equal(first);
    const error = await failing(runCommand(snapshotCreate, { ...params, ttl: '1h' }, context));
    expect([error.code, error.field]).to.deep.equal(['AlreadyExists', 'name']);
    expect(error.message).to.contain('ttl 72h');
  });

  it('refuses names and durations that no server takes', async () => {
    const { context } = world(taken);
    const name = await failing(runCommand(snapshotCreate, { volumeId: 'data', name: 'No' }, context));
    expect([name.code, name.field]).to.deep.equal(['InvalidParameter', 'name']);
    const ttl = await failing(runCommand(snapshotCreate, { volumeId: 'data', ttl: 'soon' }, context));
    expect([ttl.code, ttl.field]).to.deep.equal(['InvalidParameter', 'ttl']);
  });
});
