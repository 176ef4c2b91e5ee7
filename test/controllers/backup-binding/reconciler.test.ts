import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { VolumeBackup } from '../../../src/api/backup.ts';
import { findCondition } from '../../../src/api/conditions.ts';
import { ANNOTATIONS, FINALIZERS, LABELS } from '../../../src/api/group.ts';
import { receive } from '../../../src/controllers/support/transit.ts';
import { condition, storageNode, volume } from '../support/objects.ts';
import { BackupWorld, backup, READY, repository } from './backup-world.ts';

const made = {
  nodeName: 'a',
  capacity: '1Gi',
  observedGeneration: 1,
  conditions: [condition('Ready', 'True', 'Provisioned'), condition('Provisioned', 'True', 'Provisioned')],
};

function world(): BackupWorld {
  return new BackupWorld().add(storageNode('a'), repository());
}

function reason(
  of: BackupWorld,
  type: 'Ready' | 'Stalled' | 'Reconciling' | 'DataComplete' | 'DeletionBlocked' = 'Ready',
) {
  return findCondition(of.backup().conditions, type)?.reason;
}

const failed = {
  snapshotID: undefined,
  conditions: [
    condition('Ready', 'False', 'SourceEmpty', 'It is empty.'),
    condition('Stalled', 'True', 'SourceEmpty', 'It is empty.'),
    condition('DataComplete', 'False', 'SourceEmpty', 'It is empty.'),
  ],
} as unknown as NonNullable<VolumeBackup['status']>;

const paused = { annotations: { [ANNOTATIONS.paused]: 'true' } };

describe('a Backup of volumes', () => {
  it('is Ready only when every part has ended well and the whole is written down', async () => {
    const of = world().add(volume('one', {}, made), volume('two', {}, made), backup());
    await of.settle();
    expect(of.parts.list().map(({ spec, status }) => [spec.volumeRef.name, status?.nodeName])).to.deep.equal([
      ['one', 'a'],
      ['two', 'a'],
    ]);
    expect(of.backup()).to.deep.include({ backupID: 'b-482010b2', clusterID: 'cluster', nodeName: 'a' });
    expect(reason(of)).to.equal('BackingUp');
    await of.end('one');
    await of.settle();
    expect([reason(of), of.backup().items]).to.deep.equal(['BackingUp', { succeeded: 1, failed: 0, skipped: 0 }]);
    await of.end('two');
    await of.settle();
    expect([reason(of), of.backup().completionTime]).to.deep.equal(['Recording', undefined]);
    await of.record();
    await of.settle();
    expect([reason(of), reason(of, 'DataComplete')]).to.deep.equal(['BackedUp', 'Complete']);
    expect(of.backup().completionTime).to.be.a('string');
    expect(of.backup().uploadedBytes).to.equal(10);
    for (const name of ['one', 'two']) {
      expect(of.volumes.get(`team/${name}`)?.status?.lastBackupTime).to.equal(of.backup().startTime);
    }
    expect(of.secrets.list(), 'Secrets that are left').to.deep.equal([]);
    const writes = of.writes.length;
    await of.settle();
    expect(of.writes).to.have.length(writes);
  });

  it('hands over a document with what each volume was when the backup began', async () => {
    const of = world().add(volume('one', {}, made), backup());
    await of.settle();
    of.add(volume('one', { capacity: '9Gi' }, made));
    await of.end('one');
    await of.settle();
    const found = await receive(backup(), 'document', { client: of.client }, new AbortController().signal);
    const document = JSON.parse(found?.files.get('backup.json') ?? '');
    expect(document).to.deep.include({
      backupID: 'b-482010b2',
      clusterID: 'cluster',
      namespace: 'team',
      scope: 'Volumes',
    });
    expect(document.volumes).to.have.length(1);
    expect(document.volumes[0]).to.deep.include({
      name: 'one',
      snapshotID: 'snap-one',
      isComplete: true,
      isConsistent: true,
    });
    expect(document.volumes[0].document.spec.capacity).to.equal(undefined);
    expect(
      of.backup().manifestSecretRefs?.map(({ name }) => of.secrets.get(`team/${name}`) !== undefined),
    ).to.deep.equal([true, true]);
  });

  it('has failed when a part has, and is not tried again', async () => {
    const of = world().add(volume('one', {}, made), volume('two', {}, made), backup());
    await of.settle();
    await of.end('one');
    await of.end('two', failed);
    await of.settle();
    expect([reason(of), reason(of, 'Stalled'), reason(of, 'DataComplete')]).to.deep.equal([
      'SourceEmpty',
      'SourceEmpty',
      'SourceEmpty',
    ]);
    expect(of.backup().items).to.deep.equal({ succeeded: 1, failed: 1, skipped: 0 });
    expect(of.backup().completionTime).to.be.a('string');
    expect(of.secrets.list()).to.deep.equal([]);
  });

  it('says what it lacks where onPartial allows that', async () => {
    const of = world().add(volume('one', {}, made), volume('two', {}, made), backup('b', { onPartial: 'Allow' }));
    await of.settle();
    await of.end('one');
    await of.end('two', failed);
    await of.settle();
    await of.record();
    await of.settle();
    expect([reason(of), reason(of, 'DataComplete')]).to.deep.equal(['BackedUpPartly', 'SourceEmpty']);
    expect(findCondition(of.backup().conditions, 'Ready')?.message).to.contain('two');
  });

  it('fails with nothing to back up instead of being a success of nothing', async () => {
    for (const scope of ['Volumes', 'Full'] as const) {
      const of = world().add(backup('b', { scope }));
      await of.settle();
      expect(reason(of, 'Stalled')).to.equal('NothingToBackUp');
    }
    const of = new BackupWorld().add(storageNode('a'), { ...repository(), kind: 'BackupRepository' });
    of.add(backup('b', { scope: 'Volumes', volumeSelector: { matchLabels: { no: 'such' } } }), volume('one', {}, made));
    await of.settle();
    expect([reason(of, 'Stalled'), of.parts.list()]).to.deep.equal(['NothingToBackUp', []]);
  });

  it('fails for a volume that is named and is not there', async () => {
    const of = world().add(volume('one', {}, made), backup('b', { volumeRefs: [{ name: 'one' }, { name: 'no' }] }));
    await of.settle();
    expect([reason(of, 'Reconciling'), of.parts.list()]).to.deep.equal(['VolumeNotFound', []]);
    expect(findCondition(of.backup().conditions, 'Ready')?.message).to.contain('"no"');
    await of.clock.advance(60_000);
    await of.settle();
    await of.end('one');
    await of.settle();
    expect([reason(of), of.backup().items]).to.deep.equal(['VolumeNotFound', { succeeded: 1, failed: 1, skipped: 0 }]);
  });

  it('waits for a volume that it names and that is applied after it', async () => {
    const of = world().add(backup('b', { volumeRefs: [{ name: 'one' }] }));
    await of.settle();
    expect(reason(of, 'Reconciling')).to.equal('VolumeNotFound');
    of.add(volume('one', {}, made));
    await of.settle();
    expect([reason(of), of.part('one').status?.nodeName]).to.deep.equal(['BackingUp', 'a']);
  });

  it('waits for storage that is being made, reads the others meanwhile, and says what it waits for', async () => {
    const of = world().add(volume('new', {}, {}), volume('one', {}, made), backup());
    await of.settle();
    expect([reason(of), of.part('one').status?.nodeName]).to.deep.equal(['BackingUp', 'a']);
    expect(of.part('new').status).to.equal(undefined);
    await of.end('one');
    await of.settle();
    expect([reason(of), reason(of, 'Reconciling')]).to.deep.equal(['VolumeNotReady', 'VolumeNotReady']);
    expect(findCondition(of.backup().conditions, 'Ready')?.message).to.contain('"new"');
    of.add(volume('new', {}, made));
    await of.settle();
    expect([reason(of), of.part('new').status?.nodeName]).to.deep.equal(['BackingUp', 'a']);
  });

  it('takes no place from others for what waits', async () => {
    const placed = { nodeName: 'a', observedGeneration: 1, conditions: [condition('Ready', 'False', 'Provisioning')] };
    const of = world().add(...['1', '2'].map((name) => volume(name, {}, placed)), volume('3', {}, made), backup());
    await of.settle();
    const given = ['1', '2', '3'].map((name) => of.part(name).status?.nodeName);
    expect(given).to.deep.equal([undefined, undefined, 'a']);
  });

  it('fails for storage that does not come, with what the volume says of it', async () => {
    const said = (type: 'Reconciling' | 'Stalled') => [
      condition('Ready', 'False', 'ServerUnreachable', 'No answer.'),
      condition(type, 'True', 'ServerUnreachable', 'No answer.'),
    ];
    for (const [type, ms] of [
      ['Reconciling', 600_000],
      ['Stalled', 60_000],
    ] as const) {
      const of = world().add(volume('one', {}, { nodeName: 'a', conditions: said(type) }), backup());
      await of.settle();
      expect(reason(of, 'Reconciling')).to.equal('VolumeNotReady');
      await of.clock.advance(ms);
      await of.settle();
      expect([reason(of), reason(of, 'Stalled')]).to.deep.equal(['VolumeNotReady', 'VolumeNotReady']);
      expect(findCondition(of.backup().conditions, 'Ready')?.message).to.contain('No answer.');
    }
  });

  it('does not wait for storage that was there once, nor in a run of a schedule', async () => {
    const gone = { nodeName: 'a', conditions: [condition('Provisioned', 'False', 'DataMissing')] };
    const scheduled = { labels: { [LABELS.schedule]: 'daily' } };
    for (const of of [
      world().add(volume('one', {}, gone), backup()),
      world().add(volume('one', {}, { nodeName: 'a' }), backup('b', {}, {}, scheduled)),
    ]) {
      await of.settle();
      expect([reason(of), reason(of, 'Stalled')]).to.deep.equal(['VolumeNotReady', 'VolumeNotReady']);
    }
    const of = world().add(backup('b', { volumeRefs: [{ name: 'no' }] }, {}, scheduled));
    await of.settle();
    expect(reason(of, 'Stalled')).to.equal('VolumeNotFound');
  });

  it('says in its own words that what was read is gone, and goes on saying it', async () => {
    const of = world().add(volume('one', {}, made), backup());
    await of.settle();
    await of.end('one', {
      ...failed,
      conditions: [condition('Ready', 'False', 'BackupMissing', 'It is gone.')],
    });
    await of.settle();
    expect([reason(of), reason(of, 'Stalled'), reason(of, 'DataComplete')]).to.deep.equal([
      'BackupFailed',
      'BackupFailed',
      'BackupFailed',
    ]);
  });

  it('counts a part that somebody has deleted as lacking', async () => {
    const of = world().add(volume('one', {}, made), volume('two', {}, made), backup());
    await of.settle();
    await of.end('one');
    of.parts.delete(`team/${of.part('two').metadata.name}`);
    await of.settle();
    expect(reason(of)).to.equal('VolumeNotFound');
  });

  it('says that it is paused, begins and ends nothing meanwhile, and goes on afterwards', async () => {
    const of = world().add(volume('one', {}, made), backup('b', {}, {}, paused));
    await of.settle();
    expect([reason(of), reason(of, 'Reconciling'), of.parts.list()]).to.deep.equal(['Paused', undefined, []]);
    expect(findCondition(of.backup().conditions, 'Ready')?.status).to.equal('Unknown');
    of.add(backup('b', {}, of.backup()));
    await of.settle();
    expect(reason(of)).to.equal('BackingUp');
    await of.end('one');
    await of.settle();
    of.add(backup('b', {}, of.backup(), paused));
    await of.record();
    await of.settle();
    expect([reason(of), reason(of, 'DataComplete')]).to.deep.equal(['Paused', 'Complete']);
    expect(of.backup().completionTime).to.equal(undefined);
    of.add(backup('b', {}, of.backup()));
    await of.settle();
    expect(reason(of)).to.equal('BackedUp');
  });

  it('gives a node two parts at a time, and a Backup no more than its parallelism', async () => {
    const volumes = ['1', '2', '3', '4'].map((name) => volume(name, {}, made));
    const of = world().add(...volumes, backup());
    await of.settle();
    const running = () =>
      of.parts.list().filter(({ status }) => status?.nodeName !== undefined && status.completionTime === undefined);
    expect(running()).to.have.length(2);
    for (const { spec } of running()) await of.end(spec.volumeRef.name);
    await of.settle();
    expect(running()).to.have.length(2);
    const alone = world().add(...volumes, backup('b', { limits: { parallelism: 1 } }));
    await alone.settle();
    expect(alone.parts.list().filter(({ status }) => status?.nodeName !== undefined)).to.have.length(1);
  });

  it('makes the same parts when it was killed at any write', async () => {
    for (let kill = 0; kill < 40; kill += 1) {
      const of = world().add(volume('one', {}, made), volume('two', {}, made), backup());
      let left = kill;
      const create = of.client.create;
      const patch = of.client.patch;
      Object.assign(of.client, {
        create: (...args: Parameters<typeof create>) =>
          left-- === 0 ? Promise.reject(new Error('killed')) : create(...args),
        patch: (...args: Parameters<typeof patch>) =>
          left-- === 0 ? Promise.reject(new Error('killed')) : patch(...args),
      });
      await of.settle().catch(() => undefined);
      await of.settle();
      expect(of.parts.list()).to.have.length(2);
      await of.end('one');
      await of.end('two');
      await of.settle().catch(() => undefined);
      await of.settle();
      await of.record();
      await of.settle();
      expect(reason(of)).to.equal('BackedUp');
      expect(of.secrets.list()).to.deep.equal([]);
    }
  });
});

describe('the repository of a Backup', () => {
  it('is waited for, with its own reason, and refused when it is refused', async () => {
    const of = world().add(volume('one', {}, made), backup());
    of.add(repository('repo', { ...READY, conditions: [condition('Ready', 'False', 'ServerUnreachable')] }));
    await of.settle();
    expect([reason(of), reason(of, 'Reconciling'), of.parts.list().length]).to.deep.equal([
      'ServerUnreachable',
      'ServerUnreachable',
      0,
    ]);
    const stalled = [
      condition('Ready', 'False', 'WrongPassword'),
      condition('Stalled', 'True', 'WrongPassword', 'No.'),
    ];
    of.add(repository('repo', { ...READY, conditions: stalled }));
    await of.settle();
    expect([reason(of, 'Stalled'), of.backup().completionTime !== undefined]).to.deep.equal(['WrongPassword', true]);
  });

  it('is not waited for long when it does not exist', async () => {
    const of = new BackupWorld().add(storageNode('a'), volume('one', {}, made), backup());
    await of.run();
    expect(reason(of, 'Reconciling')).to.equal('RepositoryNotFound');
    await of.clock.advance(61_000);
    await of.run();
    expect(reason(of, 'Stalled')).to.equal('RepositoryNotFound');
  });

  it('is made for a destination, below it for the namespace, with a key that is never replaced', async () => {
    const of = new BackupWorld().add(
      storageNode('a'),
      volume('one', {}, made),
      backup('b', { destination: 's3://kept/here' }),
    );
    await of.settle();
    const [repo] = of.repositories.list();
    expect(repo?.spec.s3).to.deep.equal({ bucket: 'kept', prefix: 'here/team' });
    const [key] = of.secrets.list();
    expect(key?.metadata.name).to.equal(repo?.spec.encryption.secretRef.name);
    expect(Buffer.from(key?.stringData?.['password'] ?? '', 'base64')).to.have.length(32);
    of.add(backup('c', { destination: 's3://kept/here/' }));
    await of.settle('c');
    expect([of.repositories.list().length, of.secrets.list().length]).to.deep.equal([1, 1]);
    of.repositories.delete(`team/${repo?.metadata.name}`);
    await of.settle('c');
    expect(of.secrets.list()).to.deep.equal([key]);
  });

  it('is completed by what the config says of the destination, with a key that is brought, not made', async () => {
    const endpoint = 'https://minio.example:9000';
    const of = new BackupWorld();
    of.destinations.push({ url: 's3://kept', endpoint, credentialsSecret: 'minio', keySecret: 'ours' });
    of.add(storageNode('a'), volume('one', {}, made), backup('b', { destination: 's3://kept/here' }));
    await of.settle();
    const [repo, ...more] = of.repositories.list();
    expect(more).to.deep.equal([]);
    expect(repo?.spec).to.deep.equal({
      s3: { bucket: 'kept', prefix: 'here/team', endpoint, credentialsSecretRef: { name: 'minio' } },
      encryption: { secretRef: { name: 'ours' } },
    });
    expect(of.secrets.list()).to.deep.equal([]);
  });

  it('is on the node of the volumes where it is a directory, and refused where that is several', async () => {
    const destination = '/srv/kept';
    const of = new BackupWorld().add(
      storageNode('a'),
      storageNode('b'),
      volume('one', {}, made),
      backup('b', { destination }),
    );
    await of.settle();
    expect(of.repositories.list()[0]?.spec).to.deep.include({ hostPath: { path: '/srv/kept/team' }, nodeName: 'a' });
    of.add(volume('two', {}, { ...made, nodeName: 'b' }), backup('c', { destination }));
    await of.settle('c');
    expect(findCondition(of.backup('c').conditions, 'Stalled')?.reason).to.equal('InvalidSpec');
  });

  it('waits, where it is a directory, until the volumes have their node', async () => {
    const of = new BackupWorld().add(storageNode('a'), storageNode('b'), volume('one', {}, {}));
    of.add(backup('b', { destination: '/srv/kept' }));
    await of.settle();
    expect([reason(of, 'Reconciling'), of.repositories.list()]).to.deep.equal(['NoMatchingNode', []]);
    of.add(volume('one', {}, made));
    await of.settle();
    expect(of.repositories.list()[0]?.spec.nodeName).to.equal('a');
  });
});

describe('the end of a Backup', () => {
  it('comes by cancel: what waits is ended, what runs is asked to stop and waited for', async () => {
    const of = world().add(...['1', '2', '3'].map((name) => volume(name, {}, made)), backup());
    await of.settle();
    of.add(backup('b', { cancel: true }, of.backup(), { finalizers: [FINALIZERS.backup], generation: 2 }));
    await of.settle();
    expect(
      of.parts.list().map(({ spec, status }) => [spec.cancel === true, status?.completionTime !== undefined]),
    ).to.deep.equal([
      [true, false],
      [true, false],
      [false, true],
    ]);
    expect(of.backup().completionTime).to.equal(undefined);
    const cancelled = { ...failed, conditions: [condition('Ready', 'False', 'Cancelled')] } as const;
    await of.end('1', cancelled);
    await of.end('2', cancelled);
    await of.settle();
    expect([reason(of, 'Stalled'), of.backup().completionTime !== undefined]).to.deep.equal(['Cancelled', true]);
  });

  it('waits for a part that the cache does not show yet', async () => {
    const of = world().add(volume('one', {}, made), backup());
    await of.settle();
    const part = of.part('one');
    of.parts.delete(`team/${part.metadata.name}`);
    of.addAhead(part);
    of.add(backup('b', { cancel: true }, of.backup(), { finalizers: [FINALIZERS.backup], generation: 2 }));
    await of.run();
    expect(of.backup().completionTime).to.equal(undefined);
    of.parts.set(part);
    of.ahead.clear();
    await of.settle();
    expect(of.part('one').spec.cancel).to.equal(true);
  });

  it('comes by the deadline, also where a node is lost and never answers', async () => {
    const of = world().add(volume('one', {}, made), backup('b', { activeDeadlineSeconds: 600 }));
    await of.settle();
    of.lost.add('a');
    await of.clock.advance(601_000);
    await of.settle();
    expect([reason(of), of.backup().completionTime]).to.deep.equal(['BackingUp', undefined]);
    await of.clock.advance(60_000);
    await of.settle();
    expect([reason(of, 'Stalled'), of.backup().completionTime !== undefined]).to.deep.equal(['DeadlineExceeded', true]);
  });

  it('comes when the node that read a volume was taken out of the cluster', async () => {
    const of = world().add(volume('one', {}, made), backup());
    await of.settle();
    of.nodes.delete('a');
    of.lost.add('a');
    await of.settle();
    expect(reason(of, 'Stalled')).to.equal('NodeLost');
  });

  it('does not come by a node or a volume that a cache does not show yet', async () => {
    const of = world().add(volume('one', {}, made), volume('two', {}, made), backup());
    await of.run();
    const [node, one] = [of.nodes.get('a'), of.volumes.get('team/one')];
    if (node === undefined || one === undefined) throw new Error('nothing is there');
    of.volumes.delete('team/one');
    of.addAhead(one);
    await of.settle();
    expect([of.part('one').status?.nodeName, of.part('one').status?.completionTime]).to.deep.equal([
      undefined,
      undefined,
    ]);
    expect(of.part('two').status?.nodeName).to.equal('a');
    of.nodes.delete('a');
    of.lost.add('a');
    of.addAhead(node);
    await of.settle();
    expect(of.part('two').status?.completionTime, 'the node').to.equal(undefined);
    of.ahead.clear();
    await of.settle();
    const why = (name: string) => findCondition(of.part(name).status?.conditions, 'Stalled')?.reason;
    expect([why('one'), why('two')]).to.deep.equal(['VolumeNotFound', 'NodeLost']);
  });

  it('is the deletion of the Backup when its ttl has passed', async () => {
    const of = world().add(volume('one', {}, made), backup('b', { ttl: '1h' }));
    await of.settle();
    await of.end('one');
    await of.settle();
    await of.record();
    await of.settle();
    expect(Date.parse(of.backup().expirationTime ?? '') - Date.parse(of.backup().completionTime ?? '')).to.equal(
      3_600_000,
    );
    expect(of.requests).not.to.include('delete Backup/b');
    await of.clock.advance(3_600_000);
    await of.run();
    expect(of.requests).to.include('delete Backup/b');
  });

  it('is no deletion by a clock that leaps ahead, and one again when it was put right', async () => {
    const of = world().add(volume('one', {}, made), backup('b', { ttl: '1h' }));
    await of.settle();
    await of.end('one');
    await of.settle();
    await of.record();
    await of.settle();
    of.clock.leap(TEN_YEARS_MS);
    await of.run();
    expect(of.requests).not.to.include('delete Backup/b');
    expect(of.events).to.include('Warning ExpiryHeld Backup/b');
    of.clock.leap(-TEN_YEARS_MS);
    await of.clock.advance(3_600_000);
    await of.run();
    expect(of.requests).to.include('delete Backup/b');
  });
});

/** In milliseconds. */
const TEN_YEARS_MS = 10 * 365 * 86_400_000;

describe('the deletion of a Backup', () => {
  const deleting = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [FINALIZERS.backup] };

  it('is simple while nothing of it was in a repository', async () => {
    const of = world().add(backup('b', {}, {}, deleting));
    await of.settle();
    expect(of.backups.get('team/b')).to.equal(undefined);
  });

  it('waits while it is paused, and says so', async () => {
    const conditions = [condition('Ready', 'True', 'BackedUp'), condition('DataComplete', 'True', 'Complete')];
    const items = { succeeded: 1, failed: 0, skipped: 0 };
    const ended = { completionTime: '2026-01-01T00:00:00Z', items, conditions };
    const of = world().add(backup('b', {}, ended, { ...deleting, ...paused }));
    await of.settle();
    expect([reason(of), reason(of, 'DeletionBlocked')]).to.deep.equal(['BackedUp', 'Paused']);
    of.add(backup('b', {}, of.backup(), deleting));
    await of.run();
    expect([reason(of), reason(of, 'DeletionBlocked')]).to.deep.equal(['BackedUp', undefined]);
    const fresh = world().add(backup('b', {}, {}, { ...deleting, ...paused }));
    await fresh.settle();
    expect([reason(fresh), reason(fresh, 'DeletionBlocked')]).to.deep.equal(['Paused', 'Paused']);
  });

  it('cancels what runs first, and is then up to the agent', async () => {
    const of = world().add(volume('one', {}, made), backup());
    await of.settle();
    of.add(backup('b', {}, of.backup(), deleting));
    await of.settle();
    expect(of.part('one').spec.cancel).to.equal(true);
    await of.end('one', failed);
    await of.settle();
    expect([reason(of, 'Stalled'), of.backups.get('team/b')?.metadata.finalizers]).to.deep.equal([
      'Cancelled',
      [FINALIZERS.backup],
    ]);
  });

  it('leaves the data where the repository is gone, and says so', async () => {
    const status = {
      backupID: 'b-1',
      items: { succeeded: 1, failed: 0, skipped: 0 },
      completionTime: '2026-01-01T00:00:00Z',
    };
    const of = world().add(backup('b', {}, status, deleting));
    of.repositories.delete('team/repo');
    of.addAhead(repository());
    await of.settle();
    expect(of.backups.get('team/b'), 'the cache does not show the repository yet').to.not.equal(undefined);
    of.ahead.clear();
    await of.settle();
    expect(of.backups.get('team/b')).to.equal(undefined);
    expect(of.events).to.include('Warning DataRetained Backup/b');
  });
});
