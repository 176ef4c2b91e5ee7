/** Programs that others wrote with client-go, and the client that Kubernetes publishes for Node, without any change. */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CoordinationV1Api, CoreV1Api, CustomObjectsApi, KubeConfig, Watch } from '@kubernetes/client-node';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { toolPath } from '../../../scripts/tools.ts';
import { Daemon } from '../../support/harness/daemon.ts';
import { exec } from '../../support/harness/exec.ts';
import { Kubectl } from '../../support/harness/kubectl.ts';
import { makeDirectory, shareOf } from '../../support/harness/run.ts';
import { waitFor } from '../../support/harness/wait.ts';
import { volume } from './cases/support.ts';
import { type RunningServer, SERVERS } from './servers.ts';
import { RawClient } from './watch-client.ts';

const MERGE = 'application/merge-patch+json';
/** The real one takes ten seconds of the processor to start again. */
const RESTARTED = ['embedded', ...shareOf('restarts of the real API server', ['neither', 'real'])];

for (const { name: serverName, start } of SERVERS) {
  describe(`programs of others and the ${serverName} API server`, function () {
    this.timeout(120_000);
    const ns = 'programs';
    const volumes = `/apis/storage.clawbernetes.io/v1alpha1/namespaces/${ns}/volumes`;
    const maps = `/api/v1/namespaces/${ns}/configmaps`;
    let server: RunningServer;
    let client: RawClient;
    let directory: string;
    let running: Daemon[] = [];

    const launch = async (...args: readonly string[]): Promise<Daemon> => {
      const daemon = new Daemon({
        name: `clients ${args.join(' ')}`,
        command: await toolPath('clients'),
        args,
        env: { KUBECONFIG: server.kubeconfig },
        logFile: join(directory, `${args.join('-')}-${running.length}.log`),
      });
      running.push(daemon);
      return daemon;
    };
    const says = (daemon: Daemon, line: string): Promise<true> =>
      waitFor(() => daemon.output().split('\n').includes(line), {
        deadline: 60_000,
        message: `${daemon.name} to say "${line}"`,
        instead: () => daemon.tail(20),
      });

    before(async () => {
      server = await start();
      client = new RawClient(server.target);
      directory = makeDirectory('programs');
      await client.send('POST', '/api/v1/namespaces', { metadata: { name: ns } });
    });

    afterEach(async () => {
      for (const daemon of running) await daemon.killGroup();
      running = [];
    });

    after(async () => {
      await client.close();
      rmSync(directory, { recursive: true, force: true });
    });

    const isRestarted = RESTARTED.includes(serverName);
    it(`informers of client-go see everything${isRestarted ? ', and go on after a restart of the server' : ''}`, async () => {
      await client.send('POST', volumes, volume('before'));
      const informer = await launch('informer', ns);
      await says(informer, 'synced');
      await says(informer, 'volume added before ');
      await client.send('POST', maps, { metadata: { name: 'map', labels: { x: '1' } } });
      await says(informer, 'configmap added map 1');
      await client.send('PATCH', `${volumes}/before`, { metadata: { labels: { x: '2' } } }, MERGE);
      await says(informer, 'volume updated before 2');
      if (isRestarted) await server.restart();
      await waitFor(
        async () => {
          const { kind, code } = await client.send('POST', volumes, volume('later'));
          // Taken already, where the answer was lost.
          return kind === 'Volume' || code === 409;
        },
        { message: 'the server to take writes again' },
      );
      await says(informer, 'volume added later ');
      await client.send('DELETE', `${volumes}/before`);
      await says(informer, 'volume deleted before 2');
      expect((await informer.stop()).code).to.equal(0);
    });

    it('one leader at a time by the leader election of client-go', async () => {
      const first = await launch('leader', ns, 'lock', 'one');
      await says(first, 'leads one');
      const second = await launch('leader', ns, 'lock', 'two');
      await says(second, 'leader one');
      expect(second.output()).to.not.include('leads two');
      await first.stop();
      await says(second, 'leads two');
      expect(first.output()).to.include('stopped one');
    });

    it('kstatus waits until an object is current, as Flux and kpt do', async () => {
      await client.send('POST', volumes, volume('watched'));
      const waiting = await launch('status', ns, 'volumes', 'watched', 'Current');
      await waitFor(() => waiting.output().startsWith('InProgress'), {
        message: 'kstatus to see that it is not ready',
      });
      const ready = {
        type: 'Ready',
        status: 'True',
        reason: 'Done',
        message: '',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      };
      await client.send(
        'PATCH',
        `${volumes}/watched/status`,
        { status: { observedGeneration: 1, conditions: [ready] } },
        MERGE,
      );
      expect((await waiting.exited).code, waiting.output()).to.equal(0);
      const held = { metadata: { finalizers: ['example.com/hold'] } };
      await client.send('PATCH', `${volumes}/watched`, held, MERGE);
      const leaving = await launch('status', ns, 'volumes', 'watched', 'Terminating');
      await client.send('DELETE', `${volumes}/watched`);
      expect((await leaving.exited).code, leaving.output()).to.equal(0);
    });

    it('kustomize builds what kubectl applies', async () => {
      const folder = join(directory, 'base');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'kustomization.yaml'), 'nameSuffix: -built\nresources: [volume.json]\n');
      writeFileSync(join(folder, 'volume.json'), JSON.stringify(volume('kustomized')));
      const built = await exec(await toolPath('kustomize'), ['build', folder]);
      expect(built.code, built.stderr).to.equal(0);
      const kubectl = await Kubectl.for(server.kubeconfig, directory);
      const said = await kubectl.run(['-n', ns, 'apply', '--server-side', '-f', '-'], { input: built.stdout });
      expect(said).to.include('volume.storage.clawbernetes.io/kustomized-built serverside-applied');
    });

    it('the published client for Node creates, lists, patches, watches and deletes', async () => {
      const config = new KubeConfig();
      config.loadFromFile(server.kubeconfig);
      const core = config.makeApiClient(CoreV1Api);
      const custom = config.makeApiClient(CustomObjectsApi);
      const ours = { group: 'storage.clawbernetes.io', version: 'v1alpha1', namespace: ns, plural: 'volumes' };
      const seen: string[] = [];
      const watch = await new Watch(config).watch(
        maps,
        {},
        (type, object: { metadata: { name: string } }) => {
          seen.push(`${type} ${object.metadata.name}`);
        },
        () => {},
      );
      await core.createNamespacedConfigMap({ namespace: ns, body: { metadata: { name: 'node' }, data: { a: 'b' } } });
      await waitFor(() => seen.includes('ADDED node'), { message: 'the watch to see it' });
      const listed = await core.listNamespacedConfigMap({ namespace: ns, fieldSelector: 'metadata.name=node' });
      expect(listed.items.map(({ data }) => data)).to.deep.equal([{ a: 'b' }]);
      await custom.createNamespacedCustomObject({ ...ours, body: volume('node') });
      await custom.patchNamespacedCustomObject({
        ...ours,
        name: 'node',
        body: [{ op: 'add', path: '/spec/capacity', value: '1Gi' }],
      });
      const got = (await custom.getNamespacedCustomObject({ ...ours, name: 'node' })) as { spec: { capacity: string } };
      expect(got.spec.capacity).to.equal('1Gi');
      const lease = { metadata: { name: 'node' }, spec: { holderIdentity: 'me' } };
      const made = await config.makeApiClient(CoordinationV1Api).createNamespacedLease({ namespace: ns, body: lease });
      expect(made.spec?.holderIdentity).to.equal('me');
      await custom.deleteNamespacedCustomObject({ ...ours, name: 'node' });
      const error = await custom.getNamespacedCustomObject({ ...ours, name: 'node' }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).to.have.property('code', 404);
      await core.deleteNamespacedConfigMap({ namespace: ns, name: 'node' });
      await waitFor(() => seen.includes('DELETED node'), { message: 'the watch to see it go' });
      watch.abort();
    });
  });
}
