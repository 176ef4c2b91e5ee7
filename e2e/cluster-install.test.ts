/** The product on a cluster as its manifests install it, and what its users and a thief of tokens can do there. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type { Role } from '../src/api/core.ts';
import { API_VERSION, DEFAULT_VOLUME_CLASS } from '../src/api/group.ts';
import {
  BACKUP_REPOSITORIES,
  type ConditionedStatus,
  type KubeObjectBase,
  NAMESPACES,
  type ResourceDescriptor,
  ROLES,
  SECRETS,
  SNAPSHOTS,
  STORAGE_NODES,
  VOLUME_CLASSES,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../src/api/meta.ts';
import { mountTarget } from '../src/api/names.ts';
import type { KubeClient } from '../src/kube/client.ts';
import { KubeError } from '../src/kube/errors.ts';
import { nodeAccountToken } from '../src/kube/node-account.ts';
import type { Daemon } from '../test/support/harness/daemon.ts';
import { InstalledCluster } from '../test/support/harness/installed-cluster.ts';
import { isReady } from '../test/support/harness/machine.ts';
import { mount, snapshot, volume, volumeClass } from '../test/support/harness/manifests.ts';
import { waitFor } from '../test/support/harness/wait.ts';

type Conditioned = KubeObjectBase & { readonly status?: ConditionedStatus };

const NODES = ['gpu-1', 'gpu-2'] as const;

describe('a cluster with the product installed', function () {
  this.timeout(300_000);
  let cluster: InstalledCluster;
  let host: string;
  let controller: Daemon;
  const pods = new Map<string, KubeObjectBase>();
  const agents = new Map<string, Daemon>();

  before(async () => {
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    cluster = await InstalledCluster.start();
    host = join(cluster.directory, 'host');
    mkdirSync(host);
    for (const name of ['team', 'guests'])
      await cluster.client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    await cluster.client.create(
      VOLUME_CLASSES,
      volumeClass(DEFAULT_VOLUME_CLASS, {
        allowedNamespaces: { matchLabels: { 'kubernetes.io/metadata.name': 'team' } },
        allowedTypes: ['emptyDir', 'hostPath', 's3'],
        allowedHostPathPrefixes: [host],
        allowedS3Endpoints: ['*'],
        allowedS3Buckets: ['*'],
      }),
    );
    controller = await cluster.startController();
    for (const name of NODES) {
      const pod = await cluster.addNode(name);
      pods.set(name, pod);
      agents.set(name, await cluster.startAgent(pod, name, '--host-path-allow', host));
    }
    for (const name of NODES) await ready(STORAGE_NODES, name, 120_000);
  });

  const refOf = (key: string): { readonly namespace?: string; readonly name: string } => {
    const [first = '', second] = key.split('/');
    return second === undefined ? { name: first } : { namespace: first, name: second };
  };
  const latest = <T extends KubeObjectBase>(resource: ResourceDescriptor, key: string): Promise<T | undefined> =>
    cluster.client.get<T>(resource, refOf(key)).catch((thrown: unknown) => {
      if (KubeError.from(thrown).isNotFound) return undefined;
      throw thrown;
    });
  const until = async <T extends Conditioned>(
    resource: ResourceDescriptor,
    key: string,
    what: string,
    holds: (object: T) => boolean,
    deadline = 120_000,
  ): Promise<T> =>
    (await waitFor(
      async () => {
        for (const daemon of [controller, ...agents.values()]) daemon.assertRunning();
        const object = await latest<T>(resource, key);
        return object !== undefined && holds(object) ? object : undefined;
      },
      {
        deadline,
        message: `${resource.kind} ${key} ${what}`,
        instead: () => latest(resource, key),
      },
    )) as T;
  const ready = (resource: ResourceDescriptor, key: string, deadline?: number): Promise<Conditioned> =>
    until(resource, key, 'to be Ready', isReady, deadline);
  const refusedFor = (resource: ResourceDescriptor, key: string, reason: string): Promise<Conditioned> =>
    until(
      resource,
      key,
      `to be refused: ${reason}`,
      ({ status }) =>
        status?.conditions?.some((one) => one.type === 'Ready' && one.status !== 'True' && one.reason === reason) ===
        true,
    );
  const gone = (resource: ResourceDescriptor, key: string): Promise<true> =>
    waitFor(async () => (await latest(resource, key)) === undefined, {
      deadline: 120_000,
      message: `${resource.kind} ${key} to be gone`,
      instead: () => latest(resource, key),
    });
  const codeOf = (attempt: Promise<unknown>): Promise<number> =>
    attempt.then(
      () => 200,
      (thrown: unknown) => KubeError.from(thrown).status ?? 0,
    );

  it('provisions, mounts, snapshots and takes down with the rights of the manifests', async () => {
    const path = join(host, 'data');
    mkdirSync(path);
    writeFileSync(join(path, 'file'), 'from the host');
    await cluster.client.create(VOLUMES, volume('team', 'data', { hostPath: { path }, nodeName: 'gpu-1' }));
    await cluster.client.create(VOLUME_MOUNTS, mount('team', 'data', 'data'));
    await cluster.client.create(
      VOLUMES,
      volume('team', 'image', { emptyDir: {}, capacity: '32Mi', nodeName: 'gpu-2' }),
    );
    await cluster.client.create(VOLUME_MOUNTS, mount('team', 'image', 'image'));
    await ready(VOLUME_MOUNTS, 'team/data');
    await ready(VOLUME_MOUNTS, 'team/image');
    const target = (node: string, name: string): string => {
      const inside = mountTarget(join(cluster.directory, node, 'mounts'), 'team', name);
      return `/proc/${agents.get(node)?.pid}/root${inside}`;
    };
    expect(readFileSync(join(target('gpu-1', 'data'), 'file'), 'utf8')).to.equal('from the host');
    writeFileSync(join(target('gpu-2', 'image'), 'file'), 'x');
    await cluster.client.create(SNAPSHOTS, snapshot('team', 'moment', 'image'));
    await ready(SNAPSHOTS, 'team/moment');
    for (const [resource, name] of [
      [SNAPSHOTS, 'moment'],
      [VOLUME_MOUNTS, 'data'],
      [VOLUME_MOUNTS, 'image'],
      [VOLUMES, 'data'],
      [VOLUMES, 'image'],
    ] as const) {
      await cluster.client.delete(resource, { namespace: 'team', name });
      await gone(resource, `team/${name}`);
    }
    expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('from the host');
    for (const daemon of [controller, ...agents.values()])
      expect(daemon.output(), daemon.name).to.not.match(/is forbidden|Forbidden/);
  });

  it('lets a node read the Secret that its volume names, for as long as it does', async () => {
    const stringData = { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'correct-horse-battery' };
    for (const name of ['keys', 'others'])
      await cluster.client.create(SECRETS, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { namespace: 'team', name },
        stringData,
      } as KubeObjectBase);
    const s3 = { bucket: 'data', endpoint: 'http://127.0.0.1:1', credentialsSecretRef: { name: 'keys' } };
    await cluster.client.create(VOLUMES, volume('team', 'remote', { s3, nodeName: 'gpu-1' }));
    // It had the credentials in its hands when it asked the server, which is not there.
    await refusedFor(VOLUMES, 'team/remote', 'ServerUnreachable');
    const role = await cluster.client.get<Role>(ROLES, { namespace: 'team', name: 'clawstore:node:gpu-1' });
    expect(role.rules).to.deep.equal([
      { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch'], resourceNames: ['keys'] },
    ]);
    const [first, second] = [await thief('gpu-1'), await thief('gpu-2')];
    expect(await codeOf(first.get(SECRETS, { namespace: 'team', name: 'keys' }))).to.equal(200);
    expect(await codeOf(first.get(SECRETS, { namespace: 'team', name: 'others' }))).to.equal(403);
    expect(await codeOf(second.get(SECRETS, { namespace: 'team', name: 'keys' }))).to.equal(403);

    // A Role that somebody has widened is put right.
    const wider = { rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }] };
    await cluster.client.patch(ROLES, { namespace: 'team', name: 'clawstore:node:gpu-1' }, wider, { type: 'merge' });
    await until<Role>(ROLES, 'team/clawstore:node:gpu-1', 'to be put right', ({ rules }) =>
      isDeepStrictEqual(rules, role.rules),
    );
    await waitFor(async () => (await codeOf(first.get(SECRETS, { namespace: 'team', name: 'others' }))) === 403, {
      message: 'the Role to be put right',
    });
    await cluster.client.delete(VOLUMES, { namespace: 'team', name: 'remote' });
    await gone(VOLUMES, 'team/remote');
    await gone(ROLES, 'team/clawstore:node:gpu-1');
    await waitFor(async () => (await codeOf(first.get(SECRETS, { namespace: 'team', name: 'keys' }))) === 403, {
      message: 'the right to end with the volume',
    });
  });

  /** Somebody who has taken over a node: what its agent can become. */
  const thief = async (node: string, namespace = 'clawstore-nodes', as = node): Promise<KubeClient> => {
    const pod = await cluster.as(
      `pod-${node}`,
      await cluster.tokenOf('clawstore-system', 'clawstore-agent', pods.get(node)),
    );
    return cluster.as(`node-${as}`, await nodeAccountToken(pod, { namespace, nodeName: as })());
  };

  it('lets the pod of an agent become its own node, and nothing else', async () => {
    const token = await cluster.tokenOf('clawstore-system', 'clawstore-agent', pods.get('gpu-1'));
    const pod = await cluster.as('pod', token);
    expect(await codeOf(thief('gpu-1', 'clawstore-nodes', 'gpu-2'))).to.equal(403);
    expect(await codeOf(thief('gpu-1', 'clawstore-nodes', 'gpu-3'))).to.equal(403);
    for (const account of ['clawstore-controller', 'clawstore-agent'])
      expect(await codeOf(thief('gpu-1', 'clawstore-system', account))).to.equal(403);
    const unbound = await cluster.as('unbound', await cluster.tokenOf('clawstore-system', 'clawstore-agent'));
    expect(await codeOf(nodeAccountToken(unbound, { namespace: 'clawstore-nodes', nodeName: 'gpu-1' })())).to.equal(
      403,
    );
    const request = (spec: object): Promise<number> =>
      codeOf(
        pod.raw({
          method: 'POST',
          path: '/api/v1/namespaces/clawstore-nodes/serviceaccounts/gpu-1/token',
          body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec },
        }),
      );
    const boundObjectRef = { apiVersion: 'v1', kind: 'Node', name: 'gpu-1' };
    expect(await request({ expirationSeconds: 3600, boundObjectRef })).to.equal(200);
    expect(await request({ expirationSeconds: 86_400, boundObjectRef })).to.equal(403);
    expect(await request({ expirationSeconds: 3600 })).to.equal(403);
    for (const resource of [VOLUMES, SECRETS, NAMESPACES]) expect(await codeOf(pod.list(resource))).to.equal(403);
  });

  it("gives who stole the token of a node no other node's objects", async () => {
    await cluster.client.create(
      VOLUMES,
      volume('team', 'theirs', { emptyDir: {}, capacity: '32Mi', nodeName: 'gpu-2' }),
    );
    await ready(VOLUMES, 'team/theirs');
    const stolen = await thief('gpu-1');
    const ref = { namespace: 'team', name: 'theirs' };
    const status = { status: { capacity: '1Gi' } };
    expect(await codeOf(stolen.patch(VOLUMES, ref, status, { type: 'merge', subresource: 'status' }))).to.equal(403);
    const finalizers = { metadata: { finalizers: null } };
    expect(await codeOf(stolen.patch(VOLUMES, ref, finalizers, { type: 'merge' }))).to.equal(403);
    expect(await codeOf(stolen.delete(VOLUMES, ref))).to.equal(403);
    const node = { metadata: { finalizers: ['storage.clawbernetes.io/volume'] } };
    expect(await codeOf(stolen.patch(STORAGE_NODES, { name: 'gpu-2' }, node, { type: 'merge' }))).to.equal(403);
    expect(await codeOf(stolen.list(SECRETS))).to.equal(403);
    await cluster.client.delete(VOLUMES, ref);
    await gone(VOLUMES, 'team/theirs');
  });

  it('ends the tokens of a node with the node', async () => {
    await cluster.addNode('gpu-9').then((pod) => pods.set('gpu-9', pod));
    const stolen = await thief('gpu-9');
    expect(await codeOf(stolen.list(VOLUMES))).to.equal(200);
    await cluster.client.raw({ method: 'DELETE', path: '/api/v1/nodes/gpu-9' });
    await waitFor(async () => (await codeOf(stolen.list(VOLUMES))) === 401, { message: 'the token to be refused' });
  });

  describe('an editor of a namespace that no class allows', () => {
    let editor: KubeClient;
    before(async () => {
      await cluster.kubectl.run(['create', 'serviceaccount', 'vera', '-n', 'guests']);
      await cluster.kubectl.run([
        'create',
        'rolebinding',
        'vera',
        '-n',
        'guests',
        '--clusterrole=edit',
        '--serviceaccount=guests:vera',
      ]);
      editor = await cluster.as('vera', await cluster.tokenOf('guests', 'vera'));
      await waitFor(async () => (await codeOf(editor.list(VOLUMES, { namespace: 'guests' }))) === 200, {
        message: 'the role edit to have our kinds in it',
      });
    });

    it('reaches no host path: as a source, a target, a file repository', async () => {
      const secret = join(host, 'secret');
      mkdirSync(secret);
      writeFileSync(join(secret, 'file'), 'x');
      await editor.create(VOLUMES, volume('guests', 'source', { hostPath: { path: secret }, nodeName: 'gpu-1' }));
      await refusedFor(VOLUMES, 'guests/source', 'NamespaceNotAllowed');
      await editor.create(VOLUMES, volume('guests', 'room', { emptyDir: {}, capacity: '32Mi', nodeName: 'gpu-1' }));
      await editor.create(VOLUME_MOUNTS, mount('guests', 'target', 'room', { hostPath: join(host, 'target') }));
      await until(VOLUME_MOUNTS, 'guests/target', 'to be judged', ({ status }) => status?.conditions !== undefined);
      await editor.create(BACKUP_REPOSITORIES, {
        apiVersion: API_VERSION,
        kind: 'BackupRepository',
        metadata: { namespace: 'guests', name: 'files' },
        spec: {
          hostPath: { path: join(host, 'repository') },
          nodeName: 'gpu-1',
          encryption: { secretRef: { name: 'key' } },
        },
      } as KubeObjectBase);
      await refusedFor(BACKUP_REPOSITORIES, 'guests/files', 'NamespaceNotAllowed');
      expect(isReady((await latest<Conditioned>(VOLUME_MOUNTS, 'guests/target')) as Conditioned)).to.equal(false);
      expect(readdirSync(host).toSorted()).to.deep.equal(['data', 'secret']);
      expect(existsSync(join(host, 'target'))).to.equal(false);
      for (const [resource, name] of [
        [VOLUME_MOUNTS, 'target'],
        [BACKUP_REPOSITORIES, 'files'],
        [VOLUMES, 'room'],
        [VOLUMES, 'source'],
      ] as const) {
        await editor.delete(resource, { namespace: 'guests', name });
        await gone(resource, `guests/${name}`);
      }
    });

    it('reaches no server, and no bucket with what the node may', async () => {
      const specs = {
        export: { nfs: { server: 'nfs.example.com', path: '/export' }, nodeName: 'gpu-1' },
        bucket: { s3: { bucket: 'data', endpoint: 'http://127.0.0.1:1' }, nodeName: 'gpu-1' },
      };
      for (const [name, spec] of Object.entries(specs)) {
        await editor.create(VOLUMES, volume('guests', name, spec));
        await refusedFor(VOLUMES, `guests/${name}`, 'NamespaceNotAllowed');
      }
      await editor.create(BACKUP_REPOSITORIES, {
        apiVersion: API_VERSION,
        kind: 'BackupRepository',
        metadata: { namespace: 'guests', name: 'ambient' },
        spec: { s3: specs.bucket.s3, encryption: { secretRef: { name: 'key' } } },
      } as KubeObjectBase);
      await refusedFor(BACKUP_REPOSITORIES, 'guests/ambient', 'NamespaceNotAllowed');
      for (const [resource, name] of [
        [BACKUP_REPOSITORIES, 'ambient'],
        [VOLUMES, 'bucket'],
        [VOLUMES, 'export'],
      ] as const) {
        await editor.delete(resource, { namespace: 'guests', name });
        await gone(resource, `guests/${name}`);
      }
    });

    it("reaches no other namespace, and none of what is the cluster's", async () => {
      for (const resource of [VOLUMES, SECRETS, BACKUP_REPOSITORIES])
        expect(await codeOf(editor.list(resource, { namespace: 'team' })), resource.plural).to.equal(403);
      const open = volumeClass('open', {
        allowedNamespaces: {},
        allowedTypes: ['hostPath'],
        allowedHostPathPrefixes: ['/'],
      });
      expect(await codeOf(editor.create(VOLUME_CLASSES, open))).to.equal(403);
      const write = { type: 'merge', subresource: 'status' } as const;
      await editor.create(VOLUMES, volume('guests', 'mine', { emptyDir: {}, capacity: '32Mi' }));
      const ref = { namespace: 'guests', name: 'mine' };
      expect(await codeOf(editor.patch(VOLUMES, ref, { status: { nodeName: 'gpu-1' } }, write))).to.equal(403);
      for (const plural of ['volumebackups', 'volumerestores']) {
        const work = { ...VOLUMES, plural, kind: plural };
        const object = { apiVersion: API_VERSION, kind: plural, metadata: ref } as KubeObjectBase;
        expect(await codeOf(editor.create(work, object)), plural).to.equal(403);
      }
      await editor.delete(VOLUMES, ref);
      await gone(VOLUMES, 'guests/mine');
    });
  });
});
