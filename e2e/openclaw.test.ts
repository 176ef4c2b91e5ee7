/**
 * A node of a real OpenClaw gateway: `clawstore up` joins it, an operator approves it there, and everything that agents do
 * with `node.invoke` goes through it. The seed's examples run as they are written.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { stringify } from 'yaml';
import type { Backup } from '../src/api/backup.ts';
import type { Secret } from '../src/api/core.ts';
import { ANNOTATIONS, API_VERSION } from '../src/api/group.ts';
import { BACKUP_REPOSITORIES, BACKUPS, SECRETS, SNAPSHOTS, STORAGE_NODES, VOLUMES } from '../src/api/meta.ts';
import type { Snapshot } from '../src/api/snapshot.ts';
import type { NodeFeature, StorageNode } from '../src/api/storage-node.ts';
import type { Volume } from '../src/api/volume.ts';
import { COMMANDS } from '../src/commands/registry.ts';
import { GATEWAY_FEATURE } from '../src/openclaw/gateway-node.ts';
import { BareRepository, useRestic } from '../test/support/harness/backups.ts';
import { childrenOf, commandLine } from '../test/support/harness/daemon.ts';
import { run } from '../test/support/harness/exec.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mountsAt, unmount } from '../test/support/harness/mounts.ts';
import { OpenClawGateway } from '../test/support/harness/openclaw-gateway.ts';
import { GatewayRefusal, type InvokeOptions } from '../test/support/harness/openclaw-operator.ts';
import { full, onEnd } from '../test/support/harness/run.ts';
import { S3Server } from '../test/support/harness/s3-server.ts';
import { waitFor } from '../test/support/harness/wait.ts';
import { INTEGRATION, skillExamples } from '../test/support/skill-examples.ts';

const NAMES = COMMANDS.map(({ name }) => name);
/** Of the skill's examples those that cannot run here: this kernel has no NFS client. `e2e/nfs.test.ts` runs them. */
const NEEDS_NFS = ['datasets'];
/** What a call may take on a busy machine, in milliseconds. */
const LONG_MS = 120_000;

type Answer = Readonly<Record<string, unknown>>;

describe('a node of a real OpenClaw gateway', function () {
  this.timeout(300_000);
  let gateway: OpenClawGateway;
  let s3: S3Server;
  let machine: Machine;
  let nodeId: string;

  before(async () => {
    await coverData();
    useRestic();
    gateway = await OpenClawGateway.create();
    s3 = await S3Server.start({ tls: false });
    await s3.createBucket('backups');
    writeFileSync(configFile(), stringify({ destinations: { 's3://backups': s3Defaults() } }));
    await gateway.start({ allow: NAMES });
    // Not beside it: the longer a gateway is away, the longer a node waits before it looks again.
    machine = await Machine.start({
      env: environment(),
      hostPathAllow: (directory) => [join(directory, 'host'), '/data'],
    });
  });

  after(async () => {
    await machine?.deleteAll();
    await machine?.end();
    await gateway?.end();
    await s3?.end();
  });

  /** What lets `s3://backups/daily` alone be enough. */
  const configFile = (): string => join(gateway.directory, 'clawstore.yaml');
  const s3Defaults = () => ({ endpoint: s3.endpoint, credentialsSecret: 's3-keys' });
  const environment = (more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> => ({
    CLAWSTORE_CONFIG: configFile(),
    CLAWSTORE_OPENCLAW: gateway.remoteUrl,
    CLAWSTORE_OPENCLAW_TOKEN: gateway.token,
    ...more,
  });
  const invoke = async (command: string, params?: unknown, options: InvokeOptions = {}): Promise<Answer> =>
    (await gateway.invoke(nodeId, command, params, { timeoutMs: LONG_MS, ...options })) as Answer;
  const refusal = async (command: string, params?: unknown, options: InvokeOptions = {}): Promise<GatewayRefusal> => {
    const answer = await invoke(command, params, options).catch((thrown: unknown) => thrown);
    if (answer instanceof GatewayRefusal) return answer;
    throw new Error(`not refused: ${JSON.stringify(answer)}`, { cause: answer });
  };
  const feature = (node: StorageNode): NodeFeature | undefined =>
    node.status?.features?.find(({ name }) => name === GATEWAY_FEATURE);
  /** Waits until the StorageNode says that it is in, and the gateway that it is there. */
  const joined = async (): Promise<void> => {
    const { nodeName } = machine.settings;
    await machine.waitFor<StorageNode>(
      STORAGE_NODES,
      nodeName,
      (node) => feature(node)?.available === true,
      'to be joined',
      LONG_MS,
    );
    const node = await waitFor(
      async () => (await gateway.nodes()).find((one) => one['displayName'] === nodeName && one['connected'] === true),
      { deadline: LONG_MS, message: 'the gateway to list the node', instead: () => gateway.nodes() },
    );
    nodeId = String(node['nodeId']);
  };

  describe('joins', () => {
    it('as a device that somebody must approve, and says how', async () => {
      const { nodeName } = machine.settings;
      const isAsked = (node: StorageNode): boolean => feature(node)?.reason === 'PairingRequired';
      const node = await machine.waitFor<StorageNode>(
        STORAGE_NODES,
        nodeName,
        isAsked,
        'to wait for approval',
        LONG_MS,
      );
      const advice = /approve it there: openclaw (devices approve \S+)$/.exec(feature(node)?.message ?? '');
      expect(advice, feature(node)?.message).not.to.equal(null);
      const { code, stderr, stdout } = await gateway.cli(...(advice?.[1] ?? '').split(' '));
      expect(code, stderr + stdout).to.equal(0);
      await joined();
    });

    it('with commands that somebody must approve', async () => {
      const pending = await waitFor(async () => (await gateway.pending()).find((one) => one.nodeId === nodeId), {
        message: 'the commands to wait for approval',
      });
      expect(pending.commands).to.have.members(NAMES);
      await refusal('volume.list');
      expect(await machine.node.metric('clawstore_openclaw_invokes_total'), 'what got through').to.equal(0);
      const { code, stderr, stdout } = await gateway.cli('nodes', 'approve', pending.requestId);
      expect(code, stderr + stdout).to.equal(0);
      const listed = await waitFor(() => invoke('volume.list'), { message: 'a call to get through' });
      expect(listed).to.deep.include({ totalVolumes: 0 });
    });

    it('and says so where people look', async () => {
      const says = (node: StorageNode): boolean => feature(node)?.message?.includes(nodeId) === true;
      await machine.waitFor<StorageNode>(STORAGE_NODES, machine.settings.nodeName, says, `to name ${nodeId}`);
      const connected = () => machine.node.metric('clawstore_openclaw_connected');
      await waitFor(async () => (await connected()) === 1, { message: 'the metric of the connection' });
    });

    it('with keys that only its owner can read, and a token that is nowhere to be seen', () => {
      const { stateDir } = machine.settings;
      for (const file of ['device-key.pem', 'device-token.json']) {
        expect(statSync(join(stateDir, 'openclaw', file)).mode & 0o777, file).to.equal(0o600);
      }
      const { token } = JSON.parse(readFileSync(join(stateDir, 'openclaw/device-token.json'), 'utf8')) as Record<
        string,
        string
      >;
      for (const secret of [gateway.token, String(token)]) {
        expect(machine.node.output()).not.to.include(secret);
        expect(commandLine(machine.node.pid)).not.to.include(secret);
        for (const pid of machine.node.children()) {
          expect(environmentOf(pid)).not.to.include(secret);
        }
      }
    });
  });

  describe("runs the seed's examples as they are written", () => {
    it('volume.create', async () => {
      const params = { name: 'training-data', type: 'emptydir', sizeGb: 100, accessMode: 'ReadWriteOnce' };
      expect(await invoke('volume.create', params)).to.deep.equal({ ...params, success: true });
    });

    it('volume.mount', async () => {
      const params = { volumeId: 'training-data', workloadId: 'train-job-abc', mountPath: '/data', readOnly: false };
      const answer = await invoke('volume.mount', params);
      expect(answer).to.deep.include({
        volumeId: 'training-data',
        workloadId: 'train-job-abc',
        mountPath: '/data',
        success: true,
      });
      const hostPath = String(answer['hostPath']);
      expect(mountsAt(hostPath)).to.have.length(1);
      writeFileSync(join(hostPath, 'file'), 'data');
    });

    it('volume.snapshot', async () => {
      const answer = await invoke('volume.snapshot', { volumeId: 'training-data' });
      expect(answer).to.deep.include({ volumeId: 'training-data', success: true });
      const { status } = await machine.get<Snapshot>(SNAPSHOTS, `default/${String(answer['snapshotId'])}`);
      expect(status?.creationTime).to.equal(answer['created_at']);
    });

    it('volume.list', async () => {
      // The controller counts what is mounted after it was mounted.
      const isAttached = ({ status }: Volume): boolean => status?.phase === 'Attached';
      await machine.waitFor<Volume>(VOLUMES, 'default/training-data', isAttached, 'to be Attached');
      const answer = await invoke('volume.list');
      expect(answer).to.deep.include({ totalVolumes: 1, availableVolumes: 0, boundVolumes: 0, attachedVolumes: 1 });
      expect(answer['totalCapacity']).to.equal(100 * 1024 ** 3);
    });

    it('volume.unmount', async () => {
      expect(await invoke('volume.unmount', { volumeId: 'training-data' })).to.deep.equal({
        volumeId: 'training-data',
        unmounted: true,
      });
    });

    it('volume.delete', async () => {
      expect(await invoke('volume.delete', { volumeId: 'training-data' })).to.deep.equal({
        volumeId: 'training-data',
        deleted: true,
      });
      expect(await machine.get(VOLUMES, 'default/training-data').catch(() => undefined)).to.equal(undefined);
    });

    it('checkpoints in /data/checkpoints', async () => {
      const params = { name: 'checkpoints', type: 'hostpath', sizeGb: 200, path: '/data/checkpoints' };
      const { path: _, ...answered } = params;
      expect(await invoke('volume.create', params)).to.deep.include({ ...answered, success: true });
      expect(existsSync('/data/checkpoints')).to.equal(true);
      await invoke('volume.delete', { volumeId: 'checkpoints' });
      expect(existsSync('/data/checkpoints'), 'its content is kept').to.equal(true);
    });
  });

  describe('answers as clawstore invoke does', () => {
    const cases: readonly (readonly [command: string, params: unknown, text: string])[] = [
      ['volume.create', {}, 'parameter "name" is required'],
      ['volume.create', { name: '../x' }, 'parameter "name"'],
      ['volume.create', { name: 'a', type: 'floppy' }, 'parameter "type" must be one of emptydir'],
      ['volume.create', { name: 'a', sizeGb: '10' }, 'parameter "sizeGb" must be number'],
      ['volume.create', { name: 'a', colour: 'red' }, 'unknown parameter "colour"'],
      ['volume.create', [], 'must be a JSON object'],
      ['volume.mount', { volumeId: 'nowhere', workloadId: 'w', mountPath: '/d' }, 'volumeId'],
      ['volume.mount', { volumeId: 'a', mountPath: '/d' }, 'parameter "workloadId" is required'],
      ['volume.unmount', { volumeId: 'nowhere' }, 'nowhere'],
      ['volume.snapshot', { volumeId: 'nowhere' }, 'nowhere'],
      ['volume.delete', { volumeId: 'nowhere' }, 'nowhere'],
      ['volume.list', { all: true }, 'unknown parameter "all"'],
      ['volume.create', { name: 'out', type: 'hostpath', path: '/usr/x' }, 'HostPathNotAllowed'],
      ['volume.create', { name: 'out', type: 'hostpath', path: 'x' }, 'field: path'],
      ['backup.create', { scope: 'all', destination: '/data/x' }, 'parameter "scope" must be one of full'],
      ['backup.create', { scope: 'full', destination: 'x' }, 'parameter "destination"'],
      ['backup.restore', { backupId: 'nowhere' }, 'nowhere'],
      ['backup.list', { all: true }, 'unknown parameter "all"'],
    ];
    for (const [command, params, text] of cases) {
      it(`${command} ${JSON.stringify(params)} is refused: ${text}`, async () => {
        expect((await refusal(command, params)).message).to.include(text);
      });
    }

    it('refuses what is mounted, and says who has it', async () => {
      await invoke('volume.create', { name: 'held', sizeGb: 1 });
      await invoke('volume.mount', { volumeId: 'held', workloadId: 'w1', mountPath: '/d' });
      expect((await refusal('volume.delete', { volumeId: 'held' })).message).to.include('w1');
      await invoke('volume.unmount', { volumeId: 'held', workloadId: 'w1' });
      await invoke('volume.delete', { volumeId: 'held' });
    });

    it('through the command line of the gateway', async () => {
      const args = ['nodes', 'invoke', '--node', machine.settings.nodeName, '--json', '--command'];
      const [list, bad] = await Promise.all([
        gateway.cli(...args, 'volume.list', '--params', '{}'),
        gateway.cli(...args, 'volume.create', '--params', '{"sizeGb": 1}'),
      ]);
      expect(list.code, list.stderr).to.equal(0);
      expect(list.stdout).to.include('totalVolumes');
      expect(bad.code).not.to.equal(0);
      expect(bad.stdout + bad.stderr).to.include('parameter "name" is required');
    });

    // Each call of it takes seconds, most of them its own.
    if (full) {
      it('through the command line of the gateway, each of the nine', async () => {
        const said: string[] = [];
        const call = async (command: string, params: unknown): Promise<string> => {
          const args = ['nodes', 'invoke', '--node', machine.settings.nodeName, '--json', '--command', command];
          const times = ['--invoke-timeout', '60000', '--timeout', '70000'];
          const { code, stdout, stderr } = await gateway.cli(...args, ...times, '--params', JSON.stringify(params));
          expect(code, `${command}: ${stderr}`).to.equal(0);
          said.push(command);
          // The answer stands in it as an object, or as the text of one.
          return stdout.replaceAll('\\', '').replaceAll(/\s/g, '');
        };
        const volumeId = 'by-cli';
        expect(await call('volume.create', { name: volumeId, sizeGb: 1 })).to.include('"success":true');
        const mounted = await call('volume.mount', { volumeId, workloadId: 'w', mountPath: '/d' });
        writeFileSync(join(/"hostPath":"([^"]+)"/.exec(mounted)?.[1] ?? '', 'file'), 'data');
        expect(await call('volume.snapshot', { volumeId })).to.include('"success":true');
        expect(await call('volume.list', {})).to.include('"totalVolumes":1');
        const destination = '/data/by-cli';
        const made = await call('backup.create', { scope: 'volumes', destination });
        expect(made).to.include('"state":"succeeded"');
        const backupId = /"backupId":"([^"]+)"/.exec(made)?.[1];
        expect(await call('backup.list', {}))
          .to.include('"count":1')
          .and.to.include(`"backupId":"${backupId}"`);
        expect(await call('volume.unmount', { volumeId })).to.include('"unmounted":true');
        expect(await call('backup.restore', { backupId })).to.include('"restored":true');
        expect(await call('volume.delete', { volumeId })).to.include('"deleted":true');
        expect(said).to.have.members(NAMES);
        await machine.deleteAll(LONG_MS);
      });
    }

    it('an unknown command: the gateway does not even pass it on', async () => {
      const invokes = await machine.node.metric('clawstore_openclaw_invokes_total');
      expect((await refusal('volume.explode', {})).message).not.to.equal('');
      expect(await machine.node.metric('clawstore_openclaw_invokes_total')).to.equal(invokes);
    });

    it('fifty calls at once, each with its own answer', async () => {
      const numbers = Array.from({ length: 25 }, (_, n) => n);
      const lists = numbers.map(() => invoke('volume.list'));
      const creates = numbers.map((n) =>
        invoke('volume.create', { name: `p${n}`, type: 'hostpath', path: `/data/p${n}` }),
      );
      expect((await Promise.all(creates)).map(({ name }) => name)).to.deep.equal(numbers.map((n) => `p${n}`));
      for (const { volumes } of await Promise.all(lists)) expect(volumes).to.be.an('array');
      expect(await invoke('volume.list')).to.deep.include({ totalVolumes: 25 });
      await Promise.all(numbers.map((n) => invoke('volume.delete', { volumeId: `p${n}` })));
    });
  });

  describe('with time and repetition', () => {
    /** A volume as `volume.create` asks for it, which is not made before somebody lets it go on. */
    const hold = async (name: string): Promise<() => Promise<unknown>> => {
      await machine.create({
        apiVersion: API_VERSION,
        kind: VOLUMES.kind,
        metadata: { namespace: 'default', name, annotations: { [ANNOTATIONS.paused]: 'true' } },
        spec: { emptyDir: {}, capacity: '1Gi', accessModes: ['ReadWriteOnce'], nodeName: machine.settings.nodeName },
      } satisfies Volume);
      return () =>
        machine.client.patch(
          VOLUMES,
          { namespace: 'default', name },
          { metadata: { annotations: { [ANNOTATIONS.paused]: null } } },
          { type: 'merge' },
        );
    };

    it('answers before the caller gives up, and the same call again tells how it went', async () => {
      const resume = await hold('slow');
      const said = /^Timeout: .*it goes on/;
      let message = '';
      // Each call takes all of its time; a busy machine needs more of it to get its answer through.
      for (let timeoutMs = 3000; timeoutMs < 60_000 && !said.test(message); timeoutMs *= 4) {
        ({ message } = await refusal('volume.create', { name: 'slow', sizeGb: 1 }, { timeoutMs }));
      }
      expect(message).to.match(said);
      await resume();
      expect(await invoke('volume.create', { name: 'slow', sizeGb: 1 })).to.deep.include({ success: true });
      await invoke('volume.delete', { volumeId: 'slow' });
    });

    it('does once what is asked for twice under one key', async () => {
      await invoke('volume.create', { name: 'twice', sizeGb: 1 });
      const take = () => invoke('volume.snapshot', { volumeId: 'twice' }, { idempotencyKey: 'once-only' });
      const [first, second] = await Promise.all([take(), take()]);
      expect(second).to.deep.equal(first);
      expect(await take()).to.deep.equal(first);
      const { items } = await machine.client.list<Snapshot>(SNAPSHOTS, { namespace: 'default' });
      expect(items.filter(({ spec }) => spec.volumeRef.name === 'twice')).to.have.length(1);
    });

    it('is missed when it goes away in the middle, and comes back by itself', async () => {
      const resume = await hold('missed');
      const invokes = () => machine.node.metric('clawstore_openclaw_invokes_total', { command: 'volume.list' });
      const call = refusal('volume.create', { name: 'missed', sizeGb: 1 });
      // What was asked for later has been answered: the first one is waiting.
      const before = await invokes();
      await invoke('volume.list');
      await waitFor(async () => (await invokes()) > before, { message: 'a later call to be answered' });
      await machine.node.killGroup();
      expect((await call).message).not.to.equal('');
      await machine.startNode({ env: environment() });
      await joined();
      await resume();
      expect(await invoke('volume.create', { name: 'missed', sizeGb: 1 })).to.deep.include({ success: true });
      await invoke('volume.delete', { volumeId: 'missed' });
    });

    it('takes no second snapshot for the same key after a restart either', async () => {
      const { snapshotId } = await invoke('volume.snapshot', { volumeId: 'twice' }, { idempotencyKey: 'once-only' });
      const { items } = await machine.client.list<Snapshot>(SNAPSHOTS, { namespace: 'default' });
      expect(
        items.filter(({ spec }) => spec.volumeRef.name === 'twice').map(({ metadata }) => metadata.name),
      ).to.deep.equal([snapshotId]);
      await invoke('volume.delete', { volumeId: 'twice' });
    });

    it('starts a backup that takes three times as long as a call may once, and tells how it goes until it is done', async () => {
      await invoke('volume.create', { name: 'long', sizeGb: 1 });
      const mount = { volumeId: 'long', workloadId: 'w', mountPath: '/d' };
      const { hostPath } = await invoke('volume.mount', mount);
      const content = randomBytes(4 * 1024 ** 2);
      writeFileSync(join(String(hostPath), 'file'), content);
      const timeoutMs = 2000;
      const params = { scope: 'volumes', destination: '/data/held' };
      /** On a busy machine a call may end before there is an answer: then that is said, and what it began goes on. */
      const ask = async (): Promise<Answer | GatewayRefusal> => {
        const answer = await invoke('backup.create', params, { timeoutMs }).catch((thrown: unknown) => thrown);
        if (!(answer instanceof GatewayRefusal)) return answer as Answer;
        expect(answer.message).to.match(/^(Timeout|TIMEOUT): /);
        return answer;
      };

      const first = ask();
      const engine = await stopEngine(machine.node.pid);
      const stoppedAt = performance.now();
      let calls = 0;
      let backupId: unknown;
      try {
        await first;
        while (performance.now() - stoppedAt < 3 * timeoutMs || calls < 3) {
          expect(performance.now() - stoppedAt, 'time for three answers, in ms').to.be.below(LONG_MS);
          const again = await ask();
          if (again instanceof GatewayRefusal) continue;
          expect(again, JSON.stringify(again)).to.deep.include({ ...params, state: 'running', success: false });
          backupId ??= again['backupId'];
          expect(again['backupId']).to.equal(backupId);
          calls += 1;
        }
        const { backups } = await invoke('backup.list');
        expect(backups).to.have.length(1);
        expect((backups as readonly Answer[])[0]).to.deep.include({ backupId, state: 'running' });
        expect(engines(machine.node.pid), 'engines').to.deep.equal([engine]);
      } finally {
        process.kill(engine, 'SIGCONT');
      }
      const done = await waitFor(
        async () => {
          const { backups } = await invoke('backup.list');
          return (backups as readonly Answer[]).find((one) => one['state'] !== 'running');
        },
        { deadline: LONG_MS, message: 'the backup to end' },
      );
      expect(done).to.deep.include({ backupId, state: 'succeeded' });
      const { items } = await machine.client.list<Backup>(BACKUPS, { namespace: 'default' });
      expect(items).to.have.length(1);
      const { items: repositories } = await machine.client.list(BACKUP_REPOSITORIES, { namespace: 'default' });
      const repository = await BareRepository.of(machine, 'default', repositories[0]?.metadata.name ?? '');
      expect(repository.snapshots().filter(({ tags }) => tags?.includes('volume=long'))).to.have.length(1);
      const restored = repository.restoreVolume(String(backupId), 'long');
      expect(readFileSync(join(restored, 'file')).equals(content), 'its content').to.equal(true);
    });

    it('offers only what its operator turned on', async () => {
      await machine.deleteAll(LONG_MS);
      await machine.node.stop();
      await machine.startNode({ env: environment({ CLAWSTORE_OPENCLAW_COMMANDS: 'read-only' }) });
      await joined();
      expect(await invoke('volume.list')).to.deep.include({ totalVolumes: 0 });
      expect((await refusal('volume.create', { name: 'a' })).message).not.to.equal('');
      expect((await machine.client.list(VOLUMES, { namespace: 'default' })).items).to.deep.equal([]);
    });

    it('needs no token of the gateway once it has one of its own', async () => {
      await machine.node.stop();
      await machine.startNode({ env: environment({ CLAWSTORE_OPENCLAW_TOKEN: '' }) });
      await joined();
    });
  });

  describe('with the plugin, on a gateway that was started anew', () => {
    before(async () => {
      await gateway.stop();
      await machine.waitFor<StorageNode>(
        STORAGE_NODES,
        machine.settings.nodeName,
        (node) => feature(node)?.reason === 'ServerUnreachable',
        'to say that the gateway is away',
        LONG_MS,
      );
      await gateway.start({ plugins: { clawstore: INTEGRATION } });
      await joined();
    });

    it('needs no entry in the policy, and no new approval', async () => {
      expect(await invoke('volume.list')).to.deep.include({ totalVolumes: 0 });
    });

    it('has told agents of the skill', async () => {
      const { code, stdout, stderr } = await gateway.cli('skills', 'list', '--json');
      expect(code, stderr).to.equal(0);
      const { skills } = JSON.parse(stdout) as {
        readonly skills: readonly { readonly name: string; readonly eligible: boolean }[];
      };
      expect(skills.find(({ name }) => name === 'clawstore')).to.deep.include({ eligible: true });
    });

    const examples = skillExamples().filter(({ command }) => NAMES.includes(command));
    const isNfs = (params: Answer): boolean => NEEDS_NFS.includes(String(params['name'] ?? params['volumeId']));
    let backupId: unknown;
    /** An example with the ID that the backup really has. */
    const here = (params: Answer): Answer => (params['backupId'] === undefined ? params : { ...params, backupId });
    before(async () => {
      const { accessKeyId, secretAccessKey } = s3.root;
      await machine.client.create<Secret>(SECRETS, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { namespace: 'default', name: s3Defaults().credentialsSecret },
        data: {
          AWS_ACCESS_KEY_ID: Buffer.from(accessKeyId).toString('base64'),
          AWS_SECRET_ACCESS_KEY: Buffer.from(secretAccessKey).toString('base64'),
        },
      });
    });
    for (const { command, params } of examples.filter((example) => !isNfs(example.params))) {
      it(`runs the skill's ${command} ${JSON.stringify(params)}`, async () => {
        // An empty directory is nothing to take a snapshot of.
        if (command === 'volume.snapshot' && params['volumeId'] === 'checkpoints')
          writeFileSync('/data/checkpoints/1', '');
        const answer = await invoke(command, here(params));
        expect(answer).to.be.an('object');
        if (command === 'backup.create') backupId = answer['backupId'];
        for (const field of ['success', 'unmounted', 'deleted', 'restored']) expect(answer[field]).not.to.equal(false);
      });
    }

    it('backs up daily at two, and by a job of another scheduler that calls clawstore invoke', async () => {
      const flags = ['--backup-to', 's3://backups/daily', '-o', 'json'];
      const { code, stdout, stderr } = await machine.command(['schedule', 'create', 'daily', '0 2 * * *', ...flags]);
      expect(code, stderr).to.equal(0);
      expect(JSON.parse(stdout)).to.deep.include({ name: 'daily', kind: 'backup', success: true });
      expect((JSON.parse(stdout) as { readonly next: string }).next).to.match(/T02:00:00Z$/);
      const params = { scope: 'full', destination: 's3://backups/daily' };
      const job = await machine.invoke('backup.create', params, '--timeout', '150');
      expect(job.code, JSON.stringify(job.answer)).to.equal(0);
      expect(job.answer).to.deep.include({ state: 'succeeded', destination: 's3://backups/daily' });
    });
  });
});

/** Empty when the process is gone. */
function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return '';
  }
}

/** The processes of the backup engine that write a backup for this one. */
function engines(pid: number): readonly number[] {
  return childrenOf(pid).flatMap((child) => (/restic.*\0backup\0/.test(commandLine(child)) ? [child] : engines(child)));
}

/** Waits for the engine and stops it where it stands. */
async function stopEngine(pid: number): Promise<number> {
  const engine = await waitFor(() => engines(pid)[0], {
    deadline: LONG_MS,
    message: 'the backup engine to run',
  });
  process.kill(engine, 'SIGSTOP');
  return engine;
}

/** Makes `/data` an empty directory of the run, seen by this suite alone, until the run ends. */
async function coverData(): Promise<void> {
  const isNew = !existsSync('/data');
  if (isNew) mkdirSync('/data');
  onEnd(async () => {
    await unmount('/data');
    // Not when somebody else on the machine has found a use for it meanwhile.
    if (isNew && readdirSync('/data').length === 0) rmdirSync('/data');
  });
  await run('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'clawstore-test', '/data']);
}
