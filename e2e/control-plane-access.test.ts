/** Credentials of the embedded control plane as people get and use them: the CLI, kubectl, and a log of what they did. */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { VOLUME_MOUNTS } from '../src/api/meta.ts';
import { Clawstore } from '../test/support/harness/clawstore.ts';
import { Kubectl } from '../test/support/harness/kubectl.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { makeDirectory, onEnd } from '../test/support/harness/run.ts';
import { waitFor } from '../test/support/harness/wait.ts';

describe('access to the embedded control plane', function () {
  this.timeout(300_000);
  let machine: Machine;
  let directory: string;

  before(async () => {
    // Agent and controller have credentials of their own here.
    machine = await Machine.start({ separate: true });
    directory = machine.directory;
  });
  after(() => machine?.end());

  const credential = (...args: readonly string[]): ReturnType<Machine['command']> =>
    machine.command(['apiserver', 'credential', ...args], {
      settings: { stateDir: join(directory, 'server'), kubeconfig: machine.settings.kubeconfig },
    });

  const kubectlOf = async (name: string, ...args: readonly string[]): Promise<Kubectl> => {
    const { code, stdout, stderr } = await credential('--name', name, ...args);
    expect(code, stderr).to.equal(0);
    const file = join(directory, `${name}-${args.length}.kubeconfig`);
    writeFileSync(file, stdout, { mode: 0o600 });
    return Kubectl.for(file, directory);
  };

  it('lets an agent and a controller work with no more than their own rights', async () => {
    const ns = await machine.namespace('access');
    await machine.create(volume(ns, 'image', { emptyDir: {}, capacity: '32Mi' }));
    await machine.create(mount(ns, 'image', 'image'));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/image`);
    writeFileSync(join(machine.target(ns, 'image'), 'file'), 'x');
    await machine.deleteAll();
    for (const part of [machine.node, machine.controller]) {
      expect(part.output(), part.name).to.not.match(/is forbidden|Forbidden/);
    }
  });

  for (const form of [[], ['--client-certificate']] as const) {
    const name = form.length === 0 ? 'by a token' : 'by a client certificate';

    it(`lets a viewer see everything but Secrets, ${name}`, async () => {
      const kubectl = await kubectlOf('vera', '--role', 'viewer', ...form);
      expect(await kubectl.run(['auth', 'whoami']))
        .to.match(/Username\s+vera/)
        .and.include('clawstore:viewers');
      expect(await kubectl.run(['auth', 'can-i', 'list', 'volumes', '-A'])).to.include('yes');
      expect((await kubectl.try(['auth', 'can-i', 'get', 'secrets'])).stdout).to.include('no');
      expect((await kubectl.try(['auth', 'can-i', 'create', 'volumes'])).stdout).to.include('no');
      await kubectl.run(['get', 'clawstore,namespaces,events', '-A']);
      await machine.kubectl.run([
        'create',
        'secret',
        'generic',
        `s${form.length}`,
        '--from-literal=password=not-shown',
      ]);
      for (const output of ['wide', 'yaml', 'json', 'name']) {
        const { code, stdout, stderr } = await kubectl.try(['get', 'secrets', '-o', output]);
        expect(code).to.equal(1);
        expect(stderr).to.include(
          'User "vera" cannot list resource "secrets" in API group "" in the namespace "default"',
        );
        expect(stdout + stderr)
          .to.not.include('not-shown')
          .and.not.include('bm90LXNob3du');
      }
    });
  }

  it('lets nobody change objects as a node but the node whose they are', async () => {
    const kubectl = await kubectlOf('elsewhere', '--role', 'node', '--client-certificate');
    expect(await kubectl.run(['auth', 'whoami'])).to.include('clawstore:node:elsewhere');
    const { stderr } = await kubectl.try(['label', 'storagenode', machine.settings.nodeName, 'a=b']);
    expect(stderr).to.include('is forbidden');
  });

  it('takes a token back', async () => {
    const kubectl = await kubectlOf('guest', '--role', 'viewer');
    await kubectl.run(['get', 'namespaces']);
    expect((await credential('--role', 'viewer', '--name', 'guest', '--revoke')).stdout).to.equal(
      '1 token of viewer "guest" no longer count\n',
    );
    const { stderr } = await waitFor(
      async () => {
        const result = await kubectl.try(['get', 'namespaces']);
        return result.code === 0 ? undefined : result;
      },
      { message: 'the token to be refused' },
    );
    expect(stderr).to.match(/Unauthorized|must be logged in/i);
  });

  it('says what is wrong with an order', async () => {
    for (const [args, message] of [
      [['--role', 'root', '--name', 'x'], '--role: "root" must be one of admin, viewer, node, controller'],
      [['--role', 'node', '--name', 'A_b'], '--name: "A_b" must be the name of a node'],
      [['--role', 'viewer', '--name', 'x', '--server', 'http://h'], '--server: "http://h" must be a URL'],
    ] as const) {
      const { code, stderr } = await credential(...args);
      expect(code).to.equal(2);
      expect(stderr).to.include(message);
    }
    const { code, stderr } = await machine.command(['apiserver', 'credential', '--role', 'viewer', '--name', 'x'], {
      settings: { stateDir: join(directory, 'nothing') },
    });
    expect(code).to.equal(5);
    expect(stderr).to.include('start it first');
  });

  it('logs who did what where --audit-log says', async () => {
    const own = makeDirectory('audited');
    const log = join(own, 'audit.log');
    const settings = { ...machine.settings, stateDir: join(own, 'state'), kubeconfig: join(own, 'kubeconfig') };
    const server = await Clawstore.start('apiserver', settings, {
      logFile: join(own, 'apiserver.out'),
      args: ['--audit-log', log],
    });
    onEnd(() => server.killGroup());
    const kubectl = await Kubectl.for(settings.kubeconfig, own);
    await kubectl.run(['create', 'configmap', 'c', '--from-literal=k=content-of-it']);
    await server.stop();
    const lines = readFileSync(log, 'utf8').trim().split('\n');
    const made = lines.map((line) => JSON.parse(line)).find(({ verb }) => verb === 'create');
    expect(made.objectRef).to.include({ resource: 'configmaps', namespace: 'default' });
    expect(made.user.username).to.equal('clawstore-admin');
    expect(lines.join('\n')).to.not.include('content-of-it');
    expect(statSync(log).mode & 0o777).to.equal(0o600);
    rmSync(own, { recursive: true });
  });
});
