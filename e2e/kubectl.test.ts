/** What a person does with plain kubectl, against whichever API server this run uses, with a node that acts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Volume } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { Daemon } from '../test/support/harness/daemon.ts';
import type { ExecResult } from '../test/support/harness/exec.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { mountsAt } from '../test/support/harness/mounts.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const SAMPLES = join(import.meta.dirname, '../manifests/samples');

describe(`kubectl, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;

  const kubectl = (...args: readonly string[]): Promise<string> => machine.kubectl.run(['-n', ns, ...args]);
  const tryKubectl = (...args: readonly string[]): Promise<ExecResult> => machine.kubectl.try(['-n', ns, ...args]);
  const ready = (...names: readonly string[]): Promise<string> =>
    kubectl('wait', '--for=condition=Ready', '--timeout=120s', ...names);
  const file = (name: string, text: string): string => {
    const path = join(machine.directory, name);
    writeFileSync(path, text);
    return path;
  };

  /** A manifest as it would lie in a repository. */
  const manifest = (capacity: string): string => `
apiVersion: storage.clawbernetes.io/v1alpha1
kind: Volume
metadata:
  name: data
  namespace: ${ns}
  labels: {tier: test}
spec:
  hostPath:
    path: ${machine.host}/data
    type: DirectoryOrCreate
  capacity: ${capacity}
  accessModes: [ReadWriteMany]
---
apiVersion: storage.clawbernetes.io/v1alpha1
kind: VolumeMount
metadata:
  name: data-web
  namespace: ${ns}
spec:
  volumeRef: {name: data}
  workloadId: web
  mountPath: /data
`;

  before(async () => {
    machine = await Machine.start();
    ns = await machine.namespace('kubectl');
  });

  after(async () => {
    await machine?.end();
  });

  it('applies manifests, and wait ends when they are really mounted', async () => {
    const path = file('data.yaml', manifest('1Gi'));
    const said = await kubectl('apply', '-f', path);
    expect(said).to.include('volume.storage.clawbernetes.io/data created');
    expect(said).to.include('volumemount.storage.clawbernetes.io/data-web created');
    await ready('volume/data', 'volumemount/data-web');
    expect(mountsAt(machine.target(ns, 'data-web'))).to.have.length(1);
    expect(await kubectl('apply', '-f', path)).to.match(/data unchanged\n.*data-web unchanged/);
  });

  it('gets both kinds by short name with their columns', async () => {
    await machine.waitFor<Volume>(VOLUMES, `${ns}/data`, ({ status }) => status?.phase === 'Attached', 'Attached');
    const rows = (await kubectl('get', 'cvol,cmnt')).split('\n').map((line) => line.split(/\s{2,}/));
    expect(rows[0]?.slice(0, 6)).to.deep.equal(['NAME', 'PHASE', 'CAPACITY', 'NODE', 'READY', 'REASON']);
    expect(rows[1]?.slice(0, 5)).to.deep.equal([
      'volume.storage.clawbernetes.io/data',
      'Attached',
      '1Gi',
      machine.settings.nodeName,
      'True',
    ]);
    const mounts = rows.findIndex(([name]) => name?.startsWith('volumemount.') === true);
    expect(rows[mounts - 1]).to.include.members(['NAME', 'PHASE', 'READY']);
    expect(rows[mounts]).to.include.members([
      'volumemount.storage.clawbernetes.io/data-web',
      'Mounted',
      'data',
      'True',
    ]);
  });

  it('gets more columns with -o wide, all kinds by category, and fields by jsonpath', async () => {
    const wide = await kubectl('get', 'volumes', '-o', 'wide');
    expect(wide).to.match(/ACCESS MODE\s+RECLAIM\s+USED BYTES\s+MOUNTS/);
    expect(wide).to.match(/ReadWriteMany\s+Retain/);
    const all = await kubectl('get', 'clawstore');
    expect(all).to.include('volume.storage.clawbernetes.io/data').and.to.include('volumemount.storage');
    expect(all).to.include(`storagenode.storage.clawbernetes.io/${machine.settings.nodeName}`);
    expect(await kubectl('get', 'cvol/data', '-o', 'jsonpath={.status.nodeName}')).to.equal(machine.settings.nodeName);
  });

  it('selects by label and by field', async () => {
    expect(await kubectl('get', 'cvol', '-l', 'tier=test', '-o', 'name')).to.equal(
      'volume.storage.clawbernetes.io/data\n',
    );
    expect(await kubectl('get', 'cvol', '-l', 'tier=other', '-o', 'name')).to.equal('');
    const node = machine.settings.nodeName;
    expect(await kubectl('get', 'cmnt', `--field-selector=status.nodeName=${node}`, '-o', 'name')).to.equal(
      'volumemount.storage.clawbernetes.io/data-web\n',
    );
    expect(await kubectl('get', 'cmnt', '--field-selector=status.nodeName=elsewhere', '-o', 'name')).to.equal('');
  });

  it('describes an object with its conditions and events', async () => {
    const text = await waitFor(
      async () => {
        const said = await kubectl('describe', 'volumemount', 'data-web');
        return /Normal\s+Mounted\s/.test(said) ? said : undefined;
      },
      { message: 'the event of the mount in kubectl describe' },
    );
    expect(text).to.match(/Volume Ref:\s+Name:\s+data/);
    expect(text).to.match(/Type:\s+Ready/);
    expect(text).to.match(/Events:\s+Type\s+Reason/);
  });

  it('edits with an editor', async () => {
    const editor = file('editor.sh', '#!/bin/sh\nsed -i \'s|mountPath: /data|mountPath: /edited|\' "$1"\n');
    const result = await machine.kubectl.try(['-n', ns, 'edit', 'cmnt', 'data-web'], {
      env: { KUBE_EDITOR: `sh ${editor}` },
    });
    expect(result.stderr + result.stdout).to.include('data-web edited');
    expect((await machine.get<VolumeMount>(VOLUME_MOUNTS, `${ns}/data-web`)).spec.mountPath).to.equal('/edited');
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/data-web`);
  });

  it('shows what the server refuses in an edit, and keeps the object', async () => {
    const seen = file('seen.yaml', '');
    const script = `#!/bin/sh\ncat "$1" >> ${seen}\nsed -i 's|workloadId: web|workloadId: other|' "$1"\n`;
    const result = await machine.kubectl.try(['-n', ns, 'edit', 'cmnt', 'data-web'], {
      env: { KUBE_EDITOR: `sh ${file('refused.sh', script)}` },
    });
    expect(result.code).to.not.equal(0);
    // The editor is opened again with the refusal as a comment.
    expect(readFileSync(seen, 'utf8')).to.match(/^# .*spec\.workloadId: Invalid value.*immutable/m);
    expect((await machine.get<VolumeMount>(VOLUME_MOUNTS, `${ns}/data-web`)).spec.workloadId).to.equal('web');
  });

  it('patches by merge patch and by JSON patch', async () => {
    await kubectl('patch', 'cvol', 'data', '--type=merge', '-p', '{"spec":{"capacity":"2Gi"}}');
    const path = '[{"op":"replace","path":"/spec/capacity","value":"3Gi"}]';
    await kubectl('patch', 'cvol', 'data', '--type=json', '-p', path);
    await machine.waitFor<Volume>(
      VOLUMES,
      `${ns}/data`,
      ({ spec, status }) => spec.capacity === '3Gi' && status?.capacity === '3Gi',
      'to have 3Gi in spec and status',
    );
  });

  it('labels and annotates', async () => {
    await kubectl('label', 'cvol/data', 'owner=me');
    await kubectl('annotate', 'cvol/data', 'example.com/note=hello');
    const { metadata } = await machine.get<Volume>(VOLUMES, `${ns}/data`);
    expect(metadata.labels?.['owner']).to.equal('me');
    expect(metadata.annotations?.['example.com/note']).to.equal('hello');
  });

  it('diffs: code 0 and silence without a difference, code 1 and the lines with one', async () => {
    const unchanged = file('same.yaml', manifest('3Gi').replace('/data\n', '/edited\n'));
    // What apply remembers in its annotation differs after an edit; nothing else may.
    const differing = async (): Promise<readonly string[]> => {
      const { stdout } = await tryKubectl('diff', '-f', unchanged);
      const lines = stdout.split('\n').filter((line) => /^[+-] /.test(line) && !line.includes('"kind"'));
      return lines.filter((line) => !/generation|mountPath/.test(line));
    };
    // It reads twice, and a status may be written in between.
    await waitFor(async () => (await differing()).length === 0, { message: 'no difference', instead: differing });
    const other = await tryKubectl('diff', '-f', file('other.yaml', manifest('5Gi')));
    expect(other.code).to.equal(1);
    expect(other.stdout)
      .to.match(/^-\s+capacity: 3Gi$/m)
      .and.to.match(/^\+\s+capacity: 5Gi$/m);
    expect((await machine.get<Volume>(VOLUMES, `${ns}/data`)).spec.capacity).to.equal('3Gi');
  });

  it('sees no difference in the samples once the product has acted on them, whichever way they were applied', async () => {
    const team = await machine.namespace('samples');
    const text = ['cache', 'datasets', 'scratch']
      .map((name) => readFileSync(join(SAMPLES, `${name}.yaml`), 'utf8'))
      .join('---\n')
      .replaceAll('namespace: default', `namespace: ${team}`)
      .replace('/srv/clawstore-samples/datasets', join(machine.host, 'datasets'));
    const own = ['-f', file('samples.yaml', text)];
    for (const way of [[], ['--server-side', '--field-manager=gitops', '--force-conflicts']]) {
      await machine.kubectl.run(['apply', ...way, ...own]);
      await machine.kubectl.run(['wait', '--for=condition=Ready', '--timeout=120s', ...own]);
      const diff = () => machine.kubectl.try(['diff', ...way, ...own]);
      await waitFor(async () => (await diff()).code === 0, { message: 'no difference', instead: diff });
    }
    await machine.kubectl.run(['delete', '--timeout=120s', ...own]);
  });

  it('explains fields', async () => {
    const spec = await kubectl('explain', 'volume.spec');
    expect(spec).to.include('GROUP:').and.to.include('storage.clawbernetes.io');
    expect(spec)
      .to.match(/hostPath\s+<Object>/)
      .and.to.match(/capacity\s+<string>/);
    expect(await kubectl('explain', 'cmnt.spec.mountPath')).to.match(/FIELD: mountPath <string>/);
  });

  it('watches: get -w prints a line for each change', async () => {
    const logFile = join(machine.directory, 'watch.log');
    const watch = new Daemon({
      name: 'kubectl get -w',
      command: machine.kubectl.binary,
      args: ['-n', ns, 'get', 'cvol', '-w'],
      env: machine.kubectl.env,
      logFile,
    });
    try {
      await waitFor(() => /^data\s+Attached/m.test(readFileSync(logFile, 'utf8')), { message: 'the first line' });
      await machine.create(volume(ns, 'watched', { emptyDir: { medium: 'Memory' }, capacity: '8Mi' }));
      await waitFor(() => /^watched\s.*\sTrue\s/m.test(watch.output()), {
        message: 'the line in which the new volume is Ready',
        instead: () => watch.output(),
      });
    } finally {
      await watch.stop('SIGKILL');
    }
  });

  it('applies server-side, names the manager in a conflict, and takes over when told', async () => {
    const own = (capacity: string): string =>
      file('ssa.yaml', manifest(capacity).split('---')[0]?.replace('name: data', 'name: ssa') ?? '');
    await kubectl('apply', '--server-side', '--field-manager=first', '-f', own('1Gi'));
    const conflict = await tryKubectl('apply', '--server-side', '--field-manager=second', '-f', own('2Gi'));
    expect(conflict.code).to.not.equal(0);
    expect(conflict.stderr).to.include('conflict with "first"').and.to.include('.spec.capacity');
    await kubectl('apply', '--server-side', '--field-manager=second', '--force-conflicts', '-f', own('2Gi'));
    const { metadata, spec } = await machine.get<Volume>(VOLUMES, `${ns}/ssa`);
    expect(spec.capacity).to.equal('2Gi');
    expect(metadata.managedFields?.map(({ manager }) => manager)).to.include.members(['first', 'second']);
    await ready('volume/ssa');
  });

  it('names field and rule of what is refused', async () => {
    const bad = file('bad.yaml', manifest('1Gi').replace('name: data\n', 'name: bad\n').replace('1Gi', '-1Gi'));
    const result = await tryKubectl('apply', '-f', bad);
    expect(result.code).to.equal(1);
    expect(result.stderr).to.include('spec.capacity').and.to.include('must be more than 0');
    const unknown = file(
      'unknown.yaml',
      manifest('1Gi').replace('name: data\n', 'name: bad\n').replace('capacity', 'capacitty'),
    );
    const strict = await tryKubectl('apply', '-f', unknown);
    expect(strict.code).to.equal(1);
    expect(strict.stderr).to.include('unknown field "spec.capacitty"');
    expect((await tryKubectl('get', 'cvol', 'bad')).stderr).to.include('NotFound');
  });

  it('does nothing in a dry run', async () => {
    await kubectl('apply', '--dry-run=server', '-f', file('dry.yaml', manifest('9Gi')));
    expect((await machine.get<Volume>(VOLUMES, `${ns}/data`)).spec.capacity).to.equal('3Gi');
  });

  it('answers auth can-i and lists the resources', async () => {
    expect(await kubectl('auth', 'can-i', 'create', 'volumes')).to.include('yes');
    const listed = await kubectl('api-resources', '--api-group=storage.clawbernetes.io');
    expect(listed)
      .to.match(/volumes\s+cvol\s/)
      .and.to.match(/storagenodes\s+cnode\s/);
  });

  it('deletes, and returns when the mount is really gone', async () => {
    await kubectl('delete', 'cmnt', 'data-web', '--timeout=120s');
    expect(mountsAt(machine.target(ns, 'data-web'))).to.deep.equal([]);
    await kubectl('delete', 'cvol', 'data', 'ssa', 'watched', '--timeout=120s');
    expect(await kubectl('get', 'cvol,cmnt', '-o', 'name')).to.equal('');
  });

  it('deletes a namespace with everything in it, mounts before volumes, and keeps what is the host’s', async () => {
    const doomed = await machine.namespace('doomed');
    const directory = machine.hostDirectory('doomed');
    writeFileSync(join(directory, 'keep'), 'mine');
    await machine.kubectl.apply([
      volume(doomed, 'host', { hostPath: { path: directory } }),
      mount(doomed, 'host-web', 'host'),
      volume(doomed, 'memory', { emptyDir: { medium: 'Memory' }, capacity: '8Mi' }),
      mount(doomed, 'memory-web', 'memory'),
    ]);
    await machine.waitReady(VOLUME_MOUNTS, `${doomed}/host-web`);
    await machine.waitReady(VOLUME_MOUNTS, `${doomed}/memory-web`);
    await machine.kubectl.run(['delete', 'namespace', doomed, '--timeout=150s']);
    expect(machine.mounted().filter((target) => target.includes(`/${doomed}/`))).to.deep.equal([]);
    expect(readFileSync(join(directory, 'keep'), 'utf8')).to.equal('mine');
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.versions).to.be.greaterThan(10);
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
