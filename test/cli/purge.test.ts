import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { purge } from '../../src/cli/purge.ts';
import { makeStateDir, type StateDir } from '../../src/cli/state-dir.ts';
import { readingRecords } from '../../src/controllers/volume-backup/records.ts';
import { rescueOf } from '../../src/drivers/s3/engine.ts';
import type { NodeLayer } from '../../src/node/layer.ts';
import type { MountEntry } from '../../src/node/mount-entry.ts';

describe('the purge of a state directory', () => {
  let state: StateDir;
  beforeEach(() => {
    state = makeStateDir(mkdtempSync(join(tmpdir(), 'clawstore-purge-')));
    for (const folder of [state.pools, state.apiserver, state.projects, state.s3]) mkdirSync(folder);
    writeFileSync(state.nodeIdFile, 'id');
    readingRecords(state.root).last.write('uid', { backupID: 'b-1', files: 1, bytes: 1 });
  });
  afterEach(() => {
    rmSync(state.root, { recursive: true, force: true });
  });

  const purged = (mounted: readonly string[] = []): readonly string[] => {
    const table = { below: () => mounted.map((target) => ({ target }) as MountEntry) } as unknown as NodeLayer['table'];
    return purge({ stateDir: state.root, table });
  };

  it('deletes all that an instance makes, and then the directory', () => {
    expect(purged()).to.deep.equal([]);
    expect(existsSync(state.root)).to.equal(false);
  });

  it('names what it leaves, and why', () => {
    const file = join(state.root, 'notes.txt');
    const rescued = rescueOf({ stateDir: state.root }, 'uid');
    mkdirSync(rescued, { recursive: true });
    writeFileSync(join(state.projects, 'uid.json'), '{}');
    for (const path of [file, join(rescued, 'unsent')]) writeFileSync(path, 'mine');
    const [limits, unsent, others, ...more] = purged();
    expect(more).to.deep.equal([]);
    expect(limits).to.contain(state.projects).and.contain('size limit');
    expect(unsent).to.contain(state.rescued).and.contain('could not be sent');
    expect(others).to.equal(`${file}: not made by clawstore`);
    for (const path of [file, join(rescued, 'unsent')]) expect(existsSync(path), path).to.equal(true);
    expect(existsSync(state.pools)).to.equal(false);
  });

  it('deletes nothing while something is mounted in it', () => {
    expect(() => purged([join(state.pools, 'p')])).to.throw('is mounted in it');
    expect(existsSync(state.pools)).to.equal(true);
  });
});
