/**
 * A repository on an NFS server, inside a guest whose kernel has a client (e2e/nfs.test.ts), with a server at NFS_ADDRESS
 * and NFS_PORT that exports /contract.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { RepositoryAccess } from '../../../src/backup/engine.ts';
import { makePlace, mountsBelow, type Place, rejection } from '../../node/support.ts';
import { filesOf } from '../hostile-tree.ts';
import { EngineWorld, PASSWORD } from './support.ts';

const server = process.env['NFS_ADDRESS'] ?? '';
const port = process.env['NFS_PORT'] ?? '';

/** A guest has one slow processor. */
const patient = (): AbortSignal => AbortSignal.timeout(110_000);

describe('engine with a repository on an NFS server', function () {
  this.timeout(240_000);
  let place: Place;
  let world: EngineWorld;
  let access: RepositoryAccess;

  before(async () => {
    place = await makePlace();
    world = new EngineWorld(place, '0.19');
    access = repository({});
  });

  after(async () => {
    expect(await place.dispose(), 'mounts that no call took down').to.deep.equal([]);
  });

  function repository(location: { readonly path?: string; readonly port?: string }): RepositoryAccess {
    const mountOptions = [`port=${location.port ?? port}`, 'vers=4.1', 'soft', 'timeo=20', 'retrans=1'];
    return {
      location: { type: 'nfs', server, path: location.path ?? '/contract', subPath: 'backups/ns', mountOptions },
      password: PASSWORD,
      cacheDirectory: { root: place.layer.stateDir, path: 'cache' },
    };
  }

  it('makes it in a directory of the export, keeps a tree there, and brings it back', async () => {
    const made = await world.engine.initialize(access, patient());
    expect(made.formatVersion).to.equal(2);
    const source = world.directory('source');
    mkdirSync(join(source.path, 'sub'));
    for (const name of ['a', 'sub/b']) writeFileSync(join(source.path, name), name);
    const { snapshotId, complete } = await world.backup(access, source.path, {}, { signal: patient() });
    expect(complete).to.equal(true);
    const target = world.directory('target');
    await world.restore(access, snapshotId, target.path, {}, patient());
    expect(filesOf(target.path, [])).to.deep.equal(filesOf(source.path, []));
    expect(await world.engine.size(access, patient())).to.satisfy((bytes: bigint) => bytes > 0n);
    await world.engine.removeLocks(access, ['a'.repeat(64)], patient());
  });

  it('says what is wrong with the export, and leaves nothing mounted', async () => {
    const wrong = world.engine.open(repository({ path: '/no-such-export' }), patient());
    expect((await rejection(wrong)).message).to.contain('mount.nfs');
    const dead = world.engine.open(repository({ port: '9' }), AbortSignal.timeout(5_000));
    expect(await rejection(dead)).to.have.property('retryable', true);
    expect(mountsBelow('/run/clawstore')).to.deep.equal([]);
  });
});
