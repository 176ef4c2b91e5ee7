/** Snapshots of directories of the host, and volumes made from them, through the API. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { findCondition } from '../src/api/conditions.ts';
import { SNAPSHOTS, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Snapshot } from '../src/api/snapshot.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, snapshot, volume } from '../test/support/harness/manifests.ts';

describe(`snapshots of hostPath volumes, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;

  before(async () => {
    machine = await Machine.start({ separate: true });
    ns = await machine.namespace('snapshots-hostpath');
  });

  after(async () => {
    await machine?.end();
  });

  const keyOf = (name: string): string => `${ns}/${name}`;
  const copies = (): string => join(machine.settings.stateDir, 'snapshots-data');

  it('are taken of a mounted directory, and fill one that is missing', async () => {
    const path = machine.hostDirectory('source');
    mkdirSync(join(path, 'deep'));
    writeFileSync(join(path, 'deep/file'), 'first');
    await machine.create(volume(ns, 'source', { hostPath: { path } }));
    await machine.create(mount(ns, 'source', 'source'));
    await machine.waitReady(VOLUME_MOUNTS, keyOf('source'));
    await machine.create(snapshot(ns, 'first', 'source'));
    const { status, metadata } = await machine.waitReady<Snapshot>(SNAPSHOTS, keyOf('first'), 120_000);
    expect(status?.method).to.be.oneOf(['Copy', 'ReflinkTree']);
    expect(findCondition(status?.conditions, 'ContentConsistent')).to.include({ status: 'True', reason: 'Unchanged' });
    writeFileSync(join(path, 'deep/file'), 'second');

    const clone = join(machine.host, 'clone');
    const dataSource = { snapshotRef: { name: 'first' } };
    await machine.create(volume(ns, 'clone', { hostPath: { path: clone, type: 'DirectoryOrCreate' }, dataSource }));
    await machine.create(mount(ns, 'clone', 'clone'));
    await machine.waitReady(VOLUME_MOUNTS, keyOf('clone'), 120_000);
    expect(readFileSync(join(machine.target(ns, 'clone'), 'deep/file'), 'utf8')).to.equal('first');
    expect(readdirSync(copies())).to.deep.equal([metadata.uid]);
    expect(readdirSync(machine.host).filter((name) => name.startsWith('.'))).to.deep.equal([]);
  });

  it('are deleted with their object, and nothing else is', async () => {
    await machine.delete(SNAPSHOTS, keyOf('first'));
    await machine.waitGone(SNAPSHOTS, keyOf('first'));
    expect(existsSync(copies())).to.equal(false);
    for (const name of ['source', 'clone']) {
      await machine.delete(VOLUME_MOUNTS, keyOf(name));
      await machine.delete(VOLUMES, keyOf(name));
      await machine.waitGone(VOLUMES, keyOf(name));
      expect(existsSync(join(machine.host, name, 'deep/file'))).to.equal(true);
    }
  });

  it('are never put among the files of somebody else', async () => {
    const theirs = machine.hostDirectory('theirs');
    writeFileSync(join(theirs, 'file'), 'theirs');
    await machine.create(volume(ns, 'again', { hostPath: { path: machine.hostDirectory('source') } }));
    await machine.waitReady(VOLUMES, keyOf('again'));
    const dataSource = { volumeRef: { name: 'again' } };
    await machine.create(volume(ns, 'theirs', { hostPath: { path: theirs }, dataSource }));
    await machine.waitCondition(VOLUMES, keyOf('theirs'), 'Ready', 'False', 'CloneFailed');
    expect(readdirSync(theirs)).to.deep.equal(['file']);
    for (const name of ['theirs', 'again']) {
      await machine.delete(VOLUMES, keyOf(name));
      await machine.waitGone(VOLUMES, keyOf(name));
    }
  });
});
