/** The world of a VolumeBackup on its node: a driver and an engine that do what a test says. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { VolumeBackup, VolumeBackupSpec, VolumeBackupStatus } from '../../../src/api/backup.ts';
import { API_VERSION } from '../../../src/api/group.ts';
import type { KubeObjectBase } from '../../../src/api/meta.ts';
import { VOLUME_BACKUPS } from '../../../src/api/meta.ts';
import { BackupError } from '../../../src/backup/backup-error.ts';
import { tagsOf } from '../../../src/backup/catalogue.ts';
import type { BackupEngine, BackupRequest, BackupSummary, SnapshotRecord } from '../../../src/backup/engine.ts';
import type { Named } from '../../../src/controllers/policy/facts.ts';
import { addAgentIndexes } from '../../../src/controllers/support/agent.ts';
import { Jobs } from '../../../src/controllers/support/jobs.ts';
import { KeyedLock } from '../../../src/controllers/support/keyed-lock.ts';
import { Uses } from '../../../src/controllers/support/uses.ts';
import { Leftovers } from '../../../src/controllers/volume-backup/leftovers.ts';
import { volumeBackupReconciler } from '../../../src/controllers/volume-backup/reconciler.ts';
import { readingRecords } from '../../../src/controllers/volume-backup/records.ts';
import type { Driver, DriverError, OpenedForReading } from '../../../src/drivers/driver.ts';
import type { Result } from '../../../src/runtime/reconciler.ts';
import { Store } from '../../../src/runtime/store.ts';
import { silentLogger } from '../../../src/telemetry/log.ts';
import { LONG_AGO, volumeClass } from '../support/objects.ts';
import { World } from '../support/world.ts';

export const SUMMARY: BackupSummary = {
  snapshotId: 'snap-1',
  filesNew: 100,
  filesChanged: 0,
  filesUnmodified: 0,
  directories: 1,
  files: 101,
  bytesProcessed: 10_000_000n,
  bytesAdded: 6_000_000n,
  bytesAddedPacked: 5_000_000n,
  errors: { count: 0, examples: [] },
  complete: true,
};

export class PartWorld extends World {
  readonly parts = new Store<VolumeBackup>();
  readonly stateDir = mkdtempSync(join(tmpdir(), 'clawstore-parts-'));
  readonly records = readingRecords(this.stateDir);
  /** Everything that was asked of driver and engine, in order. */
  readonly calls: string[] = [];
  readonly requests: BackupRequest[] = [];
  secret: Named = { state: 'found', data: { password: 'hunter2' } };
  opened: Partial<OpenedForReading> = {};
  /** Why the driver does not open the volume. */
  unopened: DriverError | undefined;
  summary: () => Promise<BackupSummary> = () => Promise.resolve(SUMMARY);
  stored: SnapshotRecord[] = [];
  #jobs: Jobs;
  #reconcile: ReturnType<typeof volumeBackupReconciler>;
  #version = 0;

  constructor() {
    super();
    this.more.set('VolumeBackup', this.parts as unknown as Store<KubeObjectBase>);
    this.add(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team', uid: 'uid-team', labels: {} } },
      volumeClass('default', { allowedHostPathPrefixes: ['/srv'] }),
    );
    addAgentIndexes(this.stores(), '/run/mounts');
    this.#jobs = this.newJobs();
    this.#reconcile = this.newReconciler();
  }

  dispose(): void {
    rmSync(this.stateDir, { recursive: true });
  }

  /** The agent was killed, and starts anew. */
  restart(): void {
    this.#jobs = this.newJobs();
    this.#reconcile = this.newReconciler();
  }

  async run(name = 'p'): Promise<Result> {
    return this.#reconcile(`team/${name}`, this.context());
  }

  /** Begins what does not end within the moment that is waited for it. */
  async begin(name = 'p'): Promise<void> {
    const running = this.run(name);
    for (let round = 0; round < 20; round += 1) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    await this.clock.advance(2_000);
    await running;
  }

  /** Until the job, if there is one, has ended and that was told. */
  async settle(name = 'p'): Promise<void> {
    for (let round = 0; round < 50; round += 1) {
      await this.run(name).catch(() => undefined);
      if (!this.#jobs.has(`team/${name}`)) return;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }

  status(name = 'p'): VolumeBackupStatus {
    return this.parts.get(`team/${name}`)?.status ?? {};
  }

  part(spec: Partial<VolumeBackupSpec> = {}, status: VolumeBackupStatus = {}, name = 'p'): VolumeBackup {
    this.#version += 1;
    return {
      apiVersion: API_VERSION,
      kind: VOLUME_BACKUPS.kind,
      metadata: {
        name,
        namespace: 'team',
        uid: `uid-${name}`,
        generation: this.#version,
        creationTimestamp: LONG_AGO,
        resourceVersion: `part-${this.#version}`,
      },
      spec: {
        backupRef: { name: 'b' },
        backupID: 'b-1',
        clusterID: 'cluster',
        scope: 'Volumes',
        repository: { hostPath: { path: '/srv/kept' }, nodeName: 'a', encryption: { secretRef: { name: 'key' } } },
        volumeRef: { name: 'data' },
        volumeUID: 'uid-data',
        onPartial: 'Fail',
        priority: 0,
        deadline: '2026-01-02T00:00:00Z',
        ...spec,
      },
      status: { observedGeneration: -1, nodeName: 'a', ...status },
    };
  }

  /** What an earlier backup has left in the repository. */
  snapshotOf(id: string, backupID: string, files: number, bytes: bigint, clusterID = 'cluster'): void {
    const common = { backupID, clusterID, namespace: 'team', scope: 'Volumes', nodeName: 'a' } as const;
    const tags = tagsOf({ kind: 'volume', volumeName: 'data', ...common });
    const summary = { files: files + 1, bytesProcessed: bytes, bytesAddedPacked: undefined };
    this.stored.push({
      id,
      tags,
      time: LONG_AGO,
      host: 'a',
      otherTags: [],
      paths: [],
      original: undefined,
      summary,
    });
  }

  private stores() {
    const { volumes, mounts, snapshots, restores, volumeRestores, classes, namespaces } = this;
    return { volumes, mounts, snapshots, restores, volumeRestores, classes, namespaces };
  }

  private newJobs(): Jobs {
    const { clock } = this;
    return new Jobs({ name: 'part', clock, concurrency: () => 4, uses: new Uses(), turns: new KeyedLock() });
  }

  private newReconciler(): ReturnType<typeof volumeBackupReconciler> {
    const drivers = new Map([['hostPath' as const, this.driver()]]);
    const leftovers = new Leftovers({ drivers, records: this.records, isWanted: () => 'no', log: silentLogger });
    Object.defineProperty(leftovers, 'isSwept', { value: true });
    return volumeBackupReconciler({
      nodeName: 'a',
      hostPathAllow: ['/srv'],
      stores: this.stores(),
      drivers,
      node: {} as never,
      writer: this.writer('agent'),
      live: this.live,
      events: this.sink,
      locks: new KeyedLock(),
      uses: new Uses(),
      named: { secret: () => this.secret, configMap: () => ({ state: 'absent' }) },
      parts: this.parts,
      tools: {
        engine: this.engine(),
        cacheDirectory: { root: '/var/lib/clawstore', path: 'cache' },
        holder: 'clawstore-a',
        bootedAt: () => 0,
        ownDirectories: ['/var/lib/clawstore'],
      },
      records: this.records,
      leftovers,
      jobs: this.#jobs,
    });
  }

  private driver(): Driver {
    return {
      type: 'hostPath',
      reading: {
        read: async (_volume, { uid }, work) => {
          this.calls.push(`open ${uid}`);
          if (this.unopened !== undefined) throw this.unopened;
          try {
            return await work({
              directory: { own: { root: '/srv', path: 'data' } },
              device: undefined,
              method: 'InPlace',
              ignoreInode: false,
              exclude: undefined,
              isEmpty: false,
              isMountPoint: false,
              lacking: [],
              consistency: () =>
                Promise.resolve({
                  consistent: true,
                  reason: 'Unchanged',
                  message: '',
                  changes: { count: 0, examples: [] },
                }),
              ...this.opened,
            });
          } finally {
            this.calls.push(`closed ${uid}`);
          }
        },
        close: async (uid) => void this.calls.push(`close ${uid}`),
      },
    } as Partial<Driver> as Driver;
  }

  private engine(): BackupEngine {
    return {
      backup: async (_access, request, _onProgress, signal) => {
        this.calls.push('backup');
        this.requests.push(request);
        const aborted = new Promise<never>((_, reject) => {
          signal.addEventListener('abort', () => reject(new BackupError('Aborted', 'stopped')));
        });
        return Promise.race([this.summary(), aborted]);
      },
      snapshots: async (_access, { tags = {} }) => {
        this.calls.push('snapshots');
        return this.stored.filter((one) => Object.entries(tags).every(([key, value]) => one.tags[key] === value));
      },
      forget: async (_access, ids) => {
        this.calls.push(`forget ${ids.join(',')}`);
        this.stored = this.stored.filter(({ id }) => !ids.includes(id));
      },
    } as Partial<BackupEngine> as BackupEngine;
  }
}
