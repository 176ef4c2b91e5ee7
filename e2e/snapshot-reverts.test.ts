/** Volumes that go back to a snapshot of them: a Restore applied with kubectl, and `clawstore snapshot revert`. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { RESTORES, SNAPSHOTS, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Restore } from '../src/api/restore.ts';
import type { Snapshot } from '../src/api/snapshot.ts';
import type { VolumeSpec } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { ExitCode } from '../src/cli/exit-code.ts';
import type { CrashPoint } from '../src/node/crash-points.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, restore, snapshot, volume } from '../test/support/harness/manifests.ts';
import { shareOf } from '../test/support/harness/run.ts';
import { waitFor } from '../test/support/harness/wait.ts';

/** Where the agent is killed while a volume goes back. */
const POINTS: readonly CrashPoint[] = [
  'revert.after-clone',
  'revert.after-record',
  'revert.after-name',
  'revert.after-done',
];

describe(`going back to a snapshot, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;

  before(async () => {
    machine = await Machine.start({ separate: true });
    ns = await machine.namespace('reverts');
  });

  after(async () => {
    await machine?.end();
  });

  // What a test has killed it may not have started again.
  afterEach(() => machine.restartWhatEnded());

  const keyOf = (name: string): string => `${ns}/${name}`;
  const fileOf = (name: string): string => join(machine.target(ns, name), 'file');
  const read = (name: string): string => readFileSync(fileOf(name), 'utf8');

  async function attach(name: string): Promise<void> {
    await machine.create(mount(ns, name, name));
    await machine.waitReady<VolumeMount>(VOLUME_MOUNTS, keyOf(name));
  }

  async function detach(name: string): Promise<void> {
    await machine.delete(VOLUME_MOUNTS, keyOf(name));
    await machine.waitGone(VOLUME_MOUNTS, keyOf(name));
  }

  /** A mounted volume with `new` in it and a snapshot `NAME-before` of the time when it had `old`. */
  async function changed(name: string): Promise<void> {
    await machine.create(volume(ns, name, { emptyDir: {}, capacity: '64Mi' }));
    await attach(name);
    writeFileSync(fileOf(name), 'old');
    await machine.create(snapshot(ns, `${name}-before`, name));
    await machine.waitReady<Snapshot>(SNAPSHOTS, keyOf(`${name}-before`));
    writeFileSync(fileOf(name), 'new');
  }

  /** What a new volume has that is made from a snapshot. */
  async function contentOf(snapshotName: string): Promise<string> {
    const dataSource = { snapshotRef: { name: snapshotName } };
    const name = `of-${snapshotName}`;
    await machine.create(volume(ns, name, { emptyDir: {}, capacity: '64Mi', dataSource }));
    await attach(name);
    const text = read(name);
    await detach(name);
    return text;
  }

  it('is refused for good while the volume is mounted, with the names of who has it', async () => {
    await changed('busy');
    await machine.create(restore(ns, 'too-early', 'busy-before'));
    const refused = await machine.waitCondition(RESTORES, keyOf('too-early'), 'Stalled', 'True', 'VolumeInUse');
    expect(refused.message).to.include('"busy"');
    expect(read('busy')).to.equal('new');
    await detach('busy');
    await attach('busy');
    expect(read('busy')).to.equal('new');
    const { status } = await machine.get<Restore>(RESTORES, keyOf('too-early'));
    expect(status).to.have.property('completionTime');
    expect(status).to.not.have.property('nodeName');
  });

  it('brings the old content back, and keeps the newer as a snapshot', async () => {
    await changed('data');
    await detach('data');
    await machine.kubectl.apply([restore(ns, 'back', 'data-before')]);
    await machine.kubectl.run(['wait', '-n', ns, '--for=condition=Ready', '--timeout=120s', 'crs/back']);
    await attach('data');
    expect(read('data')).to.equal('old');
    const { status } = await machine.get<Restore>(RESTORES, keyOf('back'));
    expect(status?.safetySnapshotRef).to.deep.equal({ name: 'back-safety' });
    expect(status?.conditions?.map(({ type, reason }) => `${type} ${reason}`)).to.deep.equal(['Ready Reverted']);
    expect(await contentOf('back-safety')).to.equal('new');
    expect(await contentOf('data-before')).to.equal('old');
    const table = await machine.kubectl.run(['get', '-n', ns, 'crs', 'back']);
    expect(table).to.match(/back +data-before +data +True +Reverted/);
  });

  it('does nothing more afterwards, whatever happens to it, the agent and the volume', async () => {
    writeFileSync(fileOf('data'), 'precious');
    const reconcileAt = { metadata: { annotations: { 'storage.clawbernetes.io/reconcile-at': 'now' } } };
    await detach('data');
    await machine.patch(RESTORES, keyOf('back'), reconcileAt);
    await machine.node.killGroup();
    await machine.restartWhatEnded();
    await attach('data');
    expect(read('data')).to.equal('precious');
    await machine.delete(RESTORES, keyOf('back'));
    await machine.waitGone(RESTORES, keyOf('back'));
    expect(read('data')).to.equal('precious');
    await machine.waitReady(SNAPSHOTS, keyOf('back-safety'));
  });

  it('is done by clawstore snapshot revert, which waits and says what it did', async () => {
    await changed('command');
    const revert = (...args: readonly string[]) =>
      machine.command(['snapshot', 'revert', ...args, '--invoke-namespace', ns, '-o', 'json']);
    const busy = await revert('command-before');
    expect(busy.code, busy.stderr).to.equal(ExitCode.refused);
    expect(busy.stdout).to.include('VolumeInUse').and.include('\\"command\\"');
    await detach('command');
    const { code, stdout, stderr } = await revert('command-before', '--no-safety-snapshot');
    expect(code, stderr).to.equal(0);
    const answer = JSON.parse(stdout) as Record<string, unknown>;
    expect(answer).to.include({ snapshotId: 'command-before', volumeId: 'command', state: 'done', success: true });
    expect(answer).to.not.have.property('safetySnapshotId');
    await attach('command');
    expect(read('command')).to.equal('old');
    const unknown = await revert('no-such');
    expect(unknown.stdout).to.include('there is no snapshot').and.include('no-such');
  });

  it('brings back a directory of the host, and a volume in memory', async () => {
    const path = machine.hostDirectory('tree');
    const specs: Readonly<Record<string, VolumeSpec>> = {
      tree: { hostPath: { path } },
      memory: { emptyDir: { medium: 'Memory' }, capacity: '16Mi' },
    };
    for (const [name, spec] of Object.entries(specs)) {
      await machine.create(volume(ns, name, spec));
      await attach(name);
      writeFileSync(fileOf(name), 'old');
      await machine.create(snapshot(ns, `${name}-before`, name));
      await machine.waitReady<Snapshot>(SNAPSHOTS, keyOf(`${name}-before`));
      writeFileSync(fileOf(name), 'newer');
      writeFileSync(join(machine.target(ns, name), 'added'), '');
      await detach(name);
      await machine.create(restore(ns, name, `${name}-before`));
      await machine.waitReady<Restore>(RESTORES, keyOf(name));
      await attach(name);
      expect(readdirSync(machine.target(ns, name)), name).to.deep.equal(['file']);
      expect(read(name)).to.equal('old');
      await machine.waitReady<Snapshot>(SNAPSHOTS, keyOf(`${name}-safety`));
    }
    expect(readFileSync(join(path, 'file'), 'utf8')).to.equal('old');
  });

  describe('while it is mounted, when that is asked for', () => {
    const remount = { whenAttached: 'Remount' } as const;

    it('takes the mounts down, keeps what was written until then, and makes them again', async () => {
      await changed('live');
      const { status: before } = await machine.get<VolumeMount>(VOLUME_MOUNTS, keyOf('live'));
      const revert = ['snapshot', 'revert', 'live-before', '--remount', '--invoke-namespace', ns];
      const { code, stderr } = await machine.command(revert);
      expect(code, stderr).to.equal(0);
      // At once: who is told that it is done uses the mount.
      expect(read('live')).to.equal('old');
      const { status } = await machine.get<VolumeMount>(VOLUME_MOUNTS, keyOf('live'));
      expect(status?.restarts ?? 0, 'nothing was mended').to.equal(before?.restarts ?? 0);
      const { items } = await machine.client.list<Restore>(RESTORES, { namespace: ns });
      const done = items.find(({ spec }) => spec.source.snapshotRef?.name === 'live-before');
      expect(await contentOf(done?.status?.safetySnapshotRef?.name ?? '')).to.equal('new');
    });

    it('waits for who is busy in it, and names them; when they are gone it goes on', async () => {
      await changed('held');
      const holder = spawn('sleep', ['300'], { cwd: machine.target(ns, 'held'), stdio: 'ignore' });
      try {
        await machine.create(restore(ns, 'held', 'held-before', remount));
        const waiting = await machine.waitFor<VolumeMount>(
          VOLUME_MOUNTS,
          keyOf('held'),
          ({ status }) => status?.busyBy?.some(({ pid }) => pid === holder.pid) === true,
          'to name who is busy',
        );
        expect(waiting.status?.conditions?.find(({ type }) => type === 'Mounted')?.status).to.equal('True');
        expect(read('held')).to.equal('new');
        expect((await machine.get<Restore>(RESTORES, keyOf('held'))).status?.safetySnapshotRef).to.equal(undefined);
      } finally {
        holder.kill('SIGKILL');
      }
      await machine.waitReady<Restore>(RESTORES, keyOf('held'), 120_000);
      await machine.waitReady<VolumeMount>(VOLUME_MOUNTS, keyOf('held'));
      expect(read('held')).to.equal('old');
    });
  });

  /** A Restore whose agent was killed at a place, and is dead. */
  async function killedAt(point: CrashPoint, name: string): Promise<void> {
    await changed(name);
    await detach(name);
    await machine.node.stop();
    const armed = await machine.startNode({ env: { CLAWSTORE_CRASH_AT: point }, unready: true });
    await machine.create(restore(ns, name, `${name}-before`));
    await waitFor(() => armed.exit !== undefined, {
      message: `the agent to be killed at ${point}`,
      deadline: 150_000,
    });
    await armed.killGroup();
  }

  /** What is half made for a volume. */
  async function unfinished(name: string): Promise<readonly string[]> {
    const { metadata } = await machine.get(VOLUMES, keyOf(name));
    const files = machine.stored(metadata.uid ?? '?');
    return files.filter((path) => path.endsWith('.new'));
  }

  for (const point of shareOf('reverts', POINTS)) {
    it(`goes on after a kill of the agent, and is done once: ${point}`, async () => {
      const name = point.replaceAll('.', '-');
      await killedAt(point, name);
      await machine.startNode();
      await machine.waitReady<Restore>(RESTORES, keyOf(name), 120_000);
      await attach(name);
      expect(read(name)).to.equal('old');
      await waitFor(async () => (await unfinished(name)).length === 0, {
        message: 'what was half made to be removed',
        instead: () => unfinished(name),
      });
      expect(existsSync(fileOf(name))).to.equal(true);
    });
  }

  it('that is deleted while its agent is dead leaves nothing half made, and the volume as it is', async () => {
    await killedAt('revert.after-clone', 'given-up');
    expect(await unfinished('given-up')).to.have.length(1);
    await machine.delete(RESTORES, keyOf('given-up'));
    await machine.waitGone(RESTORES, keyOf('given-up'));
    await machine.startNode();
    await waitFor(async () => (await unfinished('given-up')).length === 0, {
      message: 'what was half made to be removed',
    });
    await attach('given-up');
    expect(read('given-up')).to.equal('new');
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
