import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { SECRETS, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import { mountTarget } from '../src/api/names.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { mountTable } from '../test/support/harness/mounts.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';
import { waitFor } from '../test/support/harness/wait.ts';

describe('an s3 volume on two nodes', function () {
  this.timeout(120_000);
  let machine: Machine;
  let server: S3Server;
  let ns: string;

  before(async () => {
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    server = await S3Server.start();
    await server.createBucket('shared');
    machine = await Machine.start({ separate: true });
    ns = await machine.namespace('nodes');
    const stringData = {
      AWS_ACCESS_KEY_ID: server.root.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
    };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: ns, name: 'keys' }, stringData };
    await machine.client.create(SECRETS, secret);
  });

  it('is mounted on its own node and on another, each with a process of its own', async () => {
    const { agent, settings } = await machine.addNode('node-b');
    const s3 = { bucket: 'shared', prefix: 'both', endpoint: server.endpoint, credentialsSecretRef: { name: 'keys' } };
    const spec = { s3, accessModes: ['ReadWriteMany'] as const, nodeName: machine.settings.nodeName };
    await machine.create(volume(ns, 'both', spec));
    await machine.create(mount(ns, 'here', 'both'));
    await machine.create(mount(ns, 'there', 'both', { nodeName: 'node-b' }));
    for (const name of ['here', 'there']) await machine.waitReady(VOLUME_MOUNTS, `${ns}/${name}`);
    const there = await machine.get<VolumeMount>(VOLUME_MOUNTS, `${ns}/there`);
    expect(there.status?.nodeName).to.equal('node-b');
    const target = mountTarget(settings.mountRoot, ns, 'there');
    expect(mountTable(agent.pid).filter((entry) => entry.target === target)).to.have.lengthOf(1);
    const seenThere = `/proc/${agent.pid}/root${target}`;
    writeFileSync(`${machine.target(ns, 'here')}/file`, 'from here');
    await waitFor(() => readFileSync(`${seenThere}/file`, 'utf8') === 'from here', {
      message: 'the file on the other node',
    });
    writeFileSync(`${seenThere}/back`, 'from there');
    await waitFor(() => readFileSync(`${machine.target(ns, 'here')}/back`, 'utf8') === 'from there', {
      message: 'the file of the other node',
    });

    await machine.delete(VOLUME_MOUNTS, `${ns}/there`);
    await machine.waitGone(VOLUME_MOUNTS, `${ns}/there`);
    expect(
      mountTable(agent.pid).filter(
        ({ fsType, target: at }) => fsType === 'fuse.rclone' && at.startsWith(settings.mountRoot),
      ),
    ).to.deep.equal([]);
    expect(readFileSync(`${machine.target(ns, 'here')}/back`, 'utf8')).to.equal('from there');
    await machine.delete(VOLUME_MOUNTS, `${ns}/here`);
    await machine.delete(VOLUMES, `${ns}/both`);
    await machine.waitGone(VOLUMES, `${ns}/both`);
    expect(await server.read('shared', 'both/back')).to.equal('from there');
  });
});
