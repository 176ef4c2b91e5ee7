import { expect } from 'chai';
import { describe, it } from 'mocha';
import { judge } from '../../src/backup/restic/storage.ts';

describe('what lies where a repository is to be', () => {
  const key = `keys/${'a'.repeat(64)}`;
  const files = (...names: readonly string[]) =>
    names.map((name) => ({ name: name.replace(/\/$/, ''), isDirectory: name.endsWith('/'), modifiedAt: 1_000 }));

  it('is nothing, also where its directories were made already', () => {
    expect(judge([])).to.deep.equal({ state: 'empty' });
    expect(judge(files('lost+found/', 'data/', 'data/00/', 'keys/', 'locks/'))).to.deep.equal({ state: 'empty' });
  });

  it('is a repository when it has a configuration, whatever else', () => {
    expect(judge(files('config', 'data/', key)).state).to.equal('repository');
    expect(judge(files('config', 'photo.jpg')).state).to.equal('repository');
  });

  it('was begun when there are keys and nothing that they open', () => {
    expect(judge(files('data/', 'keys/', key))).to.deep.equal({ state: 'begun', keys: [key], newestAt: 1_000 });
    expect(judge(files(`${key}-tmp-123`))).to.include({ state: 'begun' });
  });

  it('is something else, or a repository that was damaged, in all other cases', () => {
    for (const name of ['photo.jpg', 'config/', 'photos/', 'data/00', 'snapshots/x', 'keys/x', 'index/x', 'data']) {
      const found = judge(files(key, name));
      expect(found, name).to.include({ state: 'other' });
    }
  });
});
