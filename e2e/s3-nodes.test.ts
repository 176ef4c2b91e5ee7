import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'chai';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import { SECRETS, STORAGE_NODES, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import type { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { type NodeHost, Nodes } from '../test/support/harness/nodes.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const NODE_LOST_MS = 150_000;

describe('an s3 volume on two nodes', function () {
  this.timeout(300_000);
  let nodes: Nodes;
  let machine: Machine;
  let server: S3Server;
  let ns: string;
  let here: NodeHost;
  let there: NodeHost;

  before(async () => {
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    nodes = await Nodes.shared();
    ({ machine } = nodes);
    here = await nodes.add('node-a');
    there = await nodes.add('node-b');
    await Promise.all([here.restart(), there.restart()]);
    server = await S3Server.start({ address: nodes.address });
    await server.createBucket('shared');
    ns = await machine.namespace('nodes');
    const stringData = {
      AWS_ACCESS_KEY_ID: server.root.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
    };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: ns, name: 'keys' }, stringData };
    await machine.client.create(SECRETS, secret);
  });

  beforeEach(async () => {
    const s3 = { bucket: 'shared', prefix: 'both', endpoint: server.endpoint, credentialsSecretRef: { name: 'keys' } };
    await machine.create(
      volume(ns, 'both', { s3, accessModes: ['ReadWriteMany'] as const, nodeName: here.settings.nodeName }),
    );
    for (const [name, node] of [
      ['here', here],
      ['there', there],
    ] as const) {
      await machine.create(mount(ns, name, 'both', { nodeName: node.name }));
    }
    for (const name of ['here', 'there']) await machine.waitReady(VOLUME_MOUNTS, `${ns}/${name}`);
  });

  // What a test has not come to.
  afterEach(async () => {
    for (const node of [here, there]) {
      await node.heal();
      if (!node.isRunning) await node.restart();
    }
    await machine.deleteAll();
  });

  const s3Mounts = (node: NodeHost): readonly string[] =>
    node
      .mounts()
      .filter(({ fsType, target }) => fsType === 'fuse.rclone' && target.startsWith(node.settings.mountRoot))
      .map(({ id, target }) => `${id} ${target}`);
  const reads = (file: string, content: string) =>
    waitFor(() => readFileSync(file, 'utf8') === content, { message: `${content} in ${file}` });

  it('is mounted on its own node and on another, each with a process of its own', async () => {
    const status = (await machine.get<VolumeMount>(VOLUME_MOUNTS, `${ns}/there`)).status;
    expect(status?.nodeName).to.equal('node-b');
    const [ours, theirs] = [here.target(ns, 'here'), there.target(ns, 'there')];
    expect(s3Mounts(here), 'the stage and one bind').to.have.lengthOf(2);
    expect(s3Mounts(there)).to.have.lengthOf(2);
    writeFileSync(`${ours}/file`, 'from here');
    await reads(`${theirs}/file`, 'from here');
    writeFileSync(`${theirs}/back`, 'from there');
    await reads(`${ours}/back`, 'from there');

    await machine.delete(VOLUME_MOUNTS, `${ns}/there`);
    await machine.waitGone(VOLUME_MOUNTS, `${ns}/there`);
    expect(s3Mounts(there)).to.deep.equal([]);
    expect(readFileSync(`${ours}/back`, 'utf8')).to.equal('from there');
    await machine.deleteAll();
    expect(await server.read('shared', 'both/back')).to.equal('from there');
  });

  it('keeps its mounts on a node that loses its network, and is as before once that is back', async () => {
    const [ours, theirs] = [here.target(ns, 'here'), there.target(ns, 'there')];
    writeFileSync(`${theirs}/before`, 'before');
    await reads(`${ours}/before`, 'before');
    const before = s3Mounts(there);
    await there.cut();
    await there.waitLost();
    await machine.waitCondition(VOLUME_MOUNTS, `${ns}/there`, 'Ready', 'Unknown', 'NodeLost', NODE_LOST_MS);
    expect(s3Mounts(there), 'mounts of the lost node').to.deep.equal(before);
    writeFileSync(`${ours}/meanwhile`, 'meanwhile');
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/here`);
    there.agent.assertRunning();

    await there.heal();
    await machine.waitReady(STORAGE_NODES, there.name, NODE_LOST_MS);
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/there`, NODE_LOST_MS);
    expect(s3Mounts(there), 'mounts after the outage').to.deep.equal(before);
    await reads(`${theirs}/meanwhile`, 'meanwhile');
    await there.kill();
    await there.restart();
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/there`);
    expect(s3Mounts(there), 'mounts after a kill of the agent').to.deep.equal(before);
    await machine.deleteAll();
    expect(s3Mounts(there)).to.deep.equal([]);
    await machine.waitGone(VOLUMES, `${ns}/both`);
  });
});
