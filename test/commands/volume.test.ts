import { once } from 'node:events';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { KubeObjectBase } from '../../src/api/meta.ts';
import { mountName } from '../../src/api/names.ts';
import type { Volume, VolumeSpec, VolumeStatus } from '../../src/api/volume.ts';
import type { VolumeMount, VolumeMountStatus } from '../../src/api/volume-mount.ts';
import type { CommandContext } from '../../src/commands/command.ts';
import { CommandError } from '../../src/commands/command-error.ts';
import { runCommand } from '../../src/commands/run-command.ts';
import { volumeCreate } from '../../src/commands/volume/create.ts';
import { volumeDelete } from '../../src/commands/volume/delete.ts';
import { volumeGrow } from '../../src/commands/volume/grow.ts';
import { volumeMount } from '../../src/commands/volume/mount.ts';
import { volumeUnmount } from '../../src/commands/volume/unmount.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { condition, mount, volume } from '../controllers/support/objects.ts';

const READY: VolumeStatus = { observedGeneration: 1, conditions: [condition('Ready', 'True', 'Provisioned')] };
const MOUNTED: VolumeMountStatus = {
  observedGeneration: 1,
  hostPath: '/mnt/data',
  conditions: [condition('Ready', 'True', 'Mounted')],
};
const MOUNTING: VolumeMountStatus = {
  observedGeneration: 1,
  conditions: [condition('Ready', 'False', 'Mounting'), condition('Reconciling', 'True', 'Mounting')],
};

/** No node is meant. */
const ANYWHERE = '';

interface World {
  readonly volumes?: readonly Volume[];
  readonly mounts?: readonly VolumeMount[];
  readonly volumeStatus?: VolumeStatus;
  readonly mountStatus?: VolumeMountStatus;
  /** What another writer does before the first patch. */
  readonly beforePatch?: (objects: Map<string, KubeObjectBase>) => void;
  readonly nodeName?: string;
}

/** A server whose objects have the given status as soon as they are made. */
function world({
  volumes = [],
  mounts = [],
  volumeStatus = READY,
  mountStatus = MOUNTED,
  beforePatch,
  nodeName = 'a',
}: World) {
  const objects = new Map<string, KubeObjectBase>();
  const key = (plural: string, name: string): string => `${plural}/${name}`;
  for (const one of volumes) objects.set(key('volumes', one.metadata.name), one);
  for (const one of mounts) objects.set(key('volumemounts', one.metadata.name), one);
  const notFound = (): never => {
    throw new KubeError({ reason: 'NotFound', status: 404, message: 'not found' });
  };
  let disturb = beforePatch;
  const client = {
    get: async ({ plural }: { plural: string }, { name }: { name: string }) =>
      objects.get(key(plural, name)) ?? notFound(),
    list: async ({ plural }: { plural: string }, { fieldSelector = '' }: { fieldSelector?: string }) => {
      const [, field = '', value = ''] = /^(.*)=(.*)$/.exec(fieldSelector) ?? [];
      const items = [...objects.values()].filter(({ metadata, ...object }) => {
        if (!objects.has(key(plural, metadata.name))) return false;
        if (field === 'metadata.name') return metadata.name === value;
        return (object as unknown as VolumeMount).spec.volumeRef.name === value;
      });
      return { items, resourceVersion: '1' };
    },
    async *watch(_resource: unknown, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<never> {
      if (!signal.aborted) await once(signal, 'abort');
      yield* [];
    },
    create: async ({ plural }: { plural: string }, object: Volume & VolumeMount) => {
      const { name } = object.metadata;
      if (objects.has(key(plural, name))) {
        throw new KubeError({ reason: 'AlreadyExists', status: 409, message: 'already exists' });
      }
      const made =
        plural === 'volumes' ? volume(name, object.spec, volumeStatus) : mount(name, object.spec, mountStatus);
      objects.set(key(plural, name), made);
      return made;
    },
    patch: async ({ plural }: { plural: string }, { name }: { name: string }, body: Volume) => {
      disturb?.(objects);
      disturb = undefined;
      const there = (objects.get(key(plural, name)) ?? notFound()) as Volume;
      const { resourceVersion } = (body as Partial<Volume>).metadata ?? {};
      if (resourceVersion !== undefined && there.metadata.resourceVersion !== resourceVersion) {
        throw new KubeError({ reason: 'Conflict', status: 409, message: 'changed' });
      }
      const { capacity = '' } = body.spec;
      const grown = { ...there, spec: { ...there.spec, capacity }, status: { ...READY, capacity } };
      objects.set(key(plural, name), grown);
      return grown;
    },
    delete: async ({ plural }: { plural: string }, { name }: { name: string }) => {
      if (!objects.delete(key(plural, name))) notFound();
    },
  } as unknown as KubeClient;
  const context: CommandContext = {
    client,
    namespace: 'team',
    nodeName: nodeName === ANYWHERE ? undefined : nodeName,
    hostPathAllow: ['/srv'],
    signal: new AbortController().signal,
    timeoutMs: 50,
  };
  return { context, objects };
}

async function failing(work: Promise<unknown>): Promise<CommandError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof CommandError) return thrown;
  throw new Error(`no CommandError: ${String(thrown)}`);
}

describe('volume.create', () => {
  it('lets the controller choose a node when none is meant', async () => {
    const { context, objects } = world({ nodeName: ANYWHERE });
    await runCommand(volumeCreate, { name: 'data' }, context);
    expect((objects.get('volumes/data') as Volume).spec).to.not.have.property('nodeName');
  });

  const differences: readonly (readonly [string, Record<string, unknown>, Partial<VolumeSpec>])[] = [
    ['its type is hostpath', { name: 'data' }, { hostPath: { path: '/srv/x' } }],
    ['its size is 20Gi', { name: 'data' }, { capacity: '20Gi' }],
    ['its mode is ReadWriteMany', { name: 'data' }, { capacity: '10Gi', accessModes: ['ReadWriteMany'] }],
    ['its storageClass is fast', { name: 'data' }, { capacity: '10Gi', volumeClassName: 'fast' }],
    ['it is on node b', { name: 'data' }, { capacity: '10Gi', nodeName: 'b' }],
    [
      'its path is /srv/x',
      { name: 'data', type: 'hostpath', path: '/srv/y' },
      { capacity: '10Gi', hostPath: { path: '/srv/x', type: 'DirectoryOrCreate' } },
    ],
    [
      'its credentialsSecret is one',
      { name: 'data', type: 's3', bucket: 'b', credentialsSecret: 'two' },
      { capacity: '10Gi', s3: { bucket: 'b', credentialsSecretRef: { name: 'one' } } },
    ],
  ];
  for (const [text, params, spec] of differences) {
    it(`says of a volume of that name that ${text}`, async () => {
      const { context } = world({ volumes: [volume('data', spec, READY)] });
      const error = await failing(runCommand(volumeCreate, params, context));
      expect([error.code, error.field]).to.deep.equal(['AlreadyExists', 'name']);
      expect(error.message).to.include(text);
    });
  }

  it('takes a volume on a server for the same one whichever node owns it', async () => {
    const nfs = { server: 'nfs.internal', path: '/exports' };
    const there = volume('data', { nfs, capacity: '10Gi', nodeName: 'b' }, READY);
    const { context } = world({ volumes: [there] });
    const result = await runCommand(volumeCreate, { name: 'data', type: 'nfs', ...nfs }, context);
    expect(result).to.deep.include({ name: 'data', success: true });
  });
});

describe('volume.mount', () => {
  const params = { volumeId: 'data', workloadId: 'w', mountPath: '/data' };

  it('answers truthfully that it is still mounting, with the conditions of the object', async () => {
    const { context } = world({ volumes: [volume('data')], mountStatus: MOUNTING });
    const error = await failing(runCommand(volumeMount, params, context));
    expect([error.code, error.reason]).to.deep.equal(['Timeout', 'Mounting']);
    expect(error.message)
      .to.match(/^volume\.mount: still mounting: Mounting: /)
      .and.to.include('it goes on');
    expect(error.conditions?.map(({ type }) => type)).to.deep.equal(['Ready', 'Reconciling']);
  });

  it('says that the call ended when it was not the time that was over', async () => {
    const { context } = world({ volumes: [volume('data')], mountStatus: MOUNTING });
    const stop = new AbortController();
    const work = failing(runCommand(volumeMount, params, { ...context, signal: stop.signal, timeoutMs: 60_000 }));
    stop.abort();
    expect((await work).message).to.include('the call ended');
  });

  it('says on which node the workload has it mounted, when that is another one', async () => {
    const there = mount(mountName('data', 'w'), { workloadId: 'w', mountPath: '/data', nodeName: 'b' }, MOUNTED);
    const { context } = world({ volumes: [volume('data')], mounts: [there] });
    const error = await failing(runCommand(volumeMount, params, context));
    expect(error.code).to.equal('AlreadyExists');
    expect(error.message).to.include('is mounted on node b');
  });

  it('makes no mount of a volume that is being deleted', async () => {
    const there = volume('data');
    const going: Volume = { ...there, metadata: { ...there.metadata, deletionTimestamp: '2026-11-27T10:00:00Z' } };
    const { context, objects } = world({ volumes: [going] });
    const error = await failing(runCommand(volumeMount, params, context));
    expect([error.code, error.reason, error.field]).to.deep.equal(['Refused', 'VolumeDeleting', 'volumeId']);
    expect([...objects.keys()]).to.deep.equal(['volumes/data']);
  });

  it('takes what is left out for what stands for it, when the same is asked for again', async () => {
    const there = (readOnly?: boolean) =>
      mount(mountName('data', 'w'), { mountPath: '/data', ...(readOnly === undefined ? {} : { readOnly }) }, MOUNTED);
    const again = (accessModes: NonNullable<VolumeSpec['accessModes']>, one: VolumeMount, readOnly?: boolean) => {
      const { context } = world({ volumes: [volume('data', { accessModes })], mounts: [one] });
      return runCommand(volumeMount, { ...params, ...(readOnly === undefined ? {} : { readOnly }) }, context);
    };
    for (const answer of [
      await again(['ReadWriteOnce'], there(), false),
      await again(['ReadWriteOnce'], there(false)),
      await again(['ReadOnlyMany'], there(), true),
      await again(['ReadOnlyMany'], there(true)),
    ]) {
      expect(answer).to.deep.include({ success: true });
    }
    const other = await failing(again(['ReadWriteOnce'], there(), true));
    expect(other.code).to.equal('AlreadyExists');
    expect(other.message).to.include('readOnly=false');
  });

  it('mounts where the volume is when no node is meant', async () => {
    const { context, objects } = world({ volumes: [volume('data')], nodeName: ANYWHERE });
    expect(await runCommand(volumeMount, params, context)).to.deep.include({ hostPath: '/mnt/data' });
    expect((objects.get(`volumemounts/${mountName('data', 'w')}`) as VolumeMount).spec).to.not.have.property(
      'nodeName',
    );
  });

  it('tells whoever watches each state that it sees', async () => {
    const seen: unknown[] = [];
    const { context } = world({ volumes: [volume('data')] });
    await runCommand(volumeMount, params, { ...context, onObject: (object) => seen.push(object?.metadata.name) });
    expect(seen).to.deep.equal([mountName('data', 'w')]);
  });

  it('does not say that nothing acted on it when no server has answered', async () => {
    const { context } = world({ volumes: [volume('data')] });
    const gone = new KubeError({ reason: 'Unreachable', message: 'connect ECONNREFUSED' });
    const client = { ...context.client, list: () => Promise.reject(gone) };
    const error = await failing(runCommand(volumeMount, params, { ...context, client }));
    expect(error.code).to.equal('Unavailable');
    expect(error.message).to.include('ECONNREFUSED');
  });
});

describe('a volume that is waited for', () => {
  const other = { name: 'data', type: 'hostpath', path: '/srv/x' };

  it('is not taken for another that has its name meanwhile', async () => {
    const { context, objects } = world({ volumeStatus: { observedGeneration: 0 } });
    const watch = async function* (): AsyncGenerator {
      const { metadata, spec } = objects.get('volumes/data') as Volume;
      const replaced = volume('data', spec, READY);
      yield { type: 'MODIFIED', object: { ...replaced, metadata: { ...metadata, uid: 'another' } } };
    };
    const client = { ...context.client, watch } as unknown as KubeClient;
    const error = await failing(runCommand(volumeCreate, other, { ...context, client }));
    expect(error.code).to.equal('NotFound');
    expect(error.message).to.equal('volume.create: volume "data" was deleted while we waited');
  });
});

describe('names that no volume can have', () => {
  for (const volumeId of ['..', '.', 'a/b', 'a b', 'A', '\ud800', 'ä', 'x'.repeat(100_000), 'a,metadata.name=b']) {
    it(`are named as what is wrong: ${JSON.stringify(volumeId.slice(0, 20))}`, async () => {
      const { context } = world({});
      for (const work of [
        runCommand(volumeMount, { volumeId, workloadId: 'w', mountPath: '/d' }, context),
        runCommand(volumeUnmount, { volumeId }, context),
        runCommand(volumeDelete, { volumeId }, context),
      ]) {
        const error = await failing(work);
        expect([error.code, error.field]).to.deep.equal(['InvalidParameter', 'volumeId']);
        expect(error.message.length).to.be.below(500);
      }
    });
  }
});

describe('volume.unmount and volume.delete', () => {
  const mounts = ['w1', 'w2'].map((workloadId) => mount(`data-${workloadId}`, { workloadId }, MOUNTED));

  it('ask which workload is meant, and list them', async () => {
    const { context } = world({ volumes: [volume('data')], mounts });
    const error = await failing(runCommand(volumeUnmount, { volumeId: 'data' }, context));
    expect([error.code, error.field]).to.deep.equal(['InvalidParameter', 'workloadId']);
    expect(error.message).to.include('"w1", "w2"');
    const other = await failing(runCommand(volumeUnmount, { volumeId: 'data', workloadId: 'w3' }, context));
    expect([other.code, other.field]).to.deep.equal(['NotFound', 'workloadId']);
  });

  it('refuse to delete what is attached, and list who holds it', async () => {
    const { context, objects } = world({ volumes: [volume('data')], mounts });
    const error = await failing(runCommand(volumeDelete, { volumeId: 'data' }, context));
    expect([error.code, error.reason]).to.deep.equal(['Refused', 'VolumeInUse']);
    expect(error.message).to.include('"w1", "w2"');
    expect(objects.has('volumes/data')).to.equal(true);
  });
});

describe('clawstore volume grow', () => {
  const there = (capacity: string): Volume => volume('data', { capacity }, { ...READY, capacity });

  it('raises the capacity and says whether it is a limit', async () => {
    const { context } = world({ volumes: [there('10Gi')] });
    expect(await runCommand(volumeGrow, { volumeId: 'data', sizeGb: 20 }, context)).to.deep.equal({
      volumeId: 'data',
      capacity: 20 * 2 ** 30,
      enforced: false,
      success: true,
    });
  });

  it('changes nothing when the volume has that much, and never shrinks it', async () => {
    const { context, objects } = world({ volumes: [there('10Gi')] });
    const before = objects.get('volumes/data');
    expect(await runCommand(volumeGrow, { volumeId: 'data', sizeGb: 10 }, context)).to.deep.include({ success: true });
    const error = await failing(runCommand(volumeGrow, { volumeId: 'data', sizeGb: 5 }, context));
    expect([error.code, error.field]).to.deep.equal(['InvalidParameter', 'sizeGb']);
    expect(error.message).to.include('10Gi');
    expect(objects.get('volumes/data')).to.equal(before);
  });

  it('does not take back what somebody else raised meanwhile', async () => {
    const { context, objects } = world({
      volumes: [there('10Gi')],
      beforePatch: (all) => {
        const raised = there('50Gi');
        all.set('volumes/data', { ...raised, metadata: { ...raised.metadata, resourceVersion: 'later' } });
      },
    });
    const error = await failing(runCommand(volumeGrow, { volumeId: 'data', sizeGb: 20 }, context));
    expect(error.message).to.include('50Gi');
    expect((objects.get('volumes/data') as Volume).spec.capacity).to.equal('50Gi');
  });

  it('waits for what the volume really has', async () => {
    const { context } = world({ volumes: [volume('data', { capacity: '20Gi' }, { ...READY, capacity: '10Gi' })] });
    const error = await failing(runCommand(volumeGrow, { volumeId: 'data', sizeGb: 20 }, context));
    expect(error.code).to.equal('Timeout');
    expect(error.message).to.match(/^volume grow: still growing: /);
  });
});
