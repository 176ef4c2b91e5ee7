import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { sharedSync, syncDirectory } from '../../src/node/sync-directory.ts';
import { rejection } from './support.ts';

/** Syncs that end when a test says so. */
function held() {
  const begun: { readonly path: string; readonly end: () => void; readonly fail: (error: Error) => void }[] = [];
  const sync = sharedSync((path) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    begun.push({ path, end: resolve, fail: reject });
    return promise;
  });
  return { begun, sync };
}

describe('syncs of a directory', () => {
  it('serve all who asked before they began, and nobody who asked afterwards', async () => {
    const { begun, sync } = held();
    const first = sync('/a');
    let isServed = false;
    const others = [1, 2, 3].map(() =>
      sync('/a').then(() => {
        isServed = true;
      }),
    );
    expect(begun).to.have.length(1);
    begun[0]?.end();
    await first;
    await new Promise((resolve) => setImmediate(resolve));
    expect(isServed, 'by one that had begun before').to.equal(false);
    expect(begun).to.have.length(2);
    begun[1]?.end();
    await Promise.all(others);
    expect(begun).to.have.length(2);
    const later = sync('/a');
    expect(begun).to.have.length(3);
    begun[2]?.end();
    await later;
  });

  it('of one wait for no other', () => {
    const { begun, sync } = held();
    void sync('/a');
    void sync('/b');
    expect(begun.map(({ path }) => path)).to.deep.equal(['/a', '/b']);
  });

  it('that fail say so to those whom they were to serve, and to nobody else', async () => {
    const { begun, sync } = held();
    const [first, second] = [sync('/a'), sync('/a')];
    begun[0]?.fail(new Error('the disk is gone'));
    expect(await rejection(first)).to.have.property('message', 'the disk is gone');
    begun[1]?.end();
    await second;
  });

  it('are real ones', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'clawstore-sync-'));
    try {
      await Promise.all([syncDirectory(directory), syncDirectory(directory)]);
      expect(await rejection(syncDirectory(join(directory, 'no-such')))).to.have.property('code', 'ENOENT');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
