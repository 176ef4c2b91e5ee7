import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { Backup } from '../src/api/backup.ts';
import type { BackupRepository, BackupRepositorySpec } from '../src/api/backup-repository.ts';
import type { Namespace } from '../src/api/core.ts';
import { ANNOTATIONS, API_VERSION, LABELS } from '../src/api/group.ts';
import { BACKUP_REPOSITORIES, BACKUPS, NAMESPACES, SECRETS } from '../src/api/meta.ts';
import { lockHolder } from '../src/controllers/support/lock-holder.ts';
import { useRestic } from '../test/support/harness/backups.ts';
import { childrenOf, Daemon } from '../test/support/harness/daemon.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { type Alert, Prometheus } from '../test/support/harness/prometheus.ts';
import { Restic } from '../test/support/harness/restic.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';
import { waitFor } from '../test/support/harness/wait.ts';
import { RULES_FILE } from '../test/support/monitoring.ts';

const PASSWORD = 'correct-horse-battery';
/** Each look starts restic a few times, and to make a key that opens slowly takes seconds of a core. */
const DEADLINE_MS = 180_000;

describe('backup repositories', function () {
  this.timeout(600_000);
  let machine: Machine;
  let ns: string;
  let serial = 0;

  before(async () => {
    useRestic();
    machine = await Machine.start();
    ns = await machine.namespace('repositories');
    await putKey('key', PASSWORD);
  });

  const putKey = (name: string, password: string, labels: Readonly<Record<string, string>> = {}) =>
    machine.client.patch(
      SECRETS,
      { namespace: ns, name },
      { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: ns, name, labels }, stringData: { password } },
      { type: 'apply', fieldManager: 'e2e', force: true },
    );

  async function make(spec: Partial<BackupRepositorySpec>, on = machine, namespace = ns): Promise<string> {
    const name = `r${(serial += 1)}`;
    await on.create<BackupRepository>({
      apiVersion: API_VERSION,
      kind: 'BackupRepository',
      metadata: { name, namespace },
      spec: {
        ...(spec.hostPath === undefined ? {} : { nodeName: on.settings.nodeName }),
        encryption: { secretRef: { name: 'key' } },
        ...spec,
      },
    });
    return name;
  }
  const ready = (name: string) =>
    machine.waitReady<BackupRepository>(BACKUP_REPOSITORIES, `${ns}/${name}`, DEADLINE_MS);
  const says = (name: string, type: string, status: 'True' | 'False', reason: string) =>
    machine.waitCondition(BACKUP_REPOSITORIES, `${ns}/${name}`, type, status, reason, DEADLINE_MS);
  /** Has it looked at now. */
  const poke = (name: string) => {
    const annotations = { [ANNOTATIONS.reconcileAt]: `${(serial += 1)}` };
    return machine.patch(BACKUP_REPOSITORIES, `${ns}/${name}`, { metadata: { annotations } });
  };
  /** One that opens at once. */
  async function directory() {
    const path = join(machine.host, `backups-${(serial += 1)}`);
    await new Restic(path, PASSWORD).makeCheap();
    const name = await make({ hostPath: { path } });
    return { path, name, restic: new Restic(path, PASSWORD), object: await ready(name) };
  }
  const clusterOf = async (on = machine) => {
    const { metadata } = await on.client
      .get<Namespace>(NAMESPACES, { name: 'kube-system' })
      .catch(() => on.client.get<Namespace>(NAMESPACES, { name: 'default' }));
    return metadata.uid ?? '';
  };

  it('are made where nothing is, as ones that restic alone can read', async () => {
    const path = join(machine.host, 'not', 'there', 'yet');
    const name = await make({ hostPath: { path } });
    const object = await ready(name);
    const restic = new Restic(path, PASSWORD);
    expect(statSync(join(path, 'config')).isFile()).to.equal(true);
    expect(object.status).to.deep.include({ url: `file://${path}`, backupCount: 0 });
    expect((JSON.parse(await restic.run('cat', 'config')) as { id: string }).id).to.equal(object.status?.repositoryID);
    await says(name, 'KeyExported', 'True', 'KeyProvided');
    await says(name, 'Unlocked', 'True', 'Unlocked');
    await machine.delete(BACKUP_REPOSITORIES, `${ns}/${name}`);
    await machine.waitGone(BACKUP_REPOSITORIES, `${ns}/${name}`);
    expect(await restic.snapshots(), 'what is stored stays').to.deep.equal([]);
  });

  it('do not open with another key, and open by themselves with the right one', async () => {
    const { path } = await directory();
    await putKey('other-key', 'wrong');
    const name = await make({ hostPath: { path }, encryption: { secretRef: { name: 'other-key' } } });
    await says(name, 'Stalled', 'True', 'WrongPassword');
    await putKey('other-key', PASSWORD);
    await ready(name);
  });

  it('show the backups of others as objects, of which nothing is ever deleted', async () => {
    const { name, restic } = await directory();
    const id = await restic.backup('nightly', 'cluster-of-others', 'content');
    await poke(name);
    const found = await machine.waitReady<Backup>(BACKUPS, `${ns}/nightly`, DEADLINE_MS);
    expect(found.spec).to.deep.include({ imported: { backupID: id }, deletionPolicy: 'Retain' });
    expect(found.status).to.deep.include({ backupID: id, clusterID: 'cluster-of-others' });
    await machine.waitFor<BackupRepository>(
      BACKUP_REPOSITORIES,
      `${ns}/${name}`,
      ({ status }) => status?.backupCount === 1,
      'to count it',
      DEADLINE_MS,
    );
    // Its deletion lets it go, for this cluster alone.
    await machine.delete(BACKUPS, `${ns}/nightly`);
    await machine.waitGone(BACKUPS, `${ns}/nightly`, DEADLINE_MS);
    await poke(name);
    await waitFor(async () => (await restic.locks()).length === 0, {
      message: 'the look to end',
      deadline: DEADLINE_MS,
    });
    expect(await restic.snapshots()).to.have.length(2);
    await machine.waitReady(BACKUP_REPOSITORIES, `${ns}/${name}`, DEADLINE_MS);
    expect((await machine.client.list(BACKUPS, { namespace: ns })).items).to.have.length(0);
  });

  it('say of a backup whose data is gone that it is', async () => {
    const { name, restic } = await directory();
    await restic.backup('lost', 'cluster-of-others', 'content');
    await poke(name);
    await machine.waitReady<Backup>(BACKUPS, `${ns}/lost`, DEADLINE_MS);
    await restic.run('forget', ...(await restic.snapshots()));
    await poke(name);
    await machine.waitCondition(BACKUPS, `${ns}/lost`, 'Ready', 'False', 'BackupMissing', DEADLINE_MS);
    await machine.waitCondition(BACKUPS, `${ns}/lost`, 'DataComplete', 'False', 'BackupMissing', DEADLINE_MS);
  });

  it('lose what never ended, of this cluster and old, and nothing of others', async () => {
    const { name, restic } = await directory();
    await restic.part('mine-01234567', await clusterOf(), 'a', '2020-01-01 00:00:00');
    await restic.part('young-01234567', await clusterOf(), 'b');
    await restic.part('theirs-01234567', 'cluster-of-others', 'c', '2020-01-01 00:00:00');
    await poke(name);
    await waitFor(async () => (await restic.snapshots('--no-lock')).length === 2, {
      message: 'one part to go',
      deadline: DEADLINE_MS,
    });
    expect(await restic.snapshots('--no-lock', '--tag', 'id=mine-01234567')).to.deep.equal([]);
  });

  it('are never made anew where one was', async () => {
    const { path, name, object } = await directory();
    renameSync(path, `${path}-elsewhere`);
    await poke(name);
    await says(name, 'Stalled', 'True', 'RepositoryGone');
    expect(() => readdirSync(path)).to.throw();
    renameSync(`${path}-elsewhere`, path);
    await poke(name);
    expect((await ready(name)).status?.repositoryID).to.equal(object.status?.repositoryID);
  });

  it('name what lies below the place that was meant', async () => {
    const base = join(machine.host, `base-${(serial += 1)}`);
    await ready(await make({ hostPath: { path: `${base}/team-a` } }));
    await ready(await make({ hostPath: { path: `${base}/team-b` } }));
    const above = await make({ hostPath: { path: base } });
    const { message } = await says(above, 'Stalled', 'True', 'RepositoryNotFound');
    expect(message).to.contain('team-a, team-b');
    expect(readdirSync(base).sort()).to.deep.equal(['team-a', 'team-b']);
  });

  it('are freed of locks of ours that nobody holds, and of no others', async () => {
    const { name, restic } = await directory();
    const bootID = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const id = readFileSync(join(machine.settings.stateDir, 'node-id'), 'utf8').trim();
    const { nodeName } = machine.settings;
    const own = lockHolder({ identity: `${nodeName}_${id}`, nodeName, bootID });
    const held: Daemon[] = [];
    // Each waits for its input, with a lock in the repository. The product has some of its own for as long as it looks.
    const hold = async (host: string): Promise<{ readonly daemon: Daemon; readonly lock: string }> => {
      const script = `hostname ${host} && sleep 1000 | exec "$RESTIC" --no-cache backup --stdin`;
      const env = { ...restic.env, RESTIC: process.env['RESTIC_0_19'] ?? '' };
      const logFile = join(machine.directory, `lock-${(serial += 1)}.log`);
      const args = ['--uts', 'bash', '-c', script];
      const daemon = new Daemon({
        name: 'lock holder',
        command: 'unshare',
        args,
        logFile,
        env: { ...process.env, ...env },
      });
      held.push(daemon);
      const lock = await waitFor(
        async () => {
          daemon.assertRunning();
          const pids = childrenOf(daemon.pid);
          for (const id of await restic.locks()) if (pids.includes((await restic.pidOfLock(id)) ?? 0)) return id;
          return undefined;
        },
        { message: 'a lock', deadline: DEADLINE_MS, instead: () => daemon.tail() },
      );
      return { daemon, lock };
    };
    try {
      const { daemon: killed, lock: left } = await hold(own);
      await killed.killGroup();
      const { lock: living } = await hold(own);
      const { lock: theirs } = await hold('workstation');
      expect(await restic.locks()).to.include.members([left, living, theirs]);
      await poke(name);
      await waitFor(async () => !(await restic.locks()).includes(left), {
        message: 'the lock to go',
        deadline: DEADLINE_MS,
      });
      expect(await restic.locks()).to.include.members([living, theirs]);
    } finally {
      for (const daemon of held) await daemon.killGroup();
    }
  });

  it('that are damaged take nothing new until they are repaired', async () => {
    const { path, name, restic } = await directory();
    await restic.backup('hurt', 'cluster-of-others', randomBytes(2_000_000).toString('hex'));
    await poke(name);
    await machine.waitReady<Backup>(BACKUPS, `${ns}/hurt`, DEADLINE_MS);
    const packs = readdirSync(join(path, 'data'), { recursive: true, withFileTypes: true }).filter((it) => it.isFile());
    const largest = packs
      .map((it) => join(it.parentPath, it.name))
      .sort((a, b) => statSync(b).size - statSync(a).size)[0] as string;
    const content = readFileSync(largest);
    const at = Math.floor(content.length / 2);
    content.writeUInt8(content.readUInt8(at) ^ 1, at);
    rmSync(largest);
    writeFileSync(largest, content);
    await machine.patch(BACKUP_REPOSITORIES, `${ns}/${name}`, {
      spec: { check: { schedule: '* * * * *', readDataPercent: 100 } },
    });
    const condition = await machine.waitCondition(
      BACKUP_REPOSITORIES,
      `${ns}/${name}`,
      'Verified',
      'False',
      'CheckFailed',
      DEADLINE_MS,
    );
    expect(condition.message).to.contain((largest.split('/').at(-1) ?? '').slice(0, 10));
    await says(name, 'Stalled', 'True', 'RepositoryDamaged');
    await machine.waitCondition(BACKUPS, `${ns}/hurt`, 'Ready', 'False', 'BackupDamaged', DEADLINE_MS);
    // And whoever watches hears of it.
    const targets = machine.processes.map(({ metricsPort }) => `127.0.0.1:${metricsPort}`);
    const prometheus = await Prometheus.start(RULES_FILE, [...new Set(targets)]);
    try {
      const isFiring = ({ state, labels }: Alert): boolean =>
        state === 'firing' &&
        labels['alertname'] === 'ClawstoreRepositoryDamaged' &&
        labels['namespace'] === ns &&
        labels['name'] === name;
      await waitFor(async () => (await prometheus.alerts()).find(isFiring), {
        message: 'the alert of the damaged repository to fire',
        deadline: DEADLINE_MS,
      });
    } finally {
      await prometheus.end();
    }
  });

  it('are shared by clusters, of which none harms what is the other’s', async () => {
    const { path, name, restic } = await directory();
    const other = await Machine.start({ separate: true, hostPathAllow: () => [machine.host] });
    try {
      const there = await other.namespace('there');
      const body = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: there, name: 'key' } };
      await other.client.create(SECRETS, { ...body, stringData: { password: PASSWORD } } as never);
      await restic.backup('of-one', await clusterOf(), 'one');
      await restic.backup('of-other', await clusterOf(other), 'other');
      await poke(name);
      const same = await make({ hostPath: { path }, retention: { last: 1 } }, other, there);
      await other.waitReady(BACKUP_REPOSITORIES, `${there}/${same}`, DEADLINE_MS);
      for (const backup of ['of-one', 'of-other']) {
        await machine.waitReady(BACKUPS, `${ns}/${backup}`, DEADLINE_MS);
        await other.waitReady(BACKUPS, `${there}/${backup}`, DEADLINE_MS);
      }
      // Deleted in one cluster, it stays in the other, and in the repository.
      await other.delete(BACKUPS, `${there}/of-one`);
      await other.waitGone(BACKUPS, `${there}/of-one`, DEADLINE_MS);
      await poke(name);
      await ready(name);
      expect(await restic.snapshots('--no-lock')).to.have.length(4);
      await machine.waitReady(BACKUPS, `${ns}/of-one`, DEADLINE_MS);
    } finally {
      await other.end();
    }
  });

  it('go with their namespace, and what is stored stays', async () => {
    const going = await machine.namespace('going');
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: going, name: 'key' } };
    await machine.client.create(SECRETS, { ...secret, stringData: { password: PASSWORD } } as never);
    const path = join(machine.host, `backups-${(serial += 1)}`);
    const restic = new Restic(path, PASSWORD);
    await restic.makeCheap();
    await restic.backup('kept', 'cluster-of-others', 'content');
    await make({ hostPath: { path } }, machine, going);
    await machine.waitReady<Backup>(BACKUPS, `${going}/kept`, DEADLINE_MS);
    await machine.delete(NAMESPACES, going);
    await machine.waitGone(NAMESPACES, going, DEADLINE_MS);
    expect(await restic.snapshots()).to.have.length(2);
  });

  it('are found again by a new control plane, from URL and key alone', async () => {
    await putKey('made-key', PASSWORD, { [LABELS.managedBy]: 'clawstore' });
    const path = join(machine.host, `backups-${(serial += 1)}`);
    await new Restic(path, PASSWORD).makeCheap();
    const name = await make({ hostPath: { path }, encryption: { secretRef: { name: 'made-key' } } });
    await ready(name);
    await says(name, 'KeyExported', 'False', 'KeyNotExported');
    await new Restic(path, PASSWORD).backup('precious', await clusterOf(), 'content');
    const file = join(machine.directory, 'main.key');
    const args = ['repository', 'export-key', name, '--file', file, '--invoke-namespace', ns];
    const exported = await machine.command(args);
    expect(exported.code, exported.stderr).to.equal(0);
    await says(name, 'KeyExported', 'True', 'KeyExported');
    const url = /^url: (.*)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
    const fresh = await Machine.start({ hostPathAllow: () => [machine.host] });
    try {
      const answer = await fresh.command([
        'repository',
        'add',
        'found',
        url,
        '--key-file',
        file,
        '--read-only',
        '-o',
        'json',
      ]);
      expect(answer.code, answer.stderr).to.equal(0);
      expect(JSON.parse(answer.stdout)).to.deep.equal({ repository: 'found', url, backups: 1 });
      await fresh.waitReady(BACKUPS, 'default/precious', DEADLINE_MS);
      // What is only read gets no lock, and keeps all of it.
      await fresh.delete(BACKUP_REPOSITORIES, 'default/found').catch(() => undefined);
    } finally {
      await fresh.end();
    }
  });

  describe('in a bucket', () => {
    let server: S3Server;

    before(async () => {
      server = await S3Server.start({ tls: false });
      await server.createBucket('backups');
      const { accessKeyId, secretAccessKey } = server.root;
      await machine.client.create(SECRETS, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { namespace: ns, name: 'keys' },
        stringData: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
      } as never);
    });
    afterEach(async () => {
      if (!server.isUp) await server.up();
    });
    after(() => server.end());

    const s3 = (prefix: string) => ({
      s3: { bucket: 'backups', prefix, endpoint: server.endpoint, credentialsSecretRef: { name: 'keys' } },
    });

    it('wait for a server that is dead, and hold up nothing else', async () => {
      const names = await Promise.all(['a', 'b', 'c'].map((prefix) => make(s3(prefix))));
      await Promise.all(names.map(ready));
      const { status } = await machine.get<BackupRepository>(BACKUP_REPOSITORIES, `${ns}/${names[0]}`);
      expect(status?.url).to.equal(`s3://backups/a?endpoint=${server.endpoint}`);
      expect(JSON.stringify(status)).to.not.contain(server.root.secretAccessKey);
      await server.down();
      await Promise.all(names.map(poke));
      const { name } = await directory();
      await ready(name);
      await Promise.all(names.map((one) => says(one, 'Reachable', 'False', 'ServerUnreachable')));
      await server.up();
      await Promise.all(names.map(poke));
      await Promise.all(names.map(ready));
    });

    it('name the prefixes that have one', async () => {
      await ready(await make(s3('base/team-a')));
      const { message } = await says(await make(s3('base')), 'Stalled', 'True', 'RepositoryNotFound');
      expect(message).to.contain('team-a');
    });

    it('say that the bucket is not there', async () => {
      const name = await make({ s3: { ...s3('a').s3, bucket: 'absent' } });
      await says(name, 'Stalled', 'True', 'BucketNotFound');
    });
  });
});
