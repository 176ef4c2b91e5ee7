import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Volume } from '../../../src/api/volume.ts';
import type { VolumeMount } from '../../../src/api/volume-mount.ts';
import { conditionEvents } from '../../../src/controllers/support/condition-events.ts';
import { DriftWatch } from '../../../src/controllers/support/drift.ts';
import { isFresh } from '../../../src/controllers/support/fresh.ts';
import { BY_TARGET, BY_UID, BY_VOLUME, uidOf, volumeOfMount } from '../../../src/controllers/support/indexes.ts';
import { KeyedLock } from '../../../src/controllers/support/keyed-lock.ts';
import { concernsAgent } from '../../../src/controllers/support/relevance.ts';
import type { MountTable, MountTableChange } from '../../../src/node/layer.ts';
import type { MountEntry } from '../../../src/node/mount-entry.ts';
import { Store } from '../../../src/runtime/store.ts';
import { mountEntry } from './fake-driver.ts';
import { condition, mount, NOW, volume } from './objects.ts';

describe('KeyedLock', () => {
  it('lets one at a time work on a key, in order, and others on other keys', async () => {
    const lock = new KeyedLock();
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const first = lock.run('a', async () => {
      order.push('first begins');
      await gate.promise;
      order.push('first ends');
    });
    const second = lock.run('a', async () => void order.push('second'));
    await lock.run('b', async () => void order.push('other'));
    gate.resolve();
    await Promise.all([first, second]);
    expect(order).to.deep.equal(['first begins', 'other', 'first ends', 'second']);
  });

  it('is free again after a failure', async () => {
    const lock = new KeyedLock();
    const failed = await lock.run('a', () => Promise.reject(new Error('no'))).catch((thrown: unknown) => thrown);
    expect(failed).to.be.an.instanceOf(Error);
    expect(await lock.run('a', () => Promise.resolve(1))).to.equal(1);
  });
});

describe('isFresh', () => {
  const made = (offset: number) => mount('m', {}, {}, { creationTimestamp: new Date(NOW + offset).toISOString() });
  it('holds for two seconds and for nothing that has been spoken of', () => {
    expect(isFresh(made(-1999), NOW)).to.equal(true);
    expect(isFresh(made(-2000), NOW)).to.equal(false);
    const spoken = { ...made(-1), status: { conditions: [condition('Ready' as const, 'False', 'Pending')] } };
    expect(isFresh(spoken, NOW)).to.equal(false);
  });
  it('does not hold when the clocks contradict each other', () => {
    expect(isFresh(made(3_600_000), NOW)).to.equal(false);
  });
});

describe('conditionEvents', () => {
  const ready = (status: 'True' | 'False', reason: 'Mounted' | 'MountGone' | 'VolumeNotReady', message = 'x') => [
    condition('Ready', status, reason, message),
  ];
  it('tells a change of status or reason once, whatever becomes of the message', () => {
    expect(conditionEvents(undefined, ready('True', 'Mounted'))).to.deep.equal([
      { type: 'Normal', reason: 'Mounted', message: 'x' },
    ]);
    expect(conditionEvents(ready('True', 'Mounted'), ready('True', 'Mounted', 'y'))).to.deep.equal([]);
    expect(conditionEvents(ready('True', 'Mounted'), ready('False', 'MountGone'))[0]?.type).to.equal('Warning');
  });
  it('has words for what is good, where the condition needs none', () => {
    expect(conditionEvents(undefined, ready('True', 'Mounted', ''))[0]?.message).to.equal('The volume is mounted.');
  });
  it('does not tell that a new object waits', () => {
    expect(conditionEvents(undefined, ready('False', 'VolumeNotReady'))).to.deep.equal([]);
  });
});

describe('concernsAgent', () => {
  const finalizer = 'storage.clawbernetes.io/mount';
  const updated = (old: VolumeMount, object: VolumeMount) =>
    concernsAgent({ type: 'updated', key: 'k', old, object }, finalizer);
  const reported = { observedGeneration: 1, conditions: [condition('Ready' as const, 'True', 'Mounted')] };

  it('is false for what the agent itself wrote', () => {
    expect(updated(mount('m'), mount('m', {}, reported))).to.equal(false);
    expect(updated(mount('m'), mount('m', {}, {}, { finalizers: [finalizer] }))).to.equal(false);
  });
  it('is true for orders and for what was taken away', () => {
    expect(updated(mount('m'), mount('m', {}, {}, { generation: 2 }))).to.equal(true);
    expect(updated(mount('m'), mount('m', {}, {}, { deletionTimestamp: 'now' }))).to.equal(true);
    expect(
      updated(mount('m'), mount('m', {}, {}, { annotations: { 'storage.clawbernetes.io/reconcile-at': '1' } })),
    ).to.equal(true);
    expect(updated(mount('m', {}, {}, { finalizers: [finalizer] }), mount('m'))).to.equal(true);
    expect(updated(mount('m', {}, reported), mount('m'))).to.equal(true);
    const lost = { conditions: [condition('Ready' as const, 'Unknown', 'NodeLost')] };
    expect(updated(mount('m', {}, reported), mount('m', {}, lost))).to.equal(true);
  });
});

describe('DriftWatch', () => {
  function watch() {
    const store = new Store<VolumeMount>();
    store.addIndex(BY_TARGET, ({ metadata }) => [`/mnt/${metadata.name}`]);
    store.set(mount('m', {}, { hostPath: '/mnt/m' }));
    let listener: (change: MountTableChange) => void = () => undefined;
    const at = new Map<string, MountEntry>();
    const stacks = new Map<string, readonly MountEntry[]>();
    const table = {
      at: (path: string) => at.get(path),
      stackAt: (path: string) => stacks.get(path) ?? [],
      onChange: (heard: typeof listener) => {
        listener = heard;
        return () => undefined;
      },
    } as unknown as MountTable;
    const volumes = new Store<Volume>();
    volumes.addIndex(BY_UID, uidOf);
    volumes.set(volume('data', {}, {}, { uid: 'u-1' }));
    store.addIndex(BY_VOLUME, volumeOfMount);
    const drift = new DriftWatch({ mounts: store, volumes }, { mountRoot: '/mnt', table });
    const keys: string[] = [];
    const signal = new AbortController().signal;
    drift.mounts.start((key) => keys.push(key), signal);
    drift.volumes.start((key) => keys.push(`volume ${key}`), signal);
    drift.run(signal);
    const nothing = { added: [], removed: [], changed: [], suspect: [] };
    const removed = (target: string) => listener({ ...nothing, removed: [mountEntry(target)] });
    const added = (target: string) => listener({ ...nothing, added: [mountEntry(target)] });
    const suspect = (target: string) => listener({ ...nothing, suspect: [mountEntry(target)] });
    return { drift, keys, removed, added, suspect, at, stacks };
  }

  it('names the mount whose target changed, also when something above it did', () => {
    const { keys, removed } = watch();
    removed('/mnt/m');
    removed('/mnt');
    removed('/mnt/other');
    expect(keys).to.deep.equal(['team/m', 'team/m']);
  });

  it('names the volume whose stage changed', () => {
    const { keys, removed, added, stacks } = watch();
    removed('/mnt/.volumes/u-1');
    removed('/mnt/.volumes/u-1/below');
    removed('/mnt/.volumes/u-2');
    expect(keys, 'and what its mounts show').to.deep.equal(['volume team/data', 'team/m']);
    const stage = mountEntry('/mnt/.volumes/u-1');
    stacks.set('/mnt/.volumes/u-1', [stage]);
    added('/mnt/.volumes/u-1');
    expect(keys, 'who made it looks at it').to.have.length(2);
    stacks.set('/mnt/.volumes/u-1', [stage, stage]);
    added('/mnt/.volumes/u-1');
    expect(keys, 'mounted over').to.have.length(4);
  });

  it('names what the kernel complained of, though nothing changed in the table', () => {
    const { keys, suspect } = watch();
    suspect('/mnt/.volumes/u-1');
    expect(keys).to.deep.equal(['volume team/data', 'team/m']);
    suspect('/mnt/m');
    expect(keys).to.have.length(3);
  });

  it('keeps quiet about our own work, but not about who was faster', async () => {
    const { drift, keys, removed, at } = watch();
    at.set('/mnt/m', mountEntry('/mnt/m', 5));
    await drift.quietly('team/m', '/mnt/m', async (settled) => {
      removed('/mnt/m');
      settled(mountEntry('/mnt/m', 5));
    });
    expect(keys).to.deep.equal([]);
    await drift.quietly('team/m', '/mnt/m', async (settled) => {
      settled(mountEntry('/mnt/m', 5));
      at.set('/mnt/m', { ...mountEntry('/mnt/m', 5), options: ['ro'] });
    });
    expect(keys).to.deep.equal(['team/m']);
    await drift.quietly('team/m', '/mnt/m', async (settled) => {
      settled(at.get('/mnt/m'));
      at.delete('/mnt/m');
      removed('/mnt/m');
    });
    expect(keys).to.deep.equal(['team/m', 'team/m']);
  });

  it('tells of a cover above the target although a look at it is going on', async () => {
    const { drift, keys, added, suspect, at } = watch();
    at.set('/mnt/m', mountEntry('/mnt/m', 5));
    await drift.quietly('team/m', '/mnt/m', async (settled) => {
      settled(mountEntry('/mnt/m', 5));
      added('/mnt');
      expect(keys).to.deep.equal(['team/m']);
      suspect('/mnt/m');
    });
    expect(keys).to.deep.equal(['team/m', 'team/m']);
  });

  it('loses no change during work that ended without a look', async () => {
    const { drift, keys, removed } = watch();
    await drift.quietly('team/m', '/mnt/m', async () => removed('/mnt/m'));
    await drift.quietly('team/m', '/mnt/m', async () => undefined);
    expect(keys).to.deep.equal(['team/m']);
  });
});
