import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { SnapshotFacts } from '../../src/drivers/driver.ts';
import { factsOf, isSnapshotRecord, recordOf, snapshotRecords } from '../../src/drivers/snapshot-record.ts';

const FACTS: SnapshotFacts = {
  takenAt: new Date('2026-11-27T16:00:00.123Z'),
  restoreBytes: 20n << 30n,
  method: 'Reflink',
  consistent: { consistent: true, reason: 'FilesystemConsistent', message: 'Writers were held.' },
};
const ORIGIN = { driver: 'emptyDir', volumeUID: 'v-1', path: '/pool/s-1.img' } as const;

describe('the record of a snapshot', () => {
  let stateDir: string;

  beforeEach(() => {
    stateDir = mkdtempSync(join(tmpdir(), 'snapshot-record-'));
  });

  afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

  it('gives back the facts that were written', () => {
    const records = snapshotRecords(stateDir);
    records.write('s-1', recordOf(FACTS, ORIGIN));
    const found = snapshotRecords(stateDir).read('s-1');
    expect(found).to.deep.include(ORIGIN);
    expect(found === undefined ? undefined : factsOf(found)).to.deep.equal(FACTS);
  });

  it('is as if it were not there when it is not whole', () => {
    const records = snapshotRecords(stateDir);
    records.write('s-1', recordOf(FACTS, ORIGIN));
    writeFileSync(join(stateDir, 'snapshots', 's-2.json'), '{"driver":"emptyDir"}');
    writeFileSync(join(stateDir, 'snapshots', 's-3.json'), '{');
    expect([...records.all().keys()]).to.deep.equal(['s-1']);
  });

  for (const [what, change] of [
    ['a driver that does not exist', { driver: 'tape' }],
    ['a size that is no number', { restoreBytes: '1e9' }],
    ['a time that is none', { takenAt: 'yesterday' }],
    ['a method that does not exist', { method: 'Magic' }],
    ['no word on its consistency', { consistent: null }],
  ] as const) {
    it(`is not recognised with ${what}`, () => {
      expect(isSnapshotRecord(recordOf(FACTS, ORIGIN))).to.equal(true);
      expect(isSnapshotRecord({ ...recordOf(FACTS, ORIGIN), ...change })).to.equal(false);
    });
  }
});
