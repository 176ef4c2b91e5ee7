/** Controllers and agent in this process, on a real API server and a real node layer. */
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { lintStatus } from '../../../src/api/conditions.ts';
import type { ConditionedStatus, KubeObjectBase, ResourceDescriptor } from '../../../src/api/meta.ts';
import { poolReader } from '../../../src/cli/pool-reader.ts';
import { addAgent } from '../../../src/controllers/agent.ts';
import { addControllers, buildControllerManager } from '../../../src/controllers/controller-manager.ts';
import { EmptyDirDriver } from '../../../src/drivers/emptydir/emptydir-driver.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { Pools } from '../../../src/node/pools/pools.ts';
import { Manager } from '../../../src/runtime/manager.ts';
import { silentLogger } from '../../../src/telemetry/log.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { hostPathDriver } from '../../drivers/hostpath/support.ts';
import type { Place } from '../../node/support.ts';

/** One write as the API server saw it. */
export interface Write {
  readonly verb: string;
  readonly plural: string;
  readonly name: string;
  readonly manager: string | undefined;
  readonly subresource: string | undefined;
  readonly body: unknown;
}

/** Notes every write that goes through a client. */
export function counting(client: KubeClient): { readonly client: KubeClient; readonly writes: Write[] } {
  const writes: Write[] = [];
  const noting: KubeClient = {
    get: (...args) => client.get(...args),
    list: (...args) => client.list(...args),
    listPages: (...args) => client.listPages(...args),
    watch: (...args) => client.watch(...args),
    raw: (...args) => client.raw(...args),
    close: () => client.close(),
    create(resource, object, options) {
      note('create', resource, object.metadata.name, options, object);
      return client.create(resource, object, options);
    },
    replace(resource, object, options) {
      note('replace', resource, object.metadata.name, options, object);
      return client.replace(resource, object, options);
    },
    patch(resource, ref, body, options) {
      note('patch', resource, ref.name, options, body);
      return client.patch(resource, ref, body, options);
    },
    delete(resource, ref, options) {
      note('delete', resource, ref.name);
      return client.delete(resource, ref, options);
    },
  };
  return { client: noting, writes };

  function note(
    verb: string,
    { plural }: ResourceDescriptor,
    name: string,
    options: { readonly fieldManager?: string | undefined; readonly subresource?: string | undefined } = {},
    body?: unknown,
  ): void {
    writes.push({ verb, plural, name, manager: options.fieldManager, subresource: options.subresource, body });
  }
}

export interface Live {
  readonly manager: Manager;
  stop(): Promise<void>;
}

/** Starts everything of one machine: in one manager, or (`separate`) as the processes `controller` and `agent` would. */
export function startLive(client: KubeClient, place: Place, nodeName: string, separate = false): Live {
  const metrics = createMetrics();
  const log = silentLogger;
  const manager = new Manager({ client, log, metrics });
  const managers = [manager];
  const pools = new Pools({ node: place.layer, directory: join(place.layer.stateDir, 'pools') });
  if (separate) managers.push(buildControllerManager({ client, log, metrics: createMetrics(), identity: 'live-test' }));
  else addControllers(manager, { client, log, metrics, leaderOnly: false });
  const emptyDir = new EmptyDirDriver({ node: place.layer, pools });
  addAgent(manager, {
    client,
    log,
    metrics,
    nodeName,
    version: '0.0.0-test',
    node: place.layer,
    drivers: [hostPathDriver(place.layer), emptyDir],
    pools: poolReader(pools, emptyDir),
    hostPathAllow: [place.data],
    watchAll: !separate,
  });
  const abort = new AbortController();
  const running = Promise.all(managers.map((each) => each.run(abort.signal)));
  return {
    manager,
    async stop() {
      abort.abort();
      await running;
    },
  };
}

type Watched = KubeObjectBase & { readonly status?: ConditionedStatus };

/** Waits until an object fulfils `wanted`; every status on the way must keep the rules of conditions. */
export async function eventually<T extends Watched>(
  client: KubeClient,
  resource: ResourceDescriptor,
  ref: { readonly namespace?: string; readonly name: string },
  wanted: (object: T) => boolean,
): Promise<T> {
  const deadline = performance.now() + 60_000;
  let last: T | undefined;
  for (;;) {
    const object = await client.get<T>(resource, ref).catch((thrown: unknown) => {
      if (thrown instanceof KubeError && thrown.isNotFound && performance.now() < deadline) return undefined;
      throw thrown;
    });
    if (object === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      continue;
    }
    if (!isDeepStrictEqual(object, last)) {
      const problems = lintStatus(object);
      if (problems.length > 0) throw new Error(`${problems.join('; ')}\n${JSON.stringify(object.status, null, 1)}`);
    }
    last = object;
    if (wanted(object)) return object;
    if (performance.now() > deadline) throw new Error(`not as wanted: ${JSON.stringify(object, null, 1)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Waits until an object is gone. */
export async function gone(
  client: KubeClient,
  resource: ResourceDescriptor,
  ref: { readonly namespace?: string; readonly name: string },
): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    try {
      const object = await client.get(resource, ref);
      if (performance.now() > deadline) throw new Error(`still there: ${JSON.stringify(object, null, 1)}`);
    } catch (thrown) {
      if (thrown instanceof KubeError && thrown.isNotFound) return;
      throw thrown;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
