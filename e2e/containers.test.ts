/** Containers, started by an OCI runtime with the binds of the samples: what is healed on the host is healed in them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { parse, parseAllDocuments } from 'yaml';
import { SECRETS, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Volume } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { DEFAULT_MOUNT_ROOT } from '../src/cli/settings.ts';
import { Container, type ContainerBind } from '../test/support/harness/container.ts';
import { run } from '../test/support/harness/exec.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { mountsAt, mountsBelow } from '../test/support/harness/mounts.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const MANIFESTS = join(import.meta.dirname, '../manifests');

interface Pod {
  readonly spec: {
    readonly containers: readonly [
      { readonly volumeMounts: readonly [{ readonly mountPath: string; readonly mountPropagation?: string }] },
    ];
    readonly volumes: readonly [{ readonly hostPath: { readonly path: string } }];
  };
}

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly volumes: readonly [
          { readonly source: string; readonly target: string; readonly bind?: { readonly propagation?: string } },
        ];
      }
    >
  >;
}

/** The bind of each sample, as the program that reads the sample tells the OCI runtime. */
const SAMPLES: Readonly<Record<string, (text: string) => ContainerBind>> = {
  'pod.yaml': (text) => {
    const { spec } = parse(text) as Pod;
    const [{ mountPath, mountPropagation }] = spec.containers[0].volumeMounts;
    const propagation = mountPropagation === 'HostToContainer' ? 'rslave' : 'rprivate';
    return { source: spec.volumes[0].hostPath.path, destination: mountPath, propagation };
  },
  'compose.yaml': (text) => {
    const [service] = Object.values((parse(text) as Compose).services);
    const [bind] = service?.volumes ?? [];
    return ofDocker(bind?.source, bind?.target, bind?.bind?.propagation);
  },
  'docker-run.sh': (text) => {
    const words = /--mount (\S+)/.exec(text)?.[1]?.split(',') ?? [];
    const option = (name: string): string | undefined =>
      words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
    return ofDocker(option('source'), option('target'), option('bind-propagation'));
  },
};

/** Docker's own default is rprivate. */
function ofDocker(source = '', destination = '', propagation = 'rprivate'): ContainerBind {
  return { source, destination, propagation: propagation === 'rslave' ? 'rslave' : 'rprivate' };
}

function sample(name: string): ContainerBind {
  return SAMPLES[name]?.(readFileSync(join(MANIFESTS, 'examples', name), 'utf8')) ?? ofDocker();
}

describe('containers', function () {
  this.timeout(300_000);
  let machine: Machine;
  let server: S3Server;
  let ns: string;
  let containers: Container[] = [];

  before(async () => {
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    server = await S3Server.start();
    await server.createBucket('data');
    machine = await Machine.start();
    ns = await machine.namespace('containers');
    await machine.client.create(SECRETS, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace: ns, name: 'keys' },
      stringData: {
        AWS_ACCESS_KEY_ID: server.root.accessKeyId,
        AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
      },
    });
    for (const document of parseAllDocuments(readFileSync(join(MANIFESTS, 'samples/scratch.yaml'), 'utf8'))) {
      await machine.create(document.toJS() as Volume);
    }
    await machine.waitReady(VOLUME_MOUNTS, 'default/scratch-trainer');
  });

  afterEach(async () => {
    for (const container of containers) await container.end();
    containers = [];
  });

  after(async () => {
    await machine?.end();
  });

  const start = async (...binds: readonly ContainerBind[]): Promise<Container> => {
    const container = await Container.start(binds);
    containers.push(container);
    return container;
  };
  const restarts = (key: string): number =>
    machine.objects.latest<VolumeMount>(VOLUME_MOUNTS, key)?.status?.restarts ?? 0;
  const healed = (key: string, count: number) =>
    machine.waitFor<VolumeMount>(
      VOLUME_MOUNTS,
      key,
      ({ status }) => status?.restarts === count && status.phase === 'Mounted',
      `to have been mounted again, ${count} times in all`,
    );

  for (const name of Object.keys(SAMPLES)) {
    it(`see a mount that was healed, with its data, through the bind of ${name}`, async () => {
      const key = 'default/scratch-trainer';
      const bind = sample(name);
      // The default mount root is the machine's own; this machine has another.
      expect(bind.source.startsWith(`${DEFAULT_MOUNT_ROOT}/`), bind.source).to.equal(true);
      const source = join(machine.settings.mountRoot, bind.source.slice(DEFAULT_MOUNT_ROOT.length));
      const target = machine.target('default', 'scratch-trainer');
      expect(dirname(target), 'the parent of the target is bound').to.equal(source);
      const container = await start({ ...bind, source });
      const inside = join(bind.destination, 'data');
      writeFileSync(join(target, 'file'), name);
      expect(await container.read(join(inside, 'file'))).to.equal(name);

      const count = restarts(key);
      await run('umount', [target]);
      await healed(key, count + 1);
      expect(await container.read(join(inside, 'file'))).to.equal(name);
      // A private bind would keep the mount of before, which shows the same files: this is the one of now, and only that.
      const masters = mountsBelow(inside, container.pid).map(({ propagation }) => propagation.master);
      expect(masters).to.deep.equal(mountsAt(target).map(({ propagation }) => propagation.shared));
      // Not an old copy of it: what is written on either side is seen on the other, and it is where the host has it.
      writeFileSync(join(target, 'after'), `${name} on the host`);
      expect(await container.read(join(inside, 'after'))).to.equal(`${name} on the host`);
      await container.exec('cp', join(inside, 'file'), join(inside, 'copy'));
      expect(readFileSync(join(target, 'copy'), 'utf8')).to.equal(name);
      await machine.waitCondition(VOLUME_MOUNTS, key, 'Healthy', 'True');
    });
  }

  it('see an s3 mount whose process was killed, unless their bind is private: that is reported', async () => {
    const key = `${ns}/bucket`;
    await machine.create(
      volume(ns, 'bucket', {
        s3: { bucket: 'data', prefix: 'bucket', endpoint: server.endpoint, credentialsSecretRef: { name: 'keys' } },
        accessModes: ['ReadWriteMany'],
      }),
    );
    await machine.create(mount(ns, 'bucket', 'bucket'));
    await machine.waitReady(VOLUME_MOUNTS, key);
    const target = machine.target(ns, 'bucket');
    writeFileSync(join(target, 'file'), 'kept');
    const arrived = async (name: string): Promise<boolean> => (await server.read('data', `bucket/${name}`)) === 'kept';
    await waitFor(() => arrived('file'), { message: 'the file to reach the server' });
    const bind = { ...sample('pod.yaml'), source: dirname(target) };
    const follows = await start(bind);
    const stays = await start({ ...bind, propagation: 'rprivate' });
    const inside = join(bind.destination, 'data');
    for (const container of [follows, stays]) expect(await container.read(join(inside, 'file'))).to.equal('kept');

    const { metadata } = await machine.get<Volume>(VOLUMES, key);
    const file = join(machine.settings.stateDir, 's3', metadata.uid ?? '', 'process');
    process.kill(Number(readFileSync(file, 'utf8').split(' ')[0]), 'SIGKILL');
    await healed(key, 1);
    expect(await follows.read(join(inside, 'file'))).to.equal('kept');
    expect((await follows.exec('cp', join(inside, 'file'), join(inside, 'copy'))).code).to.equal(0);
    await waitFor(() => arrived('copy'), { message: 'what the container wrote to reach the server' });
    const { message } = await machine.waitCondition(VOLUME_MOUNTS, key, 'Healthy', 'False', 'StaleInWorkload');
    expect(message).to.include(`pid ${stays.pid}`).and.to.include('rslave');
    expect(message).to.not.include(`pid ${follows.pid})`);
    expect((await stays.exec('cat', join(inside, 'file'))).code).to.not.equal(0);
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
