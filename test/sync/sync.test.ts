/** The whole loop over a real folder, against the embedded API server; nobody acts on the objects unless a test does. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { API_VERSION, FIELD_MANAGERS, LABELS, SYNC_FILE_ANNOTATION } from '../../src/api/group.ts';
import {
  CONFIG_MAPS,
  EVENTS,
  type KubeObjectBase,
  NAMESPACES,
  type ResourceDescriptor,
  SECRETS,
  VOLUME_CLASSES,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../../src/api/meta.ts';
import { readYaml } from '../../src/apiserver/http/yaml.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { EventRecorder } from '../../src/kube/events.ts';
import { FolderSource } from '../../src/sync/folder-source.ts';
import { readSyncStatus, type SyncStatusData } from '../../src/sync/status.ts';
import { Sync, type SyncOptions } from '../../src/sync/sync.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts';
import { CommandServer } from '../commands/command-server.ts';
import { waitFor } from '../support/harness/wait.ts';

const never = new AbortController().signal;
const HOLD = 'test.clawstore.example/hold';

let server: CommandServer;
let client: KubeClient;
let folder: string;
let ns: string;
let running: Running | undefined;

interface Running {
  readonly metrics: Metrics;
  stop(): Promise<void>;
}

/** @param intervalMs long: what happens sooner was told by the folder. */
function start(options: Partial<SyncOptions> = {}): Running {
  const stop = new AbortController();
  const metrics = createMetrics();
  const log = createLogger({ level: 'silent' });
  const events = new EventRecorder({ client, component: FIELD_MANAGERS.sync, log });
  const source = new FolderSource({ spec: { type: 'folder', path: folder }, settleMs: 20 });
  const common = { source, client, readYaml, events, log, metrics, intervalMs: 3_600_000, allowEmpty: false };
  const sync = new Sync({ ...common, ...options });
  const done = sync.run(stop.signal);
  running = {
    metrics,
    async stop() {
      stop.abort();
      await done;
      await events.close();
    },
  };
  return running;
}

function write(path: string, ...objects: readonly (object | string)[]): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  const texts = objects.map((object) => (typeof object === 'string' ? object : JSON.stringify(object)));
  writeFileSync(join(folder, path), texts.join('\n---\n'));
}
const remove = (path: string): void => rmSync(join(folder, path));

const volume = (name: string, spec: object = {}, annotations: object = {}): object => ({
  apiVersion: API_VERSION,
  kind: 'Volume',
  metadata: { namespace: ns, name, annotations },
  spec: { emptyDir: {}, capacity: '1Gi', ...spec },
});
const mount = (name: string): object => ({
  apiVersion: API_VERSION,
  kind: 'VolumeMount',
  metadata: { namespace: ns, name, finalizers: [HOLD] },
  spec: { volumeRef: { name }, workloadId: 'w', mountPath: '/data' },
});

async function find(resource: ResourceDescriptor, name: string): Promise<KubeObjectBase | undefined> {
  try {
    return await client.get(resource, resource.namespaced ? { namespace: ns, name } : { name });
  } catch (thrown) {
    if (KubeError.from(thrown).isNotFound) return undefined;
    throw thrown;
  }
}
const present = (resource: ResourceDescriptor, name: string): Promise<KubeObjectBase> =>
  waitFor(() => find(resource, name), { message: `${resource.kind} ${name}` });
const gone = (resource: ResourceDescriptor, name: string): Promise<true> =>
  waitFor(async () => (await find(resource, name)) === undefined, { message: `${resource.kind} ${name} to be gone` });

async function status(holds: (data: SyncStatusData) => boolean, what: string): Promise<SyncStatusData> {
  return waitFor(
    async () => {
      const data = await readSyncStatus(client, never);
      return data !== undefined && data.source === folder && holds(data) && data;
    },
    { message: what, instead: () => readSyncStatus(client, never) },
  );
}
const synced = (objects: number): Promise<SyncStatusData> =>
  status((data) => data.ready === 'True' && data.objects === String(objects), `${objects} objects to be synced`);
const reason = (wanted: string): Promise<SyncStatusData> => status((data) => data.reason === wanted, wanted);

async function metric(name: string): Promise<number | undefined> {
  const values = (await running?.metrics.registry.getSingleMetric(name)?.get())?.values ?? [];
  return values.length === 0 ? undefined : values.reduce((sum, { value }) => sum + value, 0);
}

describe('the sync of a folder', function () {
  this.timeout(120_000);

  before(async () => {
    server = await CommandServer.start();
    ({ client } = server);
  });
  after(() => server?.end());
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-sync-'));
    ns = (await server.place()).namespace;
  });
  afterEach(async () => {
    await running?.stop();
    running = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  it('applies what is there, what is added and what is changed, and says from where', async () => {
    write('a.yaml', volume('one'));
    start();
    const first = await synced(1);
    expect(first).to.include({ reason: 'Synced', problems: '[]', kept: '[]' });
    expect(first.revision).to.match(/^sha256:/);
    expect(Date.parse(first.lastSuccess)).to.be.above(0);
    const one = await present(VOLUMES, 'one');
    expect(one.metadata.labels?.[LABELS.sync]).to.match(/^[0-9a-v]{10}$/);
    expect(one.metadata.annotations?.[SYNC_FILE_ANNOTATION]).to.equal('a.yaml');
    write('sub/b.yaml', volume('two'));
    await synced(2);
    write('a.yaml', volume('one', { capacity: '2Gi' }));
    const changed = await waitFor(
      async () => {
        const object = (await present(VOLUMES, 'one')) as KubeObjectBase & { spec: { capacity: string } };
        return object.spec.capacity === '2Gi' && object;
      },
      { message: 'the new capacity' },
    );
    expect(changed.metadata.uid).to.equal(one.metadata.uid);
    expect(await metric('clawstore_sync_objects')).to.equal(2);
    expect(await metric('clawstore_sync_last_success_timestamp_seconds')).to.be.above(1_000_000_000);
    expect(await metric('clawstore_sync_revision_info')).to.equal(1);
  });

  it('writes nothing when nothing has changed, and puts back what somebody else has changed', async () => {
    write('a.yaml', volume('one'));
    let patches = 0;
    const counting = new Proxy(client, {
      get: (target, name: keyof KubeClient) => {
        if (name === 'patch') patches += 1;
        return target[name].bind(target) as unknown;
      },
    });
    start({ intervalMs: 50, client: counting });
    await synced(1);
    const before = await present(VOLUMES, 'one');
    const asked = patches;
    const map = { namespace: 'clawstore-system', name: 'clawstore-sync' };
    const said = await client.get(CONFIG_MAPS, map);
    for (const _round of [1, 2, 3]) {
      const last = await metric('clawstore_sync_last_success_timestamp_seconds');
      await waitFor(async () => (await metric('clawstore_sync_last_success_timestamp_seconds')) !== last, {
        message: 'another round',
      });
    }
    expect(patches).to.equal(asked);
    expect((await present(VOLUMES, 'one')).metadata.resourceVersion).to.equal(before.metadata.resourceVersion);
    expect((await client.get(CONFIG_MAPS, map)).metadata.resourceVersion).to.equal(said.metadata.resourceVersion);
    const body = { metadata: { labels: { extra: 'x' }, annotations: { [SYNC_FILE_ANNOTATION]: 'x' } } };
    await client.patch(VOLUMES, { namespace: ns, name: 'one' }, body, { type: 'merge' });
    await waitFor(
      async () => (await present(VOLUMES, 'one')).metadata.annotations?.[SYNC_FILE_ANNOTATION] === 'a.yaml',
      { message: 'the annotation to be put back' },
    );
    // What the source says nothing of is whoever's.
    expect((await present(VOLUMES, 'one')).metadata.labels?.['extra']).to.equal('x');
  });

  it('deletes what has left, mounts first, and waits for each before what it needs', async () => {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: ns, name: 'key' } };
    write('a.yaml', volume('stays'), volume('data'), mount('data'), secret);
    const { metrics } = start();
    await synced(4);
    write('a.yaml', volume('stays'));
    const waiting = await status((data) => data.reason === 'Pruning', 'the mount to be on its way');
    expect(waiting.message).to.include(`VolumeMount ${ns}/data`);
    await waitFor(async () => (await find(VOLUME_MOUNTS, 'data'))?.metadata.deletionTimestamp !== undefined, {
      message: 'the mount to be asked to go',
    });
    expect((await present(VOLUMES, 'data')).metadata.deletionTimestamp).to.equal(undefined);
    await present(SECRETS, 'key');
    await client.patch(
      VOLUME_MOUNTS,
      { namespace: ns, name: 'data' },
      { metadata: { finalizers: null } },
      { type: 'merge' },
    );
    await gone(SECRETS, 'key');
    expect(await find(VOLUMES, 'data')).to.equal(undefined);
    await synced(1);
    await present(VOLUMES, 'stays');
    expect((await metrics.syncPruned.get()).values[0]?.value).to.equal(3);
    // Events are written behind what they tell of.
    const pruned = async (): Promise<readonly string[]> => {
      const { items } = await client.list<KubeObjectBase & { reason: string; involvedObject: { kind: string } }>(
        EVENTS,
        { namespace: ns },
      );
      return items.filter((event) => event.reason === 'Pruned').map(({ involvedObject: { kind } }) => kind);
    };
    await waitFor(async () => (await pruned()).length >= 3, { message: 'events of what was deleted', instead: pruned });
    expect(await pruned()).to.have.members(['VolumeMount', 'Volume', 'Secret']);
  });

  it('deletes nothing that is annotated, that somebody else made, or that it has let go', async () => {
    write(
      'a.yaml',
      volume('base'),
      volume('kept', {}, { 'storage.clawbernetes.io/prune': 'false' }),
      volume('freed'),
      volume('goes'),
    );
    start();
    await synced(4);
    const freed = await present(VOLUMES, 'freed');
    // A copy with all its marks, as from "kubectl get -o yaml", under another name.
    const { labels, annotations } = freed.metadata;
    await client.create(VOLUMES, {
      ...volume('copy'),
      metadata: { namespace: ns, name: 'copy', labels, annotations },
    } as unknown as KubeObjectBase);
    await running?.stop();
    const body = { metadata: { labels: { [LABELS.sync]: null } } };
    await client.patch(VOLUMES, { namespace: ns, name: 'freed' }, body, { type: 'merge' });
    write('a.yaml', volume('base'));
    start();
    await gone(VOLUMES, 'goes');
    const { kept } = await synced(1);
    expect(kept).to.include(`Volume ${ns}/kept: annotated`);
    for (const name of ['kept', 'freed', 'copy']) await present(VOLUMES, name);
  });

  it('names what is broken with file and line, applies the rest, and keeps what a broken file has had', async () => {
    write('a.yaml', volume('one'), volume('two'));
    write('b.yaml', volume('three'));
    start();
    await synced(3);
    write('a.yaml', volume('one', { capacity: '2Gi' }), 'kind: [');
    write('b.yaml', volume('four', { capacity: 'much' }), volume('five'));
    const { problems } = await status(
      (data) => data.problems.includes('b.yaml') && data.problems.includes('a.yaml'),
      'both problems',
    );
    const list = JSON.parse(problems) as { file: string; line: number; object?: string; message: string }[];
    expect(list).to.have.length(2);
    expect(list[0]).to.include({ file: 'a.yaml', line: 3 });
    expect(list[0]?.message).to.include('is not YAML');
    expect(list[1]).to.include({ file: 'b.yaml', line: 1, object: `Volume ${ns}/four` });
    expect(list[1]?.message).to.include('spec.capacity');
    await present(VOLUMES, 'five');
    await gone(VOLUMES, 'three');
    await present(VOLUMES, 'two');
    expect(await metric('clawstore_sync_problems')).to.equal(2);
    expect(await metric('clawstore_sync_ready')).to.equal(0);
    expect(await metric('clawstore_sync_failures_total')).to.be.above(0);
    write('a.yaml', volume('one', { capacity: '2Gi' }));
    write('b.yaml', volume('five'));
    await gone(VOLUMES, 'two');
    await synced(2);
  });

  it('says nothing of what stands in a Secret that is refused', async () => {
    const data = { password: 'hunter2 is no base64' };
    write('a.yaml', volume('one'), { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: ns, name: 's' }, data });
    start();
    const { problems } = await reason('SyncIncomplete');
    expect(problems).to.include(`Secret ${ns}/s`).and.not.include('hunter2');
  });

  it('deletes nothing when the folder is empty or away, unless that was allowed', async () => {
    write('a.yaml', volume('one'));
    start();
    await synced(1);
    remove('a.yaml');
    const refused = await reason('PruneRefused');
    expect(refused.message).to.include('--sync-allow-empty');
    expect(refused.kept).to.include(`Volume ${ns}/one`);
    rmSync(folder, { recursive: true });
    await running?.stop();
    start();
    await reason('SourceUnreachable');
    await present(VOLUMES, 'one');
    mkdirSync(folder);
    await running?.stop();
    start({ allowEmpty: true });
    await gone(VOLUMES, 'one');
    await synced(0);
  });

  it('keeps what another source has brought', async () => {
    write('a.yaml', volume('one'));
    start();
    await synced(1);
    await running?.stop();
    const elsewhere = mkdtempSync(join(tmpdir(), 'clawstore-elsewhere-'));
    [folder] = [elsewhere, rmSync(folder, { recursive: true })];
    write('b.yaml', volume('two'));
    start();
    const { kept } = await synced(1);
    expect(kept).to.include(`Volume ${ns}/one: applied from another source`);
    await present(VOLUMES, 'one');
  });

  it('takes a namespace down last, and only when nothing of others is in it', async () => {
    const extra = `${ns}-extra`;
    const inExtra = (name: string): object => ({ ...volume(name), metadata: { namespace: extra, name } });
    const cls = {
      apiVersion: API_VERSION,
      kind: 'VolumeClass',
      metadata: { name: `${ns}-fast` },
      spec: { allowedNamespaces: {}, allowedTypes: ['emptyDir'] },
    };
    write(
      'a.yaml',
      volume('base'),
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: extra } },
      inExtra('v'),
      cls,
    );
    start();
    await synced(4);
    await client.create(VOLUMES, inExtra('by-hand') as KubeObjectBase);
    write('a.yaml', volume('base'));
    await gone(VOLUME_CLASSES, `${ns}-fast`);
    const { problems } = await reason('SyncIncomplete');
    expect(problems).to.include(`Namespace ${extra}`).and.include(`Volume ${extra}/by-hand is in it`);
    expect((await present(NAMESPACES, extra)).metadata.deletionTimestamp).to.equal(undefined);
    await client.delete(VOLUMES, { namespace: extra, name: 'by-hand' });
    await gone(NAMESPACES, extra);
    await synced(1);
  });

  it('makes again what was deleted by hand', async () => {
    write('a.yaml', volume('one'));
    start({ intervalMs: 50 });
    await synced(1);
    const { uid } = (await present(VOLUMES, 'one')).metadata;
    await client.delete(VOLUMES, { namespace: ns, name: 'one' });
    await waitFor(async () => ![undefined, uid].includes((await find(VOLUMES, 'one'))?.metadata.uid), {
      message: 'another one',
    });
  });

  it('finds what an earlier process had applied when it was killed, whatever became of its status', async () => {
    write('a.yaml', volume('base'), volume('leaves'));
    start();
    await synced(2);
    await running?.stop();
    await client.delete(CONFIG_MAPS, { namespace: 'clawstore-system', name: 'clawstore-sync' });
    write('a.yaml', volume('base'));
    start();
    await gone(VOLUMES, 'leaves');
    await synced(1);
  });
});
