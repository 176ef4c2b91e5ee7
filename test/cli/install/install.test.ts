import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { ExitCode } from '../../../src/cli/exit-code.ts';

const LAUNCHER = join(import.meta.dirname, '../../../bin/clawstore');

describe('clawstore install', function () {
  this.timeout(120_000);
  let folder: string;
  let unitDir: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-install-'));
    // Not there yet, as in an image that is being built.
    unitDir = join(folder, 'etc/systemd/system');
    file = join(unitDir, 'clawstore.service');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const run = (
    command: 'install' | 'uninstall',
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) => {
    const { status, stdout, stderr } = spawnSync(LAUNCHER, [command, '--unit-dir', unitDir, ...args], {
      encoding: 'utf8',
      cwd: folder,
      env: { PATH: process.env['PATH'], ...env },
    });
    return { code: status, stdout, stderr };
  };
  /** The checkout of a test machine may lie anywhere, also where installations do not stay: hence --force. */
  const install = (...args: readonly string[]) => run('install', ['--force', ...args]);
  const execStart = () => /^ExecStart=(.*)$/m.exec(readFileSync(file, 'utf8'))?.[1];

  it('writes the unit for this very installation, for everybody to read, and says what to type where systemd does not read it', () => {
    const { code, stdout } = install('--state-dir', '/data/state', '--log-level', 'warn');
    expect(code).to.equal(ExitCode.ok);
    expect(stdout)
      .to.include(`${file} is written`)
      .and.include('systemctl daemon-reload && systemctl enable --now clawstore');
    expect(execStart()).to.equal(`${LAUNCHER} up --state-dir /data/state --log-level warn`);
    expect(statSync(file).mode & 0o777).to.equal(0o644);
    expect(readdirSync(unitDir)).to.deep.equal(['clawstore.service']);
  });

  it('takes settings from variables too, which are not there at the next boot, and a config file by its full path', () => {
    writeFileSync(join(folder, 'my.yaml'), 'logLevel: debug\n');
    const { code } = run('install', ['agent', '--force', '--config', 'my.yaml'], { CLAWSTORE_NODE_NAME: 'n1' });
    expect(code).to.equal(ExitCode.ok);
    expect(execStart()).to.equal(`${LAUNCHER} agent --node-name n1 --config ${join(folder, 'my.yaml')}`);
  });

  it('changes nothing the second time, and says so; another setting makes another unit', () => {
    install();
    const before = statSync(file, { bigint: true });
    expect(run('install', ['--force']).stdout).to.include(`${file} is as wanted already`);
    expect(statSync(file, { bigint: true })).to.include({ ino: before.ino, ctimeNs: before.ctimeNs });
    expect(install('--log-level', 'debug').stdout).to.include('is written');
    expect(execStart()).to.include('--log-level debug');
  });

  it('shows with --dry-run what it would write, and writes nothing', () => {
    const { code, stdout, stderr } = install('--dry-run');
    expect(code).to.equal(ExitCode.ok);
    expect(stderr).to.include(`would write ${file}`);
    expect(stdout)
      .to.match(/^# Written by clawstore install/)
      .and.include('[Service]');
    expect(existsSync(unitDir)).to.equal(false);
  });

  it('makes units of several names', () => {
    install('--unit', 'clawstore-b', '--state-dir', '/data/b');
    install();
    expect(readdirSync(unitDir).sort()).to.deep.equal(['clawstore-b.service', 'clawstore.service']);
    expect(readFileSync(join(unitDir, 'clawstore-b.service'), 'utf8')).to.include(
      'EnvironmentFile=-/etc/default/clawstore-b',
    );
  });

  const wrong: readonly (readonly [readonly string[], string])[] = [
    [['kubelet'], '"kubelet" is none of up, agent, controller, apiserver'],
    [['--unit', '../x'], '--unit: "../x" must be letters'],
    [['--unit-dir', 'here'], '--unit-dir: "here" must be an absolute path'],
    [['--metrics', 'x'], '--metrics: "x" is not ADDRESS:PORT'],
    [['agent', '--kubeconfig', 'in-cluster'], '--kubeconfig: what systemd starts is in no pod'],
  ];
  for (const [args, message] of wrong) {
    it(`refuses ${args.join(' ')} and names what is wrong`, () => {
      const { code, stderr } = install(...args);
      expect(code).to.equal(ExitCode.usage);
      expect(stderr).to.include(message);
      expect(existsSync(unitDir)).to.equal(false);
    });
  }

  it('neither overwrites nor removes what a person has edited or made, unless told to', () => {
    install();
    const edited = `${readFileSync(file, 'utf8')}# mine\n`;
    for (const text of [edited, '[Service]\nExecStart=/bin/true\n']) {
      writeFileSync(file, text);
      // A removal does not depend on where the package lies; the installation is told apart by its reason.
      const { code, stderr } = run('uninstall', []);
      expect(code).to.equal(ExitCode.refused);
      expect(stderr).to.match(
        /(was edited since|was not written by) clawstore install.*, so it is not removed: say --force/,
      );
      expect(run('install', ['--log-level', 'warn']).code).to.equal(ExitCode.refused);
      expect(readFileSync(file, 'utf8')).to.equal(text);
    }
    expect(install().stdout).to.include('is written');
  });

  it('leaves a masked unit masked', () => {
    mkdirSync(unitDir, { recursive: true });
    symlinkSync('/dev/null', file);
    const { code, stderr } = install();
    expect(code).to.equal(ExitCode.refused);
    expect(stderr).to.include('is not a file (a masked unit is a link to /dev/null)');
  });

  it('is undone by uninstall, which says that mounts and data stay, and does nothing the second time', () => {
    install();
    expect(run('uninstall', ['--dry-run']).stdout).to.include(`would disable clawstore and remove ${file}`);
    expect(existsSync(file)).to.equal(true);
    const { code, stdout } = run('uninstall', []);
    expect(code).to.equal(ExitCode.ok);
    expect(stdout).to.include(`${file} is removed`).and.include('mounts and data stay');
    expect(readdirSync(unitDir)).to.deep.equal([]);
    const again = run('uninstall', []);
    expect([again.code, again.stdout]).to.deep.equal([ExitCode.ok, `there is no ${file}\n`]);
  });
});
