import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { Driver } from '../../../src/drivers/driver.ts';
import { NodeError } from '../../../src/node/node-error.ts';
import { makePlace, mountsBelow, type Place, rejection, soon } from '../../node/support.ts';
import { hostPathDriver, hostPathVolume } from './support.ts';

describe('hostPath driver', function () {
  this.timeout(120_000);
  let place: Place;
  let driver: Driver;

  before(async () => {
    place = await makePlace();
    driver = hostPathDriver(place.layer);
  });

  after(async () => {
    expect(await place.dispose()).to.deep.equal([]);
  });

  const mount = (name: string) => ({
    uid: name,
    targetRoot: place.layer.mountRoot,
    targetPath: `ns/${name}/data`,
    readOnly: false,
  });

  it('makes the directory for DirectoryOrCreate only', async () => {
    const strict = hostPathVolume('strict', join(place.data, 'strict'), [place.data], { pathType: 'Directory' });
    expect(await rejection(driver.provision(strict, soon()))).to.include({
      reason: 'HostPathNotFound',
      terminal: false,
    });
    expect(existsSync(join(place.data, 'strict'))).to.equal(false);
    await driver.provision(hostPathVolume('loose', join(place.data, 'loose'), [place.data]), soon());
    expect(readdirSync(join(place.data, 'loose'))).to.deep.equal([]);
  });

  it('refuses what no prefix allows, for a person to change', async () => {
    for (const prefixes of [[], ['/srv'], [`${place.data}/other`]]) {
      const volume = hostPathVolume('refused', join(place.data, 'refused'), prefixes);
      const error = await rejection(driver.provision(volume, soon()));
      expect(error).to.include({ reason: 'HostPathNotAllowed', terminal: true });
      expect((await driver.observeVolume(volume, soon())).problem).to.include({
        reason: 'HostPathNotAllowed',
        terminal: true,
      });
      expect(existsSync(join(place.data, 'refused'))).to.equal(false);
    }
  });

  it('says of each wrong path what is wrong with it', async () => {
    writeFileSync(join(place.data, 'file'), '');
    const reasons: string[] = [];
    for (const path of [join(place.data, 'file'), `${place.data}/../x`, '/etc']) {
      const error = await rejection(driver.provision(hostPathVolume('w', path, [place.data, '/']), soon()));
      reasons.push(`${error.reason}`);
      expect(error).to.include({ terminal: true });
    }
    expect(reasons).to.deep.equal(['HostPathNotDirectory', 'InvalidSpec', 'HostPathNotAllowed']);
  });

  it('says nothing of a directory while nobody can look at it', async () => {
    const lost = new NodeError('HelperLost', 'the helper ended');
    const blind = hostPathDriver({ ...place.layer, inspectUserPath: () => Promise.reject(lost) });
    const volume = hostPathVolume('blind', join(place.data, 'blind'), [place.data]);
    expect(await rejection(blind.observeVolume(volume, soon()))).to.include({
      reason: 'HelperUnavailable',
      terminal: false,
    });
  });

  it('refuses to enforce a capacity, and says so where it is only stated', async () => {
    const path = join(place.data, 'sized');
    const enforced = hostPathVolume('sized', path, [place.data], { capacityBytes: 1n, capacityPolicy: 'Enforce' });
    expect(await rejection(driver.provision(enforced, soon()))).to.include({
      reason: 'CapacityNotEnforceable',
      terminal: true,
    });
    const stated = hostPathVolume('sized', path, [place.data], { capacityBytes: 1n });
    await driver.provision(stated, soon());
    const { capacity, enforcedBytes } = await driver.observeVolume(stated, soon());
    expect(capacity).to.include({ enforced: false, reason: 'CapacityAdvisory' });
    expect(enforcedBytes).to.equal(undefined);
  });

  it('takes a mount down although its prefix is no longer allowed, and mounts no other', async () => {
    const path = join(place.data, 'withdrawn');
    mkdirSync(path);
    await driver.publish(hostPathVolume('withdrawn', path, [place.data]), mount('withdrawn'), soon());
    const now = hostPathVolume('withdrawn', path, []);
    expect(await rejection(driver.publish(now, mount('withdrawn2'), soon()))).to.include({
      reason: 'HostPathNotAllowed',
    });
    expect(await driver.unpublish(now, mount('withdrawn'), soon())).to.deep.equal({ outcome: 'done' });
    expect(mountsBelow(place.layer.mountRoot)).to.deep.equal([]);
  });

  it('takes a mount below the mount root down although its source was moved, and asks elsewhere', async () => {
    const path = join(place.data, 'moved');
    const elsewhere = { ...mount('moved2'), targetRoot: place.data, targetPath: 'target' };
    const volume = hostPathVolume('moved', path, [place.data]);
    await driver.provision(volume, soon());
    writeFileSync(join(path, 'file'), 'content');
    await driver.publish(volume, mount('moved'), soon());
    await driver.publish(volume, elsewhere, soon());
    renameSync(path, `${path}.away`);
    expect(await driver.unpublish(volume, mount('moved'), soon())).to.deep.equal({ outcome: 'done' });
    const error = await rejection(driver.unpublish(volume, elsewhere, soon()));
    expect(error).to.include({ reason: 'MountTargetConflict' });
    expect((error as Error).message).to.include(`Unmount ${join(place.data, 'target')} by hand`);
    execFileSync('umount', [join(place.data, 'target')]);
    expect(await driver.unpublish(volume, elsewhere, soon())).to.deep.equal({ outcome: 'done' });
    expect(readFileSync(`${path}.away/file`, 'utf8')).to.equal('content');
  });

  it('takes a mount down whose source was removed, and not the last one of a filesystem in memory', async () => {
    const path = join(place.data, 'removed');
    const volume = hostPathVolume('removed', path, [place.data]);
    await driver.provision(volume, soon());
    await driver.publish(volume, mount('removed'), soon());
    rmdirSync(path);
    expect(await driver.unpublish(volume, mount('removed'), soon())).to.deep.equal({ outcome: 'done' });

    const disk = join(place.data, 'disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', 'theirs', disk]);
    const memory = hostPathVolume('memory', join(disk, 'sub'), [place.data]);
    await driver.provision(memory, soon());
    await driver.publish(memory, mount('memory'), soon());
    const target = join(place.layer.mountRoot, 'ns/memory/data');
    writeFileSync(join(target, 'file'), 'content');
    execFileSync('umount', ['--lazy', disk]);
    expect(await rejection(driver.unpublish(memory, mount('memory'), soon()))).to.include({
      reason: 'MountTargetConflict',
    });
    expect(readFileSync(join(target, 'file'), 'utf8')).to.equal('content');
    execFileSync('umount', [target]);
    expect(await driver.unpublish(memory, mount('memory'), soon())).to.deep.equal({ outcome: 'done' });
  });

  it('keeps every byte on delete', async () => {
    const volume = hostPathVolume('kept', join(place.data, 'kept'), [place.data]);
    await driver.provision(volume, soon());
    writeFileSync(join(place.data, 'kept/file'), 'content');
    await driver.delete(volume, soon());
    expect(existsSync(join(place.data, 'kept/file'))).to.equal(true);
    expect((await driver.observeVolume(volume, soon())).ownedByUs).to.equal(false);
  });
});
