import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { HelperTable, type TableDelta } from '../../src/node/helper/table.ts';

describe('mount table of the helper', function () {
  this.timeout(120_000);
  let directory: string;
  let file: string;
  let deltas: TableDelta[];
  let table: HelperTable;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'table-'));
    file = join(directory, 'mountinfo');
    deltas = [];
    table = new HelperTable((delta) => deltas.push(delta), file);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const line = (id: number, options: string): string =>
    `${id} 1 8:1 / /mounts/namespace/volume-${id}/data ${options} - ext4 /dev/sda1 rw`;
  const write = (lines: readonly string[]): void => writeFileSync(file, `${lines.join('\n')}\n`);

  it('passes on what is different', () => {
    write([line(2, 'rw'), line(3, 'rw')]);
    table.refresh();
    write([line(2, 'ro'), line(4, 'rw')]);
    table.refresh();
    expect(deltas.map(({ upsert, remove }) => [upsert.map(({ id }) => id), remove])).to.deep.equal([
      [[2, 3], []],
      [[2, 4], [3]],
    ]);
  });

  it('grows with the mounts there are, not with how often they changed', () => {
    const count = 1000;
    const collect = collector();
    const lines = Array.from({ length: count }, (_, index) => line(index + 2, 'rw'));
    write(lines);
    table.refresh();
    collect();
    const before = process.memoryUsage().heapUsed;
    // Each change is read with a file of its own: were a line to keep the file it came from, that would be 80 MB.
    for (let index = 0; index < count; index++) {
      lines[index] = line(index + 2, 'ro');
      write(lines);
      table.refresh();
      deltas.length = 0;
    }
    collect();
    expect(process.memoryUsage().heapUsed - before).to.be.lessThan(8 * 2 ** 20);
  });

  function collector(): () => void {
    setFlagsFromString('--expose-gc');
    return runInNewContext('gc') as () => void;
  }
});
