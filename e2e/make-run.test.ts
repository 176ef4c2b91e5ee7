/** `make run` as a new user meets it: its steps, its exit codes, a second start, Ctrl-C, a kill, and what is adopted. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { CLAWSTORE } from '../test/support/harness/clawstore.ts';
import { Daemon } from '../test/support/harness/daemon.ts';
import { type ExecResult, exec } from '../test/support/harness/exec.ts';
import { CHECKOUT, FreshHost, MOUNT_ROOT, STATE_DIR } from '../test/support/harness/fresh-host.ts';
import { loopsBelow, mountIds, mountsAt, mountsBelow, unmount } from '../test/support/harness/mounts.ts';
import { freePort } from '../test/support/harness/ports.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const RUN = join(CHECKOUT, 'scripts/run.sh');
const TARGETS = ['cache-trainer', 'datasets-loader', 'datasets-trainer', 'scratch-trainer'].map(
  (name) => `${MOUNT_ROOT}/default/${name}/data`,
);
const READY = /VolumeMount default\/scratch-trainer: Mounted, Ready/;

describe('make run', function () {
  this.timeout(300_000);
  this.bail(true); // each goes on from where the one before it left the machine
  let host: FreshHost;
  let serial = 0;
  const running: Daemon[] = [];

  /** Starts it as in a terminal of its own. */
  const start = (env: Readonly<Record<string, string>> = {}): Daemon => {
    const daemon = new Daemon({
      name: 'run.sh',
      command: RUN,
      args: [],
      logFile: join(host.directory, `run-${++serial}.log`),
      env: { ...host.env, ...env },
    });
    running.push(daemon);
    return daemon;
  };
  const ready = (daemon: Daemon): Promise<boolean> =>
    waitFor(
      () => {
        daemon.assertRunning();
        return READY.test(daemon.output());
      },
      { deadline: 150_000, message: 'the samples to be Ready', instead: () => daemon.tail() },
    );
  const once = (env: Readonly<Record<string, string | undefined>> = {}): Promise<ExecResult> =>
    exec(RUN, [], { env: { ...host.env, RUN_ONCE: '1', ...env }, deadline: 200_000 });
  const clawstore = (...args: readonly string[]): Promise<ExecResult> => exec(CLAWSTORE, args, { env: host.env });
  const said = ({ code, stdout, stderr }: ExecResult): string => `exit code ${code}:\n${stderr}${stdout}`;

  before(async () => {
    host = await FreshHost.prepare();
  });

  afterEach(async () => {
    for (const daemon of running.splice(0)) await daemon.stop('SIGTERM');
  });

  after(async () => {
    await clawstore('down', '--purge', '--yes');
    await host?.end();
  });

  it('says what is wrong with how it is called, in one line, before anything starts', async () => {
    const cases: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
      [{ RUN_ONCE: 'yes' }, /^run: RUN_ONCE is 'yes': say RUN_ONCE=1, or leave it out\n$/],
      [
        { CLAWSTORE_STATE_DIR: join(CHECKOUT, 'state') },
        /^run: .*\/state lies in the checkout.*choose another directory\n$/,
      ],
      [{ CLAWSTORE_MOUNT_ROOT: join(CHECKOUT, 'mounts') }, /^run: .*\/mounts lies in the checkout/],
    ];
    for (const [env, message] of cases) {
      const result = await once(env);
      expect(result.code, said(result)).to.equal(2);
      expect(result.stderr).to.match(message);
    }
    expect(existsSync(STATE_DIR)).to.equal(false);
  });

  it('tells a user who is not root, and a root who may not mount, what to do', async () => {
    const drop = ['--reuid=65534', '--regid=65534', '--clear-groups'];
    for (const command of [['make', '-C', CHECKOUT, 'run'], [RUN], [CLAWSTORE, 'up']]) {
      const result = await exec('setpriv', [...drop, ...command], { env: host.env, cwd: '/' });
      expect(result.code, said(result)).to.not.equal(0);
      expect(result.stderr).to.match(/root/);
      expect(result.stderr).to.match(/sudo/);
    }
    const lacking = await exec('setpriv', ['--bounding-set=-sys_admin', '--inh-caps=-sys_admin', CLAWSTORE, 'up'], {
      env: host.env,
    });
    expect(lacking.code, said(lacking)).to.equal(1);
    expect(lacking.stderr).to.match(/no CAP_SYS_ADMIN.*--privileged|no CAP_SYS_ADMIN.*privileged/);
    expect(existsSync(STATE_DIR)).to.equal(false);
  });

  it('with RUN_ONCE=1 prints each step with its time and exits 0 when the samples are really mounted', async () => {
    const result = await exec('make', ['run'], {
      env: { ...host.env, RUN_ONCE: '1' },
      cwd: CHECKOUT,
      deadline: 170_000,
    });
    expect(result.code, said(result)).to.equal(0);
    for (const step of ['machine', 'npm packages', 'Node', 'Debian packages']) {
      expect(result.stdout).to.match(new RegExp(`^setup: ${step} +\\d+\\.\\d{3} s  .+$`, 'm'));
    }
    expect(result.stdout).to.match(/^run: directories +\d+\.\d{3} s {2}state in \/var\/lib\/clawstore, /m);
    expect(result.stdout).to.match(/^run: kubectl +\d+\.\d{3} s {2}v1\.\d+/m);
    expect(result.stdout).to.match(/^clawstore runs on node .+, started in \d+\.\d\d s; its log is .+$/m);
    expect(result.stdout).to.match(READY);
    expect(result.stdout).to.not.include('\u001b');
    for (const target of TARGETS) expect(mountsAt(target), target).to.have.length(1);
  });

  it('started again, adopts what is there: not one mount call, every mount ID as before', async () => {
    const before = mountIds(MOUNT_ROOT);
    expect(Object.keys(before)).to.include.members(TARGETS);
    const port = await freePort();
    const daemon = start({ CLAWSTORE_METRICS: `127.0.0.1:${port}` });
    await ready(daemon);
    /** Mount operations so far, once every mount was looked at. */
    const operations = async (): Promise<number | undefined> => {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      const reconciled = /^controller_runtime_reconcile_total\{controller="mount",result="success"\} (\d+)$/m.exec(
        text,
      );
      if (Number(reconciled?.[1] ?? 0) < TARGETS.length) return undefined;
      const counts = [...text.matchAll(/^clawstore_mount_operation_duration_seconds_count\{[^}]*\} (\d+)$/gm)];
      return counts.reduce((sum, [, value]) => sum + Number(value), 0);
    };
    expect(await waitFor(operations, { message: 'every mount to be looked at' })).to.equal(0);
    expect(mountIds(MOUNT_ROOT)).to.deep.equal(before);
    // The counter does count: one that is taken away is mounted again.
    await unmount(TARGETS[1] ?? '');
    await waitFor(async () => (await operations()) === 1, { message: 'one mount operation', instead: operations });
    await daemon.stop('SIGINT');
  });

  it('leaves mounts in place at Ctrl-C and says so and how to take them down', async () => {
    const before = mountIds(MOUNT_ROOT);
    const daemon = start();
    await ready(daemon);
    expect(daemon.output()).to.include('  export KUBECONFIG=/var/lib/clawstore/kubeconfig\n');
    // A terminal sends the signal to every process of the group.
    process.kill(-daemon.pid, 'SIGINT');
    expect(await daemon.exited).to.deep.equal({ code: 0, signal: null });
    expect(daemon.tail(1)).to.equal('clawstore has stopped; mounts stay in place until npx clawstore down');
    expect(mountIds(MOUNT_ROOT)).to.deep.equal(before);
  });

  it('after a kill of everything, adopts what is there', async () => {
    const before = mountIds(MOUNT_ROOT);
    const daemon = start();
    await ready(daemon);
    await daemon.killGroup();
    const result = await once();
    expect(result.code, said(result)).to.equal(0);
    expect(mountIds(MOUNT_ROOT)).to.deep.equal(before);
  });

  it('does not call Ready what was unmounted while it did not run', async () => {
    for (const target of TARGETS.slice(1)) await unmount(target);
    const result = await once();
    expect(result.code, said(result)).to.equal(0);
    for (const target of TARGETS) expect(mountsAt(target), target).to.have.length(1);
  });

  it('started twice, attaches to the one that runs, and ends with it', async () => {
    const first = start();
    await ready(first);
    const second = start();
    await ready(second);
    expect(second.output()).to.match(/^clawstore runs here already \(pid \d+\); attached to it$/m);
    const attached = await once();
    expect(attached.code, said(attached)).to.equal(0);
    const viewer = start();
    await ready(viewer);
    expect(await viewer.stop('SIGINT')).to.deep.equal({ code: 0, signal: null });
    first.assertRunning();
    second.assertRunning();
    await first.stop('SIGINT');
    expect(await second.exited).to.deep.equal({ code: 1, signal: null });
    expect(second.tail(1)).to.match(/^clawstore: the one that this was attached to \(pid \d+\) has ended$/);
  });

  it('serves metrics on its usual port, or on another when that is taken', async () => {
    const one = start();
    await ready(one);
    const url = /curl -s (http:\/\/127\.0\.0\.1:\d+\/metrics)/.exec(one.output())?.[1] ?? '';
    expect(await (await fetch(url)).text()).to.include('clawstore_build_info');
    const other = {
      CLAWSTORE_STATE_DIR: join(host.directory, 'other'),
      CLAWSTORE_MOUNT_ROOT: join(host.directory, 'mnt'),
    };
    const two = start({ ...other, CLAWSTORE_NODE_NAME: 'two' });
    await ready(two);
    expect(/curl -s (\S+)/.exec(two.output())?.[1]).to.not.equal(url);
    await two.stop('SIGINT');
    const down = await exec(CLAWSTORE, ['down', '--purge', '--yes'], { env: { ...host.env, ...other } });
    expect(down.code, said(down)).to.equal(0);
  });

  it('refuses another mount root while mounts are below the old one', async () => {
    const result = await once({ CLAWSTORE_MOUNT_ROOT: join(host.directory, 'elsewhere') });
    expect(result.code, said(result)).to.equal(4);
    expect(result.stderr).to.match(/--mount-root: \d+ mounts .* are below \/run\/clawstore\/mounts: .*clawstore down/);
  });

  it('with RUN_ONCE=1 exits 1 and names what is not Ready and why', async () => {
    let result = await once({ CLAWSTORE_HOST_PATH_ALLOW: '/mnt', RUN_TIMEOUT: '5' });
    // All the time that it is given passes; what is well needs some of it.
    if (/not ready: .*(scratch|cache)/.test(result.stderr)) {
      result = await once({ CLAWSTORE_HOST_PATH_ALLOW: '/mnt', RUN_TIMEOUT: '60' });
    }
    expect(result.code, said(result)).to.equal(1);
    expect(result.stderr).to.match(/^clawstore: not ready: Volume default\/datasets: HostPathNotAllowed: .*\/mnt/m);
    expect(result.stderr).to.not.match(/not ready: .*(scratch|cache)/);
  });

  it('draws a table in place on a terminal', async () => {
    const shell = `exec script --quiet --return --command '${RUN}' /dev/null`;
    const result = await exec('bash', ['-c', shell], { env: { ...host.env, RUN_ONCE: '1', TERM: 'xterm' } });
    expect(result.code, said(result)).to.equal(0);
    expect(result.stdout).to.match(/^OBJECT +PHASE +READY +REASON\s*$/m);
    expect(result.stdout).to.match(/^VolumeMount default\/scratch-trainer +Mounted +True +Mounted\s*$/m);
  });

  it('ends with down: nothing mounted, no loop device, the data kept; and with --purge, which asks, no state', async () => {
    const data = '/srv/clawstore-samples/datasets/kept';
    writeFileSync(data, 'kept');
    const down = await clawstore('down');
    expect(down.code, said(down)).to.equal(0);
    expect(mountsBelow(MOUNT_ROOT).map(({ target }) => target)).to.deep.equal([]);
    // The kernel lets a loop device go a moment after its last mount.
    await waitFor(() => loopsBelow(STATE_DIR).length === 0, {
      message: 'no loop device to be left',
      instead: () => loopsBelow(STATE_DIR),
    });
    expect(readdirSync(STATE_DIR)).to.include('pools');
    const unasked = await clawstore('down', '--purge');
    expect(unasked.code, said(unasked)).to.equal(2);
    expect(unasked.stderr).to.include('--yes');
    expect(existsSync(STATE_DIR)).to.equal(true);
    const purge = await clawstore('down', '--purge', '--yes');
    expect(purge.code, said(purge)).to.equal(0);
    expect(existsSync(STATE_DIR)).to.equal(false);
    expect(readFileSync(data, 'utf8')).to.equal('kept');
  });
});
