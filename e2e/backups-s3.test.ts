/** Backups into a bucket, and of buckets, against a server that verifies signatures. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { Backup, VolumeBackup } from '../src/api/backup.ts';
import { findCondition } from '../src/api/conditions.ts';
import { API_VERSION } from '../src/api/group.ts';
import { BACKUP_REPOSITORIES, BACKUPS, SECRETS, VOLUME_BACKUPS, VOLUME_MOUNTS } from '../src/api/meta.ts';
import { filesOf } from '../test/contract/hostile-tree.ts';
import type { TreeFeature } from '../test/contract/snapshot-contract.ts';
import {
  BareRepository,
  backup,
  deleteBackups,
  ended,
  makeRepositoryIn,
  useRestic,
} from '../test/support/harness/backups.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';

const PASSWORD = 'correct horse';

describe('backups and buckets', function () {
  this.timeout(300_000);
  let machine: Machine;
  let server: S3Server;
  let ns: string;

  before(async () => {
    useRestic();
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    server = await S3Server.start();
    for (const bucket of ['kept', 'data']) await server.createBucket(bucket);
    const daily = { endpoint: server.endpoint, credentialsSecret: 's3', keySecret: 'key' };
    machine = await Machine.start({ separate: true, config: { destinations: { 's3://kept/daily': daily } } });
    ns = await machine.namespace('backups-s3');
    const { accessKeyId, secretAccessKey } = server.root;
    const secret = (name: string, stringData: Readonly<Record<string, string>>) =>
      machine.client.create(SECRETS, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { namespace: ns, name },
        stringData,
      });
    await secret('s3', { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
    await secret('key', { password: PASSWORD });
    await makeRepositoryIn(server, 'kept', 'backups', PASSWORD);
    await machine.client.create(BACKUP_REPOSITORIES, {
      apiVersion: API_VERSION,
      kind: BACKUP_REPOSITORIES.kind,
      metadata: { namespace: ns, name: 'bucket' },
      spec: { s3: { ...place('kept', 'backups') }, encryption: { secretRef: { name: 'key' } } },
    } as never);
    await machine.waitReady(BACKUP_REPOSITORIES, `${ns}/bucket`, 60_000);
  });

  afterEach(async () => {
    if (!server.isUp) await server.up();
  });

  after(async () => {
    if (machine === undefined) return;
    await deleteBackups(machine, ns);
    await machine.end();
  });

  const place = (bucket: string, prefix: string) => ({
    bucket,
    prefix,
    endpoint: server.endpoint,
    credentialsSecretRef: { name: 's3' },
  });
  const bare = (prefix = 'backups'): BareRepository =>
    new BareRepository(`s3:${server.endpoint}/kept/${prefix}`, PASSWORD, machine.directory, {
      AWS_ACCESS_KEY_ID: server.root.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
    });
  /** Of objects there is the name, the size and the content. */
  const LACKS: readonly TreeFeature[] = ['hardLinks', 'holes', 'xattrs', 'owners', 'modes', 'times', 'linkTimes'];

  it('work both ways: what was written a moment ago is read from the bucket, and kept in another', async () => {
    await machine.create(volume(ns, 'objects', { s3: place('data', 'objects') }));
    await machine.create(mount(ns, 'objects', 'objects'));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/objects`);
    const target = machine.target(ns, 'objects');
    for (let index = 0; index < 20; index += 1) writeFileSync(join(target, `object-${index}`), `content ${index}`);
    await machine.create(backup(ns, 'objects', { repositoryRef: { name: 'bucket' } }));
    const made: Backup = await ended(machine, `${ns}/objects`, 120_000);
    expect(findCondition(made.status?.conditions, 'Ready')?.reason, JSON.stringify(made.status)).to.equal('BackedUp');
    const { items } = await machine.client.list<VolumeBackup>(VOLUME_BACKUPS, { namespace: ns });
    expect(items.map(({ status }) => status?.method)).to.deep.equal(['Bucket']);
    expect(items[0]?.status?.files).to.equal(20);
    const restored = bare().restoreVolume(made.status?.backupID ?? '', 'objects');
    expect(filesOf(restored, LACKS)).to.deep.equal(filesOf(target, LACKS));
  });

  it('are made for a URL alone where the config file says how its bucket is reached, and with which Secrets', async () => {
    const params = { scope: 'configs', destination: 's3://kept/daily' };
    const { code, answer } = await machine.invoke(
      'backup.create',
      params,
      '--invoke-namespace',
      ns,
      '--timeout',
      '120',
    );
    expect(code, JSON.stringify(answer)).to.equal(0);
    // The key was brought: nobody needs to export it.
    expect(answer).to.deep.include({ state: 'succeeded', warnings: [] });
    const found = bare(`daily/${ns}`).snapshots();
    expect(found.map(({ tags }) => tags?.includes(`id=${String(answer['backupId'])}`))).to.deep.equal([true]);
  });

  it('wait for a server that is away, and go on by themselves', async () => {
    await server.down();
    await machine.create(backup(ns, 'waiting', { repositoryRef: { name: 'bucket' } }));
    await machine.waitFor<Backup>(
      BACKUPS,
      `${ns}/waiting`,
      ({ status }) => findCondition(status?.conditions, 'Ready')?.status === 'False',
      'to say that it is not ready',
    );
    await server.up();
    const made: Backup = await ended(machine, `${ns}/waiting`, 150_000);
    expect(findCondition(made.status?.conditions, 'Ready')?.reason, JSON.stringify(made.status)).to.equal('BackedUp');
  });
});
