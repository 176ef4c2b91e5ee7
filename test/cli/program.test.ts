import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { ExitCode } from '../../src/cli/exit-code.ts';
import { SETTING_FLAGS } from '../../src/cli/settings.ts';
import { bareEnvironment } from './bare-environment.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

describe('the command line', function () {
  this.timeout(120_000);
  let folder: string;

  const clawstore = (...args: readonly string[]) => {
    const result = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
      encoding: 'utf8',
      env: bareEnvironment({ CLAWSTORE_STATE_DIR: join(folder, 'state') }),
    });
    return { code: result.status, stdout: result.stdout, stderr: result.stderr };
  };

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-program-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('says in its help how to start, what the exit codes mean, and every command', () => {
    const { code, stdout } = clawstore('--help');
    expect(code).to.equal(ExitCode.ok);
    for (const name of [
      'up',
      'apiserver',
      'controller',
      'agent',
      'mount-holder',
      'install',
      'uninstall',
      'down',
      'doctor',
      'invoke',
      'volume',
      'snapshot',
      'backup',
      'repository',
      'schedule',
      'explain',
      'version',
    ]) {
      expect(stdout).to.match(new RegExp(`^ {2}${name}\\b`, 'm'));
    }
    expect(stdout).to.include('export KUBECONFIG=/var/lib/clawstore/kubeconfig');
    expect(stdout).to.include('Exit codes: 0 done');
  });

  it('ends quietly when nobody reads its help to the end', () => {
    const line = `'${process.execPath}' --disable-warning=ExperimentalWarning '${MAIN}' up --help | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', line], { encoding: 'utf8' });
    expect([stdout, stderr]).to.deep.equal(['0\n', '']);
  });

  it('answers --version as other programs do', () => {
    const { code, stdout } = clawstore('--version');
    expect(code).to.equal(ExitCode.ok);
    expect(stdout).to.equal(clawstore('version').stdout);
  });

  it('lists each setting with its default and its variable in the help of a command', () => {
    const words = clawstore('up', '--help').stdout.replaceAll(/\s+/g, ' ');
    for (const { flags, env, fallback } of SETTING_FLAGS) {
      expect(words).to.include(flags);
      expect(words).to.include(`(default: ${fallback}) (env: ${env})`);
    }
    expect(words).to.include('how long --until-ready waits (default: 60)');
  });

  const wrong: readonly (readonly [readonly string[], string])[] = [
    [['frob'], "unknown command 'frob'"],
    [['up', '--frob'], "unknown option '--frob'"],
    [['up', '--metrics', '9090'], '--metrics: "9090" is not ADDRESS:PORT'],
    [['up', '--until-ready', '--timeout', 'x'], '--timeout: "x" is not a number of seconds'],
    [['down', '--timeout', '0'], '--timeout: "0" is not a number of seconds'],
    [['invoke'], "missing required argument 'command'"],
    [['invoke', 'volume.list', '{', '-o', 'table'], 'the parameters are not JSON'],
    [['version', '-o', 'xml'], "'xml' is invalid. Allowed choices are json, yaml, table."],
    [['volume', 'list', '-o', 'xml'], 'Allowed choices are table, wide, json, yaml, name.'],
    [['volume', 'create', 'data', '--type', 'tape'], 'Allowed choices are emptydir, hostpath, nfs, s3.'],
    [['volume', 'create', 'data', '--size-gb', 'big'], "'big' is invalid. It must be a number."],
    [['volume', 'grow', 'data'], "required option '--size-gb <number>' not specified"],
    [['volume', 'mount', 'data', '--mount-path', '/data'], "required option '--workload-id <id>' not specified"],
    [['volume', 'list', '-n', 'No/such'], '--namespace: "No/such" is not the name of a namespace'],
    [['volume', 'list', '--timeout', 'x'], '--timeout: "x" is not a number of seconds'],
    [['doctor', '--config', '/nonexistent.yaml'], 'config file /nonexistent.yaml'],
  ];
  for (const [args, message] of wrong) {
    it(`refuses "${args.join(' ')}" with exit code 2 and says what is wrong`, () => {
      const { code, stdout, stderr } = clawstore(...args);
      expect(code).to.equal(ExitCode.usage);
      expect(stderr).to.include(message);
      expect(stdout).to.equal('');
    });
  }

  it('says where no control plane answers what to start, with exit code 5', () => {
    const { code, stderr } = clawstore('invoke', 'volume.list');
    expect(code).to.equal(ExitCode.unavailable);
    expect(stderr).to.include(join(folder, 'state/kubeconfig')).and.to.include('clawstore up');
  });

  it('lists the commands of invoke without a control plane', () => {
    const { code, stdout } = clawstore('invoke', 'list', '-o', 'json');
    expect(code).to.equal(ExitCode.ok);
    const { commands } = JSON.parse(stdout) as { readonly commands: readonly { readonly name: string }[] };
    expect(commands.map(({ name }) => name)).to.include.members(['volume.create', 'volume.mount', 'volume.delete']);
  });

  it('explains a reason: what is wrong, what is affected, what to do', () => {
    const { code, stdout } = clawstore('explain', 'nodelost');
    expect(code).to.equal(ExitCode.ok);
    expect(stdout).to.match(/^NodeLost: The Lease .*\n\nAffected: .*\nWhat to do: .*node-fenced/);
    expect(JSON.parse(clawstore('explain', 'Mounted', '-o', 'json').stdout)).to.have.keys('reason', 'meaning');
    const unknown = clawstore('explain', 'bucket');
    expect(unknown.code).to.equal(ExitCode.usage);
    expect(unknown.stderr).to.contain('BucketNotFound');
  });

  it('prints its version, as a line and as JSON', () => {
    expect(clawstore('version').stdout).to.match(/^clawstore \d+\.\d+\.\d+\n$/);
    expect(JSON.parse(clawstore('version', '-o', 'json').stdout)).to.have.keys('version', 'node', 'platform');
  });

  it('takes settings from a config file, and flags before it', () => {
    const file = join(folder, 'config.yaml');
    writeFileSync(file, 'listen: nowhere\n');
    expect(clawstore('doctor', '--config', file).stderr).to.include('--listen: "nowhere"');
    expect(clawstore('doctor', '--config', file, '--listen', 'elsewhere').stderr).to.include('--listen: "elsewhere"');
  });
});
