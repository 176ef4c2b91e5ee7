import { expect } from 'chai';
import { describe, it } from 'mocha';
import { BackupError } from '../../src/backup/backup-error.ts';
import {
  checkLockId,
  checkSnapshotId,
  nameableAbove,
  parseTags,
  pathBelow,
  patternOf,
  tagArguments,
} from '../../src/backup/restic/patterns.ts';

describe('names for restic', () => {
  const invalid = (work: () => unknown): void => {
    expect(work).to.throw(BackupError).with.property('code', 'InvalidRequest');
  };

  it('make a pattern of a path that means nothing else', () => {
    expect(patternOf('/data/a*b?[c]\\d')).to.equal(String.raw`/data/a\*b\?\[c\]\\d`);
    expect(patternOf('/data/f\uFFFD')).to.equal('/data/f[\uFFFD]');
    expect(patternOf('/data/two\nlines')).to.equal('/data/two\nlines');
  });

  it('stop where a name is not text', () => {
    expect(nameableAbove('/data/a')).to.equal('/data/a');
    expect(nameableAbove('/data/a/f\uFFFDg/h')).to.equal('/data/a');
    expect(nameableAbove('/\uFFFD')).to.equal('/');
  });

  it('lead nowhere else', () => {
    expect(pathBelow('/data', 'a/b')).to.equal('/data/a/b');
    expect(pathBelow('/', 'a')).to.equal('/a');
    for (const path of ['', '/a', 'a/', 'a//b', '.', '../a', 'a/..', 'a\0']) invalid(() => pathBelow('/data', path));
  });

  it('are IDs, and no options', () => {
    expect(checkSnapshotId('0123abcd')).to.equal('0123abcd');
    for (const id of ['', 'latest', '--help', '0123ABCD', '0123abc', `${'a'.repeat(64)}b`]) {
      invalid(() => checkSnapshotId(id));
    }
    for (const id of ['', 'a', '../config', 'A'.repeat(64), `${'a'.repeat(64)}/x`]) invalid(() => checkLockId(id));
  });

  it('carry tags there and back', () => {
    const tags = { kind: 'volume', 'of/what': 'a=b c' };
    expect(parseTags([...tagArguments(tags), 'mine', '=x'])).to.deep.equal({ tags, otherTags: ['mine', '=x'] });
    for (const bad of [{ 'a=b': '' }, { a: 'x,y' }, { '': 'x' }, { a: 'x ' }, { a: '\0' }]) {
      invalid(() => tagArguments(bad));
    }
  });
});
