/** The commands for people, against a machine that really mounts: tables, waiting, watching, and as a plugin of kubectl. */
import { existsSync, mkdirSync, readFileSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import { mountName } from '../src/api/names.ts';
import type { Volume } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { completionScript } from '../src/cli/completion/scripts.ts';
import { CLAWSTORE, clawstoreCommand } from '../test/support/harness/clawstore.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { Daemon } from '../test/support/harness/daemon.ts';
import type { ExecResult } from '../test/support/harness/exec.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mountsAt } from '../test/support/harness/mounts.ts';
import { Terminal } from '../test/support/harness/terminal.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const MIB = 1024 ** 2;
/** A busy machine is no reason to complete nothing. */
const PATIENT = { CLAWSTORE_COMPLETION_SECONDS: '30' };
const NAMES = ['clawstore', 'kubectl-clawstore', 'kubectl_complete-clawstore'];

describe(`the commands for people, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  let bin: string;
  let terminal: Terminal | undefined;

  const clawstore = (...args: readonly string[]): Promise<ExecResult> => machine.command([...args, '-n', ns]);
  const answered = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await clawstore(...args);
    expect(code, stderr).to.equal(0);
    return stdout;
  };
  /**
   * What a call says that always takes all of its time, before which it must have said something: on a busy machine it is
   * given more.
   */
  const inTime = async <T extends Pick<ExecResult, 'stdout' | 'stderr'>>(
    least: number,
    said: RegExp,
    call: (seconds: string) => Promise<T>,
  ): Promise<T> => {
    for (let seconds = least; ; seconds *= 4) {
      const result = await call(String(seconds));
      if (seconds > 30 || said.test(result.stdout + result.stderr)) return result;
    }
  };
  /** A command that goes on, with its output in a file. */
  const start = (name: string, ...args: readonly string[]): Daemon => {
    const [command = '', ...rest] = clawstoreCommand(machine.settings, [...args, '-n', ns]);
    return new Daemon({ name, command, args: rest, logFile: join(machine.directory, `${name}.log`) });
  };

  before(async () => {
    machine = await Machine.start();
    ns = await machine.namespace('people');
    bin = join(machine.directory, 'bin');
    mkdirSync(bin);
    for (const name of NAMES) symlinkSync(CLAWSTORE, join(bin, name));
  });
  afterEach(async () => {
    await terminal?.kill();
    terminal = undefined;
  });
  after(async () => {
    await machine?.end();
  });

  it('list nothing where there is nothing, and say so', async () => {
    const { code, stdout, stderr } = await clawstore('volume', 'list');
    expect([code, stdout, stderr]).to.deep.equal([0, '', `No volumes found in namespace ${ns}.\n`]);
    expect(existsSync(join(CLAWSTORE, '../../dist/.compiled')), 'compiled code is kept').to.equal(true);
    expect(JSON.parse(await answered('volume', 'list', '-o', 'json'))).to.deep.include({
      totalVolumes: 0,
      volumes: [],
    });
  });

  it('make volumes; the same again is answered, another one of that name refused with what differs', async () => {
    const create = ['volume', 'create', 'data', '--type', 'hostpath', '--path', join(machine.host, 'data')];
    const table = await answered(...create);
    expect(table).to.match(/^NAME +TYPE +SIZE \(GIB\) +ACCESS MODE +READY\ndata +hostpath +10 +ReadWriteOnce +true\n$/);
    expect(await answered(...create)).to.equal(table);
    expect(existsSync(join(machine.host, 'data'))).to.equal(true);
    const { code, stdout, stderr } = await clawstore(...create, '--size-gb', '20');
    expect([code, stdout]).to.deep.equal([1, '']);
    expect(stderr).to.include('a volume "data" exists already and its size is 10Gi');
    expect(await answered('volume', 'create', 'scratch', '--size-gb', '0.5', '-o', 'name')).to.equal(
      'volume.storage.clawbernetes.io/scratch\n',
    );
  });

  it('mount them, and say where', async () => {
    const args = ['volume', 'mount', 'data', '--workload-id', 'w1', '--mount-path', '/data'];
    const { hostPath } = JSON.parse(await answered(...args, '-o', 'json')) as { readonly hostPath: string };
    expect(mountsAt(hostPath)).to.have.length(1);
    expect(await answered(...args)).to.include(hostPath);
    const { spec } = await machine.get<VolumeMount>(VOLUME_MOUNTS, `${ns}/${mountName('data', 'w1')}`);
    expect(spec).to.deep.include({ workloadId: 'w1', mountPath: '/data', nodeName: machine.settings.nodeName });
    const { code, stderr } = await clawstore(...args, '--read-only');
    expect(code, stderr).to.equal(1);
    expect(stderr).to.include('readOnly');
  });

  it('list them as tables, names, JSON and YAML', async () => {
    // The controller counts what is mounted after it was mounted.
    await machine.waitFor<Volume>(
      VOLUMES,
      `${ns}/data`,
      ({ status }) => status?.phase === 'Attached',
      'to be Attached',
    );
    const [heading, data, scratch] = (await answered('volume', 'list')).split('\n');
    expect(heading).to.match(/^NAME +TYPE +PHASE +CAPACITY +USED +READY +REASON +AGE$/);
    expect(data).to.match(/^data +hostpath +Attached +10 GiB .*true/);
    expect(scratch).to.match(/^scratch +emptydir +Available +512 MiB .*true/);
    expect(await answered('volume', 'list', '-o', 'wide'))
      .to.match(/ACCESS MODE +NODE +MESSAGE\n/)
      .and.include(machine.settings.nodeName);
    const qualified = ['data', 'scratch'].map((name) => `volume.storage.clawbernetes.io/${name}\n`).join('');
    expect(await answered('volume', 'list', '-o', 'name')).to.equal(qualified);
    const invoked = async () => (await machine.invoke('volume.list', {}, '--invoke-namespace', ns)).answer;
    // Nothing that is said of them may have changed meanwhile, e.g. how much is used.
    const [answer, json, yaml] = await waitFor(
      async () => {
        const before = await invoked();
        const texts = [await answered('volume', 'list', '-o', 'json'), await answered('volume', 'list', '-o', 'yaml')];
        return isDeepStrictEqual(await invoked(), before) ? ([before, ...texts] as const) : undefined;
      },
      { message: 'volumes that stay as they are' },
    );
    expect(JSON.parse(json ?? '')).to.deep.equal(answer);
    expect(parse(yaml ?? '')).to.deep.equal(answer);
  });

  it('describe one with its conditions, mounts and snapshots', async () => {
    const described = parse(await answered('volume', 'describe', 'data', '-o', 'yaml')) as Record<string, unknown>;
    expect(described).to.deep.include({ volumeId: 'data', phase: 'Attached', namespace: ns });
    expect(described['mounts']).to.have.length(1);
    expect(JSON.stringify(described['conditions'])).to.include('Provisioned');
    expect(await answered('volume', 'describe', 'data')).to.match(/w1 +\S+ +Mounted/);
  });

  it('grow one that is in use, and its filesystem is larger when they answer', async () => {
    const mounted = await answered(
      'volume',
      'mount',
      'scratch',
      '--workload-id',
      'w',
      '--mount-path',
      '/s',
      '-o',
      'json',
    );
    const { hostPath } = JSON.parse(mounted) as { readonly hostPath: string };
    const size = (): number => statfsSync(hostPath).blocks * statfsSync(hostPath).bsize;
    const before = size();
    expect(await answered('volume', 'grow', 'scratch', '--size-gb', '0.75')).to.match(/scratch +768 MiB +true/);
    expect(size()).to.be.greaterThan(before + 128 * MIB);
    expect((await machine.get<Volume>(VOLUMES, `${ns}/scratch`)).spec.capacity).to.equal('768Mi');
    const { code, stderr } = await clawstore('volume', 'grow', 'scratch', '--size-gb', '0.5');
    expect(code).to.equal(2);
    expect(stderr).to.include('volumes only grow');
  });

  it('refuse to delete what is mounted, and name who has it', async () => {
    const { code, stderr } = await clawstore('volume', 'delete', 'data');
    expect(code).to.equal(4);
    expect(stderr).to.include('is mounted by "w1"; unmount it first');
  });

  it('print what changes until they are interrupted, and end as interrupted programs do', async () => {
    const table = start('watch-table', 'volume', 'list', '--watch');
    const json = start('watch-json', 'volume', 'list', '--watch', '-o', 'json');
    const shows = (of: Daemon, what: RegExp): Promise<unknown> =>
      waitFor(() => what.test(of.output()), { message: `${what}`, instead: () => of.output() });
    await Promise.all([table, json].map((one) => shows(one, /scratch/)));
    await answered('volume', 'create', 'brief', '--size-gb', '0.0625');
    await Promise.all([shows(table, /^brief +emptydir +Available .*true/m), shows(json, /"brief".*"Available"/)]);
    await answered('volume', 'delete', 'brief');
    await Promise.all([shows(table, /^brief +emptydir +Deleted/m), shows(json, /"brief".*"Deleted"/)]);
    for (const one of [table, json]) {
      one.signal('SIGINT');
      expect((await one.exited).signal).to.equal('SIGINT');
    }
    expect(table.output().match(/NAME/g)).to.have.length(1);
    const rows = json
      .output()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly volumeId: string });
    expect(new Set(rows.map(({ volumeId }) => volumeId))).to.deep.equal(new Set(['brief', 'data', 'scratch']));
    const yaml = start('watch-yaml', 'volume', 'list', '--watch', '-o', 'yaml');
    await shows(yaml, /volumeId: scratch/);
    yaml.signal('SIGTERM');
    expect((await yaml.exited).signal).to.equal('SIGTERM');
    const documents = parseAllDocuments(yaml.output()).map((one) => one.toJS() as { readonly volumeId: string });
    expect(new Set(documents.map(({ volumeId }) => volumeId))).to.deep.equal(new Set(['data', 'scratch']));
  });

  it('say what goes on when they are interrupted or the time is over, and how it stands', async () => {
    const args = ['volume', 'create', 'lost', '--node-name', 'nowhere'];
    const late = await inTime(1, /still making it/, (seconds) => clawstore(...args, '--timeout', seconds));
    expect(late.code).to.equal(3);
    expect(late.stderr).to.match(/volume\.create: still making it: .*not done within \d+ s; it goes on/);
    await machine.waitCondition(VOLUMES, `${ns}/lost`, 'Ready', 'False', 'NodeNotFound');
    const asked = await inTime(2, /NodeNotFound/, (seconds) => clawstore(...args, '--timeout', seconds, '-o', 'json'));
    const read = JSON.parse(asked.stdout) as {
      readonly error: { readonly code: string; readonly conditions: readonly { readonly reason: string }[] };
    };
    expect(read.error.code).to.equal('Timeout');
    expect(read.error.conditions.map(({ reason }) => reason)).to.include('NodeNotFound');
    const command = clawstoreCommand(machine.settings, [...args, '-n', ns]).join(' ');
    terminal = new Terminal(`bash -c '${command}; echo the script goes on'`);
    await terminal.shows(/Volume lost: NodeNotFound: /);
    terminal.type('\u0003'); // Control-C
    const screen = await terminal.ended();
    expect(screen).to.include('the call ended; it goes on').and.to.not.include('the script goes on');
    await answered('volume', 'delete', 'lost');
  });

  it('show on a terminal what they wait for, and leave no trace of it', async () => {
    const command = clawstoreCommand(machine.settings, [
      'volume',
      'create',
      'lost',
      '--node-name',
      'nowhere',
      '-n',
      ns,
    ]);
    const screen = await inTime(5, /Volume lost: NodeNotFound: /, async (seconds) => {
      await terminal?.kill();
      terminal = new Terminal(`${command.join(' ')} --timeout ${seconds}`);
      return { stdout: await terminal.ended(), stderr: '' };
    });
    expect(screen.stdout)
      .to.match(/Volume lost: NodeNotFound: /)
      .and.include('\r\u001b[Kclawstore: volume.create: still making it');
    const piped = await clawstore('volume', 'create', 'lost', '--node-name', 'nowhere', '--timeout', '1');
    expect(piped.stderr).to.not.include('\u001b');
    await answered('volume', 'delete', 'lost');
  });

  it('end quietly when nobody reads on', async () => {
    const command = clawstoreCommand(machine.settings, ['volume', 'list', '--watch', '-n', ns]).join(' ');
    terminal = new Terminal(`bash -c '${command} | head -1; echo "statuses: \${PIPESTATUS[*]}"'`);
    await terminal.shows(/NAME /);
    await answered('volume', 'create', 'brief', '--size-gb', '0.0625');
    expect(await terminal.ended())
      .to.include('statuses: 0 0')
      .and.to.not.include('EPIPE');
    await answered('volume', 'delete', 'brief');
  });

  it('take snapshots and list them', async () => {
    expect(await answered('snapshot', 'create', 'scratch', '--name', 's1')).to.match(/s1 +scratch +ready/);
    expect(await answered('snapshot', 'list', '--volume', 'scratch')).to.match(/^s1 +scratch +true +ReadyToUse/m);
    expect(await answered('snapshot', 'delete', 's1', '-o', 'name')).to.equal('snapshot.storage.clawbernetes.io/s1\n');
  });

  /** kubectl with the binary in its PATH, as npm would have put it there. */
  const kubectl = (env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<ExecResult> =>
    machine.kubectl.try(args, { env: { PATH: `${bin}${delimiter}${process.env['PATH']}`, ...PATIENT, ...env } });
  const plugin = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await kubectl({}, 'clawstore', ...args);
    expect(code, stderr).to.equal(0);
    return stdout;
  };

  it('are found by kubectl as its plugin, and speak of themselves as kubectl clawstore', async () => {
    expect((await kubectl({}, 'plugin', 'list')).stdout).to.include(join(bin, 'kubectl-clawstore'));
    const help = await plugin('--help');
    expect(help).to.include('Usage: kubectl clawstore ').and.to.include('kubectl clawstore volume list');
    expect(help).to.not.match(/^ {2}(up|agent|invoke)\b/m);
    expect((await kubectl({}, 'clawstore', 'up')).code).to.equal(2);
  });

  it('go as a plugin where KUBECONFIG, --kubeconfig, --context and --namespace point, before and after the command', async () => {
    const expected = 'volume.storage.clawbernetes.io/data\nvolume.storage.clawbernetes.io/scratch\n';
    expect(await plugin('volume', 'list', '-n', ns, '-o', 'name')).to.equal(expected);
    expect(await plugin('-n', ns, 'volume', 'list', '-o', 'name')).to.equal(expected);
    const { kubeconfig } = machine.settings;
    const elsewhere = await kubectl({ KUBECONFIG: '/nonexistent' }, 'clawstore', 'volume', 'list', '-n', ns);
    expect(elsewhere.code).to.equal(5);
    expect(elsewhere.stderr).to.include('/nonexistent').and.to.include('KUBECONFIG');
    for (const args of [
      ['--kubeconfig', kubeconfig, 'volume', 'list'],
      ['volume', 'list', `--kubeconfig=${kubeconfig}`],
    ]) {
      const { stdout, stderr } = await kubectl(
        { KUBECONFIG: '/nonexistent' },
        'clawstore',
        ...args,
        '--namespace',
        ns,
        '-o',
        'name',
      );
      expect(stdout, stderr).to.equal(expected);
    }
    // A context of its own with the namespace in it, and a current one that leads nowhere.
    const config = parse(readFileSync(kubeconfig, 'utf8')) as Record<string, never> & {
      readonly 'current-context': string;
      readonly contexts: { readonly name: string; readonly context: object }[];
    };
    const present = config.contexts.find(({ name }) => name === config['current-context']);
    const contexts = [...config.contexts, { name: 'team', context: { ...present?.context, namespace: ns } }];
    const file = join(machine.directory, 'contexts.kubeconfig');
    writeFileSync(file, stringify({ ...config, contexts, 'current-context': 'gone' }), { mode: 0o600 });
    const { stdout, stderr } = await kubectl(
      { KUBECONFIG: file },
      'clawstore',
      'volume',
      'list',
      '--context',
      'team',
      '-o',
      'name',
    );
    expect(stdout, stderr).to.equal(expected);
  });

  it('let as a plugin the controller choose the node, and mount where the volume is', async () => {
    await plugin('volume', 'create', 'placed', '--size-gb', '0.0625', '-n', ns);
    const { spec, status } = await machine.get<Volume>(VOLUMES, `${ns}/placed`);
    expect(spec).to.not.have.property('nodeName');
    expect(status?.nodeName).to.equal(machine.settings.nodeName);
    const args = ['--workload-id', 'w', '--mount-path', '/p', '-n', ns, '-o', 'json'];
    const { hostPath } = JSON.parse(await plugin('volume', 'mount', 'placed', ...args)) as { hostPath: string };
    expect(mountsAt(hostPath)).to.have.length(1);
    expect(await plugin('volume', 'unmount', 'placed', '-n', ns)).to.match(/placed +true/);
    expect(await plugin('volume', 'delete', 'placed', '-n', ns)).to.match(/placed +true/);
  });

  it('are completed by kubectl, with commands and names of objects', async () => {
    const { stdout } = await kubectl({}, '__complete', 'clawstore', 'volume', 'describe', '-n', ns, '');
    expect(stdout).to.equal('data\nscratch\n:4\n');
    expect((await kubectl({}, '__complete', 'clawstore', 'volume', 'gr')).stdout).to.match(/^grow\t/);
  });

  it('are completed in bash with the names that there are', async () => {
    const rc = join(machine.directory, 'bashrc');
    const { kubeconfig } = machine.settings;
    writeFileSync(rc, `PS1='> '\nPATH=${bin}:$PATH\n${completionScript('bash')}`);
    terminal = new Terminal(`bash --rcfile ${rc} -i`, { env: PATIENT });
    await terminal.shows(/> $/);
    terminal.type(`clawstore volume describe --kubeconfig ${kubeconfig} -n ${ns} scr\t`);
    await terminal.shows(/ scratch $/);
    terminal.type('\u0015'); // Control-U: the line is empty again
    terminal.type(`clawstore volume list --kubeconfig ${kubeconfig} --namespace=people\t`);
    await terminal.shows(new RegExp(`--namespace=${ns} $`));
  });

  it('unmount and delete, and answer when it is done', async () => {
    for (const [name, workload] of [
      ['data', 'w1'],
      ['scratch', 'w'],
    ] as const) {
      expect(await answered('volume', 'unmount', name, '--workload-id', workload)).to.match(
        new RegExp(`${name} +true`),
      );
      expect(await answered('volume', 'delete', name, '-o', 'json')).to.equal(
        `${JSON.stringify({ volumeId: name, deleted: true }, null, 2)}\n`,
      );
    }
    expect((await machine.client.list(VOLUMES, { namespace: ns })).items).to.deep.equal([]);
    expect(existsSync(join(machine.host, 'data'))).to.equal(true);
  });
});
