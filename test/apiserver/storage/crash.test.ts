import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Store } from '../../../src/apiserver/storage/store.ts';

const WRITER = join(import.meta.dirname, 'crash-writer.ts');

interface Acknowledged {
  readonly revision: number;
  readonly key: string;
  readonly count: number;
}

/** Runs the writer, kills it after `lines` acknowledgements, and returns these. */
async function writeAndKill(file: string, lines: number): Promise<Acknowledged[]> {
  const child = spawn(process.execPath, [WRITER, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const acknowledged: Acknowledged[] = [];
  let rest = '';
  for await (const chunk of child.stdout) {
    const parts = (rest + String(chunk)).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      const [revision = '', key = '', count = ''] = part.split(' ');
      acknowledged.push({ revision: Number(revision), key, count: Number(count) });
    }
    if (acknowledged.length >= lines) child.kill('SIGKILL');
  }
  return acknowledged;
}

describe('Store and a killed process', function () {
  this.timeout(120_000);
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-crash-'));
  });

  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('has every acknowledged write, and revisions that never go back', async () => {
    const file = join(directory, 'db');
    let highest = 0;
    for (let round = 0; round < 4; round++) {
      const acknowledged = await writeAndKill(file, 200 + round * 57);
      expect(acknowledged.length).to.be.at.least(200);
      expect(Math.min(...acknowledged.map(({ revision }) => revision))).to.be.above(highest);
      highest = Math.max(...acknowledged.map(({ revision }) => revision));
      const store = new Store({ file });
      expect(store.revision).to.be.at.least(highest);
      const things = store.collection('g/things');
      const newest = new Map(acknowledged.map((entry) => [entry.key, entry]));
      for (const { key, revision } of newest.values()) {
        expect(things.get(key)?.revision, key).to.be.at.least(revision);
      }
      const seen = new Set(things.changesAfter(0).map((change) => change.revision));
      for (const { revision } of acknowledged) expect(seen.has(revision), `revision ${revision}`).to.equal(true);
      highest = store.revision;
      await store.close();
    }
  });
});
