import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { forkHelper } from '../../src/node/fork-helper.ts';
import { copyOfMounts, end, makePlace, mountsAt, type Place, rejection, soon } from './support.ts';

describe('node layer without koffi', function () {
  this.timeout(120_000);
  let place: Place;

  before(async () => {
    place = await makePlace({ fork: () => forkHelper({ CLAWSTORE_WITHOUT_KOFFI: '1' }) });
  });

  after(async () => {
    expect(await place.dispose()).to.deep.equal([]);
  });

  it('binds our own directories, read-only where wanted, once', async () => {
    const { layer } = place;
    mkdirSync(join(layer.stateDir, 'own'), { recursive: true });
    writeFileSync(join(layer.stateDir, 'own/file'), 'content');
    const source = { root: layer.stateDir, path: 'own' };
    const target = { root: layer.mountRoot, path: 'ns/a/data' };
    const path = join(target.root, target.path);
    const bind = () => layer.bindOwn({ source, target, readOnly: true, options: ['nosuid', 'nodev'] }, soon());
    const first = await bind();
    expect((await bind()).created).to.equal(false);
    expect(mountsAt(path)).to.equal(1);
    expect(first.entry.options).to.include.members(['ro', 'nosuid', 'nodev']);
    expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('content');
    expect(() => writeFileSync(join(path, 'file'), 'other')).to.throw('EROFS');
    const seen = await layer.observeTarget({ target, own: source }, soon());
    expect(seen.visibleMountId).to.equal(first.entry.id);
    expect(seen.source).to.include({ device: first.entry.device, root: first.entry.root });
    expect(seen.visible?.stIno).to.equal(seen.source?.stIno);

    const copy = await copyOfMounts();
    try {
      expect(await layer.unmount({ target, mountId: first.entry.id, scope: 'copies' }, soon())).to.deep.equal({
        outcome: 'in-use-by-other-namespace',
        holders: [{ pid: copy.pid, comm: 'sleep' }],
      });
    } finally {
      await end(copy);
    }
    expect(await layer.unmount({ target, mountId: undefined, scope: 'copies' }, soon())).to.deep.equal({
      outcome: 'done',
    });
    expect(existsSync(join(layer.mountRoot, 'ns'))).to.equal(false);
  });

  it('mounts a tmpfs with its size', async () => {
    const target = { root: place.layer.mountRoot, path: 'ns/t/data' };
    const wanted = { target, sizeBytes: 1_048_576n, mode: 0o700, readOnly: false, options: ['nosuid'], name: 'x' };
    const { entry } = await place.layer.tmpfs(wanted, soon());
    expect((await place.layer.statfs(entry.target, soon())).totalBytes).to.equal(1_048_576n);
    expect(await place.layer.unmount({ target, mountId: entry.id, scope: 'device' }, soon())).to.deep.equal({
      outcome: 'done',
    });
  });

  it('touches no path that a user wrote', async () => {
    const path = join(place.data, 'user');
    mkdirSync(path);
    const target = { root: place.layer.mountRoot, path: 'ns/u/data' };
    const bind = { prefix: place.data, path, target, readOnly: false, options: [], create: true };
    expect(await rejection(place.layer.bindUserPath(bind, soon()))).to.include({
      code: 'Unsupported',
      retryable: false,
    });
  });

  it('still excludes a second agent', async () => {
    const lock = await place.layer.lock(join(place.dir, 'agent.lock'), soon());
    expect(await rejection(place.layer.lock(join(place.dir, 'agent.lock'), soon()))).to.include({ code: 'Locked' });
    await lock.release();
  });
});
