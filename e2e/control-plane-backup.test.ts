/** `clawstore apiserver backup` and `restore`, with a node whose mounts are live all the time. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { STORAGE_NODES, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { StorageNode } from '../src/api/storage-node.ts';
import type { Volume } from '../src/api/volume.ts';
import { KubeError } from '../src/kube/errors.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { mountIds } from '../test/support/harness/mounts.ts';

describe('a backup of the embedded control plane', function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  let file: string;
  /** Of the history that the restore ends. */
  let lastVersion: string;
  let laterUid: string;

  before(async () => {
    machine = await Machine.start();
    ns = await machine.namespace('backup');
    file = join(machine.directory, 'control-plane.backup');
  });
  after(() => machine?.end());

  const make = async (name: string): Promise<void> => {
    await machine.create(volume(ns, name, { emptyDir: {}, capacity: '32Mi' }));
    await machine.create(mount(ns, name, name));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/${name}`);
    write(name, `of ${name}`);
  };
  const path = (name: string): string => join(machine.target(ns, name), 'file');
  const write = (name: string, text: string): void => writeFileSync(path(name), text);
  const read = (name: string): string => readFileSync(path(name), 'utf8');

  it('is made while everything runs, for its owner alone', async () => {
    await make('kept');
    const { code, stdout, stderr } = await machine.command(['apiserver', 'backup', file]);
    expect(code, stderr).to.equal(0);
    expect(stdout).to.match(/^\d+ objects, up to version \d+, are backed up in /);
    expect(statSync(file).mode & 0o777).to.equal(0o600);
    expect((await machine.command(['apiserver', 'backup', file])).stderr).to.include('exists already');
  });

  it('is not restored under a server that runs', async () => {
    await make('later');
    laterUid = (await machine.get<Volume>(VOLUMES, `${ns}/later`)).metadata.uid ?? '';
    write('kept', 'changed since');
    const { code, stderr } = await machine.command(['apiserver', 'restore', file]);
    expect(code).to.equal(4);
    expect(stderr).to.include(`(pid ${machine.node.pid}): stop it first; nothing was changed`);
    expect((await machine.get<Volume>(VOLUMES, `${ns}/later`)).metadata.uid).to.equal(laterUid);
  });

  it('is refused when it is no whole backup', async () => {
    const damaged = join(machine.directory, 'damaged');
    writeFileSync(damaged, readFileSync(file).subarray(0, 5000));
    ({ resourceVersion: lastVersion } = await machine.client.list(VOLUMES));
    await machine.node.stop();
    const { code, stderr } = await machine.command(['apiserver', 'restore', damaged]);
    expect(code).to.equal(1);
    expect(stderr).to.match(/cannot restore .*damaged/);
  });

  it('brings its objects back and costs the node no mount and no byte: what came later is an orphan', async () => {
    const mounts = mountIds(machine.settings.mountRoot);
    const { code, stdout, stderr } = await machine.command(['apiserver', 'restore', file]);
    expect(code, stderr).to.equal(0);
    expect(stdout).to.match(/objects are restored, as they were at .*\nwhat was there before is kept in /);
    await machine.startNode();
    await machine.waitFor<StorageNode>(
      STORAGE_NODES,
      machine.settings.nodeName,
      ({ status }) => status?.orphans?.some(({ kind, uid }) => kind === 'Volume' && uid === laterUid) === true,
      'to list the volume that came later as an orphan',
      120_000,
    );
    const { items } = await machine.client.list(VOLUMES, { namespace: ns });
    expect(items.map(({ metadata }) => metadata.name)).to.deep.equal(['kept']);
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/kept`);
    expect(mountIds(machine.settings.mountRoot)).to.deep.equal(mounts);
    expect(read('kept')).to.equal('changed since');
    expect(read('later')).to.equal('of later');
  });

  it('ends the history of those who watched before: they are told to list again, and versions go on', async () => {
    const events = machine.client.watch(VOLUMES, { resourceVersion: lastVersion })[Symbol.asyncIterator]();
    const ended = await events.next().catch((thrown: unknown) => KubeError.from(thrown));
    expect(ended).to.be.instanceOf(KubeError);
    expect((ended as KubeError).isExpired).to.equal(true);
    const { resourceVersion } = await machine.client.list(VOLUMES);
    expect(Number(resourceVersion)).to.be.above(Number(lastVersion));
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
