/** Snapshots and volumes that are made from them, as people use them: kubectl, `clawstore invoke`, `clawstore snapshot`. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { nodeLeaseName, SYSTEM_NAMESPACE } from '../src/api/group.ts';
import { EVENTS, LEASES, SNAPSHOTS, STORAGE_NODES, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Snapshot } from '../src/api/snapshot.ts';
import type { StorageNode } from '../src/api/storage-node.ts';
import type { Volume, VolumeSpec } from '../src/api/volume.ts';
import type { VolumeMount } from '../src/api/volume-mount.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, snapshot, volume } from '../test/support/harness/manifests.ts';
import { full } from '../test/support/harness/run.ts';
import { waitFor } from '../test/support/harness/wait.ts';

/** In CI many against one of the control planes: what takes them is the node. */
const AT_ONCE = full || controlPlaneKind === 'embedded' ? 80 : 24;
const RESTARTED = 12;

describe(`snapshots, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  let serial = 0;

  before(async () => {
    machine = await Machine.start({ separate: true });
    ns = await machine.namespace('snapshots');
    await original();
    // It is as old as its ttl when everything else has been shown.
    await machine.create(snapshot(ns, 'short-lived', 'original', { ttl: '1m' }));
    await machine.waitReady(SNAPSHOTS, `${ns}/short-lived`);
  });

  after(async () => {
    await machine?.end();
  });

  // What a test has killed it may not have started again.
  afterEach(() => machine.restartWhatEnded());

  const keyOf = (name: string): string => `${ns}/${name}`;
  const taken = (name: string): Promise<Snapshot> => machine.waitReady<Snapshot>(SNAPSHOTS, keyOf(name), 120_000);

  /** Makes a volume with a mount and returns where it is mounted. */
  async function mounted(name: string, spec: VolumeSpec): Promise<string> {
    await machine.create(volume(ns, name, spec));
    await machine.create(mount(ns, name, name));
    const ready = await machine.waitReady<VolumeMount>(VOLUME_MOUNTS, keyOf(name));
    return ready.status?.hostPath ?? '';
  }

  async function original(): Promise<string> {
    return mounted('original', { emptyDir: {}, capacity: '256Mi' });
  }

  const pathOf = (name: string): string => machine.target(ns, name);
  const write = (name: string, text: string): void => writeFileSync(join(pathOf(name), 'file'), text);
  const read = (name: string): string => readFileSync(join(pathOf(name), 'file'), 'utf8');

  /** What a volume made from a snapshot has in it. */
  async function contentOf(snapshotName: string): Promise<string> {
    serial += 1;
    const name = `look-${serial}`;
    await mounted(name, { emptyDir: {}, capacity: '256Mi', dataSource: { snapshotRef: { name: snapshotName } } });
    const text = read(name);
    await remove(name);
    return text;
  }

  async function remove(name: string): Promise<void> {
    await machine.delete(VOLUME_MOUNTS, keyOf(name));
    await machine.delete(VOLUMES, keyOf(name));
    await machine.waitGone(VOLUMES, keyOf(name));
  }

  it('are applied and waited for with kubectl, and say what they are', async () => {
    write('original', 'first');
    await machine.kubectl.apply([snapshot(ns, 'first', 'original')]);
    const wait = ['wait', '-n', ns, '--for=jsonpath={.status.readyToUse}=true', '--timeout=60s', 'snapshot/first'];
    await machine.kubectl.run(wait);
    await machine.kubectl.run(['wait', '-n', ns, '--for=condition=Ready', '--timeout=60s', 'csnap/first']);
    const { status } = await taken('first');
    const { metadata, spec } = await machine.get<Volume>(VOLUMES, keyOf('original'));
    expect(status).to.deep.include({ nodeName: machine.settings.nodeName, restoreSize: '256Mi' });
    expect(status?.source).to.deep.equal({ volumeName: 'original', volumeUID: metadata.uid, volumeSpec: spec });
    expect(status?.conditions?.map(({ type, reason }) => `${type} ${reason}`)).to.have.members([
      'Ready ReadyToUse',
      'ContentConsistent FilesystemConsistent',
    ]);
    const labels = { driver: 'emptyDir', result: 'success' };
    // The status is written first.
    const counted = () => machine.node.metric('clawstore_snapshot_duration_seconds_count', labels);
    await waitFor(async () => (await counted()) > 0, { message: 'the metric of the snapshot' });
    const table = await machine.kubectl.run(['get', '-n', ns, 'csnap', 'first']);
    expect(table)
      .to.match(/^NAME +VOLUME +READY TO USE/)
      .and.to.match(/first +original +true +256Mi +True/);
    await machine.waitFor<Volume>(
      VOLUMES,
      keyOf('original'),
      (seen) => (seen.status?.lastSnapshotTime ?? '') >= (status?.creationTime ?? '?'),
      'to tell of its newest snapshot',
    );
  });

  it('keep the moment, and a volume that is made from one is independent of both', async () => {
    write('original', 'second');
    const dataSource = { snapshotRef: { name: 'first' } };
    const path = await mounted('copy', { emptyDir: {}, capacity: '300Mi', dataSource });
    expect(read('copy')).to.equal('first');
    writeFileSync(join(path, 'file'), 'changed in the copy');
    expect(read('original')).to.equal('second');
    expect(await contentOf('first')).to.equal('first');
    await remove('copy');
    expect(await contentOf('first')).to.equal('first');
  });

  it('are not needed to copy a volume as it is', async () => {
    write('original', 'as it is');
    const copy = { emptyDir: {}, dataSource: { volumeRef: { name: 'original' } } };
    await mounted('direct', copy);
    expect(read('direct')).to.equal('as it is');
    write('direct', 'changed');
    expect(read('original')).to.equal('as it is');
    await remove('direct');
  });

  it('of a directory of the host and of memory are copies that say whether anything changed meanwhile', async () => {
    const directory = machine.hostDirectory('tree');
    const copy = { path: join(machine.host, 'tree-copy'), type: 'DirectoryOrCreate' } as const;
    const specs: readonly (readonly [string, VolumeSpec, VolumeSpec])[] = [
      ['tree', { hostPath: { path: directory } }, { hostPath: copy }],
      [
        'memory',
        { emptyDir: { medium: 'Memory' }, capacity: '64Mi' },
        { emptyDir: { medium: 'Memory' }, capacity: '64Mi' },
      ],
    ];
    for (const [name, spec, copySpec] of specs) {
      await mounted(name, spec);
      write(name, name);
      await machine.create(snapshot(ns, `of-${name}`, name));
      const { status } = await taken(`of-${name}`);
      const consistent = status?.conditions?.find(({ type }) => type === 'ContentConsistent');
      expect([consistent?.status, consistent?.reason]).to.deep.equal(['True', 'Unchanged']);
      write(name, 'changed');
      const dataSource = { snapshotRef: { name: `of-${name}` } };
      await mounted(`${name}-copy`, { ...copySpec, dataSource });
      expect(read(`${name}-copy`)).to.equal(name);
      await machine.delete(SNAPSHOTS, keyOf(`of-${name}`));
      await machine.waitGone(SNAPSHOTS, keyOf(`of-${name}`));
      expect(read(`${name}-copy`)).to.equal(name);
      await remove(`${name}-copy`);
      await remove(name);
    }
    expect(readFileSync(join(copy.path, 'file'), 'utf8')).to.equal('tree');
  });

  it('of the example are made as it says', async () => {
    const file = join(import.meta.dirname, '../manifests/examples/snapshot-and-copy.yaml');
    await machine.kubectl.run(['apply', '-n', ns, '-f', file]);
    await taken('before-upgrade');
    const { status } = await machine.waitReady<Volume>(VOLUMES, keyOf('data-copy'), 120_000);
    expect(status?.capacity).to.equal('2Gi');
    await machine.kubectl.run(['delete', '-n', ns, '-f', file, '--wait=false']);
    for (const name of ['data', 'data-copy']) await machine.waitGone(VOLUMES, keyOf(name));
  });

  it('are refused as a source for what is too small or of another kind', async () => {
    const dataSource = { snapshotRef: { name: 'first' } };
    await machine.create(volume(ns, 'small', { emptyDir: {}, capacity: '100Mi', dataSource }));
    await machine.waitCondition(VOLUMES, keyOf('small'), 'Stalled', 'True', 'CapacityTooSmall');
    await machine.create(volume(ns, 'other', { hostPath: { path: machine.hostDirectory('other') }, dataSource }));
    await machine.waitCondition(VOLUMES, keyOf('other'), 'Stalled', 'True', 'DataSourceMismatch');
    for (const name of ['small', 'other']) {
      await machine.delete(VOLUMES, keyOf(name));
      await machine.waitGone(VOLUMES, keyOf(name));
    }
  });

  it('are waited for by a volume that is applied together with them, and wait for a volume themselves', async () => {
    const dataSource = { snapshotRef: { name: 'of-later' } };
    await machine.create(volume(ns, 'eager', { emptyDir: {}, capacity: '128Mi', dataSource }));
    await machine.create(snapshot(ns, 'of-later', 'later'));
    await machine.waitCondition(VOLUMES, keyOf('eager'), 'Ready', 'False', 'SnapshotNotReady');
    await machine.waitCondition(SNAPSHOTS, keyOf('of-later'), 'Ready', 'False', 'VolumeNotFound');
    await machine.create(volume(ns, 'later', { emptyDir: {}, capacity: '128Mi' }));
    await machine.waitReady(VOLUMES, keyOf('eager'));
  });

  it('outlive their volume, and go when they are deleted', async () => {
    const path = await mounted('passing', { emptyDir: {}, capacity: '128Mi' });
    writeFileSync(join(path, 'file'), 'outlives');
    await machine.create(snapshot(ns, 'outliving', 'passing'));
    const { metadata } = await taken('outliving');
    const { metadata: volumeMeta } = await machine.get<Volume>(VOLUMES, keyOf('passing'));
    await remove('passing');
    await machine.waitFor<Snapshot>(
      SNAPSHOTS,
      keyOf('outliving'),
      ({ status }) => status?.conditions?.some(({ message }) => message.includes('stays usable')) === true,
      'to say that it is alone',
    );
    await waitFor(
      async () => {
        const { items } = await machine.client.list(EVENTS, {
          namespace: ns,
          fieldSelector: `involvedObject.uid=${volumeMeta.uid}`,
        });
        return JSON.stringify(items).includes('Its snapshot stays usable');
      },
      { message: 'the event that tells how many snapshots stay' },
    );
    const dataSource = { snapshotRef: { name: 'outliving' } };
    await mounted('heir', { emptyDir: {}, capacity: '128Mi', dataSource });
    expect(read('heir')).to.equal('outlives');
    expect(machine.stored(metadata.uid ?? '?')).not.to.deep.equal([]);
    await machine.delete(SNAPSHOTS, keyOf('outliving'));
    await machine.waitGone(SNAPSHOTS, keyOf('outliving'));
    expect(machine.stored(metadata.uid ?? '?')).to.deep.equal([]);
    expect(read('heir')).to.equal('outlives');
    await remove('heir');
  });

  it('keep their data where it is to be retained, and it is listed without an object', async () => {
    await machine.create(snapshot(ns, 'retained', 'original', { deletionPolicy: 'Retain' }));
    const { metadata } = await taken('retained');
    await machine.delete(SNAPSHOTS, keyOf('retained'));
    await machine.waitGone(SNAPSHOTS, keyOf('retained'));
    const node = await machine.waitFor<StorageNode>(
      STORAGE_NODES,
      machine.settings.nodeName,
      ({ status }) => status?.orphans?.some(({ uid }) => uid === metadata.uid) === true,
      'to list it among the orphans',
    );
    const orphan = node.status?.orphans?.find(({ uid }) => uid === metadata.uid);
    expect(orphan?.kind).to.equal('Snapshot');
    expect(existsSync(orphan?.path ?? '?')).to.equal(true);
  });

  it('of the same name are two when one is deleted and made again quickly', async () => {
    write('original', 'before');
    await machine.create(snapshot(ns, 'again', 'original'));
    const first = await taken('again');
    write('original', 'after');
    await machine.kubectl.run(['delete', '-n', ns, 'csnap', 'again', '--wait=true']);
    await machine.create(snapshot(ns, 'again', 'original'));
    const second = await machine.waitFor<Snapshot>(
      SNAPSHOTS,
      keyOf('again'),
      ({ metadata, status }) => metadata.uid !== first.metadata.uid && status?.readyToUse === true,
      'to be taken anew',
    );
    expect(await contentOf('again')).to.equal('after');
    expect(machine.stored(first.metadata.uid ?? '?')).to.deep.equal([]);
    expect(machine.stored(second.metadata.uid ?? '?')).not.to.deep.equal([]);
  });

  it('that are deleted while volumes are made from them leave each volume whole', async () => {
    write('original', 'whole');
    await machine.create(snapshot(ns, 'contended', 'original'));
    await taken('contended');
    const names = ['c1', 'c2', 'c3', 'c4'];
    const dataSource = { snapshotRef: { name: 'contended' } };
    await Promise.all(
      names.map((name) => machine.create(volume(ns, name, { emptyDir: {}, capacity: '256Mi', dataSource }))),
    );
    // Those that have their node by now hold it; the others wait for a snapshot that does not come back.
    await machine.waitFor<Volume>(VOLUMES, keyOf('c1'), ({ status }) => status?.nodeName !== undefined, 'to be placed');
    await machine.delete(SNAPSHOTS, keyOf('contended'));
    await machine.waitGone(SNAPSHOTS, keyOf('contended'));
    for (const name of names) {
      const { status } = await machine.waitFor<Volume>(
        VOLUMES,
        keyOf(name),
        ({ status: seen }) =>
          seen?.conditions?.some(({ type, status: is }) => type === 'Ready' && is !== 'Unknown') === true,
        'to say what became of it',
      );
      if (status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') !== true) continue;
      await machine.create(mount(ns, name, name));
      await machine.waitReady(VOLUME_MOUNTS, keyOf(name));
      expect(read(name)).to.equal('whole');
      await machine.delete(VOLUME_MOUNTS, keyOf(name));
    }
    await machine.waitReady<Volume>(VOLUMES, keyOf('c1'));
    for (const name of names) {
      await machine.delete(VOLUMES, keyOf(name));
      await machine.waitGone(VOLUMES, keyOf(name));
    }
  });

  it('that are deleted while a volume is being filled from them stay until it is', async () => {
    const [from, to] = [machine.hostDirectory('held-from'), machine.hostDirectory('held-to')];
    writeFileSync(join(from, 'file'), 'held');
    // Nothing is ever filled over what is there: it goes on once that is gone.
    writeFileSync(join(to, 'in-the-way'), '');
    await machine.create(volume(ns, 'held-from', { hostPath: { path: from } }));
    await machine.create(snapshot(ns, 'held', 'held-from'));
    await taken('held');
    const dataSource = { snapshotRef: { name: 'held' } };
    await machine.create(volume(ns, 'held-to', { hostPath: { path: to }, dataSource }));
    await machine.waitCondition(VOLUMES, keyOf('held-to'), 'Ready', 'False', 'CloneFailed');
    await machine.delete(SNAPSHOTS, keyOf('held'));
    const blocked = await machine.waitCondition(SNAPSHOTS, keyOf('held'), 'DeletionBlocked', 'True', 'SnapshotInUse');
    expect(blocked.message).to.include('held-to');
    rmSync(join(to, 'in-the-way'));
    await machine.waitReady(VOLUMES, keyOf('held-to'), 120_000);
    await machine.waitGone(SNAPSHOTS, keyOf('held'));
    expect(readFileSync(join(to, 'file'), 'utf8')).to.equal('held');
    for (const name of ['held-from', 'held-to']) await machine.delete(VOLUMES, keyOf(name));
  });

  it(`are all taken when ${AT_ONCE} are made at once`, async () => {
    const names = Array.from({ length: AT_ONCE }, (_, index) => `many-${index}`);
    await Promise.all(names.map((name) => machine.create(snapshot(ns, name, 'original'))));
    for (const name of names) await taken(name);
    await machine.kubectl.run(['delete', '-n', ns, 'csnap', '--wait=false', ...names]);
    for (const name of names) await machine.waitGone(SNAPSHOTS, keyOf(name));
  });

  it('are taken although controller and agent are killed meanwhile, and nothing is left half', async () => {
    const names = Array.from({ length: RESTARTED }, (_, index) => `restarted-${index}`);
    await Promise.all(names.slice(0, 6).map((name) => machine.create(snapshot(ns, name, 'original'))));
    await Promise.all([machine.node.killGroup(), machine.controller.killGroup()]);
    await Promise.all(names.slice(6).map((name) => machine.create(snapshot(ns, name, 'original'))));
    await machine.restartWhatEnded();
    for (const name of names) await taken(name);
    const unfinished = (): readonly string[] => machine.stored('.new');
    await waitFor(() => unfinished().length === 0, {
      message: 'what was half made to be removed',
      instead: unfinished,
    });
  });

  it('are not written to when the agent comes back and everything is as it was', async () => {
    const versions = async (): Promise<readonly string[]> => {
      const { items } = await machine.client.list<Snapshot>(SNAPSHOTS, { namespace: ns });
      return items
        .filter(({ metadata }) => metadata.name.startsWith('restarted-'))
        .map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`)
        .toSorted();
    };
    const before = await versions();
    await machine.node.stop();
    await machine.startNode();
    // A snapshot that is made now is taken after the others were looked at, or beside them.
    await machine.create(snapshot(ns, 'afterwards', 'original'));
    await taken('afterwards');
    expect(await versions()).to.deep.equal(before);
  });

  it('of a node that is lost are not known to be ready, are not deleted, and are as before when it is back', async () => {
    await machine.create(snapshot(ns, 'on-lost', 'original'));
    const { status: before } = await taken('on-lost');
    const { nodeName } = machine.settings;
    await machine.node.killGroup();
    // A Lease that nobody renews runs out by the controller's clock; it is made short so that nobody waits for it.
    const lease = { namespace: SYSTEM_NAMESPACE, name: nodeLeaseName(nodeName) };
    await machine.client.patch(LEASES, lease, { spec: { leaseDurationSeconds: 1 } }, { type: 'merge' });
    await machine.waitCondition(STORAGE_NODES, nodeName, 'Ready', 'Unknown', 'NodeLost', 90_000);
    await machine.waitCondition(SNAPSHOTS, keyOf('on-lost'), 'Ready', 'Unknown', 'NodeLost', 90_000);
    await machine.delete(SNAPSHOTS, keyOf('on-lost'));
    const { metadata, status } = await machine.get<Snapshot>(SNAPSHOTS, keyOf('on-lost'));
    expect(metadata).to.have.property('deletionTimestamp');
    expect(status).to.deep.include({ creationTime: before?.creationTime, source: before?.source });
    await machine.restartWhatEnded();
    await machine.waitGone(SNAPSHOTS, keyOf('on-lost'));
    await machine.waitReady(SNAPSHOTS, keyOf('afterwards'));
  });

  describe('through clawstore', () => {
    const invoke = (command: string, params: unknown) =>
      machine.invoke(command, params, '--invoke-namespace', ns, '--timeout', '120');
    const snapshots = (...args: readonly string[]) => machine.command(['snapshot', ...args, '--invoke-namespace', ns]);

    it('volume.snapshot answers with the name of one that is ready', async () => {
      const { code, answer } = await invoke('volume.snapshot', { volumeId: 'original' });
      expect(code, JSON.stringify(answer)).to.equal(0);
      expect(answer).to.deep.include({ volumeId: 'original', state: 'ready', success: true });
      const seen = await machine.get<Snapshot>(SNAPSHOTS, keyOf(String(answer['snapshotId'])));
      expect(seen.status?.readyToUse).to.equal(true);
      expect(answer['created_at']).to.equal(seen.status?.creationTime);
      const next = await invoke('volume.snapshot', { volumeId: 'original' });
      expect(next.answer['snapshotId']).not.to.equal(answer['snapshotId']);
    });

    it('volume.snapshot says which parameter is wrong', async () => {
      const absent = await invoke('volume.snapshot', { volumeId: 'nothing' });
      expect(absent.code).to.equal(1);
      expect(absent.answer['error']).to.deep.include({ code: 'NotFound', field: 'volumeId' });
      const unknown = await invoke('volume.snapshot', { volumeId: 'original', name: 'x' });
      expect(unknown.code).to.equal(2);
      expect(unknown.answer['error']).to.deep.include({ code: 'InvalidParameter', field: 'name' });
    });

    it('people create, list and delete them', async () => {
      const create = ['create', 'original', '--name', 'by-hand', '--ttl', '72h', '--consistency', 'Filesystem'];
      const made = await snapshots(...create, '-o', 'json');
      expect(made.code, made.stderr).to.equal(0);
      expect(JSON.parse(made.stdout)).to.deep.include({ snapshotId: 'by-hand', state: 'ready', consistent: true });
      expect((await snapshots(...create)).code).to.equal(0);
      const other = await snapshots('create', 'original', '--name', 'by-hand', '--ttl', '1h');
      expect([other.code, other.stderr]).to.satisfy(
        ([code, text]: [number, string]) => code === 1 && /ttl 72h/.test(text),
      );
      const listed = await snapshots('list', '--volume', 'original');
      expect(listed.stdout)
        .to.match(/^NAME +VOLUME +READY/)
        .and.to.match(/^by-hand +original +true +ReadyToUse/m);
      const gone = await snapshots('delete', 'by-hand', '-o', 'yaml');
      expect([gone.code, gone.stdout]).to.deep.equal([0, 'snapshotId: by-hand\ndeleted: true\n']);
      expect((await snapshots('delete', 'by-hand')).stderr).to.contain('there is no snapshot "by-hand"');
    });
  });

  describe('in the end', () => {
    it('go when they are older than their ttl, with an event', async () => {
      const { metadata } = (await machine.get<Snapshot>(SNAPSHOTS, keyOf('short-lived')).catch(() => undefined)) ?? {};
      await machine.waitGone(SNAPSHOTS, keyOf('short-lived'), 150_000);
      if (metadata !== undefined) {
        await waitFor(
          async () => {
            const { items } = await machine.client.list(EVENTS, {
              namespace: ns,
              fieldSelector: `involvedObject.uid=${metadata.uid}`,
            });
            return JSON.stringify(items).includes('"Expired"');
          },
          { message: 'the event Expired' },
        );
      }
      expect(await machine.get<Snapshot>(SNAPSHOTS, keyOf('first'))).to.have.nested.property('status.readyToUse', true);
    });

    it('never showed a status that breaks the rules', () => {
      expect(machine.objects.versions).to.be.greaterThan(100);
      expect(machine.objects.problems).to.deep.equal([]);
    });
  });
});
