import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { RepositoryAccess, SnapshotRecord } from '../../src/backup/engine.ts';
import { KnownSnapshots } from '../../src/backup/restic/known-snapshots.ts';

const ACCESS: RepositoryAccess = {
  location: { type: 'directory', directory: { own: { root: '/srv', path: 'kept' } } },
  password: 'secret',
  cacheDirectory: { root: '/var/lib/clawstore', path: 'cache' },
};

function record(id: string, time = '2026-01-01T00:00:00Z'): SnapshotRecord {
  const nothing = { otherTags: [], paths: [], original: undefined, summary: undefined };
  return { id, time, host: 'a', tags: {}, ...nothing };
}

function names(snapshots: readonly string[], keys: readonly string[] = ['k1']) {
  return { keys, locks: [], snapshots };
}

describe('snapshots that are known by their names', () => {
  const [early, late] = [record('1', '2026-01-01T00:00:00Z'), record('0', '2026-01-02T00:00:00Z')];

  it('are told again, oldest first, while there is nothing else', () => {
    const known = new KnownSnapshots();
    known.keep(ACCESS, names(['0', '1']), [early, late]);
    expect(known.recall(ACCESS, names(['0', '1']))).to.deep.equal([early, late]);
    expect(known.recall(ACCESS, names(['1'])), 'one is gone').to.deep.equal([early]);
    expect(known.recall(ACCESS, names(['0', '1', '2'])), 'one is new').to.equal(undefined);
    known.add(ACCESS, record('2', '2026-01-03T00:00:00Z'));
    expect(known.recall(ACCESS, names(['0', '1', '2']))?.map(({ id }) => id)).to.deep.equal(['1', '0', '2']);
  });

  it('are told to nobody who has not opened the repository with the keys that it has', () => {
    const known = new KnownSnapshots();
    known.add(ACCESS, early);
    expect(known.recall(ACCESS, names([])), 'never opened').to.equal(undefined);
    known.keep(ACCESS, names(['1']), [early]);
    expect(known.recall(ACCESS, names(['1'], ['k1', 'k2'])), 'a key came').to.equal(undefined);
    expect(known.recall(ACCESS, names(['1'], [])), 'the key is gone').to.equal(undefined);
    expect(known.recall({ ...ACCESS, password: 'guess' }, names(['1'])), 'another password').to.equal(undefined);
    const location = { type: 'directory', directory: { own: { root: '/srv', path: 'other' } } } as const;
    expect(known.recall({ ...ACCESS, location }, names(['1'])), 'another place').to.equal(undefined);
    expect(known.recall({ ...ACCESS, readOnly: true }, names(['1']))).to.deep.equal([early]);
  });

  it('are forgotten when there are too many, first those that nobody has asked for', () => {
    const known = new KnownSnapshots(2);
    const other = { ...ACCESS, password: 'other' };
    known.keep(ACCESS, names(['1']), [early]);
    known.keep(other, names(['1']), [early]);
    known.recall(ACCESS, names(['1']));
    known.add(ACCESS, late);
    expect(known.recall(ACCESS, names(['0', '1']))).to.deep.equal([early, late]);
    expect(known.recall(other, names(['1']))).to.equal(undefined);
  });
});
