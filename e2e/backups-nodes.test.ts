/** Backups of one node, restored on another: the repository is a bucket that both reach. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { VolumeBackup } from '../src/api/backup.ts';
import { findCondition } from '../src/api/conditions.ts';
import { API_VERSION } from '../src/api/group.ts';
import {
  BACKUP_REPOSITORIES,
  BACKUPS,
  RESTORES,
  SECRETS,
  VOLUME_BACKUPS,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../src/api/meta.ts';
import type { Restore } from '../src/api/restore.ts';
import { isFinished } from '../src/api/restore.ts';
import type { Volume } from '../src/api/volume.ts';
import { filesOf, makeHostileTree } from '../test/contract/hostile-tree.ts';
import { backup, ended, makeRepositoryIn, useRestic } from '../test/support/harness/backups.ts';
import type { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { type NodeHost, Nodes } from '../test/support/harness/nodes.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';

const PASSWORD = 'of the repository';

describe('a backup and two nodes', function () {
  this.timeout(300_000);
  let machine: Machine;
  let server: S3Server;
  let ns: string;
  let here: NodeHost;
  let there: NodeHost;

  before(async () => {
    useRestic();
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    const nodes = await Nodes.shared();
    ({ machine } = nodes);
    here = await nodes.add('node-a');
    there = await nodes.add('node-b');
    await Promise.all([here.restart(), there.restart()]);
    server = await S3Server.start({ address: nodes.address });
    await server.createBucket('backups');
    ns = await machine.namespace('nodes');
    const secretOf = (name: string, stringData: object) =>
      machine.client.create(SECRETS, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { namespace: ns, name },
        stringData,
      } as never);
    await secretOf('keys', {
      AWS_ACCESS_KEY_ID: server.root.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
    });
    await secretOf('key', { password: PASSWORD });
    await makeRepositoryIn(server, 'backups', 'team', PASSWORD);
    const s3 = { bucket: 'backups', prefix: 'team', endpoint: server.endpoint, credentialsSecretRef: { name: 'keys' } };
    await machine.create({
      apiVersion: API_VERSION,
      kind: 'BackupRepository',
      metadata: { namespace: ns, name: 'repo' },
      spec: { s3, encryption: { secretRef: { name: 'key' } } },
    } as never);
    await machine.waitReady(BACKUP_REPOSITORIES, `${ns}/repo`, 90_000);
  });

  after(async () => {
    if (machine === undefined) return;
    for (const resource of [BACKUPS, BACKUP_REPOSITORIES]) {
      const { items } = await machine.client.list(resource, { namespace: ns });
      for (const { metadata } of items) await machine.delete(resource, `${ns}/${metadata.name}`);
      for (const { metadata } of items) await machine.waitGone(resource, `${ns}/${metadata.name}`);
    }
    await machine.deleteAll();
  });

  const intoRepo = { repositoryRef: { name: 'repo' } };
  let wanted: unknown;

  it('is made where the volume is', async () => {
    await machine.create(volume(ns, 'data', { emptyDir: {}, capacity: '64Mi', nodeName: 'node-a' }));
    await machine.create(mount(ns, 'data', 'data'));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/data`);
    makeHostileTree(here.target(ns, 'data'), []);
    wanted = filesOf(here.target(ns, 'data'), []);
    await machine.create(backup(ns, 'b', { repositoryRef: { name: 'repo' } }));
    const made = await ended(machine, `${ns}/b`);
    expect(findCondition(made.status?.conditions, 'Ready')?.status, JSON.stringify(made.status)).to.equal('True');
  });

  it('fills a volume on the other node, byte for byte', async () => {
    const dataSource = { backupRef: { name: 'b', volumeName: 'data' } };
    await machine.create(volume(ns, 'moved', { emptyDir: {}, capacity: '64Mi', nodeName: 'node-b', dataSource }));
    await machine.create(mount(ns, 'moved', 'moved'));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/moved`, 120_000);
    expect(filesOf(there.target(ns, 'moved'), [])).to.deep.equal(wanted);
  });

  it('is one of volumes on both, each read by its node', async () => {
    await machine.create(backup(ns, 'both', { volumeRefs: [{ name: 'data' }, { name: 'moved' }], ...intoRepo }));
    const made = await ended(machine, `${ns}/both`);
    expect(findCondition(made.status?.conditions, 'Ready')?.status, JSON.stringify(made.status)).to.equal('True');
    expect(made.status?.items).to.include({ succeeded: 2, failed: 0 });
    const parts = await machine.client.list<VolumeBackup>(VOLUME_BACKUPS, { namespace: ns });
    const readers = parts.items.flatMap(({ spec, status }) =>
      spec.backupRef.name === 'both' ? [`${spec.volumeRef.name} on ${status?.nodeName}`] : [],
    );
    expect(readers).to.have.members(['data on node-a', 'moved on node-b']);
    // What the other node has read is whole, too.
    const dataSource = { backupRef: { name: 'both', volumeName: 'moved' } };
    await machine.create(volume(ns, 'home', { emptyDir: {}, capacity: '64Mi', nodeName: 'node-a', dataSource }));
    await machine.create(mount(ns, 'home', 'home'));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/home`, 120_000);
    expect(filesOf(here.target(ns, 'home'), [])).to.deep.equal(wanted);
  });

  it('fills a bucket, and is done when the server has it all', async () => {
    await machine.create(volume(ns, 'plain', { emptyDir: {}, capacity: '64Mi', nodeName: 'node-a' }));
    await machine.create(mount(ns, 'plain', 'plain'));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/plain`);
    for (const name of ['one', 'two']) writeFileSync(join(here.target(ns, 'plain'), name), `content of ${name}`);
    await machine.create(backup(ns, 'plain', { repositoryRef: { name: 'repo' }, volumeRefs: [{ name: 'plain' }] }));
    const made = await ended(machine, `${ns}/plain`);
    expect(findCondition(made.status?.conditions, 'Ready')?.status, JSON.stringify(made.status)).to.equal('True');
    await server.createBucket('target');
    const s3 = { bucket: 'target', prefix: 'p', endpoint: server.endpoint, credentialsSecretRef: { name: 'keys' } };
    const dataSource = { backupRef: { name: 'plain', volumeName: 'plain' } };
    await machine.create(volume(ns, 'bucket', { s3, nodeName: 'node-b', dataSource }));
    await machine.waitReady<Volume>(VOLUMES, `${ns}/bucket`, 120_000);
    expect(await server.read('target', 'p/one')).to.equal('content of one');
    expect(await server.read('target', 'p/two')).to.equal('content of two');
  });

  it('is restored by the node that tends the repository and the one of the volume, each its part', async () => {
    await machine.delete(VOLUME_MOUNTS, `${ns}/moved`);
    await machine.waitGone(VOLUME_MOUNTS, `${ns}/moved`);
    const spec = {
      source: { backupRef: { name: 'b' } },
      volumes: [{ from: 'data', to: 'moved', mode: 'InPlace' }],
      existingFiles: 'Mirror',
    };
    await machine.create({
      apiVersion: API_VERSION,
      kind: 'Restore',
      metadata: { namespace: ns, name: 'r' },
      spec,
    } as never);
    const made = await machine.waitFor<Restore>(RESTORES, `${ns}/r`, isFinished, 'to have ended', 120_000);
    expect(findCondition(made.status?.conditions, 'Ready')?.status, JSON.stringify(made.status)).to.equal('True');
    await machine.create(mount(ns, 'moved', 'moved'));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/moved`, 60_000);
    expect(filesOf(there.target(ns, 'moved'), [])).to.deep.equal(wanted);
  });
});
