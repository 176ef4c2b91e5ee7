import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { findCondition, isTrue } from '../src/api/conditions.ts';
import { EVENTS, type KubeObjectBase, SECRETS, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Volume, VolumeSpec } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import type { KubeClient } from '../src/kube/client.ts';
import { CLAWSTORE } from '../test/support/harness/clawstore.ts';
import { GuestMachine } from '../test/support/harness/guest-machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { full } from '../test/support/harness/run.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const SPECS: Readonly<Record<string, Omit<VolumeSpec, 'accessModes'>>> = {
  image: { emptyDir: {}, capacity: '32Mi' },
  memory: { emptyDir: { medium: 'Memory' }, capacity: '4Mi' },
  host: { hostPath: { path: '/mnt/disk/host/data', type: 'DirectoryOrCreate' } },
  bucket: { s3: { bucket: 'data', prefix: 'bucket', credentialsSecretRef: { name: 'keys' } }, reclaimPolicy: 'Delete' },
};
interface Event extends KubeObjectBase {
  readonly reason: string;
  readonly involvedObject: { readonly name: string };
}

const KUBECONFIG = '/mnt/disk/state/kubeconfig';
const fileOf = (name: string): string => `/run/clawstore/mounts/default/${name}/data/file`;

describe('a machine on which clawstore is installed', function () {
  this.timeout(300_000);
  let machine: GuestMachine;
  let server: S3Server;
  let client: KubeClient;
  /** Of the volumes that there are, and of their mounts. */
  let names: readonly string[] = Object.keys(SPECS);

  before(async () => {
    machine = await GuestMachine.make({ programs: [process.env['RCLONE'] ?? ''] });
    server = await S3Server.start({ address: machine.hostAddress });
    await server.createBucket('data');
    await machine.switchOn();
  });
  after(() => machine.end());

  const mounts = async () => (await client.list<VolumeMount>(VOLUME_MOUNTS)).items;
  const allReady = (times: number) => {
    let lacking: readonly string[] = [];
    return waitFor(
      async () => {
        const volumes = (await client.list<Volume>(VOLUMES)).items;
        const made = await mounts();
        const isReady = ({ status }: Volume | VolumeMount) => isTrue(status?.conditions, 'Ready');
        // What the status says may be of the time before.
        const isOld = ({ status }: VolumeMount) => (status?.restarts ?? 0) < times;
        const all = [...volumes, ...made];
        const wanting = [...all.filter((each) => !isReady(each)), ...made.filter(isOld)];
        lacking = wanting.map(({ kind, metadata, status }) => `${kind} ${metadata.name} ${JSON.stringify(status)}`);
        return all.length === 2 * names.length && wanting.length === 0;
      },
      {
        deadline: 120_000,
        message: 'every volume and mount to be Ready',
        instead: () => `${lacking.join(', ')}\n${machine.tail()}`,
      },
    );
  };
  const mountTable = () => machine.run('awk \'$5 ~ "^/run/clawstore/" { print $1, $3, $5 }\' /proc/self/mountinfo');
  const unitOfBucket = async (): Promise<string> => {
    const { uid = '' } = (await client.get<Volume>(VOLUMES, { namespace: 'default', name: 'bucket' })).metadata;
    return `clawstore-s3-${uid}.service`;
  };
  const processOf = (unit: string): Promise<string> => machine.run(`systemctl show --value --property MainPID ${unit}`);
  const arrives = (key: string, content: string) =>
    waitFor(async () => (await server.read('data', key)) === content, {
      deadline: 120_000,
      message: `${key} to reach the server`,
    });
  const endsWithItsMount = async () => {
    const unit = await unitOfBucket();
    const serving = await processOf(unit);
    await client.delete(VOLUME_MOUNTS, { namespace: 'default', name: 'bucket' });
    await machine.run(`until ! systemctl -q is-active ${unit}; do sleep 1; done`);
    await waitFor(async () => (await mounts()).every(({ metadata }) => metadata.name !== 'bucket'), {
      deadline: 120_000,
      message: 'the mount to be gone',
    });
    // systemd forgets a unit a moment after it has ended.
    const units = () => machine.run("systemctl list-units --all --plain --no-legend 'clawstore-s3-*'");
    await waitFor(async () => (await units()) === '', { message: 'no unit to be left', instead: units });
    expect(await machine.run(`kill -0 ${serving} 2>&1 || true`)).to.include('No such process');
    await client.delete(VOLUMES, { namespace: 'default', name: 'bucket' });
    await waitFor(async () => (await server.keys('data')).length === 0, {
      deadline: 120_000,
      message: 'the prefix to be removed',
    });
    names = names.filter((name) => name !== 'bucket');
  };
  const untilActive = () => machine.run('until systemctl -q is-active clawstore; do sleep 1; done');

  it('starts it at once, and ends the start when it is ready', async () => {
    const said = await machine.run(
      `${CLAWSTORE} install up --now --force --state-dir /mnt/disk/state --host-path-allow /mnt/disk/host --listen ${machine.address}:6443`,
    );
    expect(said).to.include('/etc/systemd/system/clawstore.service is written').and.include('clawstore runs');
    expect(await machine.run('systemctl is-active clawstore; systemctl is-enabled clawstore')).to.equal(
      'active\nenabled',
    );
    client = await machine.connect(KUBECONFIG);
    await client.create(SECRETS, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace: 'default', name: 'keys' },
      stringData: { AWS_ACCESS_KEY_ID: server.root.accessKeyId, AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey },
    });
    for (const [name, spec] of Object.entries(SPECS)) {
      const s3 = spec.s3 === undefined ? {} : { s3: { ...spec.s3, endpoint: server.endpoint } };
      await client.create(VOLUMES, volume('default', name, { ...spec, ...s3, accessModes: ['ReadWriteOnce'] }));
      await client.create(VOLUME_MOUNTS, mount('default', name, name));
    }
    await allReady(0);
    for (const name of names) await machine.run(`echo content of ${name} >${fileOf(name)}`);
    await machine.run('sync');
    await arrives('bucket/file', 'content of bucket\n');
  });

  it('serves a bucket by a process in a unit of its own, beside the service', async () => {
    const unit = await unitOfBucket();
    expect(await machine.run(`systemctl show --property ActiveState,Transient,ControlGroup ${unit}`)).to.equal(
      `ControlGroup=/system.slice/${unit}\nActiveState=active\nTransient=yes`,
    );
    expect(await machine.run(`cat /proc/${await processOf(unit)}/comm`)).to.equal('rclone');
    expect(await machine.run(`cat /proc/${await processOf(unit)}/cgroup`)).to.equal(`0::/system.slice/${unit}`);
    const shown = await machine.run(`systemctl show ${unit}; cat /proc/*/cmdline | tr '\\0' ' '`);
    expect(shown).to.not.include(server.root.secretAccessKey);
  });

  it('keeps every mount, and every process behind one, over a kill, after which it starts again by itself', async () => {
    const before = await mountTable();
    expect(before.split('\n').length).to.be.greaterThan(names.length);
    const unit = await unitOfBucket();
    const serving = await processOf(unit);
    // In the place of a mount's own process that could not leave the service's cgroup.
    const left = await machine.run(`sleep 1000 >/dev/null 2>&1 &
echo $! >/sys/fs/cgroup/system.slice/clawstore.service/cgroup.procs
echo $!`);
    await machine.run(`kill -9 $(systemctl show --value --property MainPID clawstore)
until [ "$(systemctl show --value --property NRestarts clawstore)" = 1 ]; do sleep 1; done`);
    await untilActive();
    expect(await mountTable()).to.equal(before);
    await machine.run(`kill -0 ${left}`);
    expect(await processOf(unit)).to.equal(serving);
    await machine.run(`echo after the kill >${fileOf('bucket')}`);
    await arrives('bucket/file', 'after the kill\n');
  });

  it('has adopted that process: its end is noticed, and made good by a new unit of the same name', async () => {
    const unit = await unitOfBucket();
    const serving = await processOf(unit);
    client = await machine.connect(KUBECONFIG);
    await machine.run(`kill -9 ${serving}; until cat ${fileOf('bucket')} 2>/dev/null; do sleep 1; done`);
    expect(await processOf(unit)).to.not.equal(serving);
    expect(await machine.run(`cat ${fileOf('bucket')}`)).to.equal('after the kill');
  });

  if (!full) it('ends the unit of a bucket with its last mount', endsWithItsMount);

  it('has everything Ready again by itself after a power cut, and says what memory has lost', async () => {
    await machine.cutPower();
    await machine.switchOn();
    await untilActive();
    client = await machine.connect(KUBECONFIG);
    await allReady(1);
    for (const name of ['image', 'host']) {
      expect(await machine.run(`cat ${fileOf(name)}`)).to.equal(`content of ${name}`);
    }
    if (full) {
      expect(await machine.run(`cat ${fileOf('bucket')}`)).to.equal('after the kill');
      expect(await machine.run(`cat /proc/${await processOf(await unitOfBucket())}/comm`)).to.equal('rclone');
    }
    await machine.run(`test ! -e ${fileOf('memory')}; echo again >${fileOf('memory')}`);
    const reasonOf = async (name: string) => {
      const { status } = await client.get<Volume>(VOLUMES, { namespace: 'default', name });
      return findCondition(status?.conditions, 'Provisioned')?.reason;
    };
    for (const name of names) expect(await reasonOf(name)).to.equal(name === 'memory' ? 'Emptied' : 'Provisioned');
    const told = await waitFor(
      async () => {
        const events = (await client.list<Event>(EVENTS)).items.filter(({ reason }) => reason === 'Emptied');
        return events.length > 0 && events;
      },
      { deadline: 120_000, message: 'the event' },
    );
    expect(told.map(({ involvedObject }) => involvedObject.name)).to.deep.equal(['memory']);
  });

  if (full) it('ends the unit of a bucket with its last mount', endsWithItsMount);

  it('keeps mounts and data when it is taken off, and does not start it any more', async () => {
    const before = await mountTable();
    const said = await machine.run(`${CLAWSTORE} uninstall --now`);
    expect(said).to.include('/etc/systemd/system/clawstore.service is removed').and.include('mounts and data stay');
    expect(await mountTable()).to.equal(before);
    expect(await machine.run('systemctl is-active clawstore || true')).to.equal('inactive');
    expect(await machine.run('find /etc/systemd/system -name "clawstore*"')).to.equal('');
  });
});
