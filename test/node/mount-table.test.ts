import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { MountTableChange } from '../../src/node/layer.ts';
import { type MountEntry, parseMountinfoLine } from '../../src/node/mount-entry.ts';
import { LiveMountTable } from '../../src/node/mount-table.ts';

function entry(id: number, target: string, options = 'rw', parentId = 1, optional = ''): MountEntry {
  return parseMountinfoLine(`${id} ${parentId} 0:9 / ${target} ${options} ${optional}- tmpfs m${id} rw`)!;
}

function watched(): { readonly table: LiveMountTable; readonly changes: MountTableChange[] } {
  const table = new LiveMountTable();
  const changes: MountTableChange[] = [];
  table.onChange((change) => changes.push(change));
  return { table, changes };
}

describe('mount table', () => {
  it('answers by path and by ID', () => {
    const { table } = watched();
    table.apply([entry(1, '/', 'rw', 0), entry(2, '/a'), entry(3, '/a/b'), entry(4, '/ab')], []);
    expect(table.at('/a')?.id).to.equal(2);
    expect(table.byId(4)?.target).to.equal('/ab');
    expect(table.below('/a').map(({ id }) => id)).to.deep.equal([3]);
    expect(table.containing('/a/b/c')?.id).to.equal(3);
    expect(table.containing('/abc')?.id).to.equal(1);
  });

  it('puts the topmost of stacked mounts first in line', () => {
    const { table } = watched();
    table.apply([entry(9, '/a', 'rw', 2), entry(2, '/a')], []);
    expect(table.at('/a')?.id).to.equal(9);
    expect(table.stackAt('/a').map(({ id }) => id)).to.deep.equal([2, 9]);
    table.apply([], [9]);
    expect(table.at('/a')?.id).to.equal(2);
  });

  it('tells what was added, removed and changed', () => {
    const { table, changes } = watched();
    table.apply([entry(2, '/a'), entry(3, '/b')], []);
    table.apply([entry(2, '/a', 'ro'), entry(4, '/c')], [3]);
    expect(changes[1]?.added.map(({ id }) => id)).to.deep.equal([4]);
    expect(changes[1]?.removed.map(({ id }) => id)).to.deep.equal([3]);
    expect(changes[1]?.changed.map(({ before, after }) => [before.options, after.options])).to.deep.equal([
      [['rw'], ['ro']],
    ]);
    expect(table.generation).to.equal(2);
  });

  it('wakes nobody for a peer group number alone', () => {
    const { table, changes } = watched();
    table.apply([entry(2, '/a')], []);
    table.apply([entry(2, '/a', 'rw', 1, 'shared:5 ')], []);
    expect(changes).to.have.length(1);
    expect(table.at('/a')?.propagation.shared).to.equal(5);
  });

  it('keeps what a new helper sees too, and tells only the difference', () => {
    const { table, changes } = watched();
    table.apply([entry(2, '/a'), entry(3, '/b')], []);
    table.reset([entry(3, '/b'), entry(4, '/c')]);
    expect(changes[1]?.removed.map(({ id }) => id)).to.deep.equal([2]);
    expect(changes[1]?.added.map(({ id }) => id)).to.deep.equal([4]);
    expect(changes[1]?.changed).to.deep.equal([]);
  });

  it('follows an ID that the kernel gave to another mount', () => {
    const { table } = watched();
    table.apply([entry(2, '/a')], []);
    table.apply([entry(2, '/b')], []);
    expect(table.at('/a')).to.equal(undefined);
    expect(table.at('/b')?.id).to.equal(2);
  });
});
