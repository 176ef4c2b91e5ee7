/** The names of the files of a repository, as the helper lists them without an engine. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { makePlace, type Place, rejection, soon } from '../support.ts';

describe('names of files', () => {
  let place: Place;

  before(async () => {
    place = await makePlace();
    const top = join(place.data, 'repository');
    for (const folder of ['keys/deeper', 'locks', 'data']) mkdirSync(join(top, folder), { recursive: true });
    for (const file of ['config', 'keys/a', 'keys/b', 'keys/deeper/c', 'data/d']) writeFileSync(join(top, file), '');
    symlinkSync('/etc/hostname', join(top, 'keys/link'));
    symlinkSync('/etc', join(top, 'elsewhere'));
    symlinkSync('repository', join(place.data, 'link'));
  });

  after(async () => {
    expect(await place.dispose(), 'mounts that no call took down').to.deep.equal([]);
  });

  function names(path: string, folders: readonly string[]): Promise<readonly string[]> {
    const source = { own: { root: place.data, path } };
    return place.layer.call('fileNames', { source, folders }, { signal: soon() });
  }

  it('lists regular files at the top and in the folders that are named, and nothing below or beside', async () => {
    const found = await names('repository', ['keys', 'locks', 'snapshots']);
    expect(found.toSorted()).to.deep.equal(['config', 'keys/a', 'keys/b']);
  });

  it('follows no link, and leaves the directory by none', async () => {
    expect(await rejection(names('link', []))).to.include({ code: 'SymlinkInPath' });
    expect(await rejection(names('repository', ['elsewhere']))).to.include({ name: 'NodeError' });
    expect(await rejection(names('repository', ['../other']))).to.include({ code: 'InvalidPath' });
  });

  it('says that the directory is not there', async () => {
    expect(await rejection(names('nowhere', []))).to.include({ code: 'NotFound' });
  });
});
