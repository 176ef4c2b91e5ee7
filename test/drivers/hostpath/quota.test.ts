import { rmSync } from 'node:fs';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { DriverVolume } from '../../../src/drivers/driver.ts';
import { isProjectRecord, projectsOf } from '../../../src/drivers/hostpath/project.ts';
import { DirectoryQuota, type QuotaNode } from '../../../src/drivers/hostpath/quota.ts';
import { type MountEntry, parseMountinfoLine } from '../../../src/node/mount-entry.ts';
import { NodeError } from '../../../src/node/node-error.ts';
import { type DirectoryProject, type QuotaOperations } from '../../../src/node/quota/operations.ts';
import { Records } from '../../../src/node/records.ts';
import { rejection, soon } from '../../node/support.ts';
import { makeDirectory } from '../../support/harness/run.ts';
import { hostPathVolume } from './support.ts';

/** A directory on a filesystem with project quota, as far as the decisions see one; real ones are in e2e/quota.test.ts. */
class ScriptedDirectory {
  project = 0;
  inherited = false;
  limits = new Map<number, bigint>();
  options = 'rw,prjquota';
  missing = false;
  readonly calls: string[] = [];

  get node(): QuotaNode {
    const call = (operation: string, params: unknown): Promise<unknown> => {
      this.calls.push(operation);
      if (this.missing) return Promise.reject(new NodeError('HostPathNotFound', 'it is not there'));
      return Promise.resolve(this.#answer(operation, params));
    };
    const mounts = (): readonly MountEntry[] => {
      const parsed = parseMountinfoLine(`30 1 8:1 / /srv rw - xfs /dev/sda1 ${this.options}`);
      return parsed === undefined ? [] : [parsed];
    };
    const table = { current: mounts, containing: () => mounts()[0] } as unknown as QuotaNode['table'];
    return { features: [], mountRoot: '/m', stateDir: '/s', table, call: call as unknown as QuotaNode['call'] };
  }

  #answer(operation: string, params: unknown): DirectoryProject | null {
    switch (operation) {
      case 'inspectProject': {
        const { projects } = params as QuotaOperations['inspectProject']['params'];
        const use = (project: number) => {
          const limitBytes = this.limits.get(project) ?? 0n;
          return { project, limitBytes, usedBytes: 5n, files: this.project === project ? 1n : 0n };
        };
        return { project: this.project, inherited: this.inherited, uses: projects.map(use) };
      }
      case 'limitProject': {
        const { project, limitBytes } = params as QuotaOperations['limitProject']['params'];
        this.project = project;
        this.inherited = true;
        this.limits.set(project, limitBytes);
        return null;
      }
      default: {
        const { project } = params as QuotaOperations['clearProject']['params'];
        this.limits.delete(project);
        if (this.project === project) [this.project, this.inherited] = [0, false];
        return null;
      }
    }
  }
}

const LOCATION = { device: '8:1', root: '/d', fsType: 'xfs', stDev: 1n, stIno: 1n, readOnly: false };
const MIB = 2n ** 20n;

describe('the limit of a hostPath directory', () => {
  let disk: ScriptedDirectory;
  let records: string;
  let quota: DirectoryQuota;

  beforeEach(() => {
    disk = new ScriptedDirectory();
    records = makeDirectory('projects');
    quota = new DirectoryQuota(disk.node, new Records(records, isProjectRecord));
  });
  afterEach(() => rmSync(records, { recursive: true, force: true }));

  const of = (overrides: Partial<DriverVolume> = {}) => {
    const volume = hostPathVolume('v', '/srv/d', ['/srv'], { capacityBytes: 8n * MIB, ...overrides });
    return { volume, prefix: '/srv', path: '/srv/d' };
  };
  const observe = (overrides: Partial<DriverVolume> = {}) => quota.observe(of(overrides), LOCATION, soon());
  const apply = (overrides: Partial<DriverVolume> = {}) => quota.apply(of(overrides), LOCATION, soon());

  it('is pending until it is set, then in force, then grows', async () => {
    expect((await observe()).capacity).to.include({ enforced: false, pending: true });
    await apply();
    const { capacity, enforcedBytes } = await observe();
    expect(capacity).to.deep.equal({ enforced: true, reason: 'CapacityEnforced', message: '' });
    expect(enforcedBytes).to.equal(8n * MIB);
    await apply({ capacityBytes: 9n * MIB });
    expect((await observe()).enforcedBytes).to.equal(9n * MIB);
    expect(disk.project).to.equal(projectsOf('uid-v')[0]);
    expect(await quota.usage(of(), soon())).to.deep.equal({ usedBytes: 5n, totalBytes: 9n * MIB });
  });

  it('is not set again when it is as wanted', async () => {
    await apply();
    disk.calls.splice(0);
    await apply();
    expect(disk.calls).to.not.include('limitProject');
  });

  it('is noted again where the record was lost, and stays the same', async () => {
    await apply();
    rmSync(records, { recursive: true });
    expect((await observe()).capacity).to.include({ enforced: true, pending: true });
    const { project } = disk;
    await apply();
    expect((await observe()).capacity).to.not.have.property('pending');
    expect(disk.project).to.equal(project);
    expect(quota.marked()).to.deep.equal([{ volumeUID: 'uid-v', path: '/srv/d', bytes: undefined }]);
  });

  it('is a statement where there can be none, and an objection where it is demanded', async () => {
    disk.project = 42;
    await apply();
    expect(disk.project).to.equal(42);
    expect((await observe()).capacity).to.include({ enforced: false, reason: 'CapacityAdvisory' });
    expect((await observe()).capacity).to.not.have.property('pending');
    expect((await observe({ capacityPolicy: 'Enforce' })).capacity).to.include({ reason: 'CapacityNotEnforceable' });
    expect(await rejection(apply({ capacityPolicy: 'Enforce' }))).to.include({
      reason: 'CapacityNotEnforceable',
      terminal: true,
    });
  });

  it('is refused before the directory is made where its filesystem has no quota', () => {
    const enforce = of({ capacityPolicy: 'Enforce' }).volume;
    expect(() => quota.refuseInVain(enforce, '/srv/d')).to.not.throw();
    disk.options = 'rw,noquota';
    expect(() => quota.refuseInVain(enforce, '/srv/d')).to.throw('not mounted with prjquota');
    expect(() => quota.refuseInVain(of().volume, '/srv/d')).to.not.throw();
  });

  it('goes when it is not wanted any more', async () => {
    await apply();
    expect((await observe({ capacityPolicy: 'Advisory' })).capacity).to.include({ enforced: false, pending: true });
    await apply({ capacityPolicy: 'Advisory' });
    expect([disk.project, disk.limits.size, quota.marked().length]).to.deep.equal([0, 0, 0]);
    expect((await observe({ capacityPolicy: 'Advisory' })).capacity).to.not.have.property('pending');
  });

  it('is forgotten with a directory that is not there any more', async () => {
    await apply();
    disk.missing = true;
    await quota.clear(of(), soon());
    expect(quota.marked()).to.deep.equal([]);
  });

  it('goes from every directory of the node at once', async () => {
    await apply();
    expect(await quota.clearAll(soon())).to.deep.equal([]);
    expect([disk.project, disk.limits.size, quota.marked().length]).to.deep.equal([0, 0, 0]);
  });

  it('asks nothing of a directory that has no capacity', async () => {
    await observe({ capacityBytes: undefined });
    await quota.clear(of(), soon());
    expect(disk.calls).to.deep.equal([]);
  });

  it('is published with what is lacking', () => {
    expect(quota.feature()).to.include({ name: 'ProjectQuota', available: true });
    disk.options = 'rw,noquota';
    expect(quota.feature()).to.include({ available: false, reason: 'CapacityNotEnforceable' });
    const lacking = { name: 'QuotaCalls', available: false, reason: 'Unsupported', message: 'no quotactl_fd' };
    const without = new DirectoryQuota({ ...disk.node, features: [lacking] }, new Records(records, isProjectRecord));
    expect(without.feature()).to.include({
      available: false,
      reason: 'KernelFeatureMissing',
      message: 'no quotactl_fd',
    });
  });
});
