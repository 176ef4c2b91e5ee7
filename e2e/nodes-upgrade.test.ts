/** Two controllers, agents of other versions, an etcd that was set back: what must go on while parts are replaced. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { Lease } from '../src/api/core.ts';
import { CONTROLLER_LEASE, SYSTEM_NAMESPACE } from '../src/api/group.ts';
import {
  CUSTOM_RESOURCE_DEFINITIONS,
  LEASES,
  SECRETS,
  STORAGE_NODES,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../src/api/meta.ts';
import type { StorageNode } from '../src/api/storage-node.ts';
import type { Volume, VolumeSpec } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { Clawstore, inOwnNamespaces } from '../test/support/harness/clawstore.ts';
import { realControlPlane } from '../test/support/harness/control-plane.ts';
import { History } from '../test/support/harness/history.ts';
import { isReady, type Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { type NodeHost, Nodes, readsOn } from '../test/support/harness/nodes.ts';
import { otherVersion } from '../test/support/harness/other-version.ts';
import { full } from '../test/support/harness/run.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const MEMORY = { emptyDir: { medium: 'Memory' }, capacity: '1Mi' } as const;
const VOLUMES_PER_LEADER = full ? 100 : 10;
const AGAIN_MS = 120_000;
/** What the next version's agent says of a Volume besides, in `deriveVolumeStatus` as it is built. */
const SAYS_MORE = {
  find: /\{\s*observedGeneration:\s*generation,\s*(?=conditions:\s*deriveConditions\([^)]*\),\s*\.\.\.\s*capacity\s*===)/,
  replace: '{observedGeneration:generation,ofTheAgent:"99.0.0",',
};

describe('replacing parts under way, real API server', function () {
  this.timeout(300_000);
  let machine: Machine;
  let server: S3Server;
  let ns: string;
  let a: NodeHost;
  let b: NodeHost;
  let c: NodeHost;

  before(async () => {
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    const nodes = await Nodes.shared();
    ({ machine } = nodes);
    [a, b, c] = (await nodes.running('node-a', 'node-b', 'node-c')) as [NodeHost, NodeHost, NodeHost];
    server = await S3Server.start({ address: nodes.address });
    await server.createBucket('data');
    ns = await machine.namespace('upgrade');
    const stringData = {
      AWS_ACCESS_KEY_ID: server.root.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
    };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: ns, name: 'keys' }, stringData };
    await machine.client.create(SECRETS, secret);
  });

  after(async () => {
    await machine?.deleteAll();
  });

  const key = (name: string): string => `${ns}/${name}`;
  const make = async (name: string, spec: VolumeSpec): Promise<Volume> => {
    const made = await machine.create<Volume>(volume(ns, name, spec));
    await machine.create(mount(ns, name, name));
    return made;
  };
  const leader = async (): Promise<string> => {
    const ref = { namespace: SYSTEM_NAMESPACE, name: CONTROLLER_LEASE };
    return (await machine.client.get<Lease>(LEASES, ref)).spec?.holderIdentity ?? '';
  };
  const renewal = async (): Promise<string | undefined> => {
    const ref = { namespace: SYSTEM_NAMESPACE, name: CONTROLLER_LEASE };
    return (await machine.client.get<Lease>(LEASES, ref)).spec?.renewTime;
  };
  /** What a leader that is gone or held up has promised to wait; with full counts its successor waits that long. */
  const shortenLease = async (): Promise<void> => {
    const ref = { namespace: SYSTEM_NAMESPACE, name: CONTROLLER_LEASE };
    if (!full) await machine.client.patch(LEASES, ref, { spec: { leaseDurationSeconds: 2 } }, { type: 'merge' });
  };

  it('goes on with the next controller when the leader is held up or killed, and decides everything once', async () => {
    const first = machine.controller;
    const settings = { ...machine.settings, stateDir: join(machine.directory, 'controller-2') };
    const second = await Clawstore.start(
      'controller',
      { ...settings, kubeconfig: await machine.kubeconfigOf('controller', 'controller') },
      { logFile: join(machine.directory, 'controller-2.log'), args: ['--node-accounts', 'clawstore-nodes'] },
    );
    try {
      const volumes = await History.start<Volume>(machine.client, VOLUMES, ns);
      const mounts = await History.start<VolumeMount>(machine.client, VOLUME_MOUNTS, ns);
      const led = await leader();
      const names: string[] = [];
      const makeSome = async (word: string): Promise<void> => {
        const some = Array.from({ length: VOLUMES_PER_LEADER }, (_, index) => `${word}-${index}`);
        names.push(...some);
        await Promise.all(some.map((name) => make(name, MEMORY)));
      };
      // In the middle of its work.
      const work = makeSome('held-up');
      await waitFor(() => volumes.values('held-up-0', ({ status }) => status?.nodeName).length > 0, {
        message: 'the first volume',
      });
      first.signal('SIGSTOP');
      await work;
      await shortenLease();
      await waitFor(async () => (await leader()) !== led, { deadline: AGAIN_MS, message: 'another leader' });
      for (const name of names) await machine.waitReady(VOLUME_MOUNTS, key(name), AGAIN_MS);
      const before = [a, b, c].map((node) => node.mountIds());
      first.signal('SIGCONT');
      const { code } = await first.exited;
      expect(code, first.tail(5)).to.not.equal(0);
      expect(first.output()).to.include('Leadership lost');
      await machine.restartWhatEnded();

      const next = makeSome('killed');
      await waitFor(() => volumes.values('killed-0', ({ status }) => status?.nodeName).length > 0, {
        message: 'the first volume of the second leader',
      });
      await second.killGroup();
      await next;
      await shortenLease();
      let areReady = false;
      const ready = Promise.all(names.map((name) => machine.waitReady(VOLUME_MOUNTS, key(name), AGAIN_MS)));
      void ready.catch(() => undefined).then(() => (areReady = true));
      // On a busy machine this one may lose its Lease too: whoever runs it starts it again.
      const isOver = async (): Promise<boolean> => {
        await machine.restartLostLeader();
        return areReady;
      };
      await waitFor(isOver, { deadline: 2 * AGAIN_MS, message: 'the mounts to be Ready, or not' });
      await ready;
      await Promise.all([volumes.end(), mounts.end()]);
      for (const name of names) {
        const given = <V>(values: readonly (V | null | undefined)[]) =>
          values.filter((value) => value !== null && value !== undefined);
        expect(given(volumes.values(name, ({ status }) => status?.nodeName)), `nodes of ${name}`).to.have.length(1);
        expect(given(mounts.values(name, ({ status }) => status?.nodeName)), `nodes of its mount`).to.have.length(1);
        const grants = volumes.values(name, ({ status }) => status?.attachments?.map(({ mountUID }) => mountUID) ?? []);
        const [uid] = mounts.values(name, ({ metadata }) => metadata.uid);
        expect(grants.at(-1)).to.deep.equal([uid]);
        expect(
          grants.filter((granted) => granted.length > 0),
          `grants of ${name}`,
        ).to.have.length(1);
        expect(given(mounts.values(name, ({ status }) => status?.restarts)), `${name} was mounted again`).to.deep.equal(
          [0],
        );
      }
      [a, b, c].forEach((node, index) => expect(node.mountIds()).to.include.members([...(before[index] ?? [])]));
    } finally {
      first.signal('SIGCONT');
      await second.killGroup();
      await machine.restartWhatEnded();
    }
    await machine.deleteAll();
  });

  it('lets no second agent be a node, and tells it why', async () => {
    const settings = {
      ...a.settings,
      stateDir: join(machine.directory, 'twin/state'),
      mountRoot: join(machine.directory, 'twin/mounts'),
    };
    const start = (other: typeof settings, within: readonly string[]) =>
      Clawstore.start('agent', other, { logFile: join(machine.directory, 'twin.log'), within, unready: true });
    const twin = await start(settings, inOwnNamespaces([], machine.directory));
    const { code } = await twin.exited;
    expect(code).to.not.equal(0);
    expect(twin.output()).to.include(`node name "${a.name}" belongs to another agent that is alive`);
    const sameMachine = await start({ ...a.settings, nodeName: 'node-x' }, a.within);
    expect((await sameMachine.exited).code).to.not.equal(0);
    expect(sameMachine.output()).to.include('another agent runs on this node');
    a.agent.assertRunning();
    await machine.waitReady(STORAGE_NODES, a.name);
  });

  it('replaces agents one by one by older and newer ones, under readers that see no error', async () => {
    const s3 = { bucket: 'data', prefix: 'rolled', endpoint: server.endpoint, credentialsSecretRef: { name: 'keys' } };
    const versions = [otherVersion('99.0.0-next', SAYS_MORE), otherVersion('0.0.1-before')];
    const readers: Awaited<ReturnType<NodeHost['reader']>>[] = [];
    for (const node of [a, b, c]) {
      const nodeName = node.name;
      const specs: Readonly<Record<string, VolumeSpec>> = {
        host: { hostPath: { path: machine.hostDirectory(`rolled-${nodeName}`) }, nodeName },
        image: { emptyDir: {}, capacity: '32Mi', nodeName },
        ...(node === c ? { bucket: { s3, nodeName } } : {}),
      };
      for (const [kind, spec] of Object.entries(specs)) {
        const name = `${kind}-${nodeName}`;
        await make(name, spec);
        await machine.waitReady(VOLUME_MOUNTS, key(name));
        writeFileSync(join(node.target(ns, name), 'file'), name);
        readers.push(node.reader(join(node.settings.mountRoot, ns, name, 'data/file')));
      }
    }
    for (const reader of readers) await readsOn(reader);
    const before = [a, b, c].map((node) => node.mountIds());
    await addField('ofTomorrow');
    for (const node of [a, b, c]) await writeField(`image-${node.name}`);

    for (const [index, node] of [a, b, c].entries()) {
      const binary = versions[index];
      await node.agent.stop();
      for (const reader of readers) await readsOn(reader);
      await node.restart(binary === undefined ? {} : { binary });
      await machine.waitFor<StorageNode>(
        STORAGE_NODES,
        node.name,
        ({ status }) =>
          status?.nodeInfo?.clawstoreVersion !== undefined &&
          (binary === undefined || binary.includes(status.nodeInfo.clawstoreVersion)),
        'to say its version',
      );
      for (const reader of readers) await readsOn(reader);
      if (index === 0) await comesBeforeItsField(node);
      for (const reader of readers) await readsOn(reader);
      // The controller works with it, and it leaves alone what it does not know of.
      await make(`of-${node.name}`, { emptyDir: {}, capacity: '32Mi', nodeName: node.name });
      await machine.waitReady(VOLUME_MOUNTS, key(`of-${node.name}`));
      const { status } = await machine.get<Volume>(VOLUMES, key(`image-${node.name}`));
      expect(status).to.have.property('ofTomorrow', 'kept');
    }
    // Neither does the controller, of what the newer agent says: it has written to that volume since.
    const { status } = await machine.get<Volume>(VOLUMES, key(`of-${a.name}`));
    expect(status?.attachments).to.have.length(1);
    expect(status).to.have.property('ofTheAgent', '99.0.0');
    [a, b, c].forEach((node, index) => expect(node.mountIds()).to.include.members([...(before[index] ?? [])]));
    for (const reader of readers) {
      await readsOn(reader);
      await reader.killGroup();
    }
    await machine.deleteAll();
  });

  /** The CRDs of a later version: a field more. */
  async function addField(field: string): Promise<void> {
    const name = 'volumes.storage.clawbernetes.io';
    const path = `/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/${field}`;
    const patch = [{ op: 'add', path, value: { type: 'string' } }];
    await machine.client.patch(CUSTOM_RESOURCE_DEFINITIONS, { name }, patch, { type: 'json' });
  }

  /** What a controller of a later version has written. */
  async function writeField(name: string): Promise<void> {
    // The API server takes a moment to know of the field.
    await waitFor(
      async () => {
        const body = { status: { ofTomorrow: 'kept' } };
        const options = { type: 'merge', subresource: 'status' } as const;
        const patched = await machine.client.patch<Volume>(VOLUMES, { namespace: ns, name }, body, options);
        return (patched.status as { readonly ofTomorrow?: string } | undefined)?.ofTomorrow === 'kept';
      },
      { message: 'the new field' },
    );
  }

  /** An agent that is newer than the CRDs: what it says is refused as a whole, until they are there. */
  async function comesBeforeItsField(node: NodeHost): Promise<void> {
    const name = `early-${node.name}`;
    await make(name, { hostPath: { path: machine.hostDirectory(name) }, nodeName: node.name });
    await waitFor(() => node.agent.output().includes('ofTheAgent'), {
      message: 'the API server to refuse what the agent says',
      instead: () => node.agent.tail(20),
    });
    expect(isReady(await machine.get<Volume>(VOLUMES, key(name)))).to.equal(false);
    await addField('ofTheAgent');
    await machine.waitFor<Volume>(
      VOLUMES,
      key(name),
      (one) => isReady(one) && (one.status as { readonly ofTheAgent?: string }).ofTheAgent === '99.0.0',
      'to be what the newer agent says',
      AGAIN_MS,
    );
    await machine.waitReady(VOLUME_MOUNTS, key(name), AGAIN_MS);
  }

  it('deletes nothing when etcd is set back, lists what it does not know any more, and adopts what is made again', async () => {
    const plane = await realControlPlane();
    const hostPath = (name: string): VolumeSpec => ({
      hostPath: { path: machine.hostDirectory(name) },
      nodeName: a.name,
    });
    const image: VolumeSpec = { emptyDir: {}, capacity: '32Mi', nodeName: b.name };
    const files: Readonly<Record<string, NodeHost>> = { old: a, kept: b, young: a, fresh: b };
    const file = (name: string): string => join(files[name]?.target(ns, name) ?? '', 'file');
    const filled = async (name: string, spec: VolumeSpec): Promise<string> => {
      const { metadata } = await make(name, spec);
      await machine.waitReady(VOLUME_MOUNTS, key(name));
      writeFileSync(file(name), name);
      return metadata.uid ?? '';
    };
    await filled('old', hostPath('old'));
    await filled('kept', image);
    await machine.create(volume(ns, 'deleted', image));
    await machine.waitReady(VOLUMES, key('deleted'));
    await plane.backUp();
    await machine.delete(VOLUMES, key('deleted'));
    await machine.waitGone(VOLUMES, key('deleted'));
    await filled('young', hostPath('young'));
    const uid = await filled('fresh', image);
    const before = [a, b].map((node) => node.mountIds());

    await plane.restore();
    const renewed = await renewal();
    await waitFor(
      async () => {
        await machine.restartWhatEnded(); // a controller that could not renew its Lease
        return (await renewal()) !== renewed;
      },
      { deadline: AGAIN_MS, message: 'a controller that leads' },
    );
    const target = join(b.settings.mountRoot, ns, 'fresh/data');
    await machine.waitFor<StorageNode>(
      STORAGE_NODES,
      b.name,
      ({ status }) =>
        [uid, target].every((what) => status?.orphans?.some((one) => one.uid === what || one.path === what)),
      'to list the volume and the mount that are not known any more',
      AGAIN_MS,
    );
    await machine.waitFor<StorageNode>(
      STORAGE_NODES,
      a.name,
      ({ status }) => status?.orphans?.some(({ path }) => path.endsWith(`${ns}/young/data`)) === true,
      'to list the mount that is not known any more',
      AGAIN_MS,
    );
    await machine.waitCondition(VOLUMES, key('deleted'), 'Stalled', 'True', 'DataMissing', AGAIN_MS);
    for (const name of ['old', 'kept']) await machine.waitReady(VOLUME_MOUNTS, key(name), AGAIN_MS);
    expect([a, b].map((node) => node.mountIds())).to.deep.equal(before);
    for (const name of Object.keys(files)) expect(readFileSync(file(name), 'utf8')).to.equal(name);

    // By whoever has the manifests. Whoever watched the future must see it.
    await make('young', hostPath('young'));
    await machine.waitReady(VOLUME_MOUNTS, key('young'), AGAIN_MS);
    expect(a.mountIds(), 'adopted').to.deep.equal(before[0]);
    await make('after', { emptyDir: {}, capacity: '32Mi', nodeName: c.name });
    await machine.waitReady(VOLUME_MOUNTS, key('after'), AGAIN_MS);
    expect(readFileSync(file('fresh'), 'utf8')).to.equal('fresh');
    await machine.deleteAll();
    for (const name of ['young', 'old']) expect(readFileSync(join(machine.host, name, 'file'), 'utf8')).to.equal(name);
    expect(readFileSync(file('fresh'), 'utf8'), 'when all objects are gone').to.equal('fresh');
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.versions).to.be.greaterThan(10);
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
