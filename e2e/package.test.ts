/** The product as npm installs it for everybody: packed, installed below a prefix, started through links from elsewhere. */
import { existsSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { Daemon } from '../test/support/harness/daemon.ts';
import { type ExecResult, exec, run } from '../test/support/harness/exec.ts';
import { Kubectl } from '../test/support/harness/kubectl.ts';
import { makeDirectory } from '../test/support/harness/run.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const CHECKOUT = join(import.meta.dirname, '..');
/** A fresh machine reads 100 MB from its registry first. */
const INSTALL_MS = 500_000;
/** What a shell without anything of ours has. */
const PLAIN_PATH = '/usr/local/bin:/usr/bin:/bin';

describe('the npm package', function () {
  this.timeout(300_000);
  let folder: string;
  let bin: string;

  /** Runs what was installed, with nothing of this checkout in the environment. */
  const installed = (program: string, args: readonly string[], path = PLAIN_PATH): Promise<ExecResult> => {
    const ours = Object.keys(process.env).filter((name) => name.startsWith('CLAWSTORE_') || name.startsWith('npm_'));
    const env = { ...Object.fromEntries(ours.map((name) => [name, undefined])), PATH: path };
    return exec(program, args, { env, cwd: '/' });
  };

  before(async function () {
    this.timeout(INSTALL_MS);
    folder = makeDirectory('package');
    // What dist/ has was built before the tests, and is what is packed.
    // npm leaves what it compiled in TMPDIR.
    const env = { TMPDIR: folder };
    const options = { cwd: CHECKOUT, deadline: INSTALL_MS, env };
    await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], options);
    const [archive = ''] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
    const prefix = join(folder, 'prefix');
    const flags = ['--prefer-offline', '--include=optional', '--no-audit', '--no-fund', '--no-update-notifier'];
    await run('npm', ['install', '--global', '--prefix', prefix, ...flags, join(folder, archive)], {
      ...options,
      cwd: folder,
    });
    bin = join(prefix, 'bin');
  });
  after(async () => {
    if (folder !== undefined) await run('rm', ['-rf', '--one-file-system', '--', folder]);
  });

  it('installs the program under its three names, and no sources or tests', () => {
    expect(readdirSync(bin).sort()).to.deep.equal(['clawstore', 'kubectl-clawstore', 'kubectl_complete-clawstore']);
    const root = join(bin, '../lib/node_modules/clawstore');
    expect(existsSync(join(root, 'dist/cli.js'))).to.equal(true);
    expect(existsSync(join(root, 'src'))).to.equal(false);
    expect(existsSync(join(root, 'test'))).to.equal(false);
  });

  it('runs from another folder, through a link to a link, on the Node that it brings', async () => {
    const link = join(folder, 'link');
    symlinkSync(join(bin, 'clawstore'), link);
    const { code, stdout, stderr } = await installed(link, ['version', '-o', 'json']);
    expect(code, stderr).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.include({ node: process.version });
  });

  it('is a plugin of kubectl, which completes it, and has a control plane of its own', async () => {
    const kubeconfig = join(folder, 'state/kubeconfig');
    const server = new Daemon({
      name: 'the installed API server',
      command: join(bin, 'clawstore'),
      args: ['apiserver', '--state-dir', join(folder, 'state')],
      logFile: join(folder, 'apiserver.log'),
      cwd: '/',
    });
    try {
      const kubectl = await Kubectl.for(kubeconfig, folder);
      const env = {
        PATH: [bin, dirname(kubectl.binary), PLAIN_PATH].join(':'),
        CLAWSTORE_COMPLETION_SECONDS: '30',
      };
      await waitFor(
        async () => {
          server.assertRunning();
          return existsSync(kubeconfig) && (await kubectl.try(['get', '--raw', '/readyz'])).code === 0;
        },
        { deadline: 150_000, message: 'the installed API server to be ready', instead: () => server.tail() },
      );
      const listed = await kubectl.try(['clawstore', 'volume', 'list'], { env, cwd: '/' });
      expect([listed.code, listed.stdout, listed.stderr]).to.deep.equal([
        0,
        '',
        'No volumes found in namespace default.\n',
      ]);
      await kubectl.apply([
        {
          apiVersion: 'storage.clawbernetes.io/v1alpha1',
          kind: 'Volume',
          metadata: { name: 'data', namespace: 'default' },
          spec: { emptyDir: {} },
        },
      ]);
      expect((await kubectl.run(['clawstore', 'volume', 'list', '-o', 'name'], { env, cwd: '/' })).trim()).to.equal(
        'volume.storage.clawbernetes.io/data',
      );
      const completed = await kubectl.run(['__complete', 'clawstore', 'volume', 'delete', ''], { env, cwd: '/' });
      expect(completed).to.equal('data\n:4\n');
    } finally {
      await server.stop();
    }
  });
});
