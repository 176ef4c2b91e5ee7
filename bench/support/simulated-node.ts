/**
 * A node that is none: the product's own agent, reconcilers, caches and writes, over storage and mounts that are noted and
 * not made. Everything that an API server or a controller sees of it is as of a real one.
 */
import type { BackupEngine } from '../../src/backup/engine.ts';
import type { AgentOptions } from '../../src/controllers/agent.ts';
import type {
  Deletion,
  Driver,
  DriverMount,
  DriverVolume,
  MountObservation,
  UnmountOutcome,
  VolumeObservation,
} from '../../src/drivers/driver.ts';
import type { MountTable, NodeLayer } from '../../src/node/layer.ts';

/** Where its directory of state would be; nothing is ever there. */
const NOWHERE = '/nonexistent/clawstore-simulated';

class SimulatedDriver implements Driver {
  readonly type: Driver['type'];
  readonly #volumes = new Map<string, bigint | undefined>();
  readonly #staged = new Set<string>();
  readonly #mounts = new Set<string>();

  constructor(type: Driver['type']) {
    this.type = type;
  }

  capabilities = () => Promise.resolve({ supported: true, reason: 'Supported', message: '', features: [] });
  leftovers = () => Promise.resolve([]);
  usage = () => Promise.resolve(undefined);
  /** What is noted changes by its own calls alone, so that it need not be looked at every few seconds. */
  onChange = () => () => undefined;

  observeVolume({ uid }: DriverVolume): Promise<VolumeObservation> {
    const enforcedBytes = this.#volumes.get(uid);
    const enforced = enforcedBytes !== undefined;
    return Promise.resolve({
      provisioned: this.#volumes.has(uid),
      enforcedBytes,
      capacity: enforced
        ? { enforced, reason: '', message: '' }
        : { enforced, reason: 'NotEnforceable', message: 'nothing limits it' },
      staged: this.#staged.has(uid),
      stageMount: undefined,
      problem: undefined,
      ownedByUs: this.type === 'emptyDir',
    });
  }

  provision({ uid, capacityBytes }: DriverVolume): Promise<void> {
    this.#volumes.set(uid, this.type === 'emptyDir' ? capacityBytes : undefined);
    return Promise.resolve();
  }

  stage({ uid }: DriverVolume): Promise<void> {
    this.#staged.add(uid);
    return Promise.resolve();
  }

  observeMount(_volume: DriverVolume, { uid }: DriverMount): Promise<MountObservation> {
    const isThere = this.#mounts.has(uid);
    return Promise.resolve({
      state: isThere ? 'mounted' : 'absent',
      entry: undefined,
      source: isThere ? 'simulated' : undefined,
      message: isThere ? '' : 'nothing is mounted',
    });
  }

  publish(_volume: DriverVolume, { uid }: DriverMount): Promise<void> {
    this.#mounts.add(uid);
    return Promise.resolve();
  }

  unpublish(_volume: DriverVolume, { uid }: DriverMount): Promise<UnmountOutcome> {
    this.#mounts.delete(uid);
    return Promise.resolve({ outcome: 'done' });
  }

  unstage({ uid }: DriverVolume): Promise<UnmountOutcome> {
    this.#staged.delete(uid);
    return Promise.resolve({ outcome: 'done' });
  }

  delete({ uid }: DriverVolume): Promise<Deletion> {
    this.#volumes.delete(uid);
    return Promise.resolve({ kept: undefined });
  }
}

const EMPTY_TABLE: MountTable = {
  generation: 0,
  current: () => [],
  byId: () => undefined,
  at: () => undefined,
  stackAt: () => [],
  below: () => [],
  containing: () => undefined,
  onChange: () => () => undefined,
};

/** What the agent asks of its node besides its drivers. Anything else would be a fault of the simulation. */
const LAYER: Pick<NodeLayer, 'mountRoot' | 'stateDir' | 'table' | 'features' | 'unmount'> = {
  mountRoot: `${NOWHERE}/mounts`,
  stateDir: `${NOWHERE}/state`,
  table: EMPTY_TABLE,
  features: [],
  unmount: () => Promise.resolve({ outcome: 'done' }),
};

const ENGINE: Pick<BackupEngine, 'probe'> = {
  probe: () => Promise.resolve({ version: '0.18.0', lacking: [] }),
};

const GIB = 1024 ** 3;

/** What `buildAgent` needs of a node, simulated. */
export function simulatedNode(): Pick<AgentOptions, 'node' | 'drivers' | 'engine' | 'pools'> {
  const sizes = { capacity: `${1000 * GIB}`, free: `${900 * GIB}`, reserved: '0' };
  const pool = { name: 'default', path: `${NOWHERE}/pool`, filesystem: 'xfs', features: ['reflink'], ...sizes };
  return {
    node: LAYER as NodeLayer,
    drivers: [new SimulatedDriver('emptyDir'), new SimulatedDriver('nfs')],
    engine: ENGINE as BackupEngine,
    pools: () => Promise.resolve([pool]),
  };
}
