import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import { FINALIZERS, LABELS, RESTORE_UID_ANNOTATION } from '../../../src/api/group.ts';
import type { KubeObjectBase } from '../../../src/api/meta.ts';
import type { RestoreSpec, RestoreStatus } from '../../../src/api/restore.ts';
import type { Snapshot } from '../../../src/api/snapshot.ts';
import type { VolumeStatus } from '../../../src/api/volume.ts';
import { takenDownFor } from '../../../src/controllers/restore/attached.ts';
import { restoreBindingReconciler } from '../../../src/controllers/restore-binding/reconciler.ts';
import {
  BY_VOLUME,
  BY_VOLUME_UID,
  volumeOfMount,
  volumeUidOfVolumeRestore,
} from '../../../src/controllers/support/indexes.ts';
import { CACHE_BEHIND_MS } from '../../../src/controllers/support/live.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { condition, mount, NOW, restore, snapshot, volume } from '../support/objects.ts';
import { World } from '../support/world.ts';

const source = { volumeName: 'data', volumeUID: 'uid-data', volumeSpec: { emptyDir: {} } };
const origin = { snapshotName: 's', snapshotUID: 'uid-s', volumeName: 'data', volumeUID: 'uid-data' };
const bound: RestoreStatus = { nodeName: 'a', source: origin, startTime: '2026-01-01T00:00:00Z' };
const provisioned = [condition('Provisioned', 'True', 'Provisioned')];

class BindingWorld extends World {
  /** Whose name a new snapshot finds taken. */
  taken: Snapshot | undefined;
  readonly created: KubeObjectBase[] = [];
  lost = false;
  readonly #reconcile;

  constructor() {
    super();
    this.mounts.addIndex(BY_VOLUME, volumeOfMount);
    this.volumeRestores.addIndex(BY_VOLUME_UID, volumeUidOfVolumeRestore);
    this.#reconcile = restoreBindingReconciler({
      restores: this.restores,
      snapshots: this.snapshots,
      volumes: this.volumes,
      mounts: this.mounts,
      volumeRestores: this.volumeRestores,
      isLost: () => this.lost,
      client: {
        create: async (_resource, object) => {
          if (this.taken !== undefined) throw new KubeError({ reason: 'AlreadyExists', status: 409, message: 'there' });
          this.created.push(object);
          return object;
        },
        get: <T>() => Promise.resolve(this.taken as T),
      },
      live: this.live,
      writer: this.writer('controller'),
      events: this.sink,
    });
  }

  run(name = 'r') {
    return this.#reconcile(`team/${name}`, this.context());
  }

  get status(): RestoreStatus | undefined {
    return this.restores.get('team/r')?.status;
  }

  get ready(): string {
    const { status, reason, message } = findCondition(this.status?.conditions, 'Ready') ?? {};
    return `${status} ${reason} ${message}`;
  }
}

function world(spec: Partial<RestoreSpec> = {}, status: RestoreStatus = {}, volumeStatus: VolumeStatus = {}) {
  return new BindingWorld().add(
    restore('r', spec, status),
    snapshot('s', {}, { nodeName: 'a', source, readyToUse: true }),
    volume('data', {}, { nodeName: 'a', conditions: provisioned, ...volumeStatus }),
  );
}

describe('a restore and the controller', () => {
  it('is given to the node of its snapshot, with what it is about', async () => {
    const on = world();
    await on.run();
    expect(on.status).to.deep.include({ ...bound, startTime: '2026-01-01T00:00:00Z' });
    expect(on.status?.conditions).to.equal(undefined);
  });

  it('has what is replaced kept first, under a name that follows from its own', async () => {
    const on = world({}, bound);
    await on.run();
    expect(on.created).to.have.length(1);
    const { metadata, spec } = on.created[0] as Snapshot;
    expect(metadata.name).to.equal('r-safety');
    expect(metadata.labels).to.deep.equal({ [LABELS.restore]: 'r', [LABELS.volume]: 'data' });
    expect(metadata.annotations).to.deep.equal({ [RESTORE_UID_ANNOTATION]: 'uid-r' });
    expect(metadata.ownerReferences).to.equal(undefined);
    expect(spec).to.deep.equal({ volumeRef: { name: 'data' } });
    expect(on.status?.safetySnapshotRef).to.deep.equal({ name: 'r-safety' });
    on.writes.length = 0;
    await on.run();
    expect([on.created.length, on.writes]).to.deep.equal([1, []]);
  });

  it('finds the safety snapshot that it made before a crash, and ends when the name is another one’s', async () => {
    const on = world({}, bound);
    on.taken = snapshot('r-safety', {}, {}, { annotations: { [RESTORE_UID_ANNOTATION]: 'uid-r' } });
    await on.run();
    expect(on.status?.safetySnapshotRef).to.deep.equal({ name: 'r-safety' });
    const other = world({}, bound);
    other.taken = snapshot('r-safety');
    await other.run();
    expect(other.ready).to.match(/^False SafetySnapshotFailed/);
    expect(other.status).to.have.property('completionTime');
  });

  it('keeps nothing first when it is told so', async () => {
    const on = world({ safetySnapshot: false }, bound);
    await on.run();
    expect([on.created, on.status?.safetySnapshotRef]).to.deep.equal([[], undefined]);
  });

  it('is refused for good while VolumeMounts name the volume, with their names', async () => {
    const on = world();
    on.add(mount('web'), mount('job'));
    await on.run();
    expect(on.ready).to.match(/^False VolumeInUse .*"web", "job"/);
    expect(on.status?.completionTime).to.equal('2026-01-01T00:00:00Z');
    expect(on.events).to.deep.equal(['Warning VolumeInUse Restore/r']);
    on.mounts.delete('team/web');
    on.mounts.delete('team/job');
    on.writes.length = 0;
    await on.run();
    expect([on.writes, on.status?.nodeName]).to.deep.equal([[], undefined]);
  });

  it('is given to its node although mounts name the volume, when they are to be made again', async () => {
    const on = world({ whenAttached: 'Remount' });
    on.add(mount('web', {}, { nodeName: 'a' }, { finalizers: [FINALIZERS.mount] }));
    await on.run();
    expect(on.status?.nodeName).to.equal('a');
  });

  it('is refused for good while another node has the volume, which takes nothing down for it', async () => {
    const on = world({ whenAttached: 'Remount' });
    on.add(mount('web', {}, { nodeName: 'b' }));
    await on.run();
    expect(on.ready).to.match(/^False VolumeInUse .*on node "b"/);
    expect(on.status).to.have.property('completionTime');
  });

  it('has what is replaced kept only once the mounts are down: what was written until then is in it', async () => {
    const on = world({ whenAttached: 'Remount' }, bound);
    const isUp = condition('Mounted', 'True', 'Mounted');
    on.add(mount('web', {}, { nodeName: 'a', conditions: [isUp] }, { finalizers: [FINALIZERS.mount] }));
    expect(await on.run()).to.have.property('requeueAfterMs');
    expect([on.created, on.status?.safetySnapshotRef]).to.deep.equal([[], undefined]);
    const isDown = { ...condition('Mounted', 'False', 'RestoreInProgress'), message: takenDownFor('r') };
    on.add(mount('web', {}, { nodeName: 'a', conditions: [isDown] }, { finalizers: [FINALIZERS.mount] }));
    await on.run();
    expect(on.status?.safetySnapshotRef).to.deep.equal({ name: 'r-safety' });
  });

  it('keeps nothing before a mount is down that the cache does not show as begun yet', async () => {
    const on = world({ whenAttached: 'Remount' }, bound);
    on.add(mount('web', {}, { nodeName: 'a' }));
    on.addAhead(mount('web', {}, { nodeName: 'a' }, { finalizers: [FINALIZERS.mount] }));
    expect(await on.run()).to.deep.equal({ requeueAfterMs: CACHE_BEHIND_MS });
    expect([on.created, on.status?.safetySnapshotRef]).to.deep.equal([[], undefined]);
  });

  it('is refused while a grant is not given back', async () => {
    const attachments = [{ mountUID: 'uid-m', workloadId: 'w', nodeName: 'b', readOnly: false }];
    const on = world({}, {}, { attachments });
    await on.run();
    expect(on.ready).to.match(/VolumeInUse .*workload "w" on node "b"/);
  });

  it('waits a moment before it is refused, for what is on its way', async () => {
    const on = world();
    on.add(restore('r', {}, {}, { creationTimestamp: new Date(NOW).toISOString() }), mount('web'));
    expect((await on.run()).requeueAfterMs).to.equal(200);
    expect(on.writes).to.deep.equal([]);
    on.mounts.delete('team/web');
    await on.run();
    expect(on.status?.nodeName).to.equal('a');
  });

  const refusals: readonly (readonly [what: string, reason: string, arrange: (on: BindingWorld) => void])[] = [
    ['a snapshot that is not there', 'SnapshotNotFound', (on) => on.snapshots.delete('team/s')],
    [
      'a snapshot that is not ready',
      'SnapshotNotReady',
      (on) => on.add(snapshot('s', {}, { nodeName: 'a', source, readyToUse: false })),
    ],
    ['a volume that is gone', 'VolumeNotFound', (on) => on.volumes.delete('team/data')],
    [
      'a volume that has the name by now',
      'VolumeNotFound',
      (on) => on.add(volume('data', {}, { nodeName: 'a', conditions: provisioned }, { uid: 'uid-other' })),
    ],
    [
      'a volume that is being deleted',
      'VolumeDeleting',
      (on) => on.add(volume('data', {}, { nodeName: 'a' }, { deletionTimestamp: '2026-01-01T00:00:00Z' })),
    ],
    ['a volume whose storage is not there', 'VolumeNotReady', (on) => on.add(volume('data', {}, { nodeName: 'a' }))],
    ['a volume that another one takes back', 'VolumeInUse', (on) => on.add(restore('first', {}, bound))],
  ];
  for (const [what, reason, arrange] of refusals) {
    it(`is refused for good for ${what}`, async () => {
      const on = world();
      arrange(on);
      await on.run();
      expect(on.ready).to.include(`False ${reason} `);
      expect(on.status).to.have.property('completionTime');
      expect(on.status?.nodeName).to.equal(undefined);
    });
  }

  it('is not refused because of one that has ended', async () => {
    const on = world();
    on.add(restore('first', {}, { ...bound, completionTime: '2026-01-01T00:00:00Z' }));
    await on.run();
    expect(on.status?.nodeName).to.equal('a');
  });

  it('waits while it is paused', async () => {
    const on = world();
    on.add(restore('r', {}, {}, { annotations: { 'storage.clawbernetes.io/paused': 'true' } }));
    await on.run();
    expect(on.ready).to.match(/^Unknown Paused/);
    expect(on.status?.completionTime).to.equal(undefined);
  });

  it('is not known while its node is lost, unless it has ended', async () => {
    const on = world({ safetySnapshot: false }, bound);
    on.lost = true;
    await on.run();
    expect(on.ready).to.match(/^Unknown NodeLost/);
    const ended = world({}, { ...bound, completionTime: '2026-01-01T00:00:00Z' });
    ended.lost = true;
    await ended.run();
    expect(ended.writes).to.deep.equal([]);
  });
});
