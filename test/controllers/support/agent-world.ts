/** A {@link World} with an agent on node `a`: a fake driver, an empty mount table, both reconcilers. */

import type { VolumeType } from '../../../src/api/volume.ts';
import { mountReconciler } from '../../../src/controllers/mount/reconciler.ts';
import type { AccessResolution } from '../../../src/controllers/policy/repository.ts';
import { restoreReconciler } from '../../../src/controllers/restore/reconciler.ts';
import { snapshotReconciler } from '../../../src/controllers/snapshot/reconciler.ts';
import type { AgentDependencies } from '../../../src/controllers/support/agent.ts';
import { addAgentIndexes } from '../../../src/controllers/support/agent.ts';
import { Jobs } from '../../../src/controllers/support/jobs.ts';
import { KeyedLock } from '../../../src/controllers/support/keyed-lock.ts';
import { Uses } from '../../../src/controllers/support/uses.ts';
import { volumeReconciler } from '../../../src/controllers/volume/reconciler.ts';
import { volumeRestoreReconciler } from '../../../src/controllers/volume-restore/reconciler.ts';
import type { MountTable, UnmountRequest } from '../../../src/node/layer.ts';
import type { MountEntry } from '../../../src/node/mount-entry.ts';
import type { Reconciler, Result } from '../../../src/runtime/reconciler.ts';
import { FakeDriver } from './fake-driver.ts';
import { ACCESS, FakeRestoreEngine } from './fake-restore-engine.ts';
import { World } from './world.ts';

/** A mount table that shows what a test says. */
function tableOf(entries: readonly MountEntry[]): MountTable {
  const stackAt = (path: string) => entries.filter(({ target }) => target === path);
  return {
    generation: 1,
    current: () => entries,
    byId: (id) => entries.find((entry) => entry.id === id),
    at: (path) => stackAt(path).at(-1),
    stackAt,
    below: () => [],
    containing: () => undefined,
    onChange: () => () => undefined,
  };
}

export class AgentWorld extends World {
  readonly driver = new FakeDriver();
  /** Of volumes that lie on a server. */
  readonly nfs = new FakeDriver('nfs');
  /** Targets that the node layer itself was asked to unmount. */
  readonly unmounted: string[] = [];
  /** What the mount table shows. */
  readonly table: MountEntry[] = [];
  readonly uses = new Uses();
  readonly #turns = new KeyedLock();
  readonly fills = this.#jobs('fill');
  readonly takes = this.#jobs('snapshot');
  readonly reverts = this.#jobs('revert');
  readonly restoring = this.#jobs('volume-restore');
  readonly engine = new FakeRestoreEngine();
  access: AccessResolution = ACCESS;
  readonly #dependencies: AgentDependencies;
  #mount: Reconciler | undefined;
  #volumeRestore: Reconciler | undefined;

  constructor() {
    super();
    const { volumes, mounts, snapshots, restores, volumeRestores, classes, namespaces } = this;
    const stores = { volumes, mounts, snapshots, restores, volumeRestores, classes, namespaces };
    addAgentIndexes(stores, '/run/mounts');
    this.#dependencies = {
      nodeName: 'a',
      hostPathAllow: ['/data'],
      stores,
      drivers: new Map<VolumeType, FakeDriver>([
        ['emptyDir', this.driver],
        ['nfs', this.nfs],
      ]),
      node: {
        mountRoot: '/run/mounts',
        table: tableOf(this.table),
        unmount: async ({ target }: UnmountRequest) => {
          this.unmounted.push(`${target.root}/${target.path}`);
          return { outcome: 'done' };
        },
      },
      writer: this.writer('agent'),
      live: this.live,
      events: this.sink,
      locks: new KeyedLock(),
      uses: this.uses,
    };
  }

  volume(name = 'data'): Promise<Result> {
    const reconcile = volumeReconciler({ ...this.#dependencies, jobs: this.fills });
    return reconcile(`team/${name}`, this.context());
  }

  snapshot(name = 's'): Promise<Result> {
    return snapshotReconciler({ ...this.#dependencies, jobs: this.takes })(`team/${name}`, this.context());
  }

  volumeRestore(name = 'vr'): Promise<Result> {
    this.#volumeRestore ??= volumeRestoreReconciler({
      ...this.#dependencies,
      engine: this.engine,
      accessOf: () => this.access,
      jobs: this.restoring,
    });
    return this.#volumeRestore(`team/${name}`, this.context());
  }

  /** The same as after a restart of the agent: nothing is remembered. */
  restart(): void {
    this.#volumeRestore = undefined;
  }

  restore(name = 'r'): Promise<Result> {
    return restoreReconciler({ ...this.#dependencies, jobs: this.reverts })(`team/${name}`, this.context());
  }

  mount(name = 'm'): Promise<Result> {
    const quietly = <T>(_key: string, _target: string, work: (settled: () => void) => Promise<T>) =>
      work(() => undefined);
    this.#mount ??= mountReconciler({ ...this.#dependencies, quietly });
    return this.#mount(`team/${name}`, this.context());
  }

  #jobs(name: string): Jobs {
    return new Jobs({ name, clock: this.clock, concurrency: () => 4, uses: this.uses, turns: this.#turns });
  }
}
