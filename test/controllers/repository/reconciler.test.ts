import { expect } from 'chai';
import { describe, it } from 'mocha';
import { keyMark } from '../../../src/api/backup-repository.ts';
import { ANNOTATIONS, FINALIZERS, KEY_EXPORTED_ANNOTATION, LABELS } from '../../../src/api/group.ts';
import { lockHolder } from '../../../src/controllers/support/lock-holder.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { condition, NOW } from '../support/objects.ts';
import { SOUND } from './memory-engine.ts';
import { backup, HOLDER, RepositoryWorld } from './repository-world.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const statusWrites = (world: RepositoryWorld) => world.writes.filter((write) => write.includes('BackupRepository'));

describe('a repository', () => {
  it('is made where nothing is, once, and then opened', async () => {
    const world = new RepositoryWorld();
    await world.run();
    expect(world.madeDirectories).to.deep.equal(['/srv/backups']);
    expect(world.condition('Ready')).to.equal('True Ready');
    expect(world.condition('Reachable')).to.equal('True Opened');
    expect(world.condition('Unlocked')).to.equal('True Unlocked');
    expect(world.status).to.deep.include({ url: 'file:///srv/backups', repositoryID: 'repository-1', backupCount: 0 });
    world.restart();
    await world.run();
    expect(world.memory.calls.filter((call) => call === 'initialize')).to.have.length(1);
  });

  it('is never made where one was before', async () => {
    const world = new RepositoryWorld({}, { repositoryID: 'repository-0' });
    await world.run();
    expect(world.condition('Ready')).to.equal('False RepositoryGone');
    expect(world.condition('Stalled')).to.equal('True RepositoryGone');
    expect(world.memory.calls).to.not.include('initialize');
    expect(world.madeDirectories).to.deep.equal([]);
    world.memory.id = 'repository-0';
    world.clock.advanceSync(10 * MINUTE);
    await world.run();
    expect(world.condition('Ready'), 'the disk is back').to.equal('True Ready');
  });

  it('is not another one that has its place', async () => {
    const world = new RepositoryWorld({}, { repositoryID: 'repository-0' });
    world.memory.id = 'repository-9';
    world.memory.backup('of-others');
    await world.run();
    expect(world.condition('Ready')).to.equal('False RepositoryReplaced');
    expect(world.writes).to.not.include('create Backup/of-others');
    expect(world.status.repositoryID).to.equal('repository-0');
  });

  it('is not another one that has its place between two looks: nothing is said of what that has and lacks', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    world.memory.backup('b');
    await world.run();
    world.adopt('b');
    await world.run();
    expect(world.ofBackup('b')).to.equal('True BackupFound');
    const own = world.memory.snapshots;
    world.memory.id = 'repository-2';
    world.memory.snapshots = [];
    world.memory.backup('of-others', 'cluster-2');
    world.clock.advanceSync(5 * MINUTE);
    await world.run();
    expect(world.condition('Ready')).to.equal('False RepositoryReplaced');
    expect([world.ofBackup('b'), world.backups.get('team/of-others')]).to.deep.equal(['True BackupFound', undefined]);
    world.memory.id = 'repository-1';
    world.memory.snapshots = own;
    world.clock.advanceSync(5 * MINUTE);
    await world.run();
    expect([world.condition('Ready'), world.ofBackup('b')]).to.deep.equal(['True Ready', 'True BackupFound']);
  });

  it('is not made for who only reads, nor above others, which are named', async () => {
    const reader = new RepositoryWorld({ accessMode: 'ReadOnly' });
    await reader.run();
    expect(reader.condition('Ready')).to.equal('False RepositoryNotFound');
    const base = new RepositoryWorld();
    base.memory.below = ['team', 'other'];
    await base.run();
    expect(base.condition('Ready')).to.equal('False RepositoryNotFound');
    const { message } = base.status.conditions?.[0] ?? {};
    expect(message).to.contain('team, other');
    expect([...reader.memory.calls, ...base.memory.calls]).to.not.include('initialize');
  });

  it('says what is wrong with it, and tries again later each time', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    world.memory.password = 'another';
    await world.run();
    expect(world.condition('Ready')).to.equal('False WrongPassword');
    expect(world.condition('Reachable')).to.equal('False WrongPassword');
    expect(JSON.stringify(world.status)).to.not.contain('hunter2');
    world.memory.password = 'hunter2';
    world.memory.fails.set('open', 'Unreachable');
    const waits: (number | undefined)[] = [];
    for (let round = 0; round < 8; round++) {
      world.clock.advanceSync(5 * MINUTE);
      waits.push(await world.run());
    }
    expect(world.condition('Ready')).to.equal('False ServerUnreachable');
    expect(world.condition('Reconciling')).to.equal('True ServerUnreachable');
    expect(waits.at(-1)).to.equal(5 * MINUTE);
    expect(waits[0]).to.be.below(30_000);
    world.memory.fails.clear();
    world.clock.advanceSync(5 * MINUTE);
    await world.run();
    expect(world.condition('Ready')).to.equal('True Ready');
  });

  it('keeps what was said of it over a restart until it has been looked at', async () => {
    const world = new RepositoryWorld();
    await world.run();
    const before = world.status;
    world.restart();
    world.secret = { state: 'unknown' };
    await world.run();
    expect(world.status).to.deep.equal(before);
  });

  it('says that its Secret is missing', async () => {
    const world = new RepositoryWorld();
    world.secret = { state: 'absent' };
    await world.run();
    expect(world.condition('Ready')).to.equal('False KeyNotFound');
    expect(world.memory.calls).to.deep.equal([]);
  });

  it('is refused where the policy does not allow it any more, also when it was open', async () => {
    const world = new RepositoryWorld();
    await world.run();
    world.classes.delete('default');
    await world.run();
    expect(world.condition('Ready')).to.equal('False HostPathNotAllowed');
    expect(world.condition('Stalled')).to.equal('True HostPathNotAllowed');
  });

  it('is left alone while paused', async () => {
    const world = new RepositoryWorld();
    world.edit((it) => ({ ...it, metadata: { ...it.metadata, annotations: { [ANNOTATIONS.paused]: 'true' } } }));
    await world.run();
    expect(world.condition('Ready')).to.equal('Unknown Paused');
    expect(world.memory.calls).to.deep.equal([]);
  });

  it('writes nothing while nothing happens but once an hour', async () => {
    const world = new RepositoryWorld();
    world.memory.backup('b');
    await world.run();
    world.adopt('b');
    await world.run();
    world.clock.advanceSync(5 * MINUTE);
    await world.run();
    const before = world.writes.length;
    for (let round = 0; round < 10; round++) {
      world.clock.advanceSync(5 * MINUTE);
      await world.run();
    }
    expect(world.writes.slice(before)).to.deep.equal([]);
    for (let round = 0; round < 12; round++) {
      world.clock.advanceSync(5 * MINUTE);
      await world.run();
    }
    expect(world.writes.slice(before)).to.have.length.within(1, 2);
    expect(
      world.memory.calls.filter((call) => call === 'size'),
      'asked only when something changed',
    ).to.have.length(1);
  });
});

describe('the key of a repository', () => {
  it('is kept nowhere else until it is exported, this key and no other', async () => {
    const world = new RepositoryWorld();
    await world.run();
    expect(world.condition('KeyExported')).to.equal('False KeyNotExported');
    const labels = { [LABELS.managedBy]: 'clawstore' };
    const data = { password: 'hunter2' };
    world.secret = { state: 'found', data, labels, annotations: { [KEY_EXPORTED_ANNOTATION]: keyMark('other') } };
    await world.run();
    expect(world.condition('KeyExported')).to.equal('False KeyNotExported');
    world.secret = { state: 'found', data, labels, annotations: { [KEY_EXPORTED_ANNOTATION]: keyMark('hunter2') } };
    await world.run();
    expect(world.condition('KeyExported')).to.equal('True KeyExported');
    world.secret = { state: 'found', data };
    await world.run();
    expect(world.condition('KeyExported')).to.equal('True KeyProvided');
    expect(await world.metrics.repositoryKeyExported.get()).to.nested.include({ 'values[0].value': 1 });
  });
});

describe('locks of a repository', () => {
  const lock = (id: string, holder: string, minutesOld: number) => ({
    id,
    holder,
    time: new Date(NOW - minutesOld * MINUTE).toISOString(),
    exclusive: false,
    username: 'root',
    pid: 2 ** 22 + 1,
  });

  it('are removed when their holder is proven gone, and otherwise named', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    const other = lockHolder({ identity: 'b_2', nodeName: 'b', bootID: 'boot' });
    const copy = lockHolder({ identity: 'a_1', nodeName: 'a', bootID: 'boot-of-copy' });
    world.memory.locks = [
      lock('ours', HOLDER, 1),
      lock('old', other, 45),
      lock('live', other, 1),
      lock('before', copy, 11),
      lock('since', copy, 9),
    ];
    await world.run();
    expect(world.memory.calls).to.include('removeLocks ours,before');
    expect(world.memory.locks.map(({ id }) => id)).to.deep.equal(['old', 'live', 'since']);
    expect(world.condition('Unlocked')).to.equal('False StaleLock');
    expect(world.status.conditions?.find(({ type }) => type === 'Unlocked')?.message).to.contain(other);
    expect(world.condition('Ready')).to.equal('True Ready');
    expect(world.events).to.include('Normal LockRemoved BackupRepository/r');
  });

  it('are not touched by who only reads', async () => {
    const world = new RepositoryWorld({ accessMode: 'ReadOnly' });
    world.memory.id = 'repository-1';
    world.memory.locks = [lock('ours', HOLDER, 1)];
    await world.run();
    expect(world.memory.locks).to.have.length(1);
  });
});

describe('backups in a repository', () => {
  it('get objects, of which nothing is ever deleted', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    const id = world.memory.backup('nightly', 'cluster-9');
    await world.run();
    const made = world.backups.get('team/nightly');
    expect(made?.spec).to.deep.equal({
      scope: 'Full',
      repositoryRef: { name: 'r' },
      deletionPolicy: 'Retain',
      imported: { backupID: id },
    });
    expect(made?.metadata.finalizers).to.deep.equal([FINALIZERS.backup]);
    expect(world.status.backupCount).to.equal(1);
    world.adopt('nightly');
    await world.run();
    expect(world.ofBackup('nightly')).to.equal('True BackupFound');
    expect(world.ofBackup('nightly', 'DataComplete')).to.equal('True BackupFound');
    expect(world.backups.get('team/nightly')?.status).to.deep.include({
      backupID: id,
      clusterID: 'cluster-9',
      completionTime: '2025-12-31T12:00:00Z',
      record: { snapshotID: 'doc-nightly', objects: 2 },
    });
    world.clock.advanceSync(10 * MINUTE);
    await world.run();
    expect(world.writes.filter((write) => write.startsWith('create'))).to.have.length(1);
  });

  it('get another name where theirs is taken, and no second object', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    const id = world.memory.backup('nightly');
    world.add(backup('nightly', { backupID: 'nightly-99999999' }));
    await world.run();
    expect(world.backups.get(`team/${id}`)?.spec.imported).to.deep.equal({ backupID: id });
    // An object that this agent does not see stands for it.
    const unseen = new RepositoryWorld();
    unseen.memory.id = 'repository-1';
    unseen.memory.backup('nightly');
    unseen.add({
      ...backup(
        'nightly',
        { backupID: id, repositoryRef: { name: 'elsewhere' } },
        { repositoryRef: { name: 'elsewhere' } },
      ),
    });
    await unseen.run();
    expect(unseen.writes.filter((write) => write.startsWith('create'))).to.deep.equal([]);
  });

  it('that are not whole, or not ours, or were let go of, get none', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    world.memory.part('half-01234567');
    world.memory.backup('let-go', 'cluster-1', { dismissedBy: ['cluster-1'] });
    world.memory.backup('let-go-by-others', 'cluster-1', { dismissedBy: ['cluster-2'] });
    world.memory.snapshots.push({
      id: 'foreign',
      tags: {},
      time: '2025-12-31T12:00:00Z',
      host: 'h',
      otherTags: [],
      paths: ['/home'],
      original: undefined,
      summary: undefined,
    });
    await world.run();
    expect(world.writes.filter((write) => write.startsWith('create'))).to.deep.equal([
      'create Backup/let-go-by-others',
    ]);
    expect(world.memory.snapshots.map(({ id }) => id)).to.include('foreign');
  });

  it('are left alone where the namespace goes', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    world.memory.backup('nightly');
    world.createFailure = new KubeError({ reason: 'Forbidden', status: 403, message: 'being terminated' });
    await world.run();
    expect(world.condition('Ready')).to.equal('True Ready');
  });

  it('say when their data is gone, and when it is back', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    const id = world.memory.backup('mine');
    const ready = [condition('Ready', 'True', 'Ready'), condition('DataComplete', 'True', 'Ready')];
    const status = { backupID: id, completionTime: '2025-12-31T12:00:00Z', record: { snapshotID: 'd', objects: 2 } };
    world.add(backup('mine', { ...status, observedGeneration: 1, conditions: ready }));
    await world.run();
    expect(world.writes.filter((write) => write.includes('Backup/mine'))).to.deep.equal([]);
    const { snapshots } = world.memory;
    world.memory.snapshots = [];
    world.clock.advanceSync(10 * MINUTE);
    await world.run();
    expect(world.ofBackup('mine')).to.equal('False BackupMissing');
    expect(world.ofBackup('mine', 'DataComplete')).to.equal('False BackupMissing');
    expect(world.ofBackup('mine', 'Stalled')).to.equal('True BackupMissing');
    expect(world.events).to.include('Warning BackupMissing Backup/mine');
    world.memory.snapshots = snapshots.filter(({ id: name }) => !name.startsWith('part'));
    world.clock.advanceSync(10 * MINUTE);
    await world.run();
    expect(world.ofBackup('mine'), 'its document is there, and not its volume').to.equal('False BackupMissing');
    world.memory.snapshots = snapshots;
    world.clock.advanceSync(10 * MINUTE);
    await world.run();
    expect(world.ofBackup('mine')).to.equal('True BackupFound');
    expect(world.ofBackup('mine', 'Stalled')).to.equal('absent');
  });

  it('lack their data where only another cluster has a volume of that ID', async () => {
    const world = new RepositoryWorld();
    world.memory.backup('b');
    const part = world.memory.snapshots.find(({ id }) => id.startsWith('part-'));
    if (part === undefined) throw new Error('there is no part');
    const others = { ...part, id: 'part-twin', tags: { ...part.tags, cluster: 'cluster-2' } };
    world.memory.snapshots = [...world.memory.snapshots.filter((one) => one !== part), others];
    await world.run();
    world.adopt('b');
    await world.run();
    expect(world.ofBackup('b')).to.equal('False BackupMissing');
  });

  it('that are written down while the repository is listed are not missed', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    world.memory.whileListing = () => {
      const record = { snapshotID: 'd', objects: 2 };
      const conditions = [condition('Ready', 'True', 'Ready')];
      world.add(backup('late', { observedGeneration: 1, backupID: 'late-01234567', record, conditions }));
    };
    await world.run();
    expect(world.ofBackup('late')).to.equal('True Ready');
  });

  it('that never ended are forgotten after a day, of this cluster only', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    const [old, young] = [new Date(NOW - 2 * DAY).toISOString(), new Date(NOW - HOUR).toISOString()];
    world.memory.part('old-01234567', 'cluster-1', old);
    world.memory.part('young-01234567', 'cluster-1', young);
    world.memory.part('other-01234567', 'cluster-2', old);
    world.memory.part('known-01234567', 'cluster-1', old);
    world.memory.part('at-work-01234567', 'cluster-1', old);
    world.memory.part('moved-01234567', 'cluster-1', old);
    // The same ID, of another cluster.
    const [twin] = world.memory.snapshots;
    if (twin === undefined) throw new Error('there is no part');
    world.memory.snapshots.push({ ...twin, id: 'part-twin', tags: { ...twin.tags, cluster: 'cluster-2' } });
    world.add(backup('known', { backupID: 'known-01234567' }));
    // Another repository of the same place has it, or this node's cache does not show it yet; and another one of a name.
    for (const [name, backupID] of [
      ['moved', 'moved-01234567'],
      ['old', 'old-76543210'],
    ] as const) {
      const object = backup(name, { backupID, nodeName: 'b' });
      world.addAhead({ ...object, metadata: { ...object.metadata, namespace: 'elsewhere' } });
    }
    world.atWork.add('at-work-01234567');
    await world.run();
    const left = world.memory.snapshots.map(({ id }) => id);
    expect(left).to.deep.equal([
      'part-young-01234567',
      'part-other-01234567',
      'part-known-01234567',
      'part-at-work-01234567',
      'part-moved-01234567',
      'part-twin',
    ]);
    const reader = new RepositoryWorld({ accessMode: 'ReadOnly' });
    reader.memory.id = 'repository-1';
    reader.memory.part('old-01234567', 'cluster-1', old);
    await reader.run();
    expect(reader.memory.snapshots).to.have.length(1);
  });
});

describe('the care of a repository', () => {
  const damaged = {
    ...SOUND,
    ok: false,
    errors: { count: 1, examples: ['pack aabbccddeeff: hash does not match'] },
    damagedPacks: ['aabbccddeeff0011'],
  };

  it('gives space back once a day at most, after something went', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    world.memory.backup('b');
    const prunes = () => world.memory.calls.filter((call) => call === 'prune').length;
    const aDay = async () => {
      for (let round = 0; round < 25; round++) {
        world.clock.advanceSync(HOUR);
        await world.run();
      }
    };
    world.edit((it) => ({ ...it, metadata: { ...it.metadata, creationTimestamp: '2026-01-01T00:00:00Z' } }));
    await world.run();
    expect(prunes(), 'it was just made').to.equal(0);
    const status = { backupID: 'running-01234567', startTime: '2026-01-01T00:00:00Z' };
    world.add(backup('running', status));
    await aDay();
    expect(prunes(), 'a backup goes on').to.equal(0);
    world.backups.delete('team/running');
    world.clock.advanceSync(MINUTE);
    await world.run();
    expect(prunes()).to.equal(1);
    expect(world.status.lastPruneTime).to.equal('2026-01-02T01:01:00Z');
    world.memory.snapshots = [];
    for (let round = 0; round < 12; round++) {
      world.clock.advanceSync(HOUR);
      await world.run();
    }
    expect(prunes(), 'not twice a day').to.equal(1);
    await aDay();
    expect(prunes()).to.equal(2);
    await aDay();
    await aDay();
    expect(prunes(), 'nothing has gone since').to.equal(2);
  });

  it('checks at its times, and tells of a check that could not be made', async () => {
    const world = new RepositoryWorld(
      { check: { schedule: '30 * * * *', readDataPercent: 10 } },
      { lastCheckTime: '2025-12-31T23:45:00Z' },
    );
    world.memory.id = 'repository-1';
    await world.run();
    expect(world.memory.calls).to.not.include('check 10');
    world.memory.fails.set('check', 'Locked');
    world.clock.advanceSync(31 * MINUTE);
    await world.run();
    expect(world.condition('Verified')).to.equal('Unknown CheckNotRun');
    expect(world.status.lastCheckTime).to.equal('2025-12-31T23:45:00Z');
    world.memory.fails.clear();
    world.clock.advanceSync(31 * MINUTE);
    await world.run();
    expect(world.condition('Verified')).to.equal('True Verified');
    expect(world.status.lastCheckTime).to.equal('2026-01-01T01:02:00Z');
    expect(world.condition('Ready')).to.equal('True Ready');
  });

  it('goes on when the clock is put back: it is looked at, checked and given space back', async () => {
    const ahead = '2026-03-01T00:00:00Z';
    const world = new RepositoryWorld(
      { check: { schedule: '30 * * * *', readDataPercent: 10 } },
      { lastCheckTime: ahead, lastPruneTime: ahead, lastSyncTime: ahead },
    );
    world.memory.id = 'repository-1';
    world.memory.backup('b');
    world.clock.advanceSync(60 * 24 * HOUR);
    world.memory.fails.set('open', 'Unreachable');
    await world.run();
    expect(world.condition('Ready')).to.equal('False ServerUnreachable');
    world.memory.fails.clear();
    world.clock.advanceSync(-60 * 24 * HOUR);
    expect(await world.run(), 'no wait is longer than what a clock may be set').to.be.at.most(5 * MINUTE);
    await world.run();
    expect(world.condition('Ready')).to.equal('True Ready');
    expect(world.memory.calls).to.include.members(['check 10', 'prune']);
    expect(world.status).to.deep.include({
      lastSyncTime: '2026-01-01T00:00:00Z',
      lastCheckTime: '2026-01-01T00:00:00Z',
      lastPruneTime: '2026-01-01T00:00:00Z',
    });
  });

  it('takes nothing new while something is damaged, and names it, also after a restart', async () => {
    const world = new RepositoryWorld({ check: { schedule: '30 * * * *' } });
    world.memory.id = 'repository-1';
    world.memory.backup('b');
    await world.run();
    world.adopt('b');
    world.memory.checked = { ...damaged, damagedSnapshots: ['part-b-01234567'] };
    world.clock.advanceSync(31 * MINUTE);
    await world.run();
    world.clock.advanceSync(MINUTE);
    await world.run();
    expect(world.condition('Verified')).to.equal('False CheckFailed');
    expect(world.condition('Ready')).to.equal('False RepositoryDamaged');
    expect(world.status.conditions?.[0]?.message).to.contain('aabbccddee');
    expect(world.ofBackup('b')).to.equal('False BackupDamaged');
    world.restart();
    await world.run();
    expect(world.condition('Ready')).to.equal('False RepositoryDamaged');
    expect(world.ofBackup('b')).to.equal('False BackupDamaged');
    expect(await world.metrics.repositoryVerified.get()).to.nested.include({ 'values[0].value': 0 });

    // It was repaired, and somebody says so.
    world.memory.checked = SOUND;
    const annotations = { [ANNOTATIONS.reconcileAt]: 'now' };
    world.edit((it) => ({ ...it, metadata: { ...it.metadata, annotations } }));
    await world.run();
    world.clock.advanceSync(MINUTE);
    await world.run();
    expect(world.condition('Verified')).to.equal('True Verified');
    expect(world.condition('Ready')).to.equal('True Ready');
    expect(world.ofBackup('b')).to.equal('True BackupFound');
  });

  it('says that no space can be given back, and checks at once what lacks data', async () => {
    const world = new RepositoryWorld();
    world.memory.id = 'repository-1';
    world.memory.backup('b');
    world.memory.fails.set('prune', 'Locked');
    await world.run();
    expect(
      world.events.filter((event) => event.startsWith('Warning')),
      'there is another day',
    ).to.deep.equal([]);
    world.memory.fails.set('prune', 'ServerError');
    world.clock.advanceSync(31 * MINUTE);
    await world.run();
    expect(world.events).to.include('Warning ServerError BackupRepository/r');
    expect(world.condition('Ready')).to.equal('True Ready');
    world.memory.fails.set('prune', 'Damaged');
    world.memory.checked = damaged;
    world.clock.advanceSync(31 * MINUTE);
    await world.run();
    await world.run();
    expect(world.memory.calls.filter((call) => call.startsWith('check'))).to.deep.equal(['check 5']);
    expect(world.condition('Ready')).to.equal('False RepositoryDamaged');
    world.clock.advanceSync(31 * MINUTE);
    await world.run();
    expect(world.memory.calls.filter((call) => call.startsWith('check'))).to.have.length(1);
  });

  it('does nothing to what is only read', async () => {
    const world = new RepositoryWorld({ accessMode: 'ReadOnly' });
    world.memory.id = 'repository-1';
    await world.run();
    expect(world.memory.calls).to.deep.equal(['open', 'locks', 'snapshots', 'size']);
    expect(statusWrites(world)).to.have.length(1);
  });
});
