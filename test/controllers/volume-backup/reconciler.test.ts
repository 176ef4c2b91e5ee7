import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import { BackupError } from '../../../src/backup/backup-error.ts';
import type { BackupSummary } from '../../../src/backup/engine.ts';
import { hasShrunk } from '../../../src/controllers/volume-backup/judge.ts';
import { DriverError } from '../../../src/drivers/driver.ts';
import { condition, volume } from '../support/objects.ts';
import { PartWorld, SUMMARY } from './part-world.ts';

const made = {
  observedGeneration: 1,
  nodeName: 'a',
  conditions: [condition('Ready', 'True', 'Provisioned'), condition('Provisioned', 'True', 'Provisioned')],
};
const spec = { hostPath: { path: '/srv/data' } };

describe('a VolumeBackup', () => {
  let of: PartWorld;
  beforeEach(() => {
    of = new PartWorld();
    of.add(volume('data', spec, made), of.part());
  });
  afterEach(() => of.dispose());

  const said = (type: 'Ready' | 'Stalled' | 'Reconciling' | 'DataComplete' | 'ContentConsistent') => {
    const { status, reason } = findCondition(of.status().conditions, type) ?? {};
    return status === undefined ? 'absent' : `${status} ${reason}`;
  };

  it('is Ready when all was read, with what that was', async () => {
    await of.settle();
    expect([said('Ready'), said('DataComplete'), said('ContentConsistent')]).to.deep.equal([
      'True BackedUp',
      'True Complete',
      'True Unchanged',
    ]);
    expect(of.status()).to.deep.include({
      snapshotID: 'snap-1',
      method: 'InPlace',
      files: 100,
      uploadedBytes: 5_000_000,
    });
    expect(of.status().completionTime).to.be.a('string');
    expect(of.calls).to.deep.equal(['open uid-p', 'backup', 'closed uid-p']);
    const [request] = of.requests;
    expect(request?.source.path).to.equal('/run/clawstore/source/team/data');
    expect(request?.source.entries.map(({ name }) => name)).to.deep.equal(['data', 'volume.json']);
    expect(request?.tags).to.include({ kind: 'volume', id: 'b-1', cluster: 'cluster', ns: 'team', volume: 'data' });
    await of.settle();
    expect(of.calls.filter((call) => call === 'backup')).to.have.length(1);
    expect(of.records.readings.all().size, 'records that are left').to.equal(0);
  });

  it('tells the engine what was counted already', async () => {
    const content = { files: 100, bytes: 5_000_000n };
    of.opened = { content };
    await of.settle();
    expect(of.requests[0]?.content).to.deep.equal(content);
  });

  it('is no success when files could not be read, unless that is allowed; either way it names them', async () => {
    const errors = { count: 30, examples: [{ item: 'data/secret', message: 'permission denied' }] };
    of.summary = () => Promise.resolve({ ...SUMMARY, errors, complete: false });
    await of.settle();
    expect([said('Ready'), said('Stalled'), said('DataComplete')]).to.deep.equal([
      'False FilesSkipped',
      'True FilesSkipped',
      'False FilesSkipped',
    ]);
    expect(of.status().skipped).to.deep.equal([{ volumeName: 'data', path: 'secret', message: 'permission denied' }]);
    expect(of.status().skippedCount).to.equal(30);
    of.add({ ...of.part({ onPartial: 'Allow' }, {}, 'q') });
    await of.settle('q');
    expect(findCondition(of.status('q').conditions, 'Ready')?.reason).to.equal('BackedUpPartly');
    expect(findCondition(of.status('q').conditions, 'DataComplete')?.status).to.equal('False');
  });

  it('is no success when the engine says that something is lacking, and not what', async () => {
    of.summary = () => Promise.resolve({ ...SUMMARY, complete: false });
    await of.settle();
    expect([said('Ready'), of.status().skippedCount]).to.deep.equal(['False FilesSkipped', 1]);
  });

  it('is no success where other filesystems are mounted in the volume', async () => {
    of.opened = { lacking: ['sub/disk'] };
    await of.settle();
    expect([said('Ready'), of.status().skipped?.[0]?.path]).to.deep.equal(['False FilesSkipped', 'sub/disk']);
  });

  it('is no success where something was written meanwhile, unless that was allowed, and names it', async () => {
    const changes = { count: 1, examples: ['"log/today"'] };
    const consistency = { consistent: false, reason: 'ChangedDuringRead', message: 'One changed.', changes };
    of.opened = { consistency: () => Promise.resolve(consistency) };
    await of.settle();
    expect([said('Ready'), said('DataComplete'), said('ContentConsistent')]).to.deep.equal([
      'False ChangedDuringRead',
      'False ChangedDuringRead',
      'False ChangedDuringRead',
    ]);
    expect(of.status().skipped?.map(({ path }) => path)).to.deep.equal(['log/today']);
  });

  it('refuses an empty directory that is mounted nowhere, and one that had something at its last backup', async () => {
    of.opened = { isEmpty: true };
    await of.settle();
    expect([said('Ready'), of.calls.includes('backup')]).to.deep.equal(['False SourceEmpty', false]);
    of.opened = { isEmpty: true, isMountPoint: true };
    of.add(of.part({}, {}, 'q'));
    await of.settle('q');
    expect(findCondition(of.status('q').conditions, 'Ready')?.status).to.equal('True');
    of.records.last.write('uid-data', { files: 3, bytes: 10, backupID: 'b-0' });
    of.add(of.part({}, {}, 'r'));
    await of.settle('r');
    expect(findCondition(of.status('r').conditions, 'Ready')?.reason).to.equal('SourceEmpty');
  });

  it('compares with its last backup, which the repository tells where this node does not know it', async () => {
    of.add(volume('data', spec, { ...made, lastBackupTime: '2025-12-01T00:00:00Z' }, { resourceVersion: 'later' }));
    of.snapshotOf('old', 'b-0', 5000, 500_000_000n);
    await of.settle();
    expect([said('Ready'), said('DataComplete')]).to.deep.equal(['False SourceShrank', 'False SourceShrank']);
    expect(of.records.last.read('uid-data'), 'a failed one is nothing to compare with').to.equal(undefined);
    of.add(of.part({ onPartial: 'Allow' }, {}, 'q'));
    await of.settle('q');
    expect(of.records.last.read('uid-data')).to.deep.include({ files: 100 });
    of.add(of.part({}, {}, 'r'));
    await of.settle('r');
    expect(findCondition(of.status('r').conditions, 'Ready')?.reason).to.equal('BackedUp');
  });

  it('is read anew after a kill, and what the first try had put into the repository goes', async () => {
    of.summary = () => new Promise<BackupSummary>(() => undefined);
    await of.begin();
    expect(said('Reconciling')).to.equal('True BackingUp');
    of.snapshotOf('half', 'b-1', 1, 1n);
    of.snapshotOf('theirs', 'b-1', 1, 1n, 'another cluster');
    of.restart();
    of.summary = () => Promise.resolve(SUMMARY);
    await of.settle();
    expect(said('Ready')).to.equal('True BackedUp');
    expect(of.calls.filter((call) => call.startsWith('forget'))).to.deep.equal(['forget half']);
  });

  it('tells after a restart what was read before it, and reads nothing again', async () => {
    of.records.readings.write('uid-p', {
      type: 'hostPath',
      result: {
        snapshotID: 'kept',
        method: 'InPlace',
        files: 1,
        bytes: 1,
        uploadedBytes: 1,
        skipped: { count: 0, examples: [] },
        consistency: { consistent: true, reason: 'Unchanged', message: '', changes: { count: 0, examples: [] } },
        shrankFrom: null,
      },
    });
    await of.settle();
    expect([said('Ready'), of.status().snapshotID, of.calls]).to.deep.equal(['True BackedUp', 'kept', []]);
  });

  it('ends by cancel and by its deadline, without a success', async () => {
    of.summary = () => new Promise<BackupSummary>(() => undefined);
    await of.begin();
    of.add(of.part({ cancel: true }, of.status()));
    await of.settle();
    expect([said('Stalled'), of.status().completionTime !== undefined]).to.deep.equal(['True Cancelled', true]);
    of.add(of.part({ deadline: '2025-12-31T23:59:59Z' }, {}, 'q'));
    await of.settle('q');
    expect(findCondition(of.status('q').conditions, 'Stalled')?.reason).to.equal('DeadlineExceeded');
  });

  it('is tried again when the repository cannot be reached, and ends when that cannot help', async () => {
    of.summary = () => Promise.reject(new BackupError('Unreachable', 'no answer'));
    await of.settle();
    expect([said('Reconciling'), of.status().completionTime]).to.deep.equal(['True ServerUnreachable', undefined]);
    of.summary = () => Promise.reject(new BackupError('WrongPassword', 'wrong'));
    await of.settle();
    expect([said('Stalled'), of.status().completionTime !== undefined]).to.deep.equal(['True WrongPassword', true]);
  });

  it('is tried again while what was written has not reached the server of the volume, until its deadline', async () => {
    of.unopened = new DriverError('UploadPending', '3 files (7 bytes) have not reached the server');
    await of.settle();
    expect([said('Reconciling'), of.status().completionTime]).to.deep.equal(['True UploadPending', undefined]);
    expect(findCondition(of.status().conditions, 'Ready')?.message).to.include('3 files (7 bytes)');
    await of.clock.advance(86_400_000);
    await of.settle();
    expect([said('Stalled'), of.status().completionTime !== undefined]).to.deep.equal(['True DeadlineExceeded', true]);
    expect(of.calls).not.to.include('backup');
    of.unopened = undefined;
    of.add(of.part({ deadline: '2026-01-03T00:00:00Z' }, {}, 'q'));
    await of.settle('q');
    expect(findCondition(of.status('q').conditions, 'Ready')?.status).to.equal('True');
  });

  it('is refused where the repository lies in the volume', async () => {
    of.add(volume('data', { hostPath: { path: '/srv' } }, made, { resourceVersion: 'later' }));
    await of.settle();
    expect([said('Stalled'), of.calls]).to.deep.equal(['True DestinationInVolume', []]);
  });

  it('waits for storage that this node has not heard of yet, and ends for what was there once and is gone', async () => {
    of.add(volume('data', spec, { ...made, conditions: [] }, { resourceVersion: 'early' }));
    await of.settle();
    expect([said('Reconciling'), of.calls]).to.deep.equal(['True VolumeNotReady', []]);
    const gone = [condition('Provisioned', 'False', 'DataMissing')];
    of.add(volume('data', spec, { ...made, conditions: gone }, { resourceVersion: 'late' }));
    await of.settle();
    expect([said('Stalled'), of.calls]).to.deep.equal(['True VolumeNotReady', []]);
  });

  it('waits for the Secret of the repository', async () => {
    of.secret = { state: 'unknown' };
    await of.settle();
    expect([said('Reconciling'), of.calls]).to.deep.equal(['True Pending', []]);
    of.secret = { state: 'found', data: { password: 'hunter2' } };
    await of.settle();
    expect(said('Ready')).to.equal('True BackedUp');
  });
});

describe('a volume has shrunk', () => {
  it('when nine tenths of its files or bytes are gone, and it was not tiny', () => {
    const before = { files: 100, bytes: 10_000_000 };
    expect(hasShrunk({ files: 11, bytes: 9_000_000 }, before)).to.equal(false);
    expect(hasShrunk({ files: 10, bytes: 9_000_000 }, before)).to.equal(true);
    expect(hasShrunk({ files: 100, bytes: 1_000_000 }, before)).to.equal(true);
    expect(hasShrunk({ files: 0, bytes: 0 }, { files: 19, bytes: 1000 })).to.equal(false);
    expect(hasShrunk({ files: 0, bytes: 0 }, { files: 0, bytes: 0 })).to.equal(false);
  });
});
