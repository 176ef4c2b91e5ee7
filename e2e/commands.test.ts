/** The five volume commands through `clawstore invoke`, as an agent calls them. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { parse } from 'yaml';
import { VOLUMES } from '../src/api/meta.ts';
import type { Volume } from '../src/api/volume.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mountsAt } from '../test/support/harness/mounts.ts';

const GIB = 1024 ** 3;

describe(`clawstore invoke, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;

  before(async () => {
    machine = await Machine.start();
    ns = await machine.namespace('commands');
  });

  after(async () => {
    await machine?.end();
  });

  const invoke = (command: string, params: unknown, ...args: readonly string[]) =>
    machine.invoke(command, params, '--invoke-namespace', ns, '--timeout', '120', ...args);

  it('creates a volume and answers when it is ready', async () => {
    const { code, answer } = await invoke('volume.create', {
      name: 'data',
      type: 'hostpath',
      path: `${machine.host}/d`,
    });
    expect(answer).to.deep.equal({
      name: 'data',
      type: 'hostpath',
      sizeGb: 10,
      accessMode: 'ReadWriteOnce',
      success: true,
    });
    expect(code).to.equal(0);
    expect(existsSync(join(machine.host, 'd'))).to.equal(true);
    const { spec } = await machine.get<Volume>(VOLUMES, `${ns}/data`);
    expect(spec).to.deep.include({ capacity: '10Gi', nodeName: machine.settings.nodeName });
  });

  it('answers the same request the same way, and another one under that name with an error', async () => {
    const params = { name: 'data', type: 'hostpath', path: `${machine.host}/d` };
    expect((await invoke('volume.create', params)).code).to.equal(0);
    const { code, answer } = await invoke('volume.create', { ...params, sizeGb: 20 });
    expect(code).to.equal(1);
    expect(answer['error']).to.deep.include({ code: 'AlreadyExists', field: 'name' });
  });

  it('makes an emptyDir of 10 GiB when told no more than a name', async () => {
    const { code, answer } = await invoke('volume.create', { name: 'scratch' });
    expect(code, JSON.stringify(answer)).to.equal(0);
    expect(answer).to.deep.include({ type: 'emptydir', sizeGb: 10, success: true });
  });

  it('makes a directory of ours for a hostpath without a path', async () => {
    expect((await invoke('volume.create', { name: 'ours', type: 'hostpath' })).code).to.equal(0);
    expect(existsSync(join(machine.host, 'clawstore', ns, 'ours'))).to.equal(true);
  });

  it('mounts for a workload and says where, so that files written there are in the volume', async () => {
    const { code, answer } = await invoke('volume.mount', { volumeId: 'data', workloadId: 'w1', mountPath: '/data' });
    expect(code, JSON.stringify(answer)).to.equal(0);
    expect(answer).to.deep.include({ volumeId: 'data', workloadId: 'w1', mountPath: '/data', success: true });
    const path = String(answer['hostPath']);
    expect(mountsAt(path)).to.have.length(1);
    writeFileSync(join(path, 'file'), 'data');
    expect(readFileSync(join(machine.host, 'd/file'), 'utf8')).to.equal('data');
    const again = await invoke('volume.mount', { volumeId: 'data', workloadId: 'w1', mountPath: '/data' });
    expect(again.answer).to.deep.equal(answer);
  });

  it('names the parameter that a mount cannot have', async () => {
    const wrong = { mountPath: 'data', workloadId: 'w 1' };
    for (const [field, value] of Object.entries(wrong)) {
      const params = { volumeId: 'data', workloadId: 'w1', mountPath: '/data', [field]: value };
      const { code, answer } = await invoke('volume.mount', params);
      expect(answer['error'], JSON.stringify(answer)).to.deep.include({ code: 'InvalidParameter', field });
      expect(code).to.equal(2);
    }
  });

  it('lists the volumes with counts that sum to the total', async () => {
    // The controller counts what is mounted after it was mounted.
    await machine.waitFor<Volume>(
      VOLUMES,
      `${ns}/data`,
      ({ status }) => status?.phase === 'Attached',
      'to be Attached',
    );
    const { code, answer } = await invoke('volume.list', {});
    expect(code).to.equal(0);
    const count = (key: string): number => Number(answer[key]);
    const phases = ['available', 'bound', 'attached', 'pending', 'failed', 'deleting'];
    expect(phases.reduce((sum, phase) => sum + count(`${phase}Volumes`), 0)).to.equal(3);
    expect(answer).to.deep.include({ totalVolumes: 3, attachedVolumes: 1, totalCapacity: 30 * GIB });
    const volumes = answer['volumes'] as readonly { readonly volumeId: string }[];
    expect(volumes.map(({ volumeId }) => volumeId)).to.deep.equal(['data', 'ours', 'scratch']);
  });

  it('refuses to delete what is attached, and says who uses it', async () => {
    const { code, answer } = await invoke('volume.delete', { volumeId: 'data' });
    expect(code).to.equal(4);
    expect(answer['error']).to.deep.include({ code: 'Refused', reason: 'VolumeInUse' });
    expect(JSON.stringify(answer)).to.include('w1');
    expect((await machine.get<Volume>(VOLUMES, `${ns}/data`)).metadata.deletionTimestamp).to.equal(undefined);
  });

  it('asks which workload is meant when several mount the volume', async () => {
    await invoke('volume.mount', { volumeId: 'data', workloadId: 'w2', mountPath: '/data' });
    const { code, answer } = await invoke('volume.unmount', { volumeId: 'data' });
    expect(code).to.equal(2);
    expect(answer['error']).to.deep.include({ field: 'workloadId' });
    expect(JSON.stringify(answer)).to.include('w1').and.to.include('w2');
  });

  it('unmounts, and answers only when the mount is gone', async () => {
    for (const workloadId of ['w1', 'w2']) {
      const { code, answer } = await invoke('volume.unmount', { volumeId: 'data', workloadId });
      expect(answer).to.deep.equal({ volumeId: 'data', unmounted: true });
      expect(code).to.equal(0);
    }
    expect(machine.mounted().filter((target) => target.includes(`/${ns}/`))).to.deep.equal([]);
    expect((await invoke('volume.unmount', { volumeId: 'data' })).answer).to.deep.equal({
      volumeId: 'data',
      unmounted: true,
    });
  });

  it('deletes, and answers only when the object is gone', async () => {
    for (const volumeId of ['data', 'ours', 'scratch']) {
      const { code, answer } = await invoke('volume.delete', { volumeId });
      expect(answer).to.deep.equal({ volumeId, deleted: true });
      expect(code).to.equal(0);
    }
    expect((await machine.client.list(VOLUMES, { namespace: ns })).items).to.deep.equal([]);
    expect(readFileSync(join(machine.host, 'd/file'), 'utf8')).to.equal('data');
  });

  it('answers in YAML and as a table too', async () => {
    const yaml = await machine.command(['invoke', 'volume.list', '{}', '-o', 'yaml']);
    expect(parse(yaml.stdout)).to.have.property('totalVolumes');
    expect((await machine.command(['invoke', 'volume.list', '{}', '-o', 'table'])).code).to.equal(0);
  });

  it('reads its parameters from standard input', async () => {
    const args = ['invoke', 'volume.delete', '-', '--invoke-namespace', ns];
    const { code, stdout } = await machine.command(args, { input: '{"volumeId":"nowhere"}' });
    expect(code).to.equal(1);
    expect(stdout).to.include('NotFound');
  });

  describe('errors name the field', () => {
    const cases: readonly [command: string, params: unknown, code: number, field: string | undefined][] = [
      ['volume.create', {}, 2, 'name'],
      ['volume.create', { name: '../x' }, 2, 'name'],
      ['volume.create', { name: '/etc' }, 2, 'name'],
      ['volume.create', { name: 'a\u0000b' }, 2, 'name'],
      ['volume.create', { name: 'x'.repeat(300) }, 2, 'name'],
      ['volume.create', { name: 'a', type: 'floppy' }, 2, 'type'],
      ['volume.create', { name: 'a', sizeGb: 0 }, 2, 'sizeGb'],
      ['volume.create', { name: 'a', sizeGb: -1 }, 2, 'sizeGb'],
      ['volume.create', { name: 'a', sizeGb: 1e12 }, 2, 'sizeGb'],
      ['volume.create', { name: 'a', sizeGb: '10' }, 2, 'sizeGb'],
      ['volume.create', { name: 'a', accessMode: 'RWX' }, 2, 'accessMode'],
      ['volume.create', { name: 'a', colour: 'red' }, 2, 'colour'],
      ['volume.create', { name: 'a', path: '/data' }, 2, 'path'],
      ['volume.create', { name: 'a', storageClass: 'No!' }, 2, 'storageClass'],
      ['volume.create', { name: 'a', type: 'hostpath', path: 'data' }, 2, 'path'],
      ['volume.create', { name: 'a', type: 'nfs', server: 'A B', path: '/d' }, 2, 'server'],
      ['volume.create', { name: 'a', type: 'nfs', server: 'a', path: '/d/' }, 2, 'path'],
      ['volume.create', { name: 'a', type: 's3', bucket: 'A!' }, 2, 'bucket'],
      ['volume.create', { name: 'a', type: 's3', bucket: 'abc', prefix: 'a/../b' }, 2, 'prefix'],
      ['volume.create', { name: 'a', type: 's3', bucket: 'abc', endpoint: 'ftp://a' }, 2, 'endpoint'],
      ['volume.create', { name: 'a', type: 's3', bucket: 'abc', region: 'A B' }, 2, 'region'],
      ['volume.create', { name: 'a', type: 's3', bucket: 'abc', credentialsSecret: 'A B' }, 2, 'credentialsSecret'],
      ['volume.mount', { volumeId: 'nowhere', workloadId: 'w', mountPath: '/d' }, 1, 'volumeId'],
      ['volume.mount', { volumeId: '..', workloadId: 'w', mountPath: '/d' }, 2, 'volumeId'],
      ['volume.mount', { volumeId: 'a', mountPath: '/d' }, 2, 'workloadId'],
      ['volume.unmount', { volumeId: 'nowhere' }, 1, 'volumeId'],
      ['volume.delete', { volumeId: 'nowhere' }, 1, 'volumeId'],
      ['volume.list', { all: true }, 2, 'all'],
    ];
    for (const [command, params, code, field] of cases) {
      const title = `${command} ${JSON.stringify(params).slice(0, 60)}: ${field}`;
      it(title, async () => {
        const result = await invoke(command, params);
        expect(result.answer['error'], JSON.stringify(result)).to.deep.include({ field });
        expect(result.code).to.equal(code);
      });
    }

    it('refuses an unknown command and parameters that are not JSON', async () => {
      expect((await invoke('volume.explode', {})).code).to.equal(2);
      const { code, stdout } = await machine.command(['invoke', 'volume.list', '{']);
      expect(code).to.equal(2);
      const { error } = JSON.parse(stdout) as { readonly error: Readonly<Record<string, string>> };
      expect(error['code']).to.equal('InvalidParameter');
      expect(error['message']).to.include('not JSON');
    });

    it('says why a hostpath outside the allow-list is refused, and keeps nothing of it', async () => {
      const { code, answer } = await invoke('volume.create', { name: 'out', type: 'hostpath', path: '/usr/x' });
      expect(code).to.equal(4);
      expect(answer['error']).to.deep.include({ code: 'Stalled', reason: 'HostPathNotAllowed' });
      const corrected = await invoke('volume.create', { name: 'out', sizeGb: 1 });
      expect(corrected.code).to.equal(0);
    });

    it('exits with 5 when there is no control plane', async () => {
      const settings = { ...machine.settings, kubeconfig: join(machine.directory, 'nowhere') };
      expect((await machine.command(['invoke', 'volume.list', '{}'], { settings })).code).to.equal(5);
    });
  });
});
