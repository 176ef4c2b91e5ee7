import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Records } from '../../src/node/records.ts';
import { rejection } from './support.ts';

interface Note {
  readonly text: string;
}

const isNote = (value: unknown): value is Note => typeof value === 'object' && value !== null && 'text' in value;

describe('records', () => {
  let directory: string;
  let records: Records<Note>;

  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), 'clawstore-records-')), 'of-a-kind');
    records = new Records(directory, isNote);
  });
  afterEach(() => rmSync(join(directory, '..'), { recursive: true }));

  it('that many save at once are all there, each under its own name', async () => {
    const uids = Array.from({ length: 80 }, (_, index) => `uid-${index}`);
    await Promise.all(uids.map((uid) => records.save(uid, { text: uid })));
    expect([...records.all().keys()].sort()).to.deep.equal([...uids].sort());
    expect(uids.every((uid) => records.read(uid)?.text === uid)).to.equal(true);
    expect(readdirSync(directory).filter((name) => !name.endsWith('.json'))).to.deep.equal([]);
  });

  it('that are saved take the place of what was there, whichever way that was written', async () => {
    records.write('uid', { text: 'written' });
    await records.save('uid', { text: 'saved' });
    expect(records.read('uid')).to.deep.equal({ text: 'saved' });
    records.write('uid', { text: 'written again' });
    expect(records.read('uid')).to.deep.equal({ text: 'written again' });
  });

  it('that cannot be saved leave what was there, and say so', async () => {
    records.write('uid', { text: 'first' });
    await rejection(records.save('../uid', { text: 'outside' }));
    writeFileSync(join(directory, 'uid-2.json.new'), 'half of somethi');
    expect(records.read('uid-2')).to.equal(undefined);
    await records.save('uid-2', { text: 'second' });
    expect([records.read('uid'), records.read('uid-2')]).to.deep.equal([{ text: 'first' }, { text: 'second' }]);
  });
});
