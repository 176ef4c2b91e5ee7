/** One mount of a volume, as the tests of drivers want it: up where its files are to be seen, and down again without a rest. */
import { join } from 'node:path';
import { expect } from 'chai';
import type { Driver, DriverMount, DriverVolume } from '../../src/drivers/driver.ts';
import { type Place, soon } from '../node/support.ts';

function mountOf({ uid, name }: DriverVolume, targetRoot: string): DriverMount {
  return { uid: `mount-${uid}`, targetRoot, targetPath: `ns/${name}/data`, readOnly: false };
}

/** @returns where the files of the volume are. */
export async function mountVolume(driver: Driver, { layer }: Place, volume: DriverVolume): Promise<string> {
  const mount = mountOf(volume, layer.mountRoot);
  await driver.stage(volume, soon());
  await driver.publish(volume, mount, soon());
  return join(layer.mountRoot, mount.targetPath);
}

export async function unmountVolume(driver: Driver, { layer }: Place, volume: DriverVolume): Promise<void> {
  const done = { outcome: 'done' };
  expect(await driver.unpublish(volume, mountOf(volume, layer.mountRoot), soon())).to.deep.equal(done);
  expect(await driver.unstage(volume, soon())).to.deep.equal(done);
}
