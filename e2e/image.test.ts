/** The image of the Dockerfile, built without a registry, and run as the manifests of a cluster run it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { parseAllDocuments } from 'yaml';
import { type ImageConfig, unpackImage } from '../scripts/image.ts';
import { toolPath } from '../scripts/tools.ts';
import { DEFAULT_VOLUME_CLASS, SYSTEM_NAMESPACE } from '../src/api/group.ts';
import {
  type KubeObjectBase,
  NAMESPACES,
  type ResourceDescriptor,
  SECRETS,
  STORAGE_NODES,
  VOLUME_CLASSES,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../src/api/meta.ts';
import { mountTarget } from '../src/api/names.ts';
import type { StorageNode } from '../src/api/storage-node.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { DEFAULT_MOUNT_ROOT } from '../src/cli/settings.ts';
import { KubeError } from '../src/kube/errors.ts';
import { isRunning } from '../test/support/harness/daemon.ts';
import { run } from '../test/support/harness/exec.ts';
import { overlay } from '../test/support/harness/install-manifests.ts';
import { InstalledCluster } from '../test/support/harness/installed-cluster.ts';
import { isReady } from '../test/support/harness/machine.ts';
import { mount, volume, volumeClass } from '../test/support/harness/manifests.ts';
import { mountsAt } from '../test/support/harness/mounts.ts';
import { mountNamespaceOf } from '../test/support/harness/pod.ts';
import { PodContainer, type PodSpec } from '../test/support/harness/pod-container.ts';
import { freePort } from '../test/support/harness/ports.ts';
import { makeDirectory, onEnd } from '../test/support/harness/run.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const NODE = 'gpu-1';
/** The first build on a machine makes base images and installs all npm packages. */
const BUILD_MS = 840_000;

interface Workload {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

describe('the image', function () {
  this.timeout(300_000);
  let directory: string;
  let root: string;
  let image: ImageConfig;

  before(async function () {
    this.timeout(BUILD_MS);
    directory = makeDirectory('image');
    onEnd(async () => {
      await run('chattr', ['-R', '-f', '-i', '--', directory]).catch(() => '');
      await run('rm', ['-rf', '--one-file-system', '--', directory]);
    });
    root = join(directory, 'root');
    image = await unpackImage(root);
  });

  const inside = (path: string): readonly string[] => readdirSync(join(root, path)).toSorted();
  const found = async (...test: readonly string[]): Promise<readonly string[]> =>
    (await run('find', [root, '-xdev', ...test])).split('\n').filter((line) => line !== '');

  const mebibytes = async (path: string): Promise<number> => Number.parseInt(await run('du', ['-sm', path]), 10);

  it('has the program, its Node and the one package that is not bundled, and not what made them', async () => {
    expect(inside('opt/clawstore')).to.deep.equal(['LICENSE', 'bin', 'crds', 'dist', 'node_modules', 'package.json']);
    expect(inside('opt/clawstore/node_modules').filter((name) => !name.startsWith('node-linux-'))).to.deep.equal([
      '@koromix',
      'koffi',
    ]);
    for (const name of ['npm', 'esbuild', 'tsc', 'mocha', 'gcc'])
      expect(await found('(', '-type', 'f', '-o', '-type', 'l', ')', '-name', name), name).to.deep.equal([]);
    expect(await found('-path', '*/opt/clawstore/*', '-name', '*.map')).to.deep.equal([]);
    expect(existsSync(join(root, 'build'))).to.equal(false);
    expect(await found('-path', '*/var/lib/apt/lists/*', '-type', 'f')).to.deep.equal([]);
    const [all, packages] = [await mebibytes(root), await mebibytes(join(root, 'opt/clawstore/node_modules'))];
    console.log(`      unpacked ${all} MiB, of which Node and koffi ${packages} MiB`);
  });

  it('has no program that gives somebody rights', async () => {
    expect(await found('-type', 'f', '-perm', '/6000')).to.deep.equal([]);
  });

  it('is run by an ordinary user, and reaps what it is left with', () => {
    expect(image.User).to.equal('65532:65532');
    expect(image.Entrypoint).to.deep.equal(['tini', '--', 'clawstore']);
    expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).to.match(/^clawstore:x:65532:65532:/m);
  });

  describe('on a cluster', () => {
    let cluster: InstalledCluster;
    let host: string;
    let pod: KubeObjectBase;
    let controller: PodContainer;
    let agent: PodContainer;
    let holder: PodContainer;
    /** The process behind the s3 volume. */
    let serving: number;
    const specs = new Map<string, PodSpec>();
    let serial = 0;

    before(async () => {
      cluster = await InstalledCluster.start();
      // A node, whose directories systemd has made shared.
      host = join(directory, 'host');
      mkdirSync(join(host, 'data'), { recursive: true });
      await run('mount', ['--bind', host, host]);
      await run('mount', ['--make-shared', host]);
      onEnd(async () => {
        await run('umount', ['--recursive', host]);
      });
      const built = await run(await toolPath('kustomize'), ['build', overlay('host-paths')]);
      for (const document of parseAllDocuments(built)) {
        const { kind, metadata, spec } = document.toJS() as Workload;
        if (kind === 'Deployment' || kind === 'DaemonSet') specs.set(metadata.name, spec.template.spec);
      }
      await cluster.client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
      await cluster.client.create(
        VOLUME_CLASSES,
        volumeClass(DEFAULT_VOLUME_CLASS, {
          allowedNamespaces: {},
          allowedTypes: ['emptyDir', 'hostPath', 's3'],
          allowedHostPathPrefixes: ['/data'],
          allowedS3Endpoints: ['*'],
          allowedS3Buckets: ['*'],
        }),
      );
      pod = await cluster.addNode(NODE);
    });

    const start = async (name: string, of?: KubeObjectBase): Promise<PodContainer> => {
      const spec = specs.get(name);
      if (spec === undefined) throw new Error(`the manifests have no ${name}`);
      const port = await freePort();
      serial += 1;
      const own = join(directory, `${name}-${serial}`);
      mkdirSync(own);
      const service = spec.serviceAccountName;
      const token = service === undefined ? undefined : await cluster.tokenOf(SYSTEM_NAMESPACE, service, of);
      return PodContainer.start({
        name: `${name}-${serial}`,
        root,
        image,
        spec,
        // Other tests beside this one have the same node.
        change: (arg) => arg.replace(/^(--metrics=.*):\d+$/, `$1:${port}`),
        fields: {
          'spec.nodeName': NODE,
          'metadata.name': `${name}-0`,
          'status.hostIP': '127.0.0.1',
          'status.podIP': '127.0.0.1',
        },
        env: cluster.serverAddress,
        ...(token === undefined ? {} : { account: cluster.writeAccount(own, token) }),
        host,
        directory: own,
      });
    };
    const refOf = (key: string): { readonly namespace?: string; readonly name: string } => {
      const [first = '', second] = key.split('/');
      return second === undefined ? { name: first } : { namespace: first, name: second };
    };
    const until = <T extends KubeObjectBase>(
      resource: ResourceDescriptor,
      key: string,
      what: string,
      holds: (object: T | undefined) => boolean,
    ): Promise<T | undefined> => {
      let last: T | undefined;
      return waitFor(
        async () => {
          for (const { daemon } of [controller, agent]) daemon.assertRunning();
          last = await cluster.client.get<T>(resource, refOf(key)).catch((thrown: unknown) => {
            if (KubeError.from(thrown).isNotFound) return undefined;
            throw thrown;
          });
          return holds(last) ? [last] : undefined;
        },
        { deadline: 150_000, message: `${resource.kind} ${key} ${what}`, instead: () => last },
      ).then(([object]) => object);
    };
    const ready = <T extends KubeObjectBase>(resource: ResourceDescriptor, key: string): Promise<T | undefined> =>
      until<T>(resource, key, 'to be Ready', (object) => object !== undefined && isReady(object));
    const target = (name: string): string => join(host, mountTarget(DEFAULT_MOUNT_ROOT, 'team', name));

    it('is the controller: an ordinary user without capabilities or a writable root', async () => {
      controller = await start('clawstore-controller');
      const status = (await controller.exec('cat', '/proc/1/status')).stdout;
      expect(status).to.match(/^Uid:\s+65532\s+65532\s+65532\s+65532$/m);
      expect(status)
        .to.match(/^CapBnd:\s+0+$/m)
        .and.match(/^NoNewPrivs:\s+1$/m);
      const { code, stderr } = await controller.exec('touch', '/opt/clawstore/file');
      expect([code, stderr]).to.deep.equal([1, "touch: cannot touch '/opt/clawstore/file': Read-only file system\n"]);
      expect((await controller.exec('clawstore', 'version')).code).to.equal(0);
    });

    it('is the agent, which lacks no command that it would run', async () => {
      agent = await start('clawstore-agent', pod);
      const node = await ready<StorageNode>(STORAGE_NODES, NODE);
      const { types = [], features = [] } = node?.status ?? {};
      expect([...types, ...features].filter(({ reason }) => reason === 'CommandMissing')).to.deep.equal([]);
      const supported = types.filter((type) => type.supported).map(({ name }) => name);
      expect(supported).to.include.members(['emptyDir', 'hostPath']);
    });

    it('mounts for the node: a directory of it, and a file system with a size', async () => {
      writeFileSync(join(host, 'data/file'), 'from the host');
      await cluster.client.create(VOLUMES, volume('team', 'data', { hostPath: { path: '/data' }, nodeName: NODE }));
      await cluster.client.create(VOLUME_MOUNTS, mount('team', 'data', 'data'));
      await cluster.client.create(VOLUMES, volume('team', 'image', { emptyDir: {}, capacity: '32Mi', nodeName: NODE }));
      await cluster.client.create(VOLUME_MOUNTS, mount('team', 'image', 'image'));
      await ready(VOLUMES, 'team/data');
      for (const name of ['data', 'image']) {
        const { status } = (await ready<VolumeMount>(VOLUME_MOUNTS, `team/${name}`)) ?? {};
        // What the node calls it, and a pod would bind.
        expect(join(host, status?.hostPath ?? ''), name).to.equal(target(name));
        expect(mountsAt(target(name)), name).to.have.lengthOf(1);
      }
      expect(readFileSync(join(target('data'), 'file'), 'utf8')).to.equal('from the host');
      writeFileSync(join(target('image'), 'file'), 'from a workload');
    });

    it('is the mount holder, in whose pod the process of an s3 volume runs', async () => {
      const server = await S3Server.start();
      await server.createBucket('shared');
      holder = await start('clawstore-mount-holder');
      await cluster.client.create(SECRETS, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { namespace: 'team', name: 'keys' },
        stringData: {
          AWS_ACCESS_KEY_ID: server.root.accessKeyId,
          AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
        },
      } as KubeObjectBase);
      const s3 = { bucket: 'shared', prefix: 'p', endpoint: server.endpoint, credentialsSecretRef: { name: 'keys' } };
      const { metadata } = await cluster.client.create(VOLUMES, volume('team', 'shared', { s3, nodeName: NODE }));
      await cluster.client.create(VOLUME_MOUNTS, mount('team', 'shared', 'shared'));
      await ready(VOLUME_MOUNTS, 'team/shared');
      writeFileSync(join(target('shared'), 'file'), 'from a workload');
      await waitFor(async () => (await server.read('shared', 'p/file')) === 'from a workload', {
        message: 'the file on the server',
      });
      const noted = join(host, '/var/lib/clawstore/s3', metadata.uid ?? '', 'process');
      serving = Number(readFileSync(noted, 'utf8').split(' ')[0]);
      const own = (await holder.exec('readlink', '/proc/self/ns/mnt')).stdout.trim();
      expect(mountNamespaceOf(serving)).to.equal(own);
      expect(own).to.not.equal((await agent.exec('readlink', '/proc/self/ns/mnt')).stdout.trim());
    });

    it('leaves what it has mounted when its pod ends, and the next one goes on with it', async () => {
      const mounted = mountsAt(target('image'));
      const shared = mountsAt(target('shared'));
      expect(await agent.stop()).to.deep.equal({ code: 0, signal: null });
      expect(mountsAt(target('image'))).to.deep.equal(mounted);
      for (const name of ['image', 'shared'])
        expect(readFileSync(join(target(name), 'file'), 'utf8'), name).to.equal('from a workload');
      agent = await start('clawstore-agent', pod);
      await cluster.client.create(VOLUMES, volume('team', 'later', { emptyDir: {}, capacity: '32Mi', nodeName: NODE }));
      await ready(VOLUMES, 'team/later');
      await ready(VOLUME_MOUNTS, 'team/shared');
      expect(mountsAt(target('image'))).to.deep.equal(mounted);
      expect(mountsAt(target('shared'))).to.deep.equal(shared);
      expect(isRunning(serving)).to.equal(true);
      for (const [resource, name] of [
        [VOLUME_MOUNTS, 'shared'],
        [VOLUMES, 'shared'],
        [VOLUME_MOUNTS, 'data'],
        [VOLUME_MOUNTS, 'image'],
        [VOLUMES, 'data'],
        [VOLUMES, 'image'],
        [VOLUMES, 'later'],
      ] as const) {
        await cluster.client.delete(resource, { namespace: 'team', name });
        await until(resource, `team/${name}`, 'to be gone', (object) => object === undefined);
      }
      for (const name of ['image', 'shared']) expect(mountsAt(target(name)), name).to.deep.equal([]);
      await waitFor(() => !isRunning(serving), { message: 'the process of the mount to end' });
      expect(readFileSync(join(host, 'data/file'), 'utf8')).to.equal('from the host');
      // An agent may ask for a Secret a moment before the controller has given it the right, or after that has ended.
      const refused = (line: string): boolean => /is forbidden|Forbidden/.test(line) && !line.includes('secrets');
      for (const { daemon } of [controller, agent])
        expect(daemon.output().split('\n').filter(refused), daemon.name).to.deep.equal([]);
      for (const container of [controller, agent, holder])
        expect(await container.stop()).to.deep.equal({ code: 0, signal: null });
    });
  });
});
