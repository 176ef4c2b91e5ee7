import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { afterEach, before, describe, it } from 'mocha';
import { SECRETS, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Volume } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { CLAWSTORE } from '../test/support/harness/clawstore.ts';
import { Daemon, isRunning } from '../test/support/harness/daemon.ts';
import type { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { mountHolderArgs } from '../test/support/harness/mount-holder-manifest.ts';
import { type NodeHost, Nodes, readsOn } from '../test/support/harness/nodes.ts';
import { mountNamespaceOf, Pod } from '../test/support/harness/pod.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const HELD = ['--mount-holder', 'on'];

describe('s3 volumes of an agent in a pod', function () {
  this.timeout(300_000);
  let nodes: Nodes;
  let machine: Machine;
  let server: S3Server;
  let node: NodeHost;
  let ns: string;
  let agentPod: Pod;
  let holderPod: Pod;
  let holder: Daemon;
  let serial = 0;

  before(async () => {
    process.env['PATH'] = `${dirname(process.env['RCLONE'] ?? '')}:${process.env['PATH']}`;
    nodes = await Nodes.shared();
    ({ machine } = nodes);
    node = await nodes.add('node-p');
    server = await S3Server.start({ address: nodes.address });
    await server.createBucket('data');
    ns = await machine.namespace('pods');
    const stringData = {
      AWS_ACCESS_KEY_ID: server.root.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
    };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: ns, name: 'keys' }, stringData };
    await machine.client.create(SECRETS, secret);
    await startHolderPod();
    await startAgentPod();
  });

  afterEach(async () => {
    // What a test has killed it may not have started again.
    if (holder.exit !== undefined) await startHolderPod();
    if (!node.isRunning) await startAgentPod();
    await machine.deleteAll();
  });

  const startHolderPod = async (): Promise<void> => {
    serial += 1;
    holderPod = new Pod(node, `holder-${serial}`);
    const { stateDir, mountRoot } = node.settings;
    const held = mountHolderArgs({ '/var/lib/clawstore': stateDir, '/run/clawstore/mounts': mountRoot });
    const [command = '', ...args] = [...holderPod.within, CLAWSTORE, ...held];
    const logFile = join(node.directory, `holder-${serial}.log`);
    const daemon = new Daemon({ name: 'mount holder', command, args, logFile });
    holder = daemon;
    await waitFor(
      () => {
        daemon.assertRunning();
        return daemon.output().includes('started');
      },
      { message: 'the mount holder to serve', instead: () => daemon.tail() },
    );
    holderPod.entered(daemon.pid);
  };
  const startAgentPod = async (): Promise<void> => {
    serial += 1;
    agentPod = new Pod(node, `agent-${serial}`);
    const agent = await node.restart({ within: agentPod.within, args: HELD });
    agentPod.entered(agent.pid);
  };
  const mounted = async (name: string) => {
    const s3 = { bucket: 'data', prefix: name, endpoint: server.endpoint, credentialsSecretRef: { name: 'keys' } };
    const created = await machine.create<Volume>(volume(ns, name, { s3, nodeName: node.name }));
    await machine.create(mount(ns, name, name));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/${name}`);
    const directory = join(node.settings.stateDir, 's3', created.metadata.uid ?? '');
    const pid = (): number => Number(readFileSync(join(directory, 'process'), 'utf8').split(' ')[0]);
    return { key: `${ns}/${name}`, target: node.target(ns, name), pid };
  };
  const cgroupOf = (pid: number): string =>
    readFileSync(`/proc/${pid}/cgroup`, 'utf8')
      .split('\n')
      .find((line) => line.startsWith('0::')) ?? '';

  it('go on when the pod of the agent is killed with its namespaces; the next one adopts them without a mount', async () => {
    const { key, target, pid } = await mounted('kept');
    writeFileSync(`${target}/file`, 'kept');
    const [serving, before] = [pid(), node.mountIds()];
    expect(cgroupOf(serving), 'the cgroup of the process').to.equal(cgroupOf(holder.pid));
    expect(mountNamespaceOf(serving), 'its namespace').to.equal(mountNamespaceOf(holder.pid));
    expect(mountNamespaceOf(node.agent.pid), 'the namespace of the agent').to.not.equal(mountNamespaceOf(holder.pid));
    const workload = node.reader(target.slice(node.path('').length).concat('/file'));
    await readsOn(workload);
    await agentPod.kill();
    await node.agent.exited;
    expect(isRunning(serving)).to.equal(true);
    await readsOn(workload);
    expect(node.mountIds(), 'mounts without an agent').to.deep.equal(before);
    await startAgentPod();
    await machine.waitReady(VOLUME_MOUNTS, key);
    await waitFor(
      async () => (await node.agent.metric('controller_runtime_reconcile_total', { controller: 'mount' })) > 0,
      {
        message: 'the mount to be looked at',
      },
    );
    expect(pid()).to.equal(serving);
    expect(node.mountIds(), 'mounts with the next agent').to.deep.equal(before);
    const operations = await node.agent.metric('clawstore_mount_operation_duration_seconds_count');
    expect(operations, 'operations of the next agent').to.equal(0);
    writeFileSync(`${target}/after`, 'after');
    await waitFor(async () => (await server.read('data', 'kept/after')) === 'after', { message: 'the next file' });
    await readsOn(workload);
    await workload.killGroup();
  });

  it('live on without the process of the holder, and are served anew when its pod was killed', async () => {
    const { key, target, pid } = await mounted('healed');
    writeFileSync(`${target}/file`, 'healed');
    const first = pid();
    await holder.kill();
    expect(isRunning(first)).to.equal(true);
    expect(readFileSync(`${target}/file`, 'utf8')).to.equal('healed');
    await holderPod.kill();
    expect(isRunning(first)).to.equal(false);
    await machine.waitCondition(VOLUME_MOUNTS, key, 'Ready', 'False', 'MountHolderUnavailable');
    await startHolderPod();
    await machine.waitFor<VolumeMount>(
      VOLUME_MOUNTS,
      key,
      ({ status }) => status?.restarts === 1 && status.phase === 'Mounted',
      'to be mounted again',
    );
    expect(pid()).to.not.equal(first);
    expect(mountNamespaceOf(pid())).to.equal(mountNamespaceOf(holder.pid));
    expect(readFileSync(`${target}/file`, 'utf8')).to.equal('healed');
    await machine.waitReady(VOLUMES, key);
  });
});
