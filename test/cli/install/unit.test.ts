import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { placeObjection } from '../../../src/cli/install/place.ts';
import { INSTALLED_ROLES, provenance, type UnitFacts, unitText } from '../../../src/cli/install/unit.ts';

const facts: UnitFacts = {
  unit: 'clawstore',
  role: 'agent',
  launcher: '/opt/clawstore/bin/clawstore',
  args: ['--state-dir', '/data/state', '--kubeconfig', '/etc/clawstore/kubeconfig'],
  settings: { stateDir: '/data/state', kubeconfig: '/etc/clawstore/kubeconfig' },
  notifies: true,
  systemdVersion: 254,
  nodeFolder: undefined,
};
const settingsOf = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
const lineOf = (text: string, key: string) => settingsOf(text).find((line) => line.startsWith(`${key}=`));

describe('the systemd unit', () => {
  it('of an agent is this', () => {
    expect(settingsOf(unitText(facts))).to.deep.equal([
      '[Unit]',
      'Description=clawstore: agent of this node',
      'Wants=network-online.target',
      'After=network-online.target local-fs.target remote-fs.target',
      'RequiresMountsFor=/data/state /etc/clawstore',
      'StartLimitIntervalSec=0',
      '[Service]',
      'Type=notify',
      'NotifyAccess=main',
      'TimeoutStartSec=infinity',
      'EnvironmentFile=-/etc/default/clawstore',
      'ExecStart=/opt/clawstore/bin/clawstore agent --state-dir /data/state --kubeconfig /etc/clawstore/kubeconfig',
      'Restart=on-failure',
      'RestartSec=1',
      'RestartSteps=6',
      'RestartMaxDelaySec=60',
      'RestartPreventExitStatus=2',
      'KillMode=process',
      'OOMPolicy=continue',
      'OOMScoreAdjust=-900',
      'LimitNOFILE=524288',
      'TasksMax=infinity',
      '[Install]',
      'WantedBy=multi-user.target',
    ]);
  });

  it('gives nothing that mounts a mount namespace of its own, and lets its processes outlive it', () => {
    for (const role of INSTALLED_ROLES) {
      const text = unitText({ ...facts, role });
      for (const setting of settingsOf(text)) {
        expect(setting).to.not.match(
          /^(Private|Protect|ReadOnly|ReadWrite|Inaccessible|Bind|Root|Temporary|MountFlags|Dynamic)/,
        );
      }
      expect(lineOf(text, 'KillMode')).to.equal(role === 'up' || role === 'agent' ? 'KillMode=process' : undefined);
    }
  });

  it('promises nothing that this installation or this systemd does not know', () => {
    const text = unitText({ ...facts, notifies: false, systemdVersion: 252 });
    expect(lineOf(text, 'Type')).to.equal('Type=exec');
    expect(text).to.not.match(/^(NotifyAccess|RestartSteps)/m);
  });

  it('says where Node is when the launcher would not find it', () => {
    const text = unitText({ ...facts, nodeFolder: '/root/.nvm/bin' });
    expect(lineOf(text, 'Environment')).to.match(/^Environment=PATH=\/root\/\.nvm\/bin:\/usr\/local\/sbin:/);
  });

  it('knows whether it was edited', () => {
    const text = unitText(facts);
    expect(provenance(text)).to.equal('ours');
    expect(provenance(text.replace('RestartSec=1', 'RestartSec=2'))).to.equal('edited');
    expect(provenance('[Service]\nExecStart=/bin/true\n')).to.equal('foreign');
  });

  describe('as systemd reads it', function () {
    this.timeout(120_000);
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'clawstore-unit-'));
    });
    after(() => rmSync(folder, { recursive: true }));

    /** What `systemd-analyze verify` has against a unit; its launcher must exist. */
    const verify = (text: string) => {
      const file = join(folder, 'clawstore.service');
      writeFileSync(file, text);
      const { stdout, stderr, error } = spawnSync('systemd-analyze', ['verify', '--man=no', file], {
        encoding: 'utf8',
      });
      if (error !== undefined) throw error;
      // Units of the machine itself are none of ours.
      return `${stdout}${stderr}`.split('\n').filter((line) => line.includes('clawstore'));
    };

    it('is right for every part, whatever the settings contain', () => {
      for (const role of INSTALLED_ROLES) {
        const settings = { stateDir: '/data/a "b" %n $HOME \\x', kubeconfig: '/data/k/kubeconfig' };
        const args = ['--state-dir', settings.stateDir, '--node-name', '50%'];
        const text = unitText({ ...facts, role, launcher: '/bin/sh', args, settings, systemdVersion: undefined });
        expect(verify(text), role).to.deep.equal([]);
      }
    });

    it('would be found wrong', () => {
      const text = unitText({ ...facts, launcher: '/bin/sh', systemdVersion: undefined });
      expect(verify(text.replace('KillMode=process', 'KillMode=proces')).join()).to.include('kill mode');
      expect(verify(unitText({ ...facts, launcher: '/nowhere/clawstore' })).join()).to.include('not executable');
    });
  });
});

describe('an installation that a unit may name', () => {
  const EXT4 = 0xef53;
  it('stays where it is', () => {
    for (const path of ['/usr/lib/node_modules/clawstore/bin/clawstore', '/opt/clawstore/bin/clawstore']) {
      expect(placeObjection(path, EXT4)).to.equal(undefined);
    }
  });
  it('does not lie in a cache of npx, pnpm or yarn, in a temporary directory, or in memory', () => {
    for (const [path, type, why] of [
      ['/root/.npm/_npx/1a2b/node_modules/clawstore/bin/clawstore', EXT4, 'cache'],
      ['/root/.cache/pnpm/dlx-12/node_modules/clawstore/bin/clawstore', EXT4, 'cache'],
      ['/tmp/clawstore/bin/clawstore', EXT4, '/tmp, which is cleared'],
      ['/srv/clawstore/bin/clawstore', 0x01021994, 'in memory (tmpfs)'],
    ] as const) {
      expect(placeObjection(path, type), path).to.include(why);
    }
  });
});
