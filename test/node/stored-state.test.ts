/**
 * What a node, a bucket and a repository keep across an upgrade, letter by letter as 0.1.0 writes it: whoever changes how
 * something is kept must go on reading this. What is not recognised is as if it were not there, and for a snapshot, a
 * volume half gone back, or a directory that was made, that is data lost. Never edit what is here; add what is new.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { readTags } from '../../src/backup/catalogue.ts';
import { stateDirOf } from '../../src/cli/state-dir.ts';
import { readingRecords } from '../../src/controllers/volume-backup/records.ts';
import { isProjectRecord } from '../../src/drivers/hostpath/project.ts';
import { isNfsRecord } from '../../src/drivers/nfs/record.ts';
import { Reverts } from '../../src/drivers/reverts.ts';
import { markerOf } from '../../src/drivers/s3/marker.ts';
import { snapshotRecords } from '../../src/drivers/snapshot-record.ts';
import { fillRecords } from '../../src/drivers/trees/fill.ts';
import { Records } from '../../src/node/records.ts';

const VOLUME = '0b1c2d3e-0000-4000-8000-000000000001';
const SNAPSHOT = '0b1c2d3e-0000-4000-8000-000000000002';
const RESTORE = '0b1c2d3e-0000-4000-8000-000000000003';

interface Kept {
  readonly what: string;
  /** Below the state directory. */
  readonly folder: string;
  readonly text: string;
  /** What this version makes of it. */
  readonly read: (stateDir: string) => unknown;
}

const KEPT: readonly Kept[] = [
  ...['Reflink', 'Subvolume', 'ReflinkTree', 'Copy', 'ServerSideCopy'].map((method) => ({
    what: `a snapshot (${method})`,
    folder: 'snapshots',
    text: `{"driver":"emptyDir","volumeUID":"${VOLUME}","takenAt":"2026-11-28T02:00:00.000Z","restoreBytes":"33554432","method":"${method}","consistent":{"consistent":true,"reason":"FilesystemFrozen","message":"m"},"path":"/var/lib/clawstore/pools/default/images/x.img"}`,
    read: (stateDir: string) => snapshotRecords(stateDir).read(VOLUME),
  })),
  {
    what: 'a Restore that has been done',
    folder: 'reverts',
    text: `{"volumeUID":"${VOLUME}","snapshotUID":"${SNAPSHOT}","inode":"1234567","done":true}`,
    read: (stateDir) => new Reverts(stateDir).of({ uid: VOLUME }),
  },
  {
    what: 'a Restore that has been done name by name',
    folder: 'reverts',
    text: `{"volumeUID":"${VOLUME}","snapshotUID":"${SNAPSHOT}","done":true}`,
    read: (stateDir) => new Reverts(stateDir).of({ uid: VOLUME }),
  },
  {
    what: 'a volume that has half gone back',
    folder: 'reverts-begun',
    text: `{"restoreUID":"${RESTORE}","restoreName":"back","snapshotUID":"${SNAPSHOT}","snapshotName":"moment"}`,
    read: (stateDir) => new Reverts(stateDir).begunOf(VOLUME),
  },
  {
    what: 'a volume that another node may have ended going back',
    folder: 'reverts-begun',
    text: `{"restoreUID":"${RESTORE}","restoreName":"","snapshotUID":"","snapshotName":"","isInStorage":true}`,
    read: (stateDir) => new Reverts(stateDir).begunOf(VOLUME),
  },
  {
    what: 'a volume that was made from another one',
    folder: 'fills',
    text: '{"isComplete":true,"isPlaced":true,"isMade":true,"note":null}',
    read: (stateDir) => fillRecords(stateDir).read(VOLUME),
  },
  {
    what: 'a volume that is being made from another one',
    folder: 'fills',
    text: '{"isComplete":false,"isMade":false,"note":"2 files were written meanwhile"}',
    read: (stateDir) => fillRecords(stateDir).read(VOLUME),
  },
  {
    what: 'a directory that was made on an nfs server',
    folder: 'nfs',
    text: `{"volume":{"namespace":"team","name":"data"},"server":"nfs.example.com","path":"/export","subPath":"team/data","created":true,"adopted":false,"ino":"42","fsid":"0:1","totalBytes":"1099511627776"}`,
    read: (stateDir) => new Records(stateDirOf(stateDir).nfs, isNfsRecord).read(VOLUME),
  },
  {
    what: 'a directory on an nfs server, before its volume was noted',
    folder: 'nfs',
    text: `{"server":"nfs.example.com","path":"/export","subPath":null,"created":false,"ino":null,"fsid":null,"totalBytes":"1099511627776"}`,
    read: (stateDir) => new Records(stateDirOf(stateDir).nfs, isNfsRecord).read(VOLUME),
  },
  {
    what: 'a directory with a project',
    folder: 'projects',
    text: '{"project":1073741825,"path":"/data/team"}',
    read: (stateDir) => new Records(stateDirOf(stateDir).projects, isProjectRecord).read(VOLUME),
  },
  {
    what: 'a volume that is being read for a backup',
    folder: 'backup-readings',
    text: '{"type":"hostPath","result":null}',
    read: (stateDir) => readingRecords(stateDir).readings.read(VOLUME),
  },
  {
    what: 'a volume that was read for a backup',
    folder: 'backup-readings',
    text: `{"type":"s3","result":{"snapshotID":"${'ab'.repeat(32)}","method":"Bucket","files":3,"bytes":4096,"uploadedBytes":512,"skipped":{"count":1,"examples":[{"path":"a","message":"m"}]},"consistency":{"consistent":true,"reason":"Unchanged","message":"m","changes":{"count":0,"examples":[]}},"shrankFrom":null}}`,
    read: (stateDir) => readingRecords(stateDir).readings.read(VOLUME),
  },
  {
    what: 'how much a volume had at its last backup',
    folder: 'backup-last',
    text: '{"files":3,"bytes":4096,"backupID":"daily-0f3a9b2c"}',
    read: (stateDir) => readingRecords(stateDir).last.read(VOLUME),
  },
];

describe('what 0.1.0 keeps', () => {
  let stateDir: string;

  beforeEach(() => {
    stateDir = mkdtempSync(join(tmpdir(), 'clawstore-kept-'));
  });
  afterEach(() => rmSync(stateDir, { recursive: true }));

  const keep = ({ folder }: Pick<Kept, 'folder'>, text: string): void => {
    mkdirSync(join(stateDir, folder));
    writeFileSync(join(stateDir, folder, `${VOLUME}.json`), `${text}\n`);
  };

  for (const one of KEPT) {
    it(`of ${one.what} is read`, () => {
      keep(one, one.text);
      expect(one.read(stateDir)).to.deep.equal(JSON.parse(one.text));
    });

    it(`of ${one.what} is read when a later version has noted more`, () => {
      const more = { ...(JSON.parse(one.text) as object), ofTomorrow: { a: ['b'] } };
      keep(one, JSON.stringify(more));
      expect(one.read(stateDir)).to.deep.equal(more);
    });
  }

  it('of a copy beside the content of a volume is read', () => {
    keep({ folder: 'reverts-copies' }, `{"restoreUID":"${RESTORE}","ofTomorrow":1}`);
    expect(new Reverts(stateDir).copyOf(VOLUME)).to.equal(RESTORE);
  });

  it('of the volume that a prefix of a bucket was made for is read', () => {
    const marker = { uid: VOLUME, isComplete: true, revert: undefined };
    expect(markerOf({ 'clawstore-volume': VOLUME })).to.deep.equal(marker);
    expect(markerOf({ 'clawstore-volume': VOLUME, 'clawstore-state': 'complete' })).to.deep.equal(marker);
    const incomplete = { 'clawstore-volume': VOLUME, 'clawstore-state': 'incomplete', 'of-tomorrow': 'x' };
    expect(markerOf(incomplete)).to.deep.equal({ ...marker, isComplete: false });
    const reverting = {
      'clawstore-volume': VOLUME,
      'clawstore-state': 'reverting',
      'clawstore-restore-uid': RESTORE,
      'clawstore-restore': 'back',
      'clawstore-snapshot-uid': SNAPSHOT,
      'clawstore-snapshot': 'moment',
    };
    const revert = { restoreUID: RESTORE, restoreName: 'back', snapshotUID: SNAPSHOT, snapshotName: 'moment' };
    expect(markerOf(reverting)).to.deep.equal({ ...marker, revert });
  });

  it('of the backups in a repository is read', () => {
    const common = { clawstore: '1', id: 'daily-0f3a9b2c', cluster: 'c1', ns: 'team', scope: 'Full', node: 'n1' };
    const said = {
      backupID: 'daily-0f3a9b2c',
      clusterID: 'c1',
      namespace: 'team',
      scope: 'Full',
      nodeName: 'n1',
    };
    const volume = { ...common, kind: 'volume', volume: 'data', ofTomorrow: 'x' };
    expect(readTags(volume)).to.deep.equal({ kind: 'volume', ...said, volumeName: 'data' });
    const numbers = { volumes: '3', objects: '12', bytes: '4096' };
    const document = { ...common, kind: 'backup', name: 'daily', schedule: 'nightly', complete: 'false', ...numbers };
    expect(readTags({ ...document, 'dismissed.c1': 'true' })).to.deep.equal({
      kind: 'backup',
      ...said,
      backupName: 'daily',
      scheduleName: 'nightly',
      isComplete: false,
      volumes: 3,
      objects: 12,
      bytes: 4096,
      dismissedBy: ['c1'],
    });
  });
});
