import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { DriverVolume } from '../../../src/drivers/driver.ts';
import { NfsDriver } from '../../../src/drivers/nfs/driver.ts';
import { isNfsRecord, type NfsRecord } from '../../../src/drivers/nfs/record.ts';
import { Reverts } from '../../../src/drivers/reverts.ts';
import { snapshotRecords } from '../../../src/drivers/snapshot-record.ts';
import { fillRecords } from '../../../src/drivers/trees/fill.ts';
import { NodeError } from '../../../src/node/node-error.ts';
import { Records } from '../../../src/node/records.ts';
import { rejection, soon } from '../../node/support.ts';
import { ScriptedNode, SILENT, STALE } from './scripted-node.ts';

const mount = { uid: 'm', targetRoot: '/run/mounts', targetPath: 'ns/m/data', readOnly: false };

describe('the nfs driver', () => {
  let directory: string;
  let records: Records<NfsRecord>;
  let node: ScriptedNode;
  let driver: NfsDriver;
  let now: number;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-nfs-'));
    records = new Records(join(directory, 'nfs'), isNfsRecord);
    node = new ScriptedNode();
    now = 0;
    driver = driverOn(records, () => now);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const driverOn = (of: Records<NfsRecord>, clock?: () => number): NfsDriver => {
    const [snapshots, fills] = [snapshotRecords(directory), fillRecords(directory)];
    const stores = { records: of, snapshots, fills, reverts: new Reverts(directory) };
    return new NfsDriver({ node, ...stores, ...(clock === undefined ? {} : { now: clock }) });
  };
  const volumeOf = (name: string, subPath?: string, overrides: Partial<DriverVolume> = {}): DriverVolume => ({
    uid: `uid-${name}`,
    namespace: 'ns',
    name,
    source: { type: 'nfs', server: 's', path: '/x', subPath },
    capacityBytes: undefined,
    capacityPolicy: undefined,
    provisioning: 'Thin',
    pool: 'default',
    mountOptions: ['nosuid', 'nodev'],
    mayLoseData: false,
    wasProvisioned: false,
    ...overrides,
  });
  const volume = volumeOf('v');
  const problemOf = async (of: DriverVolume) => (await driver.observeVolume(of, soon())).problem?.reason;
  const published = async (of: DriverVolume) => {
    await driver.provision(of, soon());
    await driver.publish(of, mount, soon());
    node.calls.length = 0;
  };

  it('says what the node lacks', async () => {
    expect(await driver.capabilities(soon())).to.deep.include({ supported: true });
    node.command = false;
    expect(await driver.capabilities(soon())).to.deep.include({ supported: false, reason: 'CommandMissing' });
    node.kernel = false;
    expect(await driver.capabilities(soon())).to.deep.include({ supported: false, reason: 'KernelFeatureMissing' });
  });

  it('remembers what it found when it provisioned, over a restart', async () => {
    await driver.provision(volumeOf('v', 'own'), soon());
    const again = driverOn(new Records(join(directory, 'nfs'), isNfsRecord));
    const seen = await again.observeVolume(volumeOf('v', 'own'), soon());
    expect(seen).to.deep.include({ provisioned: true, ownedByUs: true, staged: true });
    expect((await again.observeVolume(volumeOf('v', 'other'), soon())).provisioned).to.equal(false);
  });

  it('says that nothing limits what is written, and refuses to promise it', async () => {
    const { capacity } = await driver.observeVolume({ ...volume, capacityBytes: 2000n }, soon());
    expect(capacity).to.deep.include({ enforced: false, reason: 'NotEnforceable' });
    await driver.provision(volume, soon());
    const after = await driver.observeVolume({ ...volume, capacityBytes: 2000n }, soon());
    expect(after.capacity.message).to.include('less than the capacity');
    const enforcing = volumeOf('w', undefined, { capacityPolicy: 'Enforce' });
    expect(await rejection(driver.provision(enforcing, soon()))).to.include({ reason: 'CapacityNotEnforceable' });
  });

  it('makes nothing anew in the place of a directory that was there', async () => {
    const missed = volumeOf('v', 'own', { wasProvisioned: true });
    expect(await rejection(driver.provision(missed, soon()))).to.include({ reason: 'DataMissing', terminal: true });
    expect(node.calls).to.include('findDirectory own').and.not.include('makeDirectory own');
    node.directories.set('own', 9n);
    await driver.provision(missed, soon());
    expect(records.read('uid-v')).to.deep.include({ created: false, ino: '9' });
  });

  describe('when a server does not answer', () => {
    it('leaves its mounts alone and says so, by the mount table', async () => {
      await published(volume);
      node.failures.set('observeTarget', SILENT).set('statfs', SILENT);
      const seen = await driver.observeMount(volume, mount, soon());
      expect(seen).to.deep.include({ state: 'unresponsive', reason: 'ServerUnreachable', source: 's:/x' });
      expect(await problemOf(volume)).to.equal('ServerUnreachable');
      expect(node.calls.filter((call) => call.startsWith('unmount'))).to.deep.equal([]);
    });

    it('asks it once for all of its volumes, and again after a while', async () => {
      const other = volumeOf('w');
      await driver.stage(volume, soon());
      await driver.stage(other, soon());
      node.failures.set('statfs', SILENT);
      node.calls.length = 0;
      expect(await problemOf(volume)).to.equal('ServerUnreachable');
      expect(await problemOf(other)).to.equal('ServerUnreachable');
      expect(node.calls).to.deep.equal(['statfs .volumes/uid-v']);
      node.failures.clear();
      now += 10_000;
      expect(await problemOf(other)).to.equal(undefined);
      expect(await problemOf(volume)).to.equal(undefined);
    });

    it('still asks other servers, and the same one by other options', async () => {
      const elsewhere = volumeOf('w', undefined, {
        source: { type: 'nfs', server: 't', path: '/x', subPath: undefined },
      });
      const port = volumeOf('p', undefined, { mountOptions: ['port=2050'] });
      for (const each of [volume, elsewhere, port]) await driver.stage(each, soon());
      node.failures.set('statfs', SILENT);
      await problemOf(volume);
      node.failures.clear();
      expect([await problemOf(elsewhere), await problemOf(port)]).to.deep.equal([undefined, undefined]);
    });

    it('takes a mount down without it', async () => {
      await published(volume);
      node.failures.set('observeTarget', SILENT).set('statfs', SILENT);
      expect(await driver.unpublish(volume, mount, soon())).to.deep.equal({ outcome: 'done' });
    });

    it('keeps the last mount of the export, which may have something to write out', async () => {
      await driver.stage(volume, soon());
      node.failures.set('syncFilesystem', SILENT);
      expect(await rejection(driver.unstage(volume, soon()))).to.include({
        reason: 'ServerUnreachable',
        terminal: false,
      });
      expect(node.calls.filter((call) => call.startsWith('unmount'))).to.deep.equal([]);
      node.failures.clear();
      now += 10_000;
      expect(await driver.unstage(volume, soon())).to.deep.equal({ outcome: 'done' });
      expect(node.calls.slice(-2)).to.deep.equal(['syncFilesystem .volumes/uid-v', 'unmount .volumes/uid-v']);
    });
  });

  it('gives up what a dead server was not sent only where a person permits it', async () => {
    const given = volumeOf('v', undefined, { mayLoseData: true });
    await driver.stage(given, soon());
    await driver.unstage(given, soon());
    expect(node.calls.at(-1)).to.equal('unmount .volumes/uid-v');
    await driver.stage(given, soon());
    node.failures.set('syncFilesystem', SILENT);
    expect(await driver.unstage(given, soon())).to.deep.equal({ outcome: 'done' });
    expect(node.calls.at(-1)).to.equal('unmount .volumes/uid-v by force');
  });

  describe('when a server does not know the handle any more', () => {
    it('mounts the export anew, after the old mount is gone', async () => {
      await published(volume);
      node.failures.set('statfs', STALE).set('syncFilesystem', STALE);
      expect(await driver.observeMount(volume, mount, soon())).to.deep.include({
        state: 'stale',
        reason: 'StaleHandle',
      });
      await driver.unpublish(volume, mount, soon());
      node.calls.length = 0;
      await driver.publish(volume, mount, soon());
      expect(node.calls.slice(-4)).to.deep.equal([
        'unmount .volumes/uid-v',
        'mountNfs .volumes/uid-v',
        'halfSwaps .volumes/uid-v',
        'bindOwn ns/m/data',
      ]);
    });

    it('puts no second mount over an old one that is in use', async () => {
      await driver.stage(volume, soon());
      node.failures.set('statfs', STALE);
      node.outcome = { outcome: 'busy', holders: [], mounts: ['/run/mounts/ns/other/data'] };
      node.calls.length = 0;
      const error = await rejection(driver.publish(volume, mount, soon()));
      expect(error).to.include({ reason: 'StaleHandle' });
      expect(error.message).to.include('ns/other/data');
      expect(node.calls.filter((call) => /^(mountNfs|bindOwn)/.test(call))).to.deep.equal([]);
    });
  });

  it('reports something else at the place of its mount, and leaves it there', async () => {
    node.add('/run/mounts/.volumes/uid-v', 'other:/y');
    expect(await problemOf(volume)).to.equal('MountCovered');
    expect(await rejection(driver.unstage(volume, soon()))).to.include({ reason: 'MountCovered' });
    expect(node.entries).to.have.length(1);
  });

  it('refuses options that are not of the client, before it asks anybody', async () => {
    const odd = volumeOf('v', undefined, { mountOptions: ['bg'] });
    expect(await driver.observeVolume(odd, soon())).to.have.nested.property('problem.terminal', true);
    expect(await rejection(driver.stage(odd, soon()))).to.include({ reason: 'MountOptionNotAllowed' });
    expect(node.calls).to.deep.equal([]);
  });

  describe('asked to delete', () => {
    const own = volumeOf('v', 'own');
    const deleted = async () => {
      await driver.unstage(own, soon());
      node.calls.length = 0;
      return (await driver.delete(own, soon())).kept;
    };
    const removals = () => node.calls.filter((call) => call.startsWith('removeTree'));

    it('removes the directory that it made, and what it remembered', async () => {
      await driver.provision(own, soon());
      expect(await driver.leftovers()).to.deep.include({
        volumeUID: 'uid-v',
        volume: { namespace: own.namespace, name: 'v' },
        path: 's:/x/own',
        bytes: undefined,
      });
      expect(await deleted()).to.equal(undefined);
      expect(removals()).to.deep.equal(['removeTree .volumes/uid-v/own']);
      expect(await driver.leftovers()).to.deep.equal([]);
      expect(node.entries).to.deep.equal([]);
    });

    it('keeps one that was there before', async () => {
      node.directories.set('own', 3n);
      await driver.provision(own, soon());
      expect(await deleted()).to.include('was there before');
      expect(removals()).to.deep.equal([]);
      expect(records.read('uid-v')).to.equal(undefined);
    });

    it('keeps one of which it cannot say whether its earlier owner made it', async () => {
      node.directories.set('own', 3n);
      const taken = { ...own, wasProvisioned: true };
      await driver.provision(taken, soon());
      await driver.unstage(taken, soon());
      expect((await driver.delete(taken, soon())).kept).to.include('no record of having made');
      expect(removals()).to.deep.equal([]);
      expect(records.read('uid-v')).to.equal(undefined);
    });

    it('keeps one that took the name of the one it made, or is on another filesystem', async () => {
      await driver.provision(own, soon());
      node.directories.set('own', 8n);
      expect(await deleted()).to.include('another directory');
      await driver.provision(own, soon());
      expect(records.read('uid-v')?.created).to.equal(false);
      node.directories.delete('own');
      records.remove('uid-v');
      await driver.provision(own, soon());
      node.fsid = '0:2';
      expect(await deleted()).to.include('another directory');
      expect(removals()).to.deep.equal([]);
    });

    it('keeps one that another volume uses too, also from within', async () => {
      await driver.provision(own, soon());
      await driver.provision(volumeOf('w', 'own/below'), soon());
      expect(await deleted()).to.include('another volume');
      expect(removals()).to.deep.equal([]);
    });

    it('keeps what it has no record of', async () => {
      expect(await deleted()).to.include('no record');
      expect(node.calls).to.deep.equal([]);
    });

    it('removes nothing that is still mounted somewhere', async () => {
      await driver.provision(own, soon());
      await driver.publish(own, mount, soon());
      expect(await rejection(driver.delete(own, soon()))).to.include({ reason: 'VolumeInUse' });
      expect(removals()).to.deep.equal([]);
    });

    it('goes on where an attempt was cut off', async () => {
      await driver.provision(own, soon());
      node.failures.set('removeTree', new NodeError('HelperLost', 'it ended'));
      expect(await rejection(driver.delete(own, soon()))).to.include({ reason: 'HelperUnavailable' });
      node.failures.clear();
      expect(await deleted()).to.equal(undefined);
      expect(removals()).to.have.length(1);
    });
  });

  it('forgets what it only found when the volume is released, and keeps in mind what it made', async () => {
    await driver.provision(volume, soon());
    await driver.provision(volumeOf('w', 'own'), soon());
    await driver.release(volume, soon());
    await driver.release(volumeOf('w', 'own'), soon());
    expect([...records.all().keys()]).to.deep.equal(['uid-w']);
  });
});

describe('records', () => {
  it('are whole or not there, whatever lies in their directory', () => {
    const directory = mkdtempSync(join(tmpdir(), 'clawstore-records-'));
    const records = new Records(directory, (value): value is { a: number } => {
      return typeof value === 'object' && value !== null && 'a' in value;
    });
    try {
      expect([records.read('x'), records.all().size]).to.deep.equal([undefined, 0]);
      records.write('x', { a: 1 });
      records.write('x', { a: 2 });
      writeFileSync(join(directory, 'torn.json'), '{"a":');
      writeFileSync(join(directory, 'other.json'), '{"b":1}');
      expect([...records.all()]).to.deep.equal([['x', { a: 2 }]]);
      expect(readdirSync(directory).filter((name) => name.endsWith('.new'))).to.deep.equal([]);
      records.remove('x');
      records.remove('x');
      expect(records.read('x')).to.equal(undefined);
      expect(() => records.read('../x')).to.throw();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
