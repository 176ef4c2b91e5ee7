import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { BackupRepository, BackupRepositorySpec } from '../../../src/api/backup-repository.ts';
import { findCondition } from '../../../src/api/conditions.ts';
import { FINALIZERS, LABELS } from '../../../src/api/group.ts';
import type { KubeObjectBase } from '../../../src/api/meta.ts';
import { repositoryBindingReconciler } from '../../../src/controllers/repository-binding/reconciler.ts';
import type { Work } from '../../../src/controllers/repository-binding/users.ts';
import { BY_NODE, BY_REPOSITORY, nodeOf, repositoryOfBackup } from '../../../src/controllers/support/indexes.ts';
import { CACHE_BEHIND_MS } from '../../../src/controllers/support/live.ts';
import { Store } from '../../../src/runtime/store.ts';
import { backup, repository } from '../repository/repository-world.ts';
import { condition, lostNode, storageNode, volumeClass } from '../support/objects.ts';
import { World } from '../support/world.ts';

const DAY = 86_400_000;
const RESTIC = [{ name: 'restic', available: true }];
const S3 = { hostPath: undefined, nodeName: undefined, s3: { bucket: 'backups' } } as never;
const EVERYTHING = {
  allowedHostPathPrefixes: ['/srv'],
  allowedS3Endpoints: ['*'],
  allowedS3Buckets: ['*'],
  allowedNfsServers: ['*'],
  allowAmbientCredentials: true,
};

/** As the server keeps it: what is not set is not there. */
function given(spec: Partial<BackupRepositorySpec>, ...more: readonly object[]): BackupRepository {
  const made = repository(spec, { nodeName: undefined, ...more[0] } as never, more[1] ?? {});
  return JSON.parse(JSON.stringify(made)) as BackupRepository;
}

class BindingWorld extends World {
  readonly lost = new Set<string>();
  /** Every patch and delete, as `VERB NAME`. */
  readonly requests: string[] = [];
  work: Omit<Work, 'backups'> = { volumeBackups: [], restores: [], volumeRestores: [] };

  constructor(...objects: readonly KubeObjectBase[]) {
    super();
    this.more.set('VolumeBackup', new Store<KubeObjectBase>());
    this.more.set('BackupRepository', this.repositories as unknown as Store<KubeObjectBase>);
    this.more.set('Backup', this.backups as unknown as Store<KubeObjectBase>);
    this.repositories.addIndex(BY_NODE, nodeOf);
    this.backups.addIndex(BY_REPOSITORY, repositoryOfBackup);
    const cluster = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-system', uid: 'cluster-1' } };
    this.add(cluster, volumeClass('default', EVERYTHING), ...objects);
    this.clock.advanceSync(10 * DAY);
  }

  run() {
    const reconcile = repositoryBindingReconciler({
      repositories: this.repositories,
      backups: this.backups,
      work: () => this.work,
      nodes: this.nodes,
      classes: this.classes,
      namespaces: this.namespaces,
      isLost: (name) => this.lost.has(name),
      client: {
        patch: async (_resource, { name }, body) => {
          this.requests.push(`patch ${name} ${JSON.stringify((body as { readonly spec: unknown }).spec)}`);
          return { metadata: { name, resourceVersion: 'patched' } } as never;
        },
        delete: async (_resource, { name }, options) => {
          this.requests.push(`delete ${name} at ${options?.preconditions?.resourceVersion}`);
        },
      },
      live: this.live,
      writer: this.writer('controller'),
      events: this.sink,
    });
    return reconcile('team/r', this.context());
  }

  get object(): BackupRepository | undefined {
    return this.repositories.get('team/r');
  }

  get nodeName() {
    return this.object?.status?.nodeName;
  }

  reason(type: 'Ready' | 'Stalled' | 'DeletionBlocked' = 'Ready') {
    return findCondition(this.object?.status?.conditions, type)?.reason;
  }
}

describe('binding of a repository', () => {
  it('gives a directory to its node, whatever that lacks, and others to one that can', async () => {
    const world = new BindingWorld(given({}), storageNode('a'));
    await world.run();
    expect(world.nodeName).to.equal('a');
    expect(world.object?.metadata.finalizers).to.deep.equal([FINALIZERS.repository]);
    const other = new BindingWorld(given(S3), storageNode('a'), storageNode('b', { features: RESTIC }));
    await other.run();
    expect(other.nodeName).to.equal('b');
  });

  it('waits for a node, and says what one needs', async () => {
    const world = new BindingWorld(given(S3), storageNode('a'));
    await world.run();
    expect(world.reason()).to.equal('NoMatchingNode');
    const gone = new BindingWorld(given({ nodeName: 'elsewhere' }), storageNode('a'));
    await gone.run();
    expect(gone.reason()).to.equal('NodeNotFound');
    const nfs = { hostPath: undefined, nodeName: undefined, nfs: { server: 'nas', path: '/e' } } as never;
    const types = [{ name: 'nfs' as const, supported: false }];
    const without = new BindingWorld(given(nfs), storageNode('a', { features: RESTIC, types }));
    await without.run();
    expect(without.reason()).to.equal('NoMatchingNode');
  });

  it('refuses what the policy forbids, and times that never come', async () => {
    const world = new BindingWorld(given({ hostPath: { path: '/etc' } }), storageNode('a'));
    await world.run();
    expect(world.reason('Stalled')).to.equal('HostPathNotAllowed');
    expect(world.nodeName).to.equal(undefined);
    const never = new BindingWorld(given({ check: { schedule: '0 0 31 2 *' } }), storageNode('a'));
    await never.run();
    expect(never.reason('Stalled')).to.equal('InvalidSpec');
    expect(never.object?.status?.conditions?.[0]?.message).to.contain('spec.check.schedule');
  });

  it('moves what lies on a server from a lost node, and nothing else', async () => {
    const world = new BindingWorld(given(S3, { nodeName: 'a' }), lostNode('a'), storageNode('b', { features: RESTIC }));
    world.lost.add('a');
    await world.run();
    expect(world.nodeName).to.equal('b');
    const directory = new BindingWorld(
      given({}, { nodeName: 'a' }),
      lostNode('a'),
      storageNode('b', { features: RESTIC }),
    );
    directory.lost.add('a');
    await directory.run();
    expect(directory.nodeName).to.equal('a');
    expect(directory.reason()).to.equal('NodeLost');
    const alone = new BindingWorld(given(S3, { nodeName: 'a' }), lostNode('a'));
    alone.lost.add('a');
    await alone.run();
    expect([alone.nodeName, alone.reason()]).to.deep.equal(['a', 'NodeLost']);
  });

  it('lets it go when nobody uses it any more', async () => {
    const deleting = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [FINALIZERS.repository] };
    const status = { startTime: '2026-01-01T00:00:00Z' };
    const said = { nodeName: 'a', observedGeneration: 1, conditions: [condition('Ready', 'True', 'Ready')] };
    const world = new BindingWorld(given({}, said, deleting), storageNode('a'), backup('running', status));
    const { requeueAfterMs } = await world.run();
    expect(world.reason('DeletionBlocked')).to.equal('RepositoryInUse');
    expect(requeueAfterMs).to.be.above(0);
    const goes = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [FINALIZERS.backup], resourceVersion: '2' };
    world.add(backup('running', { ...status, completionTime: '2026-01-01T00:00:00Z' }, {}, goes));
    await world.run();
    expect(world.object, 'its data is to be deleted first').to.not.equal(undefined);
    world.backups.delete('team/running');
    const location = { hostPath: { path: '/srv/backups/' }, nodeName: 'a', encryption: { secretRef: { name: 'key' } } };
    const part = {
      metadata: { name: 'p', namespace: 'team' },
      spec: { repository: location },
      status: { nodeName: 'a' },
    };
    world.work = { ...world.work, volumeRestores: [part as never] };
    await world.run();
    expect(world.object, 'a volume is being restored').to.not.equal(undefined);
    world.work = { ...world.work, volumeRestores: [] };
    world.addAhead(backup('running', status));
    expect(await world.run(), 'a backup that the cache does not show').to.deep.equal({
      requeueAfterMs: CACHE_BEHIND_MS,
    });
    world.removeAhead('Backup', 'team/running');
    world.work = { ...world.work, volumeRestores: [{ ...part, status: { completionTime: 'x' } } as never] };
    await world.run();
    expect(world.object).to.equal(undefined);
    expect(world.events.at(-1)).to.equal('Normal Retained BackupRepository/r');
  });
});

describe('retention of a repository', () => {
  const ready = { nodeName: 'a', conditions: [condition('Ready', 'True', 'Ready')], observedGeneration: 1 };
  const done = (day: number, clusterID = 'cluster-1') => ({
    clusterID,
    observedGeneration: 1,
    startTime: `2026-01-0${day}T02:00:00Z`,
    completionTime: `2026-01-0${day}T02:10:00Z`,
    conditions: [condition('Ready' as const, 'True', 'Ready')],
  });
  const labels = { [LABELS.schedule]: 'nightly' };

  it('deletes what no rule keeps, each group by itself, with the data', async () => {
    const world = new BindingWorld(
      given({ retention: { last: 1 } }, ready),
      storageNode('a'),
      backup('s1', done(1), {}, { labels, resourceVersion: '5' }),
      backup('s2', done(2), { deletionPolicy: 'Retain' }, { labels, resourceVersion: '6' }),
      backup('s3', done(3), {}, { labels }),
      backup('hand-1', done(1), { volumeRefs: [{ name: 'a' }] }, { resourceVersion: '7' }),
      backup('hand-2', done(2), { volumeRefs: [{ name: 'b' }] }),
      backup('hand-3', done(3), { volumeRefs: [{ name: 'a' }] }),
    );
    await world.run();
    expect(world.requests).to.have.members([
      'patch s1 {"deletionPolicy":"Delete"}',
      'delete s1 at patched',
      'delete s2 at 6',
      'patch hand-1 {"deletionPolicy":"Delete"}',
      'delete hand-1 at patched',
    ]);
  });

  it('keeps one in the place of one that is gone, or lost its data, and that the cache still shows', async () => {
    const three = () =>
      new BindingWorld(
        given({ retention: { last: 2 } }, ready),
        storageNode('a'),
        ...[1, 2, 3].map((day) => backup(`s${day}`, done(day), {}, { labels })),
      );
    const world = three().removeAhead('Backup', 'team/s3');
    await world.run();
    expect(world.requests).to.deep.equal([]);
    const lost = { ...done(3), conditions: [condition('Ready' as const, 'False', 'BackupMissing')] };
    const lacking = three().addAhead(backup('s3', lost, {}, { labels }));
    await lacking.run();
    expect(lacking.requests).to.deep.equal([]);
    const longer = three().addAhead(given({ retention: { last: 3 } }, ready));
    await longer.run();
    expect(longer.requests).to.deep.equal([]);
    const same = three();
    await same.run();
    expect(same.requests).to.include('delete s1 at patched');
  });

  it('keeps what is made after the clock was put back, and what was made before', async () => {
    const world = new BindingWorld(
      given({ retention: { last: 1 } }, ready),
      storageNode('a'),
      ...[2, 3, 8, 9].map((day) => backup(`s${day}`, done(day), {}, { labels })),
    );
    world.clock.advanceSync(-6 * DAY);
    await world.run();
    expect(world.requests.filter((request) => request.startsWith('delete'))).to.deep.equal(['delete s2 at patched']);
  });

  it('touches nothing of others, nothing that was found, and nothing while it is not Ready', async () => {
    const kept = [
      backup('mine', done(9), {}, { labels }),
      backup('other', done(1, 'cluster-2'), {}, { labels }),
      backup('found', done(1), { imported: { backupID: 'found-1' } }, { labels }),
      backup('failed', { ...done(1), conditions: [condition('Ready', 'False', 'EngineFailed')] }, {}, { labels }),
    ];
    const world = new BindingWorld(given({ retention: { last: 1 } }, ready), storageNode('a'), ...kept);
    await world.run();
    expect(world.requests).to.deep.equal([]);
    const old = backup('old', done(1), {}, { labels });
    for (const [spec, status] of [
      [{ retention: { last: 1 } }, { ...ready, conditions: [condition('Ready', 'False', 'RepositoryDamaged')] }],
      [{ retention: { last: 1 }, accessMode: 'ReadOnly' as const }, ready],
      [{}, ready],
    ] as const) {
      const still = new BindingWorld(given(spec, status), storageNode('a'), ...kept, old);
      await still.run();
      expect(still.requests).to.deep.equal([]);
    }
  });
});
